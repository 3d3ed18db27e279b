// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Glibc
import Syscalls
import TestSupport
import Testing

/// Descriptors from here on belong to the tests that ask for them: nothing else in the program opens so many, so a
/// number can be freed and taken again without another thread coming in between.
private func numbered(_ descriptor: CInt, from lowest: CInt) throws -> FileDescriptor {
    let raw = fcntl(descriptor, F_DUPFD_CLOEXEC, lowest)
    try #require(raw == lowest)
    return FileDescriptor(owning: raw)
}

private func isOpen(_ raw: CInt) -> Bool { fcntl(raw, F_GETFD) >= 0 }

extension FileDescriptor {
    /// Reads at most `count` bytes.
    fileprivate func bytes(_ count: Int) -> (IOResult, [UInt8]) {
        unsafe withUnsafeTemporaryAllocation(byteCount: count, alignment: 1) { buffer in
            var output = unsafe OutputRawSpan(buffer: buffer, initializedCount: 0)
            let result = read(into: &output)
            let bytes = [UInt8](copying: output.bytes)
            return (result, bytes)
        }
    }

    fileprivate func put(_ bytes: [UInt8]) -> IOResult { bytes.withBytes { write($0) } }
}

@Suite("File descriptors")
struct FileDescriptorTests {
    @Test func closedWithItsOwner() throws {
        do {
            let descriptor = try numbered(0, from: 600)
            #expect(isOpen(descriptor.rawValue))
        }
        #expect(!isOpen(600))
    }

    /// After close, the number may already be somebody else's: the owner that is gone must not touch it.
    @Test func closedOnlyOnce() throws {
        let other: FileDescriptor
        do {
            let descriptor = try numbered(0, from: 610)
            try descriptor.close()
            #expect(!isOpen(610))
            other = try numbered(1, from: 610)
        }
        #expect(isOpen(610))
        try other.close()
        #expect(!isOpen(610))
    }

    @Test func releasedIsNotClosed() throws {
        let raw: CInt
        do {
            let descriptor = try numbered(0, from: 620)
            raw = descriptor.release()
        }
        #expect(raw == 620 && isOpen(620))
        try FileDescriptor(owning: raw).close()
        #expect(!isOpen(620))
    }

    /// Whatever this module opens, no child inherits by accident.
    @Test func everythingIsCloseOnExec() throws {
        func check(_ descriptor: borrowing FileDescriptor, _ what: Comment) {
            let flags = fcntl(descriptor.rawValue, F_GETFD)
            #expect(flags & FD_CLOEXEC != 0, what)
        }
        for mode in [FileDescriptor.OpenMode.read, .directory] {
            check(try FileDescriptor.open("/", mode), "folder")
        }
        check(try FileDescriptor.open("/dev/null", .write), "file")
        var pipe = try Pipe()
        check(try take(&pipe.read), "pipe, read")
        check(try take(&pipe.write), "pipe, write")

        let address = try #require(SocketAddress(literal: "127.0.0.1", port: 0))
        let (listener, port) = try address.listen()
        let server = try require(listener.take())
        let client = try #require(SocketAddress(literal: "127.0.0.1", port: port)).startConnecting()
        check(server, "listening")
        check(client, "client")
        var ready = pollfd(fd: server.rawValue, events: Int16(POLLIN), revents: 0)
        #expect(unsafe poll(&ready, 1, -1) == 1)
        let connection = try require(try server.accept())
        check(connection, "accepted")
        #expect(
            fcntl(connection.rawValue, F_GETFL) & O_NONBLOCK != 0 && fcntl(client.rawValue, F_GETFL) & O_NONBLOCK != 0
        )
        #expect(client.localAddress == connection.remoteAddress && client.remoteAddress == connection.localAddress)
        #expect(client.socketError == nil)
        let nobody = try server.accept() == nil
        #expect(nobody)
        let again = listener.take() == nil
        #expect(again, "taken once")
    }

    @Test func pipeEndsBlockOnlyWhereNotAskedOtherwise() throws {
        for (readEnd, writeEnd) in [(false, false), (true, false), (false, true), (true, true)] {
            var pipe = try Pipe(nonBlockingRead: readEnd, nonBlockingWrite: writeEnd)
            let read = try take(&pipe.read)
            let write = try take(&pipe.write)
            #expect((fcntl(read.rawValue, F_GETFL) & O_NONBLOCK != 0) == readEnd)
            #expect((fcntl(write.rawValue, F_GETFL) & O_NONBLOCK != 0) == writeEnd)
        }
    }

    @Test func pipeCarriesBytes() throws {
        var pipe = try Pipe(nonBlockingRead: true, nonBlockingWrite: true)
        let read = try take(&pipe.read)
        let write = try take(&pipe.write)
        #expect(read.bytes(10) == (.wouldBlock, []))
        #expect(write.put([1, 2, 3, 4, 5]) == .bytes(5))
        #expect(read.bytes(3) == (.bytes(3), [1, 2, 3]))
        #expect(read.bytes(3) == (.bytes(2), [4, 5]))
        let capacity = read.pipeCapacity
        #expect(capacity >= 4096)
        var written = 0
        filling: while true {
            switch write.put([UInt8](repeating: 7, count: 4096)) {
            case .bytes(let count): written += count
            case .wouldBlock: break filling
            case .failed(let error): throw error
            }
        }
        #expect(written == capacity)
        try write.close()
        var total = 0
        while case (.bytes(let count), let bytes) = read.bytes(10_000), count > 0 {
            #expect(bytes.count == count && bytes.allSatisfy { $0 == 7 })
            total += count
        }
        #expect(total == capacity)
        #expect(read.bytes(10) == (.bytes(0), []), "end of file")
    }

    @Test func readAppendsToTheOutput() throws {
        var pipe = try Pipe()
        let read = try take(&pipe.read)
        let write = try take(&pipe.write)
        try [UInt8(8), 9].withBytes { (bytes) throws(Errno) in try write.writeAll(bytes) }
        let bytes = unsafe withUnsafeTemporaryAllocation(byteCount: 4, alignment: 1) { buffer in
            var output = unsafe OutputRawSpan(buffer: buffer, initializedCount: 0)
            output.append(UInt8(7))
            #expect(read.read(into: &output) == .bytes(2))
            return [UInt8](copying: output.bytes)
        }
        #expect(bytes == [7, 8, 9])
    }

    @Test func pipeGrowsWhereAllowed() throws {
        var pipe = try Pipe()
        let read = try take(&pipe.read)
        read.growPipe(to: 128 << 10)
        // An unprivileged user may have used up what pipe-user-pages-soft allows: then it stays as it was.
        #expect([128 << 10, 64 << 10, 4096, 8192].contains(read.pipeCapacity))
        if geteuid() == 0 { #expect(read.pipeCapacity == 128 << 10) }
        let before = read.pipeCapacity
        read.growPipe(to: .max)
        #expect(read.pipeCapacity == before, "refused, and as it was")
        let null = try FileDescriptor.open("/dev/null", .read)
        #expect(null.pipeCapacity == 65536, "not a pipe")
    }

    @Test func goneSocketIsAnErrorAndNotASignal() throws {
        var ends: [CInt] = [0, 0]
        #expect(unsafe socketpair(AF_UNIX, CInt(SOCK_STREAM.rawValue), 0, &ends) == 0)
        let ours = FileDescriptor(owning: ends[0])
        try FileDescriptor(owning: ends[1]).close()
        #expect([UInt8(1)].withBytes { ours.send($0) } == .failed(.brokenPipe))
    }

    @Test(arguments: [(0, 100), (1, 1), (100, 100), (16384, 16384), (16385, 1 << 20), (50_000, 50_000)])
    func smallFileIsReadWhole(_ size: Int, _ limit: Int) throws {
        let path = try temporaryFile([UInt8].pattern(size))
        defer { _ = unsafe unlink(path) }
        #expect(try FileDescriptor.readFile(path, limit: limit) == [UInt8].pattern(size))
    }

    @Test(arguments: [(1, 0), (101, 100), (50_000, 49_999), (50_000, 20_000)])
    func largeFileIsRefused(_ size: Int, _ limit: Int) throws {
        let path = try temporaryFile([UInt8].pattern(size))
        defer { _ = unsafe unlink(path) }
        #expect(throws: Errno.tooLarge) { try FileDescriptor.readFile(path, limit: limit) }
    }

    @Test func openModes() throws {
        let path = try temporaryFile([1, 2, 3])
        defer { _ = unsafe unlink(path) }
        #expect(throws: Errno.exists) { _ = try FileDescriptor.open(path, .createNew) }
        try [UInt8(4)].withBytes { (bytes) throws(Errno) in try FileDescriptor.open(path, .append).writeAll(bytes) }
        #expect(try FileDescriptor.readFile(path) == [1, 2, 3, 4])
        try FileDescriptor.open(path, .truncate).close()
        #expect(try FileDescriptor.readFile(path) == [])
        #expect(throws: Errno.notFound) { try FileDescriptor.readFile(path + ".missing") }
        #expect(throws: Errno(rawValue: ENOTDIR)) { _ = try FileDescriptor.open(path, .directory) }
        #expect(throws: Errno(rawValue: EISDIR)) { try FileDescriptor.readFile("/") }
    }

    @Test func errorsSayWhatTheyMean() {
        #expect(Errno.notFound.description == "No such file or directory")
        #expect(Errno(rawValue: 100_000).description.contains("100000"))
    }

    private func temporaryFile(_ contents: [UInt8]) throws -> String {
        var template = Array("/tmp/syscalls-test-XXXXXX".utf8CString)
        let raw = unsafe mkstemp(&template)
        try #require(raw >= 0)
        let file = FileDescriptor(owning: raw)
        try contents.withBytes { (bytes) throws(Errno) in try file.writeAll(bytes) }
        return String(decoding: template.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
    }
}
