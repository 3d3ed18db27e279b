// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import GRPCCore
import NIOCore

/// `PackagedData` of grpc.proto as bytes: header fields, then records, each a tag, a length and the plugin's bytes.
enum PackagedData {
    /// Bytes of a message, so that with the 5 of gRPC's prefix it fills 256 KiB: NIO's buffers have powers of two.
    static let size = 262_144 - 5
    /// The tag of field 1, `records`.
    static let recordTag: UInt8 = 0x0a

    /// The fields that each message repeats, as the original agent does.
    static func header(agentID: String) -> ByteBuffer {
        var header = ByteBuffer()
        for (field, value) in [(2, agentID), (8, "1.0.0.0"), (9, "elkeid-agent")] {
            header.writeInteger(UInt8(field << 3 | 2))
            let length = value.utf8.count
            header.writeWithUnsafeMutableBytes(minimumWritableBytes: Varint.maximumSize) {
                Varint.write(UInt32(length), to: $0, at: 0)
            }
            header.writeString(value)
        }
        return header
    }
}

/// Base-128 integers of protobuf, of up to 32 bits.
enum Varint {
    static let maximumSize = 5

    static func size(of value: UInt32) -> Int { (38 - (value | 1).leadingZeroBitCount) / 7 }

    /// Returns how many bytes it took.
    static func write(_ value: UInt32, to output: UnsafeMutableRawBufferPointer, at offset: Int) -> Int {
        var rest = value
        var end = offset
        while rest >= 0x80 {
            output[end] = UInt8(truncatingIfNeeded: rest) | 0x80
            rest >>= 7
            end += 1
        }
        output[end] = UInt8(truncatingIfNeeded: rest)
        return end + 1 - offset
    }
}

/// The message is encoded already. The copy cannot be helped: the transport's type of bytes takes no `ByteBuffer`.
struct EncodedMessageSerializer: MessageSerializer {
    func serialize<Bytes: GRPCContiguousBytes>(_ message: ByteBuffer) -> Bytes { Bytes(message.readableBytesView) }
}

/// What came from the server, unread.
struct DroppedCommand: Sendable {}

struct CommandDropper: MessageDeserializer {
    func deserialize(_ serializedMessageBytes: some GRPCContiguousBytes) -> DroppedCommand { DroppedCommand() }
}
