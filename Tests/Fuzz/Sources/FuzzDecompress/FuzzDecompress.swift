// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Compression
import FuzzSupport

/// Any bytes as a compressed body, in steps of any size.
///
/// Input: the coding and whether the bytes are to be compressed first, how steps are cut, the bytes. The steps must
/// stay in their bounds, always get on, and not change the result.
@main
enum FuzzDecompress {
    static func main() {
        unsafe fuzz { bytes, count in
            var input = unsafe FuzzInput(bytes, count)
            let choice = input.byte()
            let coding = ContentCoding.allCases[Int(choice & 3)]
            let sizes = Sizes(seed: input.byte())
            if choice & 4 == 0 {
                checkDecompression(coding, input.rest(), sizes)
            } else {
                checkRoundTrip(coding, input.rest(), sizes)
            }
            return 0
        }
    }
}

private func checkDecompression(_ coding: ContentCoding, _ body: [UInt8], _ sizes: Sizes) {
    let decompressor = Decompressor(coding)
    let whole = run(decompressor, body, nil)
    decompressor.reset()
    let cut = run(decompressor, body, sizes)
    switch (whole.end, cut.end) {
    case (.tooMuch, _), (_, .tooMuch): break
    case (.finished, .finished): expect(whole.output == cut.output, "\(coding): steps change the output")
    case (.failed, .failed):
        // How far each got before the error depends on the steps; what they got does not.
        let common = min(whole.output.count, cut.output.count)
        expect(whole.output[..<common] == cut.output[..<common], "\(coding): steps change the output before an error")
    default: fatalError("\(coding): \(whole.end) in one piece, \(cut.end) in steps")
    }
    decompressor.reset()
    let again = run(decompressor, body, nil)
    expect(again.end == whole.end && again.output == whole.output, "\(coding): reset does not forget everything")
}

private func checkRoundTrip(_ coding: ContentCoding, _ text: [UInt8], _ sizes: Sizes) {
    let compressed = run(Compressor(coding), text, sizes)
    expect(compressed.end == .finished, "\(coding): compression ended with \(compressed.end)")
    let plain = run(Decompressor(coding), compressed.output, sizes)
    expect(plain.end == .finished, "\(coding): what was compressed does not decompress: \(plain.end)")
    expect(plain.output == text, "\(coding): what was compressed becomes something else")
}
