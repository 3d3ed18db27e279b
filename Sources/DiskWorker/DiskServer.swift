// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import CLinux
import Glibc
import Syscalls

extension DiskWorker {
    /// The program's argument that makes it the worker.
    public static let argument = "--disk-worker"
    /// sysexits(3): EX_PROTOCOL. Not the agent that writes there.
    private static let protocolError: CInt = 76

    /// The worker's life: one request after the other, until the agent is gone.
    ///
    /// Signals that are meant for the agent are ignored: systemd sends them to the whole control group, and the agent
    /// still needs its worker while it stops.
    ///
    /// - Parameter services: what `call` reaches, by name: an answer for each argument.
    public static func serve(services: [String: ([UInt8]) -> [UInt8]] = [:]) -> Never {
        // It was started as /proc/self/exe, and would be called "exe".
        unsafe CLinux_process_name("elkeid-disk")
        for ignored in [SIGTERM, SIGINT, SIGHUP, SIGPIPE, SIGUSR1, SIGUSR2] { signal(ignored, SIG_IGN) }
        let socket = FileDescriptor(owning: SelfProcess.childDescriptor)
        do throws(Errno) {
            while let header = try socket.readExactly(DiskProtocol.headerSize) {
                guard let length = DiskProtocol.length(header[...]), let frame = try socket.readExactly(length),
                    let (number, operation) = DiskProtocol.decodeOperation(frame)
                else { exit(protocolError) }
                let answer = DiskProtocol.encode(operation.perform(services), number: number)
                unsafe try socket.writeAll(answer.span.bytes)
            }
        } catch {
            // The agent has gone in the midst of something.
            exit(1)
        }
        exit(0)
    }
}

extension FileDescriptor {
    /// `count` bytes of a blocking stream; nil at its end.
    fileprivate func readExactly(_ count: Int) throws(Errno) -> [UInt8]? {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(count)
        while bytes.count < count {
            let before = bytes.count
            try readChunk(appendingTo: &bytes, capacity: min(64 << 10, count - before))
            if bytes.count == before { return nil }
        }
        return bytes
    }
}
