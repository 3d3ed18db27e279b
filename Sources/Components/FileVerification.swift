// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Buffers
public import Reactor
import Syscalls
import TLS

/// Computes the SHA-256 of a file without stalling the loop: a bounded step each turn.
public final class FileVerification {
    /// Bytes hashed in one turn: about a quarter of a millisecond.
    static let step = 256 << 10

    public enum Outcome: Equatable, Sendable {
        case matches
        case differs(actual: String)
        case unreadable(String)
    }

    private let path: String
    private let expected: String
    private let completion: (Outcome) -> Void
    private var file: FileDescriptor?
    private let digest = SHA256Digest()
    private let buffer = ScratchBuffer(capacity: FileVerification.step)
    private let reactor: Reactor
    private lazy var next = reactor.makeDeferred { [unowned self] in self.hashStep() }

    /// - Parameters:
    ///   - path: the file.
    ///   - expected: its SHA-256 in hexadecimal, of either case.
    ///   - reactor: where the steps run.
    ///   - completion: called once, in a later turn. Dropping the object cancels it.
    public init(path: String, expected: String, reactor: Reactor, completion: @escaping (Outcome) -> Void) {
        self.path = path
        self.expected = expected.lowercased()
        self.reactor = reactor
        self.completion = completion
        next.schedule()
    }

    public func cancel() { next.cancel() }

    private func hashStep() {
        do throws(Errno) {
            if file == nil { file = try FileDescriptor.open(path, .read) }
        } catch {
            return completion(.unreadable("\(path): \(error)"))
        }
        let result = buffer.fill { output -> IOResult in
            switch file {
            case .some(let file): return file.read(into: &output)
            case .none: return .bytes(0)
            }
        }
        switch result {
        case .bytes(0):
            file = nil
            let actual = digest.finish()
            completion(actual == expected ? .matches : .differs(actual: actual))
        case .bytes:
            buffer.withBytes { digest.update($0) }
            next.schedule()
        case .wouldBlock: next.schedule()
        case .failed(let error):
            file = nil
            completion(.unreadable("\(path): \(error)"))
        }
    }
}
