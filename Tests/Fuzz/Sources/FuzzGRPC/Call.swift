// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import FuzzSupport
import GRPC
import HTTP2

/// A call that is told what the text says, line by line: `name: value` is a header field, an empty line hands the
/// fields over as headers, `end` as the last ones, `data end` ends the peer's half, `reset N` resets the stream.
func checkCall(_ text: [UInt8]) {
    var call = ClientCall()
    var fields: [HTTP2Header] = []
    var accepted = false
    var ended = false
    for line in text.split(separator: 0x0a, omittingEmptySubsequences: false) {
        let words = String(decoding: line, as: UTF8.self)
        let outcome: ClientCall.Outcome
        switch words {
        case "", "end":
            outcome = call.received(fields, end: words == "end")
            fields = []
        case "data end": outcome = call.receivedEnd()
        case _ where words.hasPrefix("reset "):
            outcome = call.closed(HTTP2ErrorCode(rawValue: UInt32(words.dropFirst(6)) ?? 0))
        default:
            let parts = words.split(separator: ": ", maxSplits: 1, omittingEmptySubsequences: false)
            fields.append(HTTP2Header(String(parts[0]), parts.count > 1 ? String(parts[1]) : ""))
            continue
        }
        switch outcome {
        case .accepted:
            expect(!accepted && !ended, "a call that is accepted twice, or after its end")
            accepted = true
        case .ended(let status):
            expect(!ended, "a call that ends twice")
            expect(!status.description.isEmpty, "a status without a description")
            // As a server of ours would say it.
            _ = percentEncoded(status.message)
            ended = true
        case .none: break
        }
        expect(call.hasEnded == ended, "a call that has ended does not know")
        expect(call.isOpen == (accepted && !ended), "a call is open from its acceptance to its end")
    }
}
