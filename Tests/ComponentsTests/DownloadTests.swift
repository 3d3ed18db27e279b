// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Components
import HTTP1
import Reactor
import Testing

/// What happens to a download, and what it must say to it.
private enum Event {
    /// From now on it is this moment.
    case at(UInt64)
    /// The next step, as text: an address with "from" and "if", "until" a moment, "verify", "finished", "failed".
    case next(String)
    /// An answer's head, and what is to be done with its body.
    case head(Int, [String: String], String)
    /// Bytes that are welcome.
    case body(Int)
    /// Bytes of which one is too many.
    case tooMuch(Int)
    case breaks
    case ends
    /// The checksum that was found; nil when it is the right one.
    case sum(String?)
}

private struct Course {
    var download: Download
    private var now: UInt64 = 0

    init(_ urls: [String], existing: UInt64 = 0, policy: Download.Policy = Download.Policy()) {
        download = Download(urls: urls, policy: policy, existing: existing, at: moment(0))
    }

    mutating func play(_ events: [Event], sourceLocation: SourceLocation = #_sourceLocation) {
        for (index, event) in events.enumerated() {
            let comment: Comment = "event \(index): \(event)"
            switch event {
            case .at(let seconds): now = seconds
            case .next(let expected):
                let step = Self.text(download.next(at: moment(now)))
                #expect(step == expected, comment, sourceLocation: sourceLocation)
            case .head(let status, let headers, let expected):
                let list = headers.map { HTTPResponseHead.Header($0.key, $0.value) }
                let head = HTTPResponseHead(status: status, reason: "Reason", headers: list)
                let verdict = Self.text(download.received(head))
                #expect(verdict == expected, comment, sourceLocation: sourceLocation)
            case .body(let count):
                let isWelcome = download.stored(count)
                #expect(isWelcome, comment, sourceLocation: sourceLocation)
            case .tooMuch(let count):
                let isWelcome = download.stored(count)
                #expect(!isWelcome, comment, sourceLocation: sourceLocation)
            case .breaks: download.ended("reset")
            case .ends: download.ended(nil)
            case .sum(let actual): download.verified(actual)
            }
        }
    }

    static func text(_ step: Download.Step) -> String {
        switch step {
        case .fetch(let fetch):
            var text = "\(fetch.url)"
            if fetch.offset > 0 {
                text += " from \(fetch.offset)"
                if let validator = fetch.validator { text += " if \(validator)" }
            }
            return text
        case .wait(let time): return "until \(Int((time - moment(0)).seconds))"
        case .verify: return "verify"
        case .finished: return "finished"
        case .failed(let reason): return "failed: \(reason)"
        }
    }

    static func text(_ verdict: Download.Verdict) -> String {
        switch verdict {
        case .abandon: "abandon"
        case .store(let offset, let total): "from \(offset) of \(total.map { "\($0)" } ?? "?")"
        }
    }
}

private let a = "http://a/f"
private let b = "http://b/f"

@Suite("Downloads: addresses")
struct DownloadAddressTests {
    @Test func asksTheAddressesInTurn() {
        var course = Course([a, b])
        course.play([
            .next("http://a/f"), .head(404, [:], "abandon"), .next("http://b/f"), .head(500, [:], "abandon"),
            .next("until 1"),
        ])
        #expect(
            course.download.takeNews() == [
                "http://a/f: the server answers 404 Reason", "http://b/f: the server answers 500 Reason",
            ]
        )
        #expect(course.download.takeNews().isEmpty)
        course.play([
            .at(1), .next("http://a/f"), .breaks, .next("http://b/f"),
            .head(200, ["content-length": "5"], "from 0 of 5"), .body(3), .body(2), .ends, .next("verify"),
            .next("verify"), .sum(nil), .next("finished"), .next("finished"),
        ])
        #expect(course.download.takeNews() == ["http://a/f: reset"])
    }

    @Test func waitsLongerAfterEachRound() {
        var policy = Download.Policy()
        policy.rounds = 1000
        var course = Course([a], policy: policy)
        #expect(course.download.deadline == moment(600))
        let times: [UInt64] = [1, 3, 7, 15, 31, 63, 123, 183, 243, 303, 363, 423, 483, 543]
        for time in times {
            course.play([.next("http://a/f"), .breaks, .next("until \(time)"), .at(time)])
        }
        course.play([.next("http://a/f"), .breaks, .next("failed: not within 600 s; http://a/f: reset")])
    }

    /// Others wait for their turn: it is given up for the time being when there was nothing new for some rounds.
    @Test func givesUpAfterSomeRoundsInVain() {
        var course = Course([a, b])
        let round: [Event] = [.next("http://a/f"), .breaks, .next("http://b/f"), .head(404, [:], "abandon")]
        for time in [1, 3, 7, 15] as [UInt64] {
            course.play(round)
            course.play([.next("until \(time)"), .at(time)])
        }
        course.play(round)
        course.play([.next("failed: http://b/f: the server answers 404 Reason")])
    }

    /// As long as it gets further it is worth another round.
    @Test func countsRoundsAnewAfterProgress() {
        var policy = Download.Policy()
        policy.rounds = 2
        var course = Course([a], policy: policy)
        course.play([
            .next("http://a/f"), .breaks, .next("until 1"), .at(1), .next("http://a/f"),
            .head(200, [:], "from 0 of ?"), .body(65536), .breaks, .next("http://a/f from 65536"), .breaks,
            .next("until 3"), .at(3), .next("http://a/f from 65536"), .breaks, .next("failed: http://a/f: reset"),
        ])
    }

    @Test func endsAtTheDeadline() {
        var course = Course([a])
        course.play([
            .next("http://a/f"), .head(200, [:], "from 0 of ?"), .body(100_000), .at(599), .breaks,
            .next("http://a/f from 100000"), .at(600), .breaks,
            .next("failed: not within 600 s; http://a/f: reset"),
        ])
        var policy = Download.Policy()
        policy.limit = .seconds(10)
        policy.retryMinimum = .seconds(4)
        var short = Course([a], policy: policy)
        short.play([
            .next("http://a/f"), .breaks, .next("until 4"), .at(4), .next("http://a/f"), .breaks,
            .next("failed: not within 10 s; http://a/f: reset"),
        ])
    }

    @Test func passesOverWhatIsNoAddress() {
        var course = Course(["ftp://a/f", "", b])
        course.play([.next("http://b/f"), .head(404, [:], "abandon"), .next("until 1")])
        #expect(
            course.download.takeNews() == [
                "\"ftp://a/f\": the URL begins neither with http:// nor with https://",
                "\"\": the URL begins neither with http:// nor with https://",
                "http://b/f: the server answers 404 Reason",
            ]
        )
        var vain = Course(["http://"])
        vain.play([.next("until 1"), .at(1), .next("until 3")])
        #expect(vain.download.takeNews().count == 2)
        var none = Course([])
        none.play([.next("failed: there is no address to get it from")])
    }

    /// Of no meaning at that time: nothing changes.
    @Test func ignoresWhatComesOutOfTurn() {
        var course = Course([a, b])
        course.play([
            .head(200, [:], "abandon"), .ends, .breaks, .sum(nil), .sum("ff"), .next("http://a/f"),
            .head(200, [:], "from 0 of ?"), .sum("ff"), .body(10), .ends, .breaks, .head(404, [:], "abandon"),
            .next("verify"), .sum(nil), .sum("ff"), .ends, .next("finished"),
        ])
        #expect(course.download.news.isEmpty)
    }

    // MARK: Redirects

    /// An address, where it leads, and what is asked then.
    static let redirects: [(from: String, location: String, to: String)] = [
        ("http://a/x/y?q", "/z", "http://a/z"),
        ("http://a/x/y?q", "z", "http://a/x/z"),
        ("http://a/x/y?q", "?r=1", "http://a/x/y?r=1"),
        ("http://a:8080/x", "/z", "http://a:8080/z"),
        ("http://a/x", "//b/z", "http://b/z"),
        ("https://a/x", "//b/z", "https://b/z"),
        ("http://a/x", "https://b:444/z", "https://b:444/z"),
        ("http://a", "HTTP://B", "http://B/"),
    ]

    @Test(arguments: redirects.indices, [301, 302, 303, 307, 308])
    func followsRedirects(index: Int, status: Int) throws {
        let (from, location, target) = Self.redirects[index]
        var course = Course([from])
        let first = try HTTPURL(from).description
        course.play([
            .next(first), .head(status, ["location": location], "abandon"), .next(target),
            .head(200, [:], "from 0 of ?"),
        ])
        #expect(course.download.news.isEmpty)
    }

    @Test func endsALoop() {
        var course = Course([a, b])
        let around: [Event] = [.next("http://a/f"), .head(302, ["location": "/f"], "abandon")]
        for _ in 0...10 { course.play(around) }
        #expect(course.download.takeNews() == ["http://a/f: it leads on more than 10 times"])
        course.play([.next("http://b/f"), .head(404, [:], "abandon"), .next("until 1"), .at(1)])
        // Another round has as many.
        for _ in 0...10 { course.play(around) }
        course.play([.next("http://b/f")])

        var policy = Download.Policy()
        policy.redirects = 0
        var strict = Course([a, b], policy: policy)
        strict.play([.next("http://a/f"), .head(302, ["location": "/g"], "abandon"), .next("http://b/f")])
    }

    static let deadEnds: [([String: String], String)] = [
        (["location": "ftp://b/f"], "it leads to \"ftp://b/f\": it leads to another scheme than http and https"),
        (["location": "file:///f"], "it leads to \"file:///f\": it leads to another scheme than http and https"),
        (["location": "http://"], "it leads to \"http://\": the URL names no host"),
        ([:], "the server answers 302 without a Location"),
    ]

    @Test(arguments: deadEnds.indices)
    func refusesToBeLedAstray(index: Int) {
        let (headers, reason) = Self.deadEnds[index]
        var course = Course([a, b])
        course.play([.next("http://a/f"), .head(302, headers, "abandon"), .next("http://b/f")])
        #expect(course.download.news == ["http://a/f: \(reason)"])
    }

    /// The place it led to is asked for the rest; when that fails, the list goes on.
    @Test func staysWhereItWasLed() {
        var course = Course([a, b])
        course.play([
            .next("http://a/f"), .head(302, ["location": "http://c/f"], "abandon"), .next("http://c/f"),
            .head(200, [:], "from 0 of ?"), .body(65536), .breaks, .next("http://c/f from 65536"), .breaks,
            .next("http://b/f from 65536"), .head(404, [:], "abandon"), .next("until 1"), .at(1),
            .next("http://a/f from 65536"),
        ])
    }
}

@Suite("Downloads: parts")
struct DownloadPartTests {
    @Test func asksForTheRest() {
        var course = Course([a, b])
        let head = ["content-length": "200000", "etag": "\"e\""]
        course.play([
            .next("http://a/f"), .head(200, head, "from 0 of 200000"), .body(65536), .breaks,
            .next("http://a/f from 65536 if \"e\""),
        ])
        let rest = ["content-range": "bytes 65536-199999/200000", "content-length": "134464", "etag": "\"e\""]
        course.play([.head(206, rest, "from 65536 of 200000"), .body(134464), .ends])
        #expect(course.download.offset == 200_000)
        course.play([.next("verify"), .sum(nil), .next("finished")])
        #expect(course.download.news == ["http://a/f: reset after 65536 bytes; the rest is asked for"])
    }

    /// A server that breaks off after little is not asked again at once, but what it gave is kept.
    @Test func asksTheNextOneAfterLittle() {
        var course = Course([a, b])
        course.play([
            .next("http://a/f"), .head(200, ["last-modified": "today"], "from 0 of ?"), .body(65535), .breaks,
            .next("http://b/f from 65535 if today"),
            .head(206, ["content-range": "bytes 65535-99999/100000"], "from 65535 of ?"), .body(65535), .breaks,
            .next("until 1"), .at(1), .next("http://a/f from 131070"),
        ])
    }

    /// ETag, Last-Modified, and what makes the rest fit: a weak validator does not promise equal bytes.
    static let validators: [(etag: String?, modified: String?, expected: String)] = [
        ("\"e\"", nil, " if \"e\""), ("\"e\"", "today", " if \"e\""), ("W/\"e\"", nil, ""),
        ("W/\"e\"", "today", " if today"), (nil, "today", " if today"), (nil, nil, ""),
    ]

    @Test(arguments: validators.indices)
    func saysWhichBytesItHas(index: Int) {
        let (etag, modified, expected) = Self.validators[index]
        var headers: [String: String] = [:]
        headers["etag"] = etag
        headers["last-modified"] = modified
        var course = Course([a])
        course.play([
            .next("http://a/f"), .head(200, headers, "from 0 of ?"), .body(70000), .breaks,
            .next("http://a/f from 70000\(expected)"),
        ])
    }

    @Test func goesOnWithWhatAnEarlierDownloadLeft() {
        var course = Course([a], existing: 100)
        #expect(course.download.offset == 100)
        course.play([
            .next("http://a/f from 100"),
            .head(206, ["content-range": "BYTES 100-199/*", "content-length": "100"], "from 100 of 200"),
            .body(100), .ends, .next("verify"), .sum(nil), .next("finished"),
        ])
    }

    static let otherParts: [String?] = [
        nil, "bytes 50-199/200", "bytes 101-199/200", "items 100-199/200", "bytes */200", "bytes 100-99/200",
        "bytes x-199/200", "bytes 100-/200", "bytes 100", "bytes ", "",
    ]

    /// Another part than was asked for would spoil what is there: it begins from 0.
    @Test(arguments: otherParts)
    func refusesAnotherPart(range: String?) {
        var headers: [String: String] = [:]
        headers["content-range"] = range
        var course = Course([a, b], existing: 100)
        course.play([.next("http://a/f from 100"), .head(206, headers, "abandon"), .next("http://b/f")])
        #expect(
            course.download.news == ["http://a/f: another part came than was asked for: \(range ?? "none")"]
        )
        #expect(course.download.offset == 0)
    }

    @Test func refusesAPartThatWasNotAskedFor() {
        var course = Course([a, b])
        course.play([
            .next("http://a/f"), .head(206, ["content-range": "bytes 0-99/200"], "abandon"), .next("http://b/f"),
        ])
    }

    @Test func beginsAnewWhenTheServerHasLess() {
        var course = Course([a, b], existing: 100)
        course.play([.next("http://a/f from 100"), .head(416, [:], "abandon"), .next("http://a/f")])
        #expect(course.download.news.isEmpty)
        // To a request for all it is an error like others.
        course.play([.head(416, [:], "abandon"), .next("http://b/f")])
        #expect(course.download.news == ["http://a/f: the server answers 416 Reason"])
    }

    @Test func beginsAnewWhenTheServerSendsAll() {
        var course = Course([a, b], existing: 100)
        course.play([
            .next("http://a/f from 100"), .head(200, ["content-length": "200"], "from 0 of 200"), .body(50), .breaks,
            .next("http://b/f from 50"), .head(200, ["content-length": "200"], "from 0 of 200"), .body(200), .ends,
            .next("verify"), .sum("ff"),
        ])
        // It was whole, so that address has another file.
        course.play([.next("until 1")])
        #expect(course.download.news.last == "http://b/f: the 200 bytes have checksum ff, another is wanted")
    }

    // MARK: What is refused

    @Test func refusesMoreBytesThanAComponentMayHave() {
        var policy = Download.Policy()
        policy.maximumSize = 1000
        var course = Course([a, b], policy: policy)
        course.play([
            .next("http://a/f"), .head(200, ["content-length": "1001"], "abandon"), .next("http://b/f"),
            .head(200, ["content-length": "1000"], "from 0 of 1000"), .body(1000), .ends, .next("verify"), .sum("ff"),
        ])
        #expect(course.download.takeNews().first == "http://a/f: it has 1001 bytes, more than 1000")
        // Without a length it is noticed when it is too late.
        course.play([
            .next("until 1"), .at(1), .next("http://a/f"), .head(200, [:], "from 0 of ?"), .body(1000), .tooMuch(1),
            .ends, .next("http://b/f"),
        ])
        #expect(course.download.takeNews() == ["http://a/f: it has more than 1000 bytes"])
        #expect(course.download.offset == 0)

        var resumed = Course([a, b], existing: 500, policy: policy)
        let part = ["content-range": "bytes 500-1000/1001", "content-length": "501"]
        resumed.play([.next("http://a/f from 500"), .head(206, part, "abandon"), .next("http://b/f from 500")])
        var large = Course([a], existing: 1001, policy: policy)
        large.play([.next("http://a/f")])
        var full = Course([a], existing: 1000, policy: policy)
        full.play([.next("http://a/f from 1000")])
    }

    /// Lengths that no file has, from a server that means harm.
    @Test(arguments: ["18446744073709551615", "18446744073709551516", "9223372036854775807"])
    func refusesAbsurdLengths(length: String) {
        var whole = Course([a, b])
        whole.play([.next("http://a/f"), .head(200, ["content-length": length], "abandon"), .next("http://b/f")])
        var part = Course([a, b], existing: 100)
        let head = ["content-range": "bytes 100-199/200", "content-length": length]
        part.play([.next("http://a/f from 100"), .head(206, head, "abandon")])
    }

    @Test func refusesAContentCoding() {
        var course = Course([a, b])
        course.play([
            .next("http://a/f"), .head(200, ["content-encoding": "gzip"], "abandon"), .next("http://b/f"),
            .head(200, ["content-encoding": "Identity"], "from 0 of ?"),
        ])
        #expect(
            course.download.news == ["http://a/f: it comes with Content-Encoding gzip, which was not asked for"]
        )
    }

    // MARK: Checksums

    @Test func loadsAnewWhatWasPutTogetherWrong() {
        var course = Course([a, b], existing: 100)
        course.play([
            .next("http://a/f from 100"),
            .head(206, ["content-range": "bytes 100-199/200", "content-length": "100"], "from 100 of 200"),
            .body(100), .ends, .next("verify"), .sum("ff"),
        ])
        #expect(course.download.offset == 0)
        course.play([
            .next("http://a/f"), .head(200, ["content-length": "200", "etag": "\"e\""], "from 0 of 200"), .body(200),
            .ends, .next("verify"), .sum("ee"), .next("http://b/f"),
        ])
        #expect(
            course.download.news == [
                "the parts do not make a whole (checksum ff); it is loaded anew",
                "http://a/f: the 200 bytes have checksum ee, another is wanted",
            ]
        )
    }

    @Test func loadsAnewWhatItHasPutTogetherItself() {
        var course = Course([a, b])
        course.play([
            .next("http://a/f"), .head(200, ["etag": "\"e\""], "from 0 of ?"), .body(70000), .breaks,
            .next("http://a/f from 70000 if \"e\""),
            .head(206, ["content-range": "bytes 70000-70009/70010"], "from 70000 of ?"), .body(10), .ends,
            .next("verify"), .sum("ff"), .next("http://a/f"), .head(200, [:], "from 0 of ?"), .body(5), .ends,
            .next("verify"), .sum("ee"), .next("http://b/f"),
        ])
    }

    /// It knows no ranges and never gets further: the other address must have its turn, and there must be pauses.
    @Test func doesNotAskOneThatNeverGetsFurtherForEver() {
        var course = Course([a, b])
        var asked: [String] = []
        for _ in 0..<20 {
            let step = Course.text(course.download.next(at: moment(0)))
            asked.append(step)
            guard step.hasPrefix("http://a/f") else { break }
            course.play([.head(200, ["content-length": "200000"], "from 0 of 200000"), .body(100_000), .breaks])
        }
        #expect(asked.last?.hasPrefix("http://b/f") == true, "\(asked.suffix(3))")
    }
}

@Suite("Downloads: requests")
struct DownloadRequestTests {
    private struct NoFetch: Error {}

    private func firstFetch(_ url: String, existing: UInt64 = 0) throws -> Download.Fetch {
        var download = Download(urls: [url], policy: Download.Policy(), existing: existing, at: moment(0))
        guard case .fetch(let fetch) = download.next(at: moment(0)) else { throw NoFetch() }
        return fetch
    }

    /// The request is these lines and an empty one.
    private func expect(
        _ request: HTTPRequest,
        _ lines: [String],
        sourceLocation: SourceLocation = #_sourceLocation
    ) {
        let text = String(decoding: request.bytes, as: UTF8.self)
        let expected = lines.joined(separator: "\r\n") + "\r\n\r\n"
        #expect(text == expected, sourceLocation: sourceLocation)
    }

    @Test func asksAServer() throws {
        let fetch = try firstFetch("http://a.test/x?y=1#z")
        expect(
            fetch.request(viaProxy: false, proxyCredentials: nil),
            [
                "GET /x?y=1 HTTP/1.1", "Host: a.test", "User-Agent: elkeid-agent-swift", "Accept-Encoding: identity",
                "Connection: close",
            ]
        )
    }

    @Test func asksAServerThatKnowsUsers() throws {
        let fetch = try firstFetch("https://u:p%40ss@[::1]:8443")
        expect(
            fetch.request(viaProxy: false, proxyCredentials: nil),
            [
                "GET / HTTP/1.1", "Host: [::1]:8443", "User-Agent: elkeid-agent-swift", "Accept-Encoding: identity",
                "Authorization: Basic dTpwQHNz", "Connection: close",
            ]
        )
    }

    @Test func asksAProxy() throws {
        let fetch = try firstFetch("http://u:p%40ss@a.test:8080/x?y=1", existing: 100)
        expect(
            fetch.request(viaProxy: true, proxyCredentials: "user:secret"),
            [
                "GET http://a.test:8080/x?y=1 HTTP/1.1", "Host: a.test:8080", "User-Agent: elkeid-agent-swift",
                "Accept-Encoding: identity", "Authorization: Basic dTpwQHNz",
                "Proxy-Authorization: Basic dXNlcjpzZWNyZXQ=", "Range: bytes=100-", "Connection: close",
            ]
        )
    }

    @Test func asksForTheRestOfAVersion() throws {
        var fetch = try firstFetch("http://a.test/x", existing: 65536)
        fetch.validator = "\"e\""
        let start = ["GET /x HTTP/1.1", "Host: a.test", "User-Agent: elkeid-agent-swift", "Accept-Encoding: identity"]
        expect(
            fetch.request(viaProxy: false, proxyCredentials: nil),
            start + ["Range: bytes=65536-", "If-Range: \"e\"", "Connection: close"]
        )
        // For all of it there is nothing that it has to fit to.
        fetch.offset = 0
        expect(fetch.request(viaProxy: false, proxyCredentials: nil), start + ["Connection: close"])
    }
}
