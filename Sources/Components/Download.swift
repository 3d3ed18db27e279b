// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

public import HTTP1
public import Reactor

/// Decides over one download: which address is asked next, from which byte on, what an answer means, and when it is
/// given up. It holds no socket, no file and no clock.
///
/// The addresses are asked in turn. What has arrived is kept when a connection breaks, and the rest asked for (Range, RFC
/// 9110 section 14); whatever was put together is good if the checksum of the whole is. After a round without success
/// comes a pause, which doubles.
public struct Download: Sendable {
    public struct Policy: Sendable, Equatable {
        /// For everything together. The original agent's.
        public var limit = TimeSpan.seconds(600)
        /// Bytes of a component. The manager's, and the original agent's.
        public var maximumSize: UInt64 = 512 << 20
        public var retryMinimum = TimeSpan.seconds(1)
        public var retryMaximum = TimeSpan.seconds(60)
        /// As many as Go's client follows.
        public var redirects = 10
        /// Rounds without a new byte until it is given up for the time being: others wait for their turn.
        public var rounds = 5
        public init() {}
    }

    /// One request.
    public struct Fetch: Equatable, Sendable {
        public var url: HTTPURL
        /// Of the first byte wanted.
        public var offset: UInt64
        /// The version that the bytes before it are of (If-Range), where the server said one.
        public var validator: String?

        /// For a server, or in absolute form for a proxy.
        public func request(viaProxy: Bool, proxyCredentials: String?) -> HTTPRequest {
            var headers = [(name: "User-Agent", value: "elkeid-agent-swift"), ("Accept-Encoding", "identity")]
            if let credentials = url.credentials {
                headers.append(("Authorization", BasicAuthentication.value(credentials)))
            }
            if let proxyCredentials {
                headers.append(("Proxy-Authorization", BasicAuthentication.value(proxyCredentials)))
            }
            if offset > 0 { headers.append(("Range", "bytes=\(offset)-")) }
            if offset > 0, let validator { headers.append(("If-Range", validator)) }
            headers.append(("Connection", "close"))
            return HTTPRequest(target: viaProxy ? "\(url)" : url.target, host: url.authority, headers: headers)
        }
    }

    public enum Step: Equatable, Sendable {
        case fetch(Fetch)
        case wait(until: MonotonicTime)
        /// All is there; its checksum is to be told by `verified`.
        case verify
        case finished
        case failed(String)
    }

    /// What to do with the body of an answer.
    public enum Verdict: Equatable, Sendable {
        /// Store it from this byte on; `total` is the size of the whole, where it is known.
        case store(at: UInt64, total: UInt64?)
        /// It is of no use: close the connection and ask for the next step.
        case abandon
    }

    /// Progress that makes it worth asking the same address again at once.
    static let worthwhile: UInt64 = 64 << 10

    private enum State: Equatable, Sendable { case idle, fetching, complete, finished }

    private let urls: [String]
    private let policy: Policy
    public let deadline: MonotonicTime
    private var state = State.idle
    private var index = 0
    private var target: HTTPURL?
    private var redirectsLeft: Int
    private var pause: TimeSpan
    private var roundsInVain = 0
    /// The most bytes that were ever there.
    private var furthest: UInt64 = 0
    /// Bytes that are there.
    public private(set) var offset: UInt64
    private var validator: String?
    /// Bytes of several answers were put together.
    private var isPieced: Bool
    /// What each address came to, in the order of events; for the log.
    public private(set) var news: [String] = []
    private var lastFailure = "there is no address to get it from"

    /// - Parameter existing: bytes that an earlier download has left.
    public init(urls: [String], policy: Policy, existing: UInt64 = 0, at now: MonotonicTime) {
        self.urls = urls
        self.policy = policy
        deadline = now + policy.limit
        redirectsLeft = policy.redirects
        pause = policy.retryMinimum
        offset = existing > policy.maximumSize ? 0 : existing
        furthest = offset
        isPieced = existing > 0
    }

    /// Takes what has been said since the last time.
    public mutating func takeNews() -> [String] {
        defer { news = [] }
        return news
    }

    public mutating func next(at now: MonotonicTime) -> Step {
        switch state {
        case .finished: return .finished
        case .complete: return .verify
        case .idle, .fetching: break
        }
        guard now < deadline else { return .failed("not within \(Int(policy.limit.seconds)) s; \(lastFailure)") }
        while index < urls.count {
            if let target { return begin(target) }
            do throws(HTTPURL.Invalid) {
                let url = try HTTPURL(urls[index])
                target = url
                redirectsLeft = policy.redirects
            } catch {
                fail("\"\(urls[index].prefix(200))\": \(error)")
            }
        }
        // A whole round was in vain.
        index = 0
        roundsInVain += 1
        guard !urls.isEmpty, roundsInVain < policy.rounds else { return .failed(lastFailure) }
        guard now + pause < deadline else {
            return .failed("not within \(Int(policy.limit.seconds)) s; \(lastFailure)")
        }
        let until = now + pause
        pause = min(policy.retryMaximum, TimeSpan(nanoseconds: pause.nanoseconds * 2))
        return .wait(until: until)
    }

    private mutating func begin(_ url: HTTPURL) -> Step {
        state = .fetching
        return .fetch(Fetch(url: url, offset: offset, validator: validator))
    }

    /// The head of the answer is there.
    public mutating func received(_ head: HTTPResponseHead) -> Verdict {
        guard state == .fetching, let url = target else { return .abandon }
        if [200, 206].contains(head.status), let coding = head["content-encoding"], coding.lowercased() != "identity" {
            return abandon("\(url): it comes with Content-Encoding \(coding), which was not asked for")
        }
        switch head.status {
        case 200: return store(at: 0, length: head["content-length"].flatMap(UInt64.init), head, url)
        case 206:
            guard let range = Self.range(head["content-range"]), range.start == offset, offset > 0 else {
                offset = 0
                validator = nil
                return abandon("\(url): another part came than was asked for: \(head["content-range"] ?? "none")")
            }
            isPieced = true
            return store(at: offset, length: head["content-length"].flatMap(UInt64.init), head, url)
        case 301, 302, 303, 307, 308: return redirect(head, url)
        case 416 where offset > 0:
            // What is there is not the beginning of what the server has.
            offset = 0
            validator = nil
            isPieced = false
            state = .idle
            return .abandon
        default: return abandon("\(url): the server answers \(head.status) \(head.reason)")
        }
    }

    private mutating func store(
        at start: UInt64,
        length: UInt64?,
        _ head: HTTPResponseHead,
        _ url: HTTPURL
    ) -> Verdict {
        let total = length.map { start.addingReportingOverflow($0) }
        if let total, total.overflow || total.partialValue > policy.maximumSize {
            return abandon("\(url): it has \(length ?? 0) bytes, more than \(policy.maximumSize)")
        }
        offset = start
        if start == 0 { isPieced = false }
        // A weak validator does not promise equal bytes (RFC 9110 section 13.1.5).
        validator = head["etag"].flatMap { $0.hasPrefix("W/") ? nil : $0 } ?? head["last-modified"]
        return .store(at: start, total: total?.partialValue)
    }

    /// Bytes of the body were stored. False: there are too many, and the connection is to be closed.
    public mutating func stored(_ count: Int) -> Bool {
        offset += UInt64(count)
        guard offset > policy.maximumSize else { return true }
        if let target { _ = abandon("\(target): it has more than \(policy.maximumSize) bytes") }
        offset = 0
        return false
    }

    /// The answer has ended: completely, or as `failure` says. An attempt that never had an answer ends so as well.
    public mutating func ended(_ failure: String?) {
        guard state == .fetching, let url = target else { return }
        guard let failure else {
            state = .complete
            return
        }
        // A server that begins anew each time and breaks off makes none.
        let progress = offset - min(offset, furthest)
        furthest = max(furthest, offset)
        guard progress >= Self.worthwhile else { return fail("\(url): \(failure)") }
        say("\(url): \(failure) after \(progress) bytes; the rest is asked for")
        roundsInVain = 0
        state = .idle
    }

    /// The checksum of the whole was right, or was this.
    public mutating func verified(_ actual: String?) {
        guard state == .complete else { return }
        guard let actual else {
            state = .finished
            return
        }
        let size = offset
        offset = 0
        validator = nil
        state = .idle
        if isPieced {
            isPieced = false
            return say("the parts do not make a whole (checksum \(actual)); it is loaded anew")
        }
        fail("\(target.map { "\($0)" } ?? ""): the \(size) bytes have checksum \(actual), another is wanted")
    }

    // MARK: Inside

    private mutating func redirect(_ head: HTTPResponseHead, _ url: HTTPURL) -> Verdict {
        guard let location = head["location"] else {
            return abandon("\(url): the server answers \(head.status) without a Location")
        }
        guard redirectsLeft > 0 else { return abandon("\(url): it leads on more than \(policy.redirects) times") }
        redirectsLeft -= 1
        do throws(HTTPURL.Invalid) {
            target = try url.resolving(location)
            state = .idle
        } catch {
            return abandon("\(url): it leads to \"\(location.prefix(200))\": \(error)")
        }
        return .abandon
    }

    private mutating func abandon(_ reason: String) -> Verdict {
        fail(reason)
        return .abandon
    }

    /// This address did not lead to the file: the next one.
    private mutating func fail(_ reason: String) {
        say(reason)
        lastFailure = reason
        target = nil
        index += 1
        state = .idle
    }

    private mutating func say(_ text: String) { news.append(text) }

    /// "bytes 100-199/200": the first number.
    private static func range(_ text: String?) -> (start: UInt64, end: UInt64)? {
        guard let text, text.lowercased().hasPrefix("bytes ") else { return nil }
        let parts = text.dropFirst(6).prefix { $0 != "/" }.split(separator: "-")
        guard parts.count == 2, let start = UInt64(parts[0]), let end = UInt64(parts[1]), start <= end else {
            return nil
        }
        return (start, end)
    }
}
