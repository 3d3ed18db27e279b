// swift-tools-version: 6.2
// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import PackageDescription

let strict: [SwiftSetting] = [
    .strictMemorySafety(),
    .treatWarning("StrictMemorySafety", as: .error),
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .enableExperimentalFeature("Lifetimes"),
]

/// The version that the binaries report; build.sh checks its form.
let buildVersion = Context.environment["BUILD_VERSION"].flatMap { $0.isEmpty ? nil : $0 } ?? "1.0.0.0"

/// A module of the agent: strict settings, and no dependency that is not named here.
func module(_ name: String, _ dependencies: [Target.Dependency], _ linker: [LinkerSetting]? = nil) -> Target {
    .target(name: name, dependencies: dependencies, swiftSettings: strict, linkerSettings: linker)
}

func program(_ name: String, _ dependencies: [Target.Dependency]) -> Target {
    .executableTarget(name: name, dependencies: dependencies, swiftSettings: strict)
}

func tests(_ name: String, _ dependencies: [Target.Dependency], exclude: [String] = []) -> Target {
    .testTarget(name: name, dependencies: dependencies, exclude: exclude, swiftSettings: strict)
}

let histogram = Target.Dependency.product(name: "Histogram", package: "hdrhistogram-swift")
let logging = Target.Dependency.product(name: "Logging", package: "swift-log")

let systemLibraries: [Target] = [
    .systemLibrary(name: "COpenSSL", pkgConfig: "openssl", providers: [.apt(["libssl-dev"]), .yum(["openssl-devel"])]),
    .systemLibrary(
        name: "CNGHTTP2",
        pkgConfig: "libnghttp2",
        providers: [.apt(["libnghttp2-dev"]), .yum(["libnghttp2-devel"])]
    ),
    .systemLibrary(name: "CAres", pkgConfig: "libcares", providers: [.apt(["libc-ares-dev"]), .yum(["c-ares-devel"])]),
    .systemLibrary(
        name: "CJansson",
        pkgConfig: "jansson",
        providers: [.apt(["libjansson-dev"]), .yum(["jansson-devel"])]
    ),
    .systemLibrary(
        name: "CArchive",
        pkgConfig: "libarchive",
        providers: [.apt(["libarchive-dev"]), .yum(["libarchive-devel"])]
    ),
    .systemLibrary(name: "CZlib", providers: [.apt(["zlib1g-dev"]), .yum(["zlib-devel"])]),
    .systemLibrary(name: "CZstd", providers: [.apt(["libzstd-dev"]), .yum(["libzstd-devel"])]),
    .systemLibrary(name: "CSnappy", providers: [.apt(["libsnappy-dev"]), .yum(["snappy-devel"])]),
]

let modules: [Target] = [
    .target(name: "CLinux"),
    .target(name: "CBuildInfo", cSettings: [.define("ELKEID_BUILD_VERSION", to: "\"\(buildVersion)\"")]),
    module("Configuration", ["Syscalls"]),
    module("Syscalls", ["CLinux"]),
    module("Buffers", []),
    module("Reactor", ["Syscalls", "CLinux"]),
    module("ElkeidWire", ["Buffers"]),
    module("Compression", ["CZlib", "CZstd", "CSnappy"], [.linkedLibrary("stdc++")]),
    module("TLS", ["COpenSSL"]),
    module("HTTP2", ["CNGHTTP2", "Buffers"]),
    module("GRPC", ["Buffers", "Compression", "HTTP2"]),
    module("HTTP1", []),
    module("JSON", ["CJansson"]),
    module("Net", ["CAres", "HTTP1", "Syscalls", "Buffers", "Reactor", "TLS"]),
    module("DiskWorker", ["CLinux", "CZlib", "Reactor", "Syscalls", logging]),
    module("Cgroups", ["Syscalls"]),
    module("Console", []),
    module("Control", ["JSON", "Reactor", "Syscalls"]),
    module("Upgrade", ["Cgroups", "Control", "JSON", "Syscalls"]),
    module("Spool", ["Compression", "Syscalls"]),
    module("Delivery", ["ElkeidWire", "Buffers", "Reactor", "Spool"]),
    module(
        "Plugins",
        ["Buffers", "CLinux", "Cgroups", "Delivery", "ElkeidWire", "Reactor", "Syscalls", logging]
    ),
    module(
        "Transport",
        [
            "Buffers", "Compression", "Delivery", "ElkeidWire", "GRPC", "HTTP1", "HTTP2", "JSON", "Net", "Reactor",
            "Syscalls", "TLS", logging,
        ]
    ),
]

let agent: [Target] = [
    module("Host", ["Syscalls"]),
    module(
        "Components",
        [
            "Buffers", "CArchive", "CLinux", "DiskWorker", "ElkeidWire", "HTTP1", "JSON", "Net", "Plugins", "Reactor",
            "Syscalls", "TLS", "Upgrade", logging,
        ]
    ),
    module(
        "Agent",
        [
            "Buffers", "CLinux", "Cgroups", "Components", "Compression", "Configuration", "Control", "Delivery",
            "DiskWorker",
            "ElkeidWire", "HTTP1", "Host", "JSON", "Net", "Plugins", "Reactor", "Spool", "Syscalls", "TLS", "Transport",
            "Upgrade", logging,
        ]
    ),
    module(
        "ControlTool",
        [
            "Buffers", "CArchive", "CLinux", "Cgroups", "Compression", "Configuration", "Console", "Control",
            "Delivery",
            "ElkeidWire",
            "GRPC", "HTTP1", "HTTP2", "Host",
            "JSON", "Net", "Reactor", "Syscalls", "TLS", "Transport", logging,
        ]
    ),
    program("elkeid-agent", ["Agent", "CBuildInfo", "ControlTool"]),
]

let plugin: [Target] = [
    module("ElkeidPlugin", []),
    module("ProcessCollector", ["ElkeidPlugin"]),
    program("process-collector", ["ElkeidPlugin", "ProcessCollector"]),
    // The example for authors of plugins, in each language the same.
    .executableTarget(
        name: "LoadAverage",
        dependencies: ["ElkeidPlugin"],
        path: "Sources/PluginLibraries/swift/example",
        swiftSettings: strict
    ),
    .executableTarget(
        name: "plugin-bench",
        dependencies: ["ElkeidPlugin"],
        path: "Sources/PluginLibraries/swift/bench",
        swiftSettings: strict
    ),
]

let developmentCenter: [Target] = [
    module("Conformance", ["CLinux", "Console", "ElkeidWire", "JSON", "Reactor", "Syscalls"]),
    module(
        "DevelopmentCenter",
        [
            "Buffers", "CLinux", "COpenSSL", "Compression", "Conformance", "Console", "ElkeidWire", "GRPC", "HTTP2",
            "JSON", "Net",
            "Reactor", "Syscalls", "TLS", "Transport",
        ]
    ),
    program("elkeid-devcenter", ["DevelopmentCenter", "CBuildInfo"]),
]

let benchmarks: [Target] = [
    .target(
        name: "ReconnectStorm",
        dependencies: ["Configuration", "Reactor", "Transport"],
        path: "Benchmarks/ReconnectStorm",
        swiftSettings: strict
    ),
    .target(name: "BenchmarkReport", dependencies: ["JSON"], path: "Benchmarks/Report", swiftSettings: strict),
    .executableTarget(name: "floor", dependencies: ["COpenSSL"], path: "Benchmarks/Floor"),
    .executableTarget(name: "load-generator", path: "Benchmarks/LoadGenerator"),
    .executableTarget(
        name: "Benchmarks",
        dependencies: [
            "BenchmarkReport", "Buffers", "CAllocationCounter", "Compression", "Delivery", "DevelopmentCenter",
            "ElkeidWire", "GRPC", "HTTP2",
            "JSON", "Net", "Reactor", "ReconnectStorm", "Spool", "Syscalls", "TLS", "Transport", histogram,
        ],
        path: "Benchmarks/Benchmarks",
        swiftSettings: strict
    ),
]

let testTargets: [Target] = [
    tests(
        "DevelopmentCenterTests",
        [
            "Buffers", "Compression", "Conformance", "DevelopmentCenter", "ElkeidWire", "GRPC", "HTTP2", "Net",
            "Reactor",
            "Syscalls", "TLS", "Transport",
        ]
    ),
    .executableTarget(name: "conformance-subject", path: "Tests/ConformanceSubject"),
    tests("ConformanceTests", ["Conformance", "ElkeidWire", "JSON", "Reactor"]),
    .target(name: "CSanitizerOptions", path: "Tests/CSanitizerOptions"),
    tests("HostTests", ["Host", "TestSupport"]),
    tests("UpgradeTests", ["JSON", "Upgrade"]),
    tests("IntegrationTests", ["Conformance", "Host", "Spool", "TestSupport"]),
    tests("ElkeidPluginTests", ["CAllocationCounter", "ElkeidPlugin"]),
    .executableTarget(
        name: "plugin-probe",
        dependencies: ["ElkeidPlugin"],
        path: "Tests/PluginLibraries/swift",
        swiftSettings: strict
    ),
    tests("ProcessCollectorTests", ["ElkeidPlugin", "ProcessCollector"]),
    tests("ConfigurationTests", ["Configuration", "CSanitizerOptions", "Syscalls"]),
    tests("ControlTests", ["Control", "JSON", "Reactor", "Syscalls", "TestSupport"]),
    tests("CgroupsTests", ["Cgroups", "Syscalls", "TestSupport"]),
    tests("ConsoleTests", ["Console"]),
    tests("CompressionTests", ["Compression"]),
    .target(name: "CAllocationCounter", path: "Tests/CAllocationCounter"),
    .target(
        name: "TestSupport",
        dependencies: ["CLinux", "Syscalls"],
        path: "Tests/TestSupport",
        swiftSettings: strict
    ),
    tests(
        "PluginsTests",
        ["Buffers", "Cgroups", "Delivery", "ElkeidWire", "Plugins", "Reactor", "Spool", "Syscalls", "TestSupport"]
    ),
    tests("ComponentsTests", ["Components", "ElkeidWire", "HTTP1", "JSON", "Reactor", "TestSupport"]),
    tests("SyscallsTests", ["CLinux", "Syscalls", "TestSupport"]),
    tests("BuffersTests", ["Buffers", "TestSupport"]),
    tests("ReactorTests", ["CLinux", "Reactor", "Syscalls", "TestSupport"]),
    tests(
        "ElkeidWireTests",
        ["Buffers", "CAllocationCounter", "ElkeidWire", "TestSupport"],
        exclude: ["grpc.proto"]
    ),
    tests("TLSTests", ["COpenSSL", "TLS", "TestSupport"]),
    tests("HTTP2Tests", ["Buffers", "HTTP2", "TestSupport"]),
    .target(
        name: "SpoolSupport",
        dependencies: ["Spool", "Syscalls", "TestSupport"],
        path: "Tests/SpoolSupport",
        swiftSettings: strict
    ),
    tests("SpoolTests", ["Spool", "SpoolSupport", "Syscalls", "TestSupport"]),
    tests(
        "DeliveryTests",
        ["Buffers", "Delivery", "ElkeidWire", "Reactor", "Spool", "SpoolSupport", "TestSupport"]
    ),
    tests(
        "ScheduleTests",
        ["Buffers", "Delivery", "ElkeidWire", "Reactor", "Spool", "SpoolSupport", "Syscalls", "TestSupport"]
    ),
    tests(
        "TransportTests",
        ["Buffers", "Compression", "GRPC", "HTTP1", "HTTP2", "Reactor", "TestSupport", "Transport"]
    ),
    tests("BenchmarkReportTests", ["BenchmarkReport", "JSON"]),
    tests("ReconnectStormTests", ["Reactor", "ReconnectStorm"]),
    tests("HTTP1Tests", ["HTTP1"]),
    tests("JSONTests", ["JSON"]),
    tests("DiskWorkerTests", ["DiskWorker", "Reactor", "Syscalls", "TestSupport", "elkeid-agent", logging]),
    tests("NetTests", ["Net", "Reactor", "Syscalls", "TLS", "TestSupport"]),
]

/// What the fuzzers and other packages build on.
let libraries = ["Buffers", "Compression", "Configuration", "ElkeidPlugin", "ElkeidWire", "GRPC", "HTTP2", "JSON"]

let package = Package(
    name: "elkeid-agent",
    products: libraries.map { .library(name: $0, targets: [$0]) } + [
        .executable(name: "loadavg", targets: ["LoadAverage"])
    ],
    dependencies: [
        .package(url: "https://github.com/HdrHistogram/hdrhistogram-swift", from: "0.2.0"),
        .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
    ],
    targets: systemLibraries + modules + agent + developmentCenter + plugin + benchmarks + testTargets,
    swiftLanguageModes: [.v6]
)
