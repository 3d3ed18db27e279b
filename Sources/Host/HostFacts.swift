// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Glibc

/// What does not change while the host runs.
public struct HostFacts: Sendable, Equatable {
    /// `uname -r`.
    public var kernelVersion = ""
    /// `uname -m`.
    public var architecture = ""
    public var platform = Platform()
    /// DMI product_serial, product_uuid, product_name and sys_vendor; "" where they cannot be read.
    public var serial = ""
    public var productID = ""
    public var model = ""
    public var vendor = ""
    public var processorName = ""

    public init() {}

    public static func current(tree: FileTree = FileTree()) -> HostFacts {
        var facts = HostFacts()
        let names = KernelNames.current()
        facts.kernelVersion = names.release
        facts.architecture = names.machine
        facts.platform = Platform.current(tree)
        facts.serial = tree.text("/sys/class/dmi/id/product_serial")
        facts.productID = tree.text("/sys/class/dmi/id/product_uuid")
        facts.model = tree.text("/sys/class/dmi/id/product_name")
        facts.vendor = tree.text("/sys/class/dmi/id/sys_vendor")
        facts.processorName = ProcessorName.current(tree)
        return facts
    }
}

/// uname(2).
struct KernelNames {
    var node = ""
    var release = ""
    var machine = ""

    static func current() -> KernelNames {
        var names = utsname()
        guard unsafe uname(&names) == 0 else { return KernelNames() }
        return KernelNames(node: text(names.nodename), release: text(names.release), machine: text(names.machine))
    }

    private static func text<T>(_ field: T) -> String {
        unsafe withUnsafeBytes(of: field) { bytes in
            unsafe String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
        }
    }
}
