// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Buffers
import Compression
import TLS

/// Looks for one file in a gzip-compressed tar archive (POSIX ustar).
enum Archive {
    static let blockSize = 512

    /// SHA-256 of the regular file `name` at the top of the archive, which is what servers send as the signature.
    static func sha256(of name: String, in path: String) throws(CenterError) -> String {
        var reader = TarReader(name: name)
        let decompressor = Decompressor(.gzip)
        let scratch = ScratchBuffer(capacity: Decompressor.maximumStep)
        func step(_ input: [UInt8], from offset: Int, isLast: Bool) throws(CenterError) -> StepResult {
            do throws(CompressionError) {
                let result = try scratch.fill { (output) throws(CompressionError) in
                    try decompressor.step(
                        unsafe input.span.bytes.extracting(droppingFirst: offset),
                        isLast: isLast,
                        into: &output
                    )
                }
                var bytes: [UInt8] = []
                scratch.append(to: &bytes)
                reader.feed(bytes)
                return result
            } catch {
                throw CenterError("\(path): \(error)")
            }
        }
        try Folder.read(path) { (chunk) throws(CenterError) in
            var offset = 0
            var more = true
            while offset < chunk.count || more {
                let result = try step(chunk, from: offset, isLast: false)
                offset += result.consumed
                more = result.needsOutput
            }
        }
        while try !step([], from: 0, isLast: true).finished {}
        guard let found = reader.found else {
            throw CenterError("\(path) has no file \"\(name)\" at its top: that is the one which agents start")
        }
        return found
    }
}

/// Cuts a tar stream into members and hashes one of them.
private struct TarReader {
    private let name: String
    private var header: [UInt8] = []
    /// Bytes of the present member still to come, padding included, and how many of them are contents.
    private var rest = 0
    private var contents = 0
    private var digest: SHA256Digest?
    private(set) var found: String?

    init(name: String) { self.name = name }

    mutating func feed(_ bytes: [UInt8]) {
        var offset = 0
        while offset < bytes.count {
            if rest > 0 {
                let part = min(rest, bytes.count - offset)
                take(bytes, offset..<(offset + part))
                offset += part
            } else {
                let part = min(Archive.blockSize - header.count, bytes.count - offset)
                header += bytes[offset..<(offset + part)]
                offset += part
                if header.count == Archive.blockSize { begin() }
            }
        }
    }

    private mutating func take(_ bytes: [UInt8], _ range: Range<Int>) {
        let part = min(contents, range.count)
        digest?.update(unsafe bytes.span.bytes.extracting(range.lowerBound..<(range.lowerBound + part)))
        contents -= part
        rest -= range.count
        if contents == 0, let digest {
            found = digest.finish()
            self.digest = nil
        }
    }

    private mutating func begin() {
        var member = Self.text(header[0..<100])
        if member.hasPrefix("./") { member.removeFirst(2) }
        let size = Self.octal(header[124..<136])
        let isFile = header[156] == 0x30 || header[156] == 0
        header.removeAll(keepingCapacity: true)
        contents = size
        rest = (size + Archive.blockSize - 1) / Archive.blockSize * Archive.blockSize
        guard isFile && member == name else { return }
        digest = SHA256Digest()
        if size == 0 { take([], 0..<0) }
    }

    private static func text(_ field: ArraySlice<UInt8>) -> String {
        String(decoding: field.prefix { $0 != 0 }, as: UTF8.self)
    }

    private static func octal(_ field: ArraySlice<UInt8>) -> Int {
        field.drop { $0 == 0x20 }.prefix { (0x30...0x37).contains($0) }.reduce(0) { $0 << 3 | Int($1 - 0x30) }
    }
}
