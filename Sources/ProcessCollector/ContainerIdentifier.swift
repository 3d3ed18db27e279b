// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

/// Finds the id of the container that a process is in by its control group.
///
/// Runtimes name the group of a container after its id of 64 hex digits: `/docker/<id>`, `docker-<id>.scope`,
/// `cri-containerd-<id>.scope`, `crio-<id>.scope`, `libpod-<id>.scope`, `kubepods…:cri-containerd:<id>`.
/// The deepest such group counts, since containers can hold containers.
/// - Parameters:
///   - bytes: holds the content of `/proc/<pid>/cgroup`, see cgroups(7): lines of `hierarchy:controllers:path`.
///   - range: where it lies.
/// - Returns: where the id lies, or nil outside of a container.
func containerIdentifier(_ bytes: Span<UInt8>, in range: Range<Int>) -> Range<Int>? {
    var rest = range
    while var path = bytes.takePart(of: &rest, upTo: UInt8(ascii: "\n")) {
        guard bytes.takePart(of: &path, upTo: UInt8(ascii: ":")) != nil,
            bytes.takePart(of: &path, upTo: UInt8(ascii: ":")) != nil
        else { continue }
        while !path.isEmpty {
            let slash = bytes.lastIndex(of: UInt8(ascii: "/"), in: path)
            let name = (slash.map { $0 + 1 } ?? path.lowerBound)..<path.upperBound
            if let id = identifier(bytes, ofGroup: name) { return id }
            path = path.lowerBound..<(slash ?? path.lowerBound)
        }
    }
    return nil
}

private let identifierSize = 64

private func identifier(_ bytes: Span<UInt8>, ofGroup name: Range<Int>) -> Range<Int>? {
    let scope: StaticString = ".scope"
    let end = name.upperBound - (bytes.hasSuffix(scope, in: name) ? scope.utf8CodeUnitCount : 0)
    let start = end - identifierSize
    guard start >= name.lowerBound else { return nil }
    for index in start..<end {
        switch bytes[index] {
        case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "a")...UInt8(ascii: "f"): continue
        default: return nil
        }
    }
    guard start > name.lowerBound else { return start..<end }
    // What stands before it is the runtime. "conmon" is the watcher of a container, which runs outside of it.
    let prefix = name.lowerBound..<start
    let separator = bytes[start - 1]
    guard separator == UInt8(ascii: "-") || separator == UInt8(ascii: ":"), !bytes.hasSuffix("conmon-", in: prefix)
    else { return nil }
    return start..<end
}
