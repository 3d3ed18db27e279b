// swift-tools-version: 6.2
// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import PackageDescription

// The sanitizers are not named here but on run.sh's command line: there they apply to the agent's modules as well, and
// without that the fuzzer would see nothing of them.

let strict: [SwiftSetting] = [
    .strictMemorySafety(),
    .treatWarning("StrictMemorySafety", as: .error),
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .enableExperimentalFeature("Lifetimes"),
]

/// A fuzz target, and the modules of the agent that it calls.
func fuzzer(_ name: String, _ modules: [String]) -> Target {
    .executableTarget(
        name: name,
        dependencies: ["FuzzSupport"] + modules.map { .product(name: $0, package: "elkeid-agent") },
        swiftSettings: strict
    )
}

let package = Package(
    name: "Fuzz",
    dependencies: [.package(name: "elkeid-agent", path: "../..")],
    targets: [
        .target(name: "CLibFuzzer"),
        .target(name: "FuzzSupport", dependencies: ["CLibFuzzer"], swiftSettings: strict),
        fuzzer("FuzzConfiguration", ["Configuration"]),
        fuzzer("FuzzDecompress", ["Compression"]),
        fuzzer("FuzzFrames", ["Buffers", "ElkeidWire"]),
        fuzzer("FuzzGRPC", ["Buffers", "Compression", "GRPC", "HTTP2"]),
        fuzzer("FuzzHTTP2", ["Buffers", "HTTP2"]),
        fuzzer("FuzzMessages", ["ElkeidWire", "JSON"]),
    ],
    swiftLanguageModes: [.v6]
)
