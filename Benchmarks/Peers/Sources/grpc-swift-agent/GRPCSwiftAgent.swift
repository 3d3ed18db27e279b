// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import CMalloc
import NIOCore
import NIOPosix

/// What a Swift server engineer would write for the agent's hot path with grpc-swift-2 and swift-nio: frames from
/// plugins' pipes, packed into `PackagedData`, over one mutual-TLS gRPC stream. It is there to be measured against.
///
/// It gets its best case. One event loop does everything, Swift concurrency's jobs included, so no byte changes
/// threads; records are copied once into a message and are never decoded; messages are encoded by hand, not by
/// SwiftProtobuf, which would make an object and two arrays of each record; nothing is kept until it is confirmed,
/// compressed, checked or accounted for, all of which the agent does.
@main
enum GRPCSwiftAgent {
    static func main() async {
        let arguments: Arguments
        switch Arguments.parse(CommandLine.arguments.dropFirst()) {
        case .success(let parsed): arguments = parsed
        case .failure(let wrong): fail(wrong.description)
        }
        keepFreedMemory()
        NIOSingletons.groupLoopCountSuggestion = 1
        let loop = MultiThreadedEventLoopGroup.singleton.next()
        do {
            try await withTaskExecutorPreference(LoopTaskExecutor(loop)) {
                try await run(arguments, on: loop)
            }
        } catch {
            fail("\(error)")
        }
    }

    private static func run(_ arguments: Arguments, on loop: any EventLoop) async throws {
        let header = PackagedData.header(agentID: arguments.agentID)
        let (batcher, messages) = try await loop.submit {
            let batcher = RecordBatcher(loop: loop, header: header, pipes: arguments.pipes.count)
            return (NIOLoopBound(batcher, eventLoop: loop), batcher.makeMessages())
        }.get()
        for descriptor in arguments.pipes {
            await openPipe(descriptor, into: batcher)
        }
        try await TransferCall(arguments, on: loop).send(first: header, then: messages)
    }
}

/// Lets malloc keep the buffers of messages: given back to the kernel and mapped anew for each, they doubled the time.
private func keepFreedMemory() {
    mallopt(M_MMAP_THRESHOLD, 4 << 20)
    mallopt(M_TRIM_THRESHOLD, 16 << 20)
}
