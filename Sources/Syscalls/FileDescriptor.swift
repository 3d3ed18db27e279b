// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import CLinux
import Glibc

/// An open descriptor with one owner, closed when the owner is gone.
///
/// `rawValue` is for the kernel interface of this module and its neighbours (epoll, spawn); nothing keeps it
/// beyond the life of the descriptor.
public struct FileDescriptor: ~Copyable, Sendable {
    public let rawValue: CInt

    /// Takes ownership of `rawValue`.
    public init(owning rawValue: CInt) { self.rawValue = rawValue }

    deinit { _ = Glibc.close(rawValue) }

    /// Gives up ownership without closing.
    public consuming func release() -> CInt {
        let value = rawValue
        discard self
        return value
    }

    /// Closes and reports what close(2) says, which for a written file may be the only news of a lost write.
    public consuming func close() throws(Errno) {
        let value = release()
        // Linux closes the descriptor even when close is interrupted: it is never repeated.
        if Glibc.close(value) != 0 && errno != EINTR { throw Errno.current }
    }

    /// Appends what read(2) gives to `output`, at most its free capacity.
    public func read(into output: inout OutputRawSpan) -> IOResult {
        unsafe output.withUnsafeMutableBytes { buffer, count in
            let free = unsafe UnsafeMutableRawBufferPointer(rebasing: buffer[count...])
            guard let base = free.baseAddress, free.count > 0 else { preconditionFailure("reading without room") }
            let result = transfer { unsafe Glibc.read(rawValue, base, free.count) }
            if case .bytes(let n) = result { count += n }
            return result
        }
    }

    /// write(2).
    public func write(_ bytes: RawSpan) -> IOResult {
        unsafe bytes.withUnsafeBytes { buffer in
            transfer { unsafe Glibc.write(rawValue, buffer.baseAddress, buffer.count) }
        }
    }

    /// Writes all of `bytes` to a blocking descriptor.
    public func writeAll(_ bytes: RawSpan) throws(Errno) {
        var offset = 0
        while offset < bytes.byteCount {
            switch write(bytes.extracting(droppingFirst: offset)) {
            case .bytes(let count): offset += count
            case .wouldBlock: throw Errno.again
            case .failed(let error): throw error
            }
        }
    }

    /// send(2) with MSG_NOSIGNAL: a peer that is gone is EPIPE here, never a signal.
    public func send(_ bytes: RawSpan) -> IOResult {
        unsafe bytes.withUnsafeBytes { buffer in
            transfer { unsafe Glibc.send(rawValue, buffer.baseAddress, buffer.count, CInt(MSG_NOSIGNAL)) }
        }
    }

    /// Makes the descriptor non-blocking (O_NONBLOCK of fcntl(2)).
    public func setNonBlocking() throws(Errno) {
        let flags = try retrying { fcntl(rawValue, F_GETFL) }.get()
        _ = try retrying { fcntl(rawValue, F_SETFL, flags | O_NONBLOCK) }.get()
    }
}

extension FileDescriptor {
    /// What open(2) is asked for.
    public struct OpenMode: Sendable {
        let flags: CInt
        public static let read = OpenMode(flags: O_RDONLY)
        public static let write = OpenMode(flags: O_WRONLY)
        /// Created when absent, emptied when present.
        public static let truncate = OpenMode(flags: O_WRONLY | O_CREAT | O_TRUNC)
        public static let append = OpenMode(flags: O_WRONLY | O_CREAT | O_APPEND)
        public static let createNew = OpenMode(flags: O_WRONLY | O_CREAT | O_EXCL)
        public static let readWrite = OpenMode(flags: O_RDWR | O_CREAT)
        public static let directory = OpenMode(flags: O_RDONLY | O_DIRECTORY)
    }

    /// open(2), always close-on-exec. `permissions` matter when the file is created.
    public static func open(
        _ path: String,
        _ mode: OpenMode,
        permissions: UInt32 = 0o600
    ) throws(Errno) -> FileDescriptor {
        let flags = mode.flags | O_CLOEXEC
        return FileDescriptor(owning: try retrying { unsafe Glibc.open(path, flags, permissions) }.get())
    }

    /// The pipe's capacity in bytes (F_GETPIPE_SZ), 64 KiB where the kernel does not say.
    public var pipeCapacity: Int {
        let size = CLinux_pipe_size(rawValue)
        return size > 0 ? Int(size) : 65536
    }

    /// Another descriptor for what a library's descriptor refers to (fcntl(2), F_DUPFD_CLOEXEC); nil when there are none
    /// left.
    public static func duplicate(of raw: CInt) -> FileDescriptor? {
        let copy = CLinux_duplicate(raw)
        return copy < 0 ? nil : FileDescriptor(owning: copy)
    }

    /// Lets the kernel give a TCP connection up when what was sent stays unacknowledged, or cannot be sent, for that
    /// long (TCP_USER_TIMEOUT of tcp(7)).
    public func setUserTimeout(milliseconds: Int) {
        _ = CLinux_set_user_timeout(rawValue, UInt32(clamping: milliseconds))
    }

    /// Closing a TCP socket then resets the connection (SO_LINGER of socket(7)).
    public func resetWhenClosed() { _ = CLinux_reset_when_closed(rawValue) }

    /// Asks for a pipe of `bytes` (F_SETPIPE_SZ); the kernel refuses above pipe-max-size for the unprivileged, and
    /// then the pipe stays as it is.
    public func growPipe(to bytes: Int) { _ = CLinux_set_pipe_size(rawValue, CInt(clamping: bytes)) }

    /// rename(2): `path` takes the place of `target` at once.
    public static func rename(_ path: String, to target: String) throws(Errno) {
        if unsafe Glibc.rename(path, target) != 0 { throw Errno.current }
    }

    /// Takes the whole of a small regular file.
    ///
    /// - Throws: `Errno.tooLarge` beyond `limit` bytes.
    public static func readFile(_ path: String, limit: Int = 1 << 20) throws(Errno) -> [UInt8] {
        let file = try FileDescriptor.open(path, .read)
        var contents: [UInt8] = []
        while true {
            let before = contents.count
            try file.readChunk(appendingTo: &contents, capacity: 16384)
            if contents.count == before { return contents }
            if contents.count > limit { throw Errno.tooLarge }
        }
    }

    /// Reads at most `capacity` bytes of a regular file to the end of `contents`; none is the end of the file.
    public func readChunk(appendingTo contents: inout [UInt8], capacity: Int) throws(Errno) {
        let chunk = unsafe withUnsafeTemporaryAllocation(byteCount: capacity, alignment: 16) {
            buffer -> Result<[UInt8], Errno> in
            guard let base = buffer.baseAddress else { return .success([]) }
            return retrying { unsafe Glibc.read(rawValue, base, buffer.count) }
                .map { unsafe Array(UnsafeRawBufferPointer(rebasing: buffer[..<$0])) }
        }
        contents += try chunk.get()
    }
}

/// Both ends of a pipe, each taken once by its new owner.
public struct Pipe: ~Copyable {
    public var read: FileDescriptor?
    public var write: FileDescriptor?

    /// pipe2(2), close-on-exec. Which end does not block is the caller's choice: the other belongs to a child.
    public init(nonBlockingRead: Bool = false, nonBlockingWrite: Bool = false) throws(Errno) {
        var ends: [CInt] = [-1, -1]
        if unsafe CLinux_pipe(&ends, 0) != 0 { throw Errno.current }
        let read = FileDescriptor(owning: ends[0])
        let write = FileDescriptor(owning: ends[1])
        if nonBlockingRead { try read.setNonBlocking() }
        if nonBlockingWrite { try write.setNonBlocking() }
        self.read = consume read
        self.write = consume write
    }
}
