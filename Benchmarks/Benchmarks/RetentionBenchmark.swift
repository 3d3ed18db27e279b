// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Buffers
import Delivery
import DevelopmentCenter
import ElkeidWire
import Glibc
import Reactor
import TLS

/// What it costs to keep records until they are confirmed, against letting go of them when they are written: splice,
/// outbox, framing and encryption as in the agent, without pipe and socket.
struct RetentionBenchmark {
    /// Bytes of records in each measurement, and how many of those for each of the two.
    private static let volume = 512 << 20
    private static let rounds = 5
    private static let messageSize = 256 << 10
    /// What a grpc-go server on a fast link leaves unconfirmed.
    private static let unconfirmed: UInt64 = 2 << 20

    init(options: [String] = []) {
        if let first = options.first { refuse("retention takes no option, not \"\(first)\"") }
    }

    func run() {
        let session = Self.session()
        var (kept, released) = (Double.infinity, Double.infinity)
        var (keptPeak, releasedPeak) = (0, 0)
        // By turns, the best of each: other work on the machine must not decide.
        for _ in 0..<Self.rounds {
            let (a, peakA) = Self.measure(session, unconfirmed: 0)
            let (b, peakB) = Self.measure(session, unconfirmed: Self.unconfirmed)
            released = min(released, a)
            kept = min(kept, b)
            releasedPeak = max(releasedPeak, peakA)
            keptPeak = max(keptPeak, peakB)
        }
        print("retention: splice, outbox, framing and TLS of \(Self.volume >> 20) MiB, CPU, the best of \(Self.rounds)")
        print("  released at once:              \(format(released)) ns/byte, \(releasedPeak >> 10) KiB of slabs")
        print("  kept until 2 MiB later:        \(format(kept)) ns/byte, \(keptPeak >> 10) KiB of slabs")
        print("  ratio:                         \(format(kept / released))")
    }

    /// - Returns: CPU time for each byte in nanoseconds, and the most bytes of slabs in use.
    private static func measure(_ session: TLSSession, unconfirmed: UInt64) -> (Double, Int) {
        let pool = SlabPool()
        let arena = Arena(pool: pool)
        let outbox = Outbox()
        let lane = outbox.addLane(name: "plugin")
        var splicer = FrameSplicer(messageSize: messageSize)
        let frames = Self.frames()
        let scratch = ScratchBuffer(capacity: TLSSession.recordSize)
        let header = [UInt8](repeating: 0, count: 9)
        var (offset, counted, done, peak): (UInt64, UInt64, Int, Int) = (0, 0, 0, 0)
        let began = processorTime()
        while done < volume {
            guard let slab = arena.slab(room: frames.count) else { return (0, 0) }
            let segment = unsafe slab.append(frames.span.bytes)
            done += frames.count
            do throws(StreamLost) {
                try splicer.splice(segment, arena: arena) { outbox.enqueue($0, on: lane) }
            } catch {
                refuse("\(error)")
            }
            outbox.received(accepted: splicer.accepted - counted, malformed: 0, on: lane)
            counted = splicer.accepted
            while let batch = outbox.next() {
                var chain = batch.records.bytes
                offset += UInt64(chain.count)
                outbox.sent(batch, end: offset)
                while !chain.isEmpty {
                    let length = min(chain.count, 16384 - 9)
                    scratch.fill { output in
                        unsafe chain.takeFrame(header: header.span.bytes, length: length, scratch: &output) { bytes in
                            _ = session.write(bytes)
                        }
                    }
                    session.outgoing.removeFirst(session.outgoing.count)
                }
                peak = max(peak, pool.outstandingBytes)
                outbox.confirm(upTo: offset - min(offset, unconfirmed))
            }
        }
        return ((processorTime() - began) / Double(done), peak)
    }

    /// A pipe's worth of records of 250 bytes, as a plugin writes them.
    private static func frames() -> [UInt8] {
        var frames: [UInt8] = []
        var builder = RecordBuilder()
        builder.begin(dataType: 59, timestamp: 1_700_000_000)
        builder.append("exe", String(repeating: "x", count: 100))
        builder.append("argv", String(repeating: "y", count: 120))
        var writer = WireWriter()
        builder.encode(into: &writer, framing: .pipe)
        while frames.count + writer.bytes.count < SlabPool.defaultSlabSize - Slab.margin { frames += writer.bytes }
        return frames
    }

    /// One end of a secured connection whose other end exists no more.
    private static func session() -> TLSSession {
        let path = "/tmp/elkeid-benchmark-\(getpid())"
        unsafe mkdir(path, 0o700)
        defer { _ = unsafe system("rm -r \(path)") }
        do {
            let folder = CertificateFolder(path)
            _ = try folder.makeIfAbsent()
            let client = try TLSSession(
                try TLSContext(role: .client, files: folder.client),
                serverName: "elkeid.com"
            )
            let server = try TLSSession(try TLSContext(role: .server, files: folder.server))
            _ = client.handshake()
            for _ in 0..<4 {
                converse(from: client, to: server)
                converse(from: server, to: client)
            }
            guard client.isHandshakeComplete else { refuse("the TLS handshake is not complete") }
            return client
        } catch {
            refuse("\(error)")
        }
    }

    private static func converse(from: TLSSession, to: TLSSession) {
        guard !from.outgoing.isEmpty else { return }
        from.outgoing.withBytes { bytes in to.receive(bytes) { _ = to.handshake() } }
        from.outgoing.removeFirst(from.outgoing.count)
    }
}

/// CPU time of this process in nanoseconds.
func processorTime() -> Double {
    var time = timespec()
    unsafe clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time)
    return Double(time.tv_sec) * 1e9 + Double(time.tv_nsec)
}

/// With three digits behind the point.
func format(_ value: Double) -> String {
    let thousandths = Int((value * 1000).rounded())
    let fraction = "\(thousandths % 1000)"
    return "\(thousandths / 1000)." + String(repeating: "0", count: 3 - fraction.count) + fraction
}
