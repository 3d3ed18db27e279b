// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

public import JSON
public import Syscalls

/// The other end of the control socket: asks, and waits for the answer.
public struct ControlChannel: ~Copyable {
    /// Why there is no answer.
    public enum Failure: Error, Equatable, Sendable, CustomStringConvertible {
        /// Nobody listens at the path.
        case notRunning(path: String, Errno)
        case refused(String)
        case noAnswer
        case ended
        /// What came is not of this protocol.
        case malformed(String)

        public var description: String {
            switch self {
            case .notRunning(let path, let error): "the agent does not answer at \(path): \(error)"
            case .refused(let reason): "the agent refuses: \(reason)"
            case .noAnswer: "the agent takes the request and does not answer in time: its loop hangs"
            case .ended: "the agent closed the connection: it stops, or has too many clients"
            case .malformed(let what): "what answers is no agent of this kind: \(what)"
            }
        }
    }

    private let socket: FileDescriptor
    private var input = LineBuffer(limit: ControlProtocol.answerLimit)
    private let milliseconds: Int

    /// - Parameter milliseconds: for connecting, and for each answer.
    public init(path: String, milliseconds: Int = 5000) throws(Failure) {
        do throws(Errno) {
            socket = try LocalSocket.connect(to: path, milliseconds: milliseconds)
        } catch {
            throw error == .again ? .noAnswer : .notRunning(path: path, error)
        }
        self.milliseconds = milliseconds
    }

    /// Asks, and returns the result.
    public mutating func ask(_ request: ControlRequest) throws(Failure) -> JSONValue {
        let line = request.line
        var offset = 0
        while offset < line.count {
            switch unsafe socket.send(line.span.bytes.extracting(droppingFirst: offset)) {
            case .bytes(let count): offset += count
            case .wouldBlock: throw .noAnswer
            case .failed: throw .ended
            }
        }
        guard let value = try next(milliseconds: milliseconds) else { throw .noAnswer }
        switch ControlAnswer(value) {
        case .result(let result): return result
        case .refusal(let reason): throw .refused(reason)
        case nil: throw .malformed("an answer has no member \"ok\"")
        }
    }

    /// The next line that comes; nil when none does for so long.
    public mutating func next(milliseconds: Int) throws(Failure) -> JSONValue? {
        while true {
            if let line = try complete() {
                do throws(JSONValue.ParseError) {
                    return try JSONValue(parsing: line)
                } catch {
                    throw .malformed("\(error)")
                }
            }
            guard socket.waitReadable(milliseconds: milliseconds) else { return nil }
            var bytes: [UInt8] = []
            do throws(Errno) { try socket.readChunk(appendingTo: &bytes, capacity: 64 << 10) } catch {
                if error == .again { return nil }
                throw .ended
            }
            guard !bytes.isEmpty else { throw .ended }
            unsafe input.append(bytes.span.bytes)
        }
    }

    private mutating func complete() throws(Failure) -> [UInt8]? {
        do throws(LineBuffer.TooLong) { return try input.next() } catch {
            throw .malformed("a line is longer than \(ControlProtocol.answerLimit) bytes")
        }
    }

    /// For poll(2), with other descriptors.
    public var rawDescriptor: Int32 { socket.rawValue }
}
