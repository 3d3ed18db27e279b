// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Glibc

/// What can go wrong between a plugin and the agent that started it.
public enum PluginError: Error, Equatable, Sendable {
    /// The descriptor is not open: the program was not started by an agent.
    case descriptorNotOpen(CInt)
    /// The descriptor is open, but neither a pipe nor a socket that goes the way the contract says.
    case descriptorUnusable(CInt)
    /// The agent has closed its end of a record pipe, or has ended: nothing can be sent any more.
    case agentGone
    /// The client has been closed.
    case closed
    /// The agent's task pipe ended inside a frame: `received` of `expected` bytes had arrived, the 4 bytes of the
    /// length included. While the length itself is incomplete, `expected` is 4.
    case incompleteTask(received: Int, expected: Int)
    /// The agent announced a task of `length` bytes, over the limit. Where the next task starts is not known any more:
    /// every later `receive` throws this again.
    case taskTooLarge(length: Int, limit: Int)
    /// One task could not be decoded. It has been skipped; the next `receive` goes on with the one after it.
    case malformedTask(MalformedTask)
    /// The record has `size` bytes when encoded, and the agent stops a plugin that sends more than `limit`.
    /// It was not sent.
    case recordTooLarge(size: Int, limit: Int)
    /// A system call failed with this `errno`.
    case system(SystemCall, errno: CInt)

    /// Why the bytes of a task are not a Task message.
    public enum MalformedTask: Error, Equatable, Sendable {
        case truncated
        case varintTooLong
        case invalidTag
        case wrongWireType(field: Int)
        case notUTF8(field: Int)
        /// A line on standard input in debug mode is not `DATA_TYPE DATA`.
        case notATaskLine
    }

    /// The system calls that can fail for a reason outside of the contract.
    public enum SystemCall: String, Sendable {
        case fcntl, read, write, poll, socketpair, sigaction
        case pthreadCreate = "pthread_create"
    }
}

extension PluginError: CustomStringConvertible {
    /// One line: what happened, where, and what to do about it.
    public var description: String {
        switch self {
        case .descriptorNotOpen(let descriptor):
            "descriptor \(descriptor) is not open: this is an Elkeid plugin, \(waysToStart)"
        case .descriptorUnusable(let descriptor):
            "descriptor \(descriptor) is not a pipe in the right direction: this is an Elkeid plugin, \(waysToStart)"
        case .agentGone:
            "the agent has closed the record pipe: end the plugin"
        case .closed:
            "the plugin client has been closed: make no calls after close()"
        case .incompleteTask(let received, let expected):
            "the task pipe ended inside a task, after \(received) of \(expected) bytes: the agent has ended suddenly"
        case .taskTooLarge(let length, let limit):
            "the agent announced a task of \(length) bytes, the limit is \(limit): raise maximumTaskSize, or restart "
                + "the plugin if the task pipe is out of step"
        case .malformedTask(let reason):
            "a task was skipped because it is not a valid Task message: \(reason)"
        case .recordTooLarge(let size, let limit):
            "a record of \(size) bytes was not sent, the limit is \(limit): split it or shorten its values"
        case .system(let call, let code):
            "\(call.rawValue) failed: \(errorText(code))"
        }
    }
}

extension PluginError.MalformedTask: CustomStringConvertible {
    public var description: String {
        switch self {
        case .truncated: "a field reaches past the end"
        case .varintTooLong: "a varint has more than 10 bytes"
        case .invalidTag: "a tag has an invalid field number or wire type"
        case .wrongWireType(let field): "field \(field) has the wrong wire type"
        case .notUTF8(let field): "field \(field) is not valid UTF-8"
        case .notATaskLine: "a line is DATA_TYPE, a space and DATA in UTF-8, such as: 7001 {\"a\":1}"
        }
    }
}

private let waysToStart =
    "to be started by elkeid-agent or elkeid-devcenter --plugin (descriptor 3 reads tasks, 4 writes records), or with "
    + "ELKEID_PLUGIN_DEBUG=1 in the environment to try it by hand"

/// The system's text for an errno.
private func errorText(_ code: CInt) -> String {
    guard let text = unsafe strerror(code) else { return "errno \(code)" }
    return unsafe "\(String(cString: text)) (errno \(code))"
}
