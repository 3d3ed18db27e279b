// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Buffers
import Compression
import ElkeidWire
import GRPC
import HTTP2
public import Reactor

/// One file on its way to the server: a call of FileExt.Upload beside the Transfer stream, on the same connection.
///
/// A piece is read when the one before it has gone and its time has come, so an upload holds one piece in memory, whatever
/// the file and the network are.
public final class FileUpload {
    public struct Failure: Error, Equatable, Sendable, CustomStringConvertible {
        public let description: String
        public init(_ description: String) { self.description = description }
    }

    public struct Settings: Equatable, Sendable {
        /// Bytes of the file.
        public var size: Int64
        /// Bytes of a piece.
        public var piece: Int
        /// From one piece to the next.
        public var interval: TimeSpan
        /// For all pieces, and then as long again for the server's answer.
        public var limit: TimeSpan

        public init(size: Int64, piece: Int, interval: TimeSpan, limit: TimeSpan) {
            self.size = size
            self.piece = piece
            self.interval = interval
            self.limit = limit
        }
    }

    /// Gives up to `count` bytes from an offset on, in a later turn; none at the end of the file.
    public typealias Reader = (
        _ offset: Int64, _ count: Int, _ completion: @escaping (Result<[UInt8], Failure>) -> Void
    ) -> Void

    static let path = "/grpc.FileExt/Upload"

    public let token: String
    private let settings: Settings
    private let read: Reader
    private var completion: ((Failure?) -> Void)?
    private let arena: Arena
    private unowned let client: TransferClient
    private var stream: HTTP2Stream?
    private var call = ClientCall()
    /// The answer is one number.
    private var decoder = MessageDecoder(limit: 4 << 10)
    private var response: FileUploadResponse?
    private var offset: Int64 = 0
    private var nextPiece = MonotonicTime.now()
    private lazy var pace = client.reactor.makeTimer { [unowned self] in self.sendNext() }
    private lazy var deadline = client.reactor.makeTimer { [unowned self] in
        self.fail("not done within \(self.settings.limit)")
    }

    /// - Parameter completion: called once: nil when the server has the file, and has answered for it.
    init(
        token: String,
        settings: Settings,
        client: TransferClient,
        read: @escaping Reader,
        completion: @escaping (Failure?) -> Void
    ) {
        self.token = token
        self.settings = settings
        self.client = client
        self.read = read
        self.completion = completion
        arena = client.arena
    }

    var streamID: Int32? { stream?.id }

    func begin(on http: HTTP2Session, authority: String) throws(HTTP2Error) {
        stream = try http.request(
            ClientCall.requestHeaders(
                path: Self.path,
                authority: authority,
                coding: .identity,
                userAgent: TransferClient.userAgent
            )
        )
        deadline.arm(after: settings.limit)
        sendNext()
    }

    private func sendNext() {
        guard completion != nil, let stream else { return }
        // The server takes its time: the next look is as far away as the next piece would be.
        guard stream.pendingBytes == 0 else { return pace.arm(after: settings.interval) }
        // By the schedule, whatever reading costs.
        nextPiece = nextPiece + settings.interval
        read(offset, Int(min(Int64(settings.piece), settings.size - offset))) { [weak self] result in
            guard let self, self.completion != nil else { return }
            switch result {
            case .success(let bytes): self.send(bytes)
            case .failure(let failure): self.fail(failure.description)
            }
        }
    }

    private func send(_ bytes: [UInt8]) {
        guard let stream, !stream.isClosed else { return }
        guard !bytes.isEmpty || settings.size == 0 else {
            return fail("the file has become shorter than its \(settings.size) bytes")
        }
        // A file without bytes is one empty piece: the server wants one.
        let message = FileUploadRequest(token: token, data: bytes).encoded()
        let length = UInt32(message.count)
        let prefix: [UInt8] = [0] + stride(from: 24, through: 0, by: -8).map { UInt8(truncatingIfNeeded: length >> $0) }
        var chain = BufferChain()
        unsafe arena.append((prefix + message).span.bytes, to: &chain)
        stream.append(chain)
        offset += Int64(bytes.count)
        if offset >= settings.size {
            stream.finish()
            deadline.arm(after: settings.limit)
        } else {
            pace.arm(at: nextPiece)
        }
        client.flushConnection()
    }

    // MARK: The server

    func received(_ headers: [HTTP2Header], end: Bool) {
        switch call.received(headers, end: end) {
        case .accepted: decoder.use(call.responseCoding)
        case .ended(let status): ended(status)
        case .none: break
        }
    }

    func received(_ bytes: RawSpan) {
        decoder.feed(bytes)
        do throws(MessageError) {
            while true {
                switch try decoder.next() {
                case .needsInput: return
                case .working: continue
                case .message(let message): response = try? FileUploadResponse(decoding: message)
                }
            }
        } catch {
            fail("the server's answer makes no sense: \(error)")
        }
    }

    func receivedEnd() { if case .ended(let status) = call.receivedEnd() { ended(status) } }
    func closed(_ code: HTTP2ErrorCode) { if case .ended(let status) = call.closed(code) { ended(status) } }

    private func ended(_ status: GRPCStatus) {
        guard status.code == .ok else { return fail("the server refused it: \(status)") }
        switch response?.status {
        case .success?: finish(nil)
        case .some(let other): fail("the server could not take it (status \(other.rawValue))")
        case nil: fail("the server ended it without an answer")
        }
    }

    // MARK: The end

    /// Gives it up.
    public func fail(_ reason: String) { finish(Failure("\(reason) (\(offset) bytes were sent)")) }

    private func finish(_ failure: Failure?) {
        guard let completion else { return }
        self.completion = nil
        pace.cancel()
        deadline.cancel()
        if failure != nil, let stream, !stream.isClosed { stream.reset(.cancel) }
        client.uploadEnded(self)
        completion(failure)
    }
}

extension TransferClient {
    /// Sends a file on the present connection.
    ///
    /// - Throws: when there is none.
    public func upload(
        token: String,
        settings: FileUpload.Settings,
        read: @escaping FileUpload.Reader,
        completion: @escaping (FileUpload.Failure?) -> Void
    ) throws(FileUpload.Failure) -> FileUpload {
        guard let http = connection?.http, let endpoint, isAccepted, !isEnding else {
            throw FileUpload.Failure("there is no connection to send it on")
        }
        let upload = FileUpload(token: token, settings: settings, client: self, read: read, completion: completion)
        do throws(HTTP2Error) {
            try upload.begin(on: http, authority: "\(endpoint)")
        } catch {
            throw FileUpload.Failure("\(error)")
        }
        if let id = upload.streamID { uploads[id] = upload }
        connection?.flush()
        return upload
    }

    func uploadEnded(_ upload: FileUpload) {
        if let id = upload.streamID { uploads[id] = nil }
        connection?.flush()
    }

    func flushConnection() { connection?.flush() }

    func failUploads(_ reason: String) {
        for upload in uploads.values { upload.fail(reason) }
    }
}
