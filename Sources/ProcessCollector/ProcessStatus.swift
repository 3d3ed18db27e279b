// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

/// What is used of `/proc/<pid>/status`, see proc_pid_status(5). Lines that a kernel does not have leave their values
/// empty. Ranges are indices of the bytes it was parsed from.
struct ProcessStatus {
    /// Real, effective, saved and file system ids.
    typealias Identifiers = [4 of Range<Int>]

    var umask = 0..<0
    var tracer = 0..<0
    var users = Identifiers(repeating: 0..<0)
    var groups = Identifiers(repeating: 0..<0)
    var nspid = 0..<0
    var nspgid = 0..<0
    var nssid = 0..<0

    init(_ bytes: Span<UInt8>, in range: Range<Int>) {
        var rest = range
        while var line = bytes.takePart(of: &rest, upTo: UInt8(ascii: "\n")) {
            guard let key = bytes.takePart(of: &line, upTo: UInt8(ascii: "\t")) else { continue }
            func value() -> Range<Int> { bytes.takePart(of: &line, upTo: UInt8(ascii: "\t")) ?? 0..<0 }
            if bytes.matches("Umask:", in: key) {
                umask = value()
            } else if bytes.matches("TracerPid:", in: key) {
                tracer = value()
            } else if bytes.matches("Uid:", in: key) {
                for index in users.indices { users[index] = value() }
            } else if bytes.matches("Gid:", in: key) {
                for index in groups.indices { groups[index] = value() }
            } else if bytes.matches("NSpid:", in: key) {
                nspid = value()
            } else if bytes.matches("NSpgid:", in: key) {
                nspgid = value()
            } else if bytes.matches("NSsid:", in: key) {
                nssid = value()
                return
            }
        }
    }
}

extension Span<UInt8> {
    fileprivate func matches(_ text: StaticString, in range: Range<Int>) -> Bool {
        range.count == text.utf8CodeUnitCount && hasPrefix(text, in: range)
    }
}
