// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import ProcessCollector
import Testing

/// What `DETAIL` may be.
@Suite
struct CollectorOptionsTests {
    @Test(arguments: [
        ("", 3600), (" \n", 3600), ("{}", 3600), (#"{"interval_seconds":2}"#, 2),
        (" { \"interval_seconds\" : 60 , \"x\" : [ 1, {\"interval_seconds\": 5}, \"]}\\\"\" ] } ", 60),
        (#"{"other":{"a":[],"b":-1.5e+3},"t":true,"n":null,"interval_seconds":31622400}"#, 31_622_400),
        (#"{"interval_seconds":1,"interval_seconds":7}"#, 7),
    ])
    func accepted(detail: String, interval: Int) throws {
        #expect(try CollectorOptions(detail: detail).intervalSeconds == interval)
    }

    @Test(arguments: [
        "2", "[]", "{", "}", "{}x", #"{"a":1,}"#, #"{"a"}"#, #"{"a":}"#, #"{"a":01}"#, #"{"a":1.}"#, #"{"a":-}"#,
        #"{"a":1e}"#, #"{"a":tru}"#, #"{"a":"b}"#, #"{"a":"b\"#, "{\"a\":\"\n\"}", #"{a:1}"#, #"{"a":[1,]}"#,
        #"{"a":"# + String(repeating: "[", count: 100_000),
    ])
    func notAnObject(detail: String) {
        #expect(throws: CollectorOptions.DetailError.notAnObject) { try CollectorOptions(detail: detail) }
    }

    @Test(arguments: ["0", "-1", "1.5", "1e3", "\"60\"", "null", "31622401", "99999999999999999999", "{}"])
    func badInterval(value: String) {
        #expect(throws: CollectorOptions.DetailError.badInterval) {
            try CollectorOptions(detail: "{\"interval_seconds\":\(value)}")
        }
    }

    /// Damaged text is accepted or refused, and never traps.
    @Test func randomText() {
        var generator = SeededGenerator(state: 7)
        let template = Array(#"{"interval_seconds":12,"a":[1,2,{"b":"c\"d"}],"e":-1.5e3,"f":null}"#.utf8)
        var accepted = 0
        for _ in 0..<5000 {
            var text = template
            for _ in 0..<Int.random(in: 0...3, using: &generator) {
                let index = Int.random(in: 0..<text.count, using: &generator)
                text[index] = template.randomElement(using: &generator) ?? 0
            }
            if let options = try? CollectorOptions(detail: String(decoding: text, as: UTF8.self)) {
                accepted += 1
                #expect(options.intervalSeconds >= 1)
            }
        }
        #expect((1..<5000).contains(accepted))
    }
}
