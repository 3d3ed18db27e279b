// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

public import Buffers
public import HTTP2
public import Net
public import Reactor
public import Syscalls
public import TLS

/// Owns an HTTP/2 session over a TLS connection, client or server, and moves bytes between them.
///
/// Outgoing DATA goes from its chain into a TLS record in one step: nghttp2's frame header is put in front of the
/// payload where it lies (`BufferChain.takeFrame`), so record and frame have the same borders.
public final class HTTP2Connection: TLSConnectionHandler, FrameSink {
    /// Told of the connection's life; what happens on streams goes to the session's own handler.
    public weak var owner: (any HTTP2ConnectionOwner)?
    private var connection: TLSConnection?
    public private(set) var http: HTTP2Session?
    private let role: HTTP2Session.Role
    private let options: HTTP2Session.Options
    private unowned let handler: any HTTP2Handler
    private let gather = ScratchBuffer(capacity: TLSSession.recordSize)

    private init(role: HTTP2Session.Role, options: HTTP2Session.Options, handler: any HTTP2Handler) {
        self.role = role
        self.options = options
        self.handler = handler
    }

    /// Connects as a client; the certificate must be for `serverName` whatever the address is.
    public static func connect(
        to address: SocketAddress,
        context: TLSContext,
        serverName: String,
        reactor: Reactor,
        limit: TimeSpan,
        handshakeLimit: TimeSpan? = nil,
        options: HTTP2Session.Options,
        handler: any HTTP2Handler,
        owner: any HTTP2ConnectionOwner
    ) throws(ConnectionEnd) -> HTTP2Connection {
        let result = HTTP2Connection(role: .client, options: options, handler: handler)
        result.owner = owner
        do {
            let session = try TLSSession(context, serverName: serverName)
            result.connection = try TLSConnection.connect(
                to: address,
                session: session,
                reactor: reactor,
                limit: limit,
                handshakeLimit: handshakeLimit,
                handler: result
            )
        } catch let error as TLSError {
            throw .tls(error)
        } catch let error as Errno {
            throw .connect(error)
        } catch {
            throw .local("\(error)")
        }
        return result
    }

    /// Makes a connected descriptor (non-blocking, taken over) secure as a client; the certificate must be for
    /// `serverName` whatever the address is.
    ///
    /// - Parameter resumption: what an earlier connection to the same server left.
    public static func connect(
        over descriptor: consuming FileDescriptor,
        context: TLSContext,
        serverName: String,
        resumption: TLSResumption? = nil,
        reactor: Reactor,
        handshakeLimit: TimeSpan,
        options: HTTP2Session.Options,
        handler: any HTTP2Handler,
        owner: any HTTP2ConnectionOwner
    ) throws(ConnectionEnd) -> HTTP2Connection {
        let result = HTTP2Connection(role: .client, options: options, handler: handler)
        result.owner = owner
        do throws(TLSError) {
            result.connection = TLSConnection.connect(
                over: descriptor,
                session: try TLSSession(context, serverName: serverName, resumption: resumption),
                reactor: reactor,
                handshakeLimit: handshakeLimit,
                handler: result
            )
        } catch {
            throw .tls(error)
        }
        return result
    }

    /// Serves an accepted connection.
    public static func serve(
        _ descriptor: consuming FileDescriptor,
        context: TLSContext,
        reactor: Reactor,
        limit: TimeSpan,
        options: HTTP2Session.Options,
        handler: any HTTP2Handler,
        owner: any HTTP2ConnectionOwner
    ) throws(TLSError) -> HTTP2Connection {
        let result = HTTP2Connection(role: .server, options: options, handler: handler)
        result.owner = owner
        let session = try TLSSession(context)
        result.connection = TLSConnection.serve(
            descriptor,
            session: session,
            reactor: reactor,
            limit: limit,
            handler: result
        )
        return result
    }

    public var isOpen: Bool { connection?.isOpen == true }
    public var tlsVersion: String { connection?.tlsVersion ?? "" }
    public var isResumed: Bool { connection?.isResumed == true }
    public var cipher: String { connection?.cipher ?? "" }
    public var peerCertificate: TLSCertificate? { connection?.peerCertificate }
    public var refusedCertificate: TLSCertificate? { connection?.refusedCertificate }
    /// For the next connection to the same server; to be asked for in `ended` at the latest.
    public var resumption: TLSResumption? { connection?.resumption }
    public var localAddress: SocketAddress? { connection?.localAddress }
    public var remoteAddress: SocketAddress? { connection?.remoteAddress }
    public var bytesSent: UInt64 { connection?.bytesSent ?? 0 }
    public var bytesReceived: UInt64 { connection?.bytesReceived ?? 0 }

    /// Something was submitted or appended: frames are made of it in this turn or when the socket takes more.
    public func flush() { connection?.requestRefill() }

    /// Closes at once; `owner` hears of it.
    public func close(_ reason: String) { connection?.close(.local(reason)) }

    /// Closes at once by a reset; `owner` hears of it.
    public func abort(_ reason: String) { connection?.abort(.local(reason)) }

    // MARK: TLSConnectionHandler

    /// When the peer last gave a sign of life.
    public private(set) var lastReceived = MonotonicTime.now()

    public func secured() {
        lastReceived = MonotonicTime.now()
        do throws(HTTP2Error) {
            http = try HTTP2Session(role: role, options: options, handler: handler)
            owner?.connected(self)
            flush()
        } catch {
            close("\(error)")
        }
    }

    public func received(_ plaintext: RawSpan) {
        guard let http else { return }
        lastReceived = MonotonicTime.now()
        do throws(HTTP2Error) {
            try http.feed(plaintext)
        } catch {
            // What was wrong goes to the peer as GOAWAY, if the session still can.
            try? http.drain(into: self)
            return close("\(error)")
        }
        if http.isFinished { close("both sides are done") }
    }

    public func refill() {
        guard let http else { return }
        owner?.kernelTookEverything(self)
        do throws(HTTP2Error) {
            // The owner tops up its streams in between, so that a refill is never short for want of asking.
            var before: Int
            repeat {
                before = framesWritten
                owner?.fillStreams(self)
                try http.drain(into: self)
            } while framesWritten != before && hasRoom && isOpen
        } catch {
            return close("\(error)")
        }
        if http.isFinished { close("both sides are done") }
    }

    public func ended(_ end: ConnectionEnd) {
        owner?.ended(self, end)
        connection = nil
    }

    // MARK: FrameSink

    private var framesWritten = 0

    public var hasRoom: Bool { connection?.canWrite == true }

    public func writeControl(_ frames: RawSpan) {
        framesWritten += 1
        var offset = 0
        while offset < frames.byteCount {
            let part = min(TLSSession.recordSize, frames.byteCount - offset)
            connection?.write(frames.extracting(offset..<(offset + part)))
            offset += part
        }
    }

    public func writeData(header: RawSpan, payload: inout BufferChain, length: Int) {
        framesWritten += 1
        let connection = self.connection
        payload.lendFrame(header: header, length: length, scratch: gather) { connection?.write($0) }
    }
}

/// The life of an HTTP/2 connection.
public protocol HTTP2ConnectionOwner: AnyObject {
    /// Secured, and `http` is there: streams can be opened.
    func connected(_ connection: HTTP2Connection)
    /// Everything framed so far has been taken by the kernel.
    func kernelTookEverything(_ connection: HTTP2Connection)
    /// Append to streams what should be sent next.
    func fillStreams(_ connection: HTTP2Connection)
    /// It is over; nothing more is heard of it.
    func ended(_ connection: HTTP2Connection, _ end: ConnectionEnd)
}

extension HTTP2ConnectionOwner {
    public func kernelTookEverything(_ connection: HTTP2Connection) {}
}
