// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import DevelopmentCenter
import Reactor
import Syscalls

/// What a load generator is asked to write.
struct Load {
    /// Bytes of a record, without its frame's length.
    var size = 600
    var records: Int
    /// Records in one write(2); 0: 64 KiB full.
    var burst = 0
    /// Nanoseconds between two bursts; 0: flat out.
    var interval = 0
    /// Does each record's timestamp say at which microsecond its burst was due?
    var isStamped = false

    /// Bytes on the pipe, and in the server's messages.
    var bytes: UInt64 { UInt64(records * (size + 4)) }
    var line: String { "write \(size) \(records) \(burst) \(interval) \(isStamped ? 1 : 0)\n" }

    /// `volume` bytes of records of `size`, flat out.
    static func flood(_ volume: Int, size: Int = 600) -> Load { Load(size: size, records: max(1, volume / (size + 4))) }
}

/// Where the load generators of one subject come for their orders.
final class LoadControl {
    private(set) var generators: [Generator] = []
    private var listener: Listener?
    var port: UInt16 { listener?.port ?? 0 }
    /// Called with each generator that has come.
    var onGenerator: ((Generator) -> Void)?

    init(_ rig: Rig) throws {
        listener = try Listener(try SocketAddress(text: "127.0.0.1:0"), reactor: rig.reactor) {
            [unowned self] descriptor in
            let generator = Generator(descriptor, reactor: rig.reactor)
            self.generators.append(generator)
            self.onGenerator?(generator)
        }
    }

    func close() {
        listener?.close()
        for generator in generators { generator.close() }
    }
}

/// One load generator's control connection.
final class Generator: ReadinessHandler {
    private var source: Source?
    private(set) var isBusy = false

    init(_ descriptor: consuming FileDescriptor, reactor: Reactor) {
        source = reactor.watch(descriptor, for: .read, handler: self)
    }

    func start(_ load: Load) throws {
        guard let source else { throw RigError("the load generator is gone") }
        isBusy = true
        let line = Array(load.line.utf8)
        try source.withDescriptor { descriptor throws(Errno) in try descriptor.writeAll(unsafe line.span.bytes) }
    }

    func handle(_ readiness: Readiness, of source: Source) {
        var answer: [UInt8] = []
        do throws(Errno) {
            try source.withDescriptor { descriptor throws(Errno) in
                try descriptor.readChunk(appendingTo: &answer, capacity: 256)
            }
        } catch {
            return close()
        }
        if answer.isEmpty { return close() }
        isBusy = false
    }

    func close() {
        isBusy = false
        source?.close()
        source = nil
    }
}
