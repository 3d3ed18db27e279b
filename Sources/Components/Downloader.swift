// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Buffers
import ElkeidWire
import Glibc
import HTTP1
import Net
import Reactor
import Syscalls
import TLS

/// Carries a download out, into one file. It blocks on that file: it belongs into a process of its own.
final class Downloader: HTTPFetchHandler {
    /// Bytes that are left free on the file system.
    static let reserve: UInt64 = 4 << 20
    private static let progressInterval = TimeSpan.milliseconds(500)

    private let job: InstallJob
    private let path: String
    private let file: FileDescriptor
    private let reactor: Reactor
    private let resolver: Resolver
    private let environment: ProxyEnvironment
    private let say: (InstallMessage) -> Void
    private let completion: (InstallFailure?) -> Void
    private var download: Download
    private var dialing: Dialing?
    private var fetch: HTTPFetch?
    private var context: TLSContext?
    private var total: UInt64?
    /// Bytes since free space was looked at.
    private var unchecked = 0
    private var lastProgress = MonotonicTime(nanoseconds: 0)
    private lazy var wait = reactor.makeTimer { [unowned self] in self.advance() }
    private lazy var later = reactor.makeDeferred { [unowned self] in self.advance() }
    private lazy var beginning = reactor.makeDeferred { [unowned self] in self.begin() }
    private lazy var deadline = reactor.makeTimer { [unowned self] in self.timeIsUp() }

    /// - Parameters:
    ///   - path: the file; what is in it is the beginning of an earlier download.
    ///   - completion: called once. Then the file is there, and its checksum is right; or not.
    init(
        _ job: InstallJob,
        to path: String,
        environment: ProxyEnvironment,
        reactor: Reactor,
        say: @escaping (InstallMessage) -> Void,
        completion: @escaping (InstallFailure?) -> Void
    ) throws(InstallFailure) {
        self.job = job
        self.path = path
        self.reactor = reactor
        self.environment = environment
        self.say = say
        self.completion = completion
        resolver = Resolver(reactor: reactor)
        do throws(Errno) { file = try FileDescriptor.open(path, .readWrite) } catch {
            throw .failed("\(path): \(error)")
        }
        let size = lseek(file.rawValue, 0, SEEK_END)
        download = Download(
            urls: job.config.downloadURLs,
            policy: job.settings.download,
            existing: UInt64(max(0, Int64(size))),
            at: MonotonicTime.now()
        )
        deadline.arm(at: download.deadline)
        beginning.schedule()
    }

    /// An earlier download may have been complete when its process was ended.
    private func begin() {
        if download.offset > 0, let actual = checksum(), actual == job.config.sha256.lowercased() { return finish(nil) }
        advance()
    }

    private func timeIsUp() {
        dialing?.cancel()
        fetch?.cancel()
        download.ended("it takes too long")
        for text in download.takeNews() { say(.note(text)) }
        finish(.failed("not downloaded within \(Int(job.settings.download.limit.seconds)) s"))
    }

    private func finish(_ failure: InstallFailure?) {
        deadline.cancel()
        wait.cancel()
        later.cancel()
        dialing?.cancel()
        fetch?.cancel()
        completion(failure)
    }

    private func advance() {
        for text in download.takeNews() { say(.note(text)) }
        let step = download.next(at: MonotonicTime.now())
        for text in download.takeNews() { say(.note(text)) }
        switch step {
        case .fetch(let fetch): dial(fetch)
        case .wait(let time): wait.arm(at: time)
        case .verify: verify()
        case .finished: finish(nil)
        case .failed(let reason): finish(.failed(reason))
        }
    }

    // MARK: The way to the server

    private func proxy(for url: HTTPURL) -> Proxy? {
        job.settings.proxy
            ?? environment.proxy(forHost: url.host, port: url.port, isSecure: url.isSecure).map {
                Proxy(host: $0.host, port: $0.port, credentials: $0.credentials)
            }
    }

    private func dial(_ next: Download.Fetch) {
        let proxy = proxy(for: next.url)
        // A proxy is asked for plain HTTP in the request itself, for a tunnel only with TLS.
        let forwards = proxy != nil && !next.url.isSecure
        dialing = Dialer.dial(
            host: forwards ? proxy?.host ?? "" : next.url.host,
            port: forwards ? proxy?.port ?? 0 : next.url.port,
            via: forwards ? nil : proxy,
            resolver: resolver,
            reactor: reactor,
            limit: job.settings.connect
        ) { [unowned self] outcome in
            self.dialing = nil
            switch consume outcome {
            case .connected(let descriptor):
                self.request(next, over: descriptor, proxyCredentials: forwards ? proxy?.credentials : nil, forwards)
            case .failed(let error): self.ended("\(forwards ? "proxy \(proxy?.host ?? ""): " : "")\(error)")
            }
        }
    }

    private func request(
        _ next: Download.Fetch,
        over descriptor: consuming FileDescriptor,
        proxyCredentials: String?,
        _ viaProxy: Bool
    ) {
        do throws(TLSError) {
            let session = next.url.isSecure ? try TLSSession(try currentContext(), serverName: next.url.host) : nil
            fetch = HTTPFetch(
                next.request(viaProxy: viaProxy, proxyCredentials: proxyCredentials),
                over: descriptor,
                tls: session,
                reactor: reactor,
                stall: job.settings.stall,
                handler: self
            )
        } catch {
            ended("\(error)")
        }
    }

    private static let authorityKey = "`download_ca` in section [plugins]"

    private func currentContext() throws(TLSError) -> TLSContext {
        if let context { return context }
        let path =
            job.settings.authorities
            ?? TLSContext.systemAuthorities.first { unsafe access($0, R_OK) == 0 } ?? TLSContext.systemAuthorities[0]
        let made = try TLSContext(web: path, authorityKey: Self.authorityKey)
        context = made
        return made
    }

    // MARK: The answer

    func received(_ head: HTTPResponseHead) -> Bool {
        switch download.received(head) {
        case .abandon:
            later.schedule()
            return false
        case .store(let offset, let total):
            self.total = total
            if let problem = place(offset, total) {
                finish(.failed(problem))
                return false
            }
            return true
        }
    }

    /// Makes the file ready for bytes from `offset` on; or says why that is impossible.
    private func place(_ offset: UInt64, _ total: UInt64?) -> String? {
        guard ftruncate(file.rawValue, off_t(offset)) == 0, lseek(file.rawValue, off_t(offset), SEEK_SET) >= 0 else {
            return "\(path): \(Errno.current)"
        }
        return total.flatMap { shortage(of: $0 - offset) }
    }

    /// Says that so many bytes do not fit; nil when they do.
    private func shortage(of bytes: UInt64) -> String? {
        var status = statvfs()
        guard unsafe fstatvfs(file.rawValue, &status) == 0 else { return nil }
        let free = UInt64(status.f_bavail).multipliedReportingOverflow(by: UInt64(status.f_frsize)).partialValue
        let needed = bytes + Self.reserve
        guard free < needed else { return nil }
        // A part of it that nobody can complete would only keep the disk full.
        ftruncate(file.rawValue, 0)
        return "the disk is full: \(needed) bytes are needed for it in \(job.root), \(free) are free; make room there"
    }

    func received(_ body: RawSpan) -> Bool {
        do throws(Errno) {
            try file.writeAll(body)
        } catch {
            ftruncate(file.rawValue, 0)
            finish(.failed("\(path) cannot be written: \(error)"))
            return false
        }
        guard download.stored(body.byteCount) else {
            later.schedule()
            return false
        }
        // Others fill the disk as well, and not every server says how much comes.
        unchecked += body.byteCount
        if unchecked >= 2 << 20 {
            unchecked = 0
            if let problem = shortage(of: 0) {
                finish(.failed(problem))
                return false
            }
        }
        let now = MonotonicTime.now()
        if now - lastProgress >= Self.progressInterval {
            lastProgress = now
            say(.progress(bytes: download.offset, total: total))
        }
        return true
    }

    func ended(_ failure: String?) {
        fetch = nil
        download.ended(failure)
        later.schedule()
    }

    private func verify() {
        say(.stage("checking"))
        guard let actual = checksum() else { return finish(.failed("\(path): \(Errno.current)")) }
        download.verified(actual == job.config.sha256.lowercased() ? nil : actual)
        later.schedule()
    }

    /// Of the whole file; nil when it cannot be read.
    private func checksum() -> String? {
        let digest = SHA256Digest()
        lseek(file.rawValue, 0, SEEK_SET)
        var chunk: [UInt8] = []
        do throws(Errno) {
            repeat {
                chunk.removeAll(keepingCapacity: true)
                try file.readChunk(appendingTo: &chunk, capacity: 256 << 10)
                unsafe digest.update(chunk.span.bytes)
            } while !chunk.isEmpty
        } catch {
            return nil
        }
        return digest.finish()
    }
}
