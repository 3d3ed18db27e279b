// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

public import ElkeidWire

/// Tasks as bytes for descriptor 3: as the agent writes them, in other legal forms, and broken ones.
public enum TaskFrame {
    public static func frame(_ body: [UInt8]) -> [UInt8] {
        var writer = WireWriter()
        writer.fixed32(UInt32(body.count))
        writer.append(body)
        return writer.bytes
    }

    public static func plain(_ task: PluginTask) -> [UInt8] {
        var writer = WireWriter()
        task.encodeFrame(into: &writer)
        return writer.bytes
    }

    /// With fields of every wire type that a later version could add, before, between and behind the known ones.
    public static func withUnknownFields(_ task: PluginTask) -> [UInt8] {
        var writer = WireWriter()
        writer.tag(15, .varint)
        writer.varint(.max)
        writer.int32(1, task.dataType)
        writer.string(2, task.objectName)
        writer.tag(16, .fixed64)
        writer.fixed64(1)
        writer.element(WireField.largestNumber, "unknown")
        writer.string(3, task.data)
        writer.tag(17, .fixed32)
        writer.fixed32(1)
        writer.string(4, task.token)
        writer.element(18, "")
        return frame(writer.bytes)
    }

    public static func inOtherOrder(_ task: PluginTask) -> [UInt8] {
        var writer = WireWriter()
        writer.string(4, task.token)
        writer.string(3, task.data)
        writer.string(2, task.objectName)
        writer.int32(1, task.dataType)
        return frame(writer.bytes)
    }

    /// A string that reaches past the message's end.
    public static let undecodable = frame([0x08, 0x01, 0x12, 0x7f, 0x61])

    /// A length of 2 GiB and the beginning of what it announces.
    public static let oversized: [UInt8] = [0, 0, 0, 0x80] + [UInt8](repeating: 0x61, count: 4096)

    /// The beginning of a frame of 100 bytes.
    public static let begun: [UInt8] = [100, 0, 0, 0, 0x08, 0x01, 0x12, 0x05, 0x61]
}
