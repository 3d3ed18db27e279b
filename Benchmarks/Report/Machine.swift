// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Glibc

/// Where a run took place.
public struct Machine: Equatable, Sendable {
    public var processor: String
    public var processors: Int
    /// In bytes.
    public var memory: Int
    public var kernel: String
    public var architecture: String
    public var openSSL: String
    public var nghttp2: String

    /// - Parameters:
    ///   - cpuinfo: the text of /proc/cpuinfo.
    ///   - meminfo: the text of /proc/meminfo.
    public init(
        cpuinfo: String,
        meminfo: String,
        kernel: String,
        architecture: String,
        openSSL: String,
        nghttp2: String
    ) {
        processor = Self.values("model name", cpuinfo).first ?? "unknown processor"
        processors = Self.values("processor", cpuinfo).count
        let kibibytes = Self.values("MemTotal", meminfo).first?.split(separator: " ").first.flatMap { Int($0) } ?? 0
        let (bytes, overflow) = kibibytes.multipliedReportingOverflow(by: 1024)
        memory = overflow ? 0 : bytes
        self.kernel = kernel
        self.architecture = architecture
        self.openSSL = openSSL
        self.nghttp2 = nghttp2
    }

    /// The one that this runs on; what cannot be read is "unknown" or 0.
    public static func current(openSSL: String, nghttp2: String) -> Machine {
        var names = utsname()
        let known = unsafe uname(&names) == 0
        return Machine(
            cpuinfo: contents("/proc/cpuinfo"),
            meminfo: contents("/proc/meminfo"),
            kernel: known ? text(names.release) : "unknown",
            architecture: known ? text(names.machine) : "unknown",
            openSSL: openSSL,
            nghttp2: nghttp2
        )
    }

    /// What follows `name` and a colon, for each line of it.
    private static func values(_ name: String, _ text: String) -> [String] {
        text.split(separator: "\n").compactMap { line in
            guard let colon = line.firstIndex(of: ":"), trimmed(line[..<colon]) == name else { return nil }
            return trimmed(line[line.index(after: colon)...])
        }
    }

    /// Without blanks at the ends, and with one where there were several.
    private static func trimmed(_ text: Substring) -> String {
        text.split { $0 == " " || $0 == "\t" || $0 == "\r" }.joined(separator: " ")
    }

    private static func contents(_ path: String) -> String {
        let descriptor = unsafe open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return "" }
        defer { close(descriptor) }
        var (contents, chunk): ([UInt8], [UInt8]) = ([], [UInt8](repeating: 0, count: 1 << 16))
        while true {
            let count = unsafe chunk.withUnsafeMutableBytes { unsafe read(descriptor, $0.baseAddress, $0.count) }
            guard count > 0 else { return String(decoding: contents, as: UTF8.self) }
            contents += chunk.prefix(count)
        }
    }

    /// The text in a field of utsname, which is a tuple of characters.
    private static func text<Field>(_ field: Field) -> String {
        unsafe withUnsafeBytes(of: field) { bytes in
            unsafe String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
        }
    }
}

extension Machine: CustomStringConvertible {
    /// All of it in one line.
    public var description: String {
        let gibibytes = Figure.significant(Double(memory) / Double(1 << 30), digits: 3)
        return "\(processor), \(processors) CPU\(processors == 1 ? "" : "s"), \(gibibytes) GiB, "
            + "Linux \(kernel) \(architecture), OpenSSL \(openSSL), nghttp2 \(nghttp2)"
    }
}
