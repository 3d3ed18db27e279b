// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Glibc
import Synchronization

/// A child process of the test, with its output in files.
final class ChildProcess {
    enum Exit: Equatable, CustomStringConvertible {
        case code(Int32)
        case signal(Int32)

        var description: String {
            switch self {
            case .code(let code): "exit code \(code)"
            case .signal(let signal): "signal \(signal)"
            }
        }
    }

    /// How to start it.
    struct Options {
        /// Descriptor for standard input; nil: /dev/null.
        var input: CInt?
        var output = "/dev/null"
        var errors = "/dev/null"
        /// "NAME=value"; nil: the test's own.
        var environment: [String]?
        /// Signals that it starts with blocked.
        var blocked: [CInt] = []
    }

    private static let starting = Mutex(())

    /// No child is being started while `body` runs: it would have a copy of what is open here until it executes its
    /// program, and a program that somebody has open for writing is not executed.
    static func withoutStarts<R>(_ body: () throws -> R) rethrows -> R {
        try starting.withLock { _ in try body() }
    }

    let pid: pid_t
    private(set) var exit: Exit?

    /// - Parameter arguments: the program, as a path, and its arguments.
    init(_ arguments: [String], _ options: Options = Options()) throws {
        var actions = unsafe posix_spawn_file_actions_t()
        unsafe posix_spawn_file_actions_init(&actions)
        defer { unsafe posix_spawn_file_actions_destroy(&actions) }
        if let input = options.input {
            unsafe posix_spawn_file_actions_adddup2(&actions, input, 0)
        } else {
            unsafe posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
        }
        for (descriptor, path) in [(CInt(1), options.output), (2, options.errors)] {
            unsafe posix_spawn_file_actions_addopen(&actions, descriptor, path, O_WRONLY | O_CREAT | O_APPEND, 0o600)
        }

        var attributes = posix_spawnattr_t()
        unsafe posix_spawnattr_init(&attributes)
        defer { unsafe posix_spawnattr_destroy(&attributes) }
        var defaults = sigset_t()
        unsafe sigemptyset(&defaults)
        unsafe sigaddset(&defaults, SIGPIPE)
        unsafe posix_spawnattr_setsigdefault(&attributes, &defaults)
        var mask = sigset_t()
        unsafe sigemptyset(&mask)
        for signal in options.blocked { unsafe sigaddset(&mask, signal) }
        unsafe posix_spawnattr_setsigmask(&attributes, &mask)
        unsafe posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF))

        var pid: pid_t = 0
        let result = Self.withoutStarts {
            unsafe withCStrings(arguments) { argv in
                guard let environment = options.environment else {
                    return unsafe posix_spawn(&pid, arguments[0], &actions, &attributes, argv, environ)
                }
                return unsafe withCStrings(environment) { envp in
                    unsafe posix_spawn(&pid, arguments[0], &actions, &attributes, argv, envp)
                }
            }
        }
        guard result == 0 else { throw Failure("\(arguments[0]): \(unsafe String(cString: strerror(result)))") }
        self.pid = pid
    }

    var isRunning: Bool {
        reap()
        return exit == nil
    }

    private func reap() {
        guard exit == nil else { return }
        var status: CInt = 0
        guard unsafe waitpid(pid, &status, WNOHANG) == pid else { return }
        exit = status & 0x7f == 0 ? .code(status >> 8 & 0xff) : .signal(status & 0x7f)
    }

    func send(_ signal: CInt) {
        if isRunning { kill(pid, signal) }
    }

    func waitForExit(seconds: Double, state: @autoclosure () -> String = "") throws -> Exit {
        try eventually("the end of process \(pid)", seconds: seconds, state: state()) {
            reap()
            return exit
        }
    }

    /// Ends it whatever it does, and reaps it.
    func end() {
        guard isRunning else { return }
        kill(pid, SIGKILL)
        var status: CInt = 0
        unsafe waitpid(pid, &status, 0)
        exit = .signal(SIGKILL)
    }

    /// A pipe for a child's standard input; no other child has either end.
    static func inputPipe() throws -> (reading: CInt, writing: CInt) {
        try withoutStarts {
            var ends: [CInt] = [-1, -1]
            guard unsafe pipe(&ends) == 0 else { throw Failure("no pipe") }
            for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
            return (ends[0], ends[1])
        }
    }

    /// Runs a program to its end and gives its standard output.
    static func output(of arguments: [String], input: String = "", seconds: Double = 60) throws -> String {
        let folder = try TemporaryFolder()
        defer { folder.remove() }
        try write(input, to: folder.path + "/in")
        let file = unsafe open(folder.path + "/in", O_RDONLY | O_CLOEXEC)
        guard file >= 0 else { throw Failure("\(folder.path)/in cannot be read") }
        defer { close(file) }
        let child = try ChildProcess(
            arguments,
            Options(input: file, output: folder.path + "/out", errors: folder.path + "/err")
        )
        defer { child.end() }
        let exit = try child.waitForExit(seconds: seconds)
        guard exit == .code(0) else {
            throw Failure("\(arguments): \(exit): \(text(of: folder.path + "/err"))")
        }
        return text(of: folder.path + "/out")
    }
}

/// A NULL-terminated array of C strings for the duration of `body`.
private func withCStrings<R>(
    _ strings: [String],
    _ body: (UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>) -> R
) -> R {
    let pointers = UnsafeMutableBufferPointer<UnsafeMutablePointer<CChar>?>.allocate(capacity: strings.count + 1)
    for (index, string) in strings.enumerated() { unsafe pointers.initializeElement(at: index, to: strdup(string)) }
    unsafe pointers.initializeElement(at: strings.count, to: nil)
    defer {
        for index in 0..<strings.count { unsafe free(pointers[index]) }
        unsafe pointers.deallocate()
    }
    guard let base = pointers.baseAddress else { preconditionFailure("there is room for the NULL") }
    return unsafe body(base)
}
