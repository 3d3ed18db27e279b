// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

/// Reads the frames of one segment, through a window: memory does not grow with the segment.
struct SegmentReader {
    enum Item: Equatable {
        /// A frame whose header is whole; its batch is damaged when there is no payload.
        case frame(FrameHeader, at: Int, payload: ArraySlice<UInt8>?)
        /// Bytes that are no frame, up to the next frame or the end.
        case damage(Range<Int>)
        /// The file ends within a frame. The header is there when that was whole.
        case torn(FrameHeader?, at: Int)
        case end
    }

    /// What is read at a time.
    static let window = 256 << 10

    private let disk: any SpoolDisk
    private let name: String
    private let size: Int
    private let salt: UInt64
    private var buffer: [UInt8] = []
    private var bufferStart = 0

    init(_ disk: any SpoolDisk, name: String, size: Int, salt: UInt64) {
        self.disk = disk
        self.name = name
        self.size = size
        self.salt = salt
    }

    /// Bytes of the file from `offset` on, up to `count`.
    private mutating func bytes(at offset: Int, _ count: Int) throws(SpoolError) -> ArraySlice<UInt8> {
        let wanted = min(count, size - offset)
        if offset < bufferStart || offset + wanted > bufferStart + buffer.count {
            buffer = try disk.read(name, at: offset, count: min(max(wanted, Self.window), size - offset))
            bufferStart = offset
        }
        let start = offset - bufferStart
        return buffer[min(start, buffer.count)..<min(start + wanted, buffer.count)]
    }

    /// What lies at `offset`.
    mutating func item(at offset: Int) throws(SpoolError) -> Item {
        guard offset < size else { return .end }
        guard let header = FrameHeader(try bytes(at: offset, SpoolFormat.frameHeaderSize), salt: salt) else {
            return try damage(from: offset)
        }
        guard offset + header.size <= size else { return .torn(header, at: offset) }
        let payload = try bytes(at: offset, header.size).dropFirst(SpoolFormat.frameHeaderSize)
        let isWhole = payload.count == Int(header.length) && SpoolFormat.checksum(payload) == header.checksum
        return .frame(header, at: offset, payload: isWhole ? payload : nil)
    }

    /// The header of the frame at `offset`, without its payload.
    mutating func header(at offset: Int) throws(SpoolError) -> FrameHeader? {
        guard offset < size else { return nil }
        return FrameHeader(try bytes(at: offset, SpoolFormat.frameHeaderSize), salt: salt)
    }

    /// Looks for the next frame behind bytes that are none.
    private mutating func damage(from start: Int) throws(SpoolError) -> Item {
        var offset = start + 1
        while offset + SpoolFormat.frameHeaderSize <= size {
            let window = try bytes(at: offset, Self.window)
            guard window.count >= SpoolFormat.frameHeaderSize else { break }
            let places = window.count - SpoolFormat.frameHeaderSize + 1
            for place in 0..<places where window[window.startIndex + place] == 0x45 {
                let candidate = window.dropFirst(place)
                if FrameHeader(candidate, salt: salt) != nil { return .damage(start..<(offset + place)) }
            }
            offset += places
        }
        // Not even a header's worth: the file ended within it.
        if size - start < SpoolFormat.frameHeaderSize { return .torn(nil, at: start) }
        return .damage(start..<size)
    }
}
