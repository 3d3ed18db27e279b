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

/// A module of the agent: strict settings, and no dependency that is not named here.
func module(_ name: String, _ dependencies: [Target.Dependency]) -> Target {
    .target(name: name, dependencies: dependencies, swiftSettings: strict)
}

func tests(_ name: String, _ dependencies: [Target.Dependency], exclude: [String] = []) -> Target {
    .testTarget(name: name, dependencies: dependencies, exclude: exclude, swiftSettings: strict)
}

let package = Package(
    name: "elkeid-agent",
    products: [],
    dependencies: [
        .package(url: "https://github.com/apple/swift-log", from: "1.16.2")
    ],
    targets: [
        .target(name: "CLinux"),
        .systemLibrary(name: "COpenSSL", pkgConfig: "openssl", providers: [.apt(["libssl-dev"])]),
        .systemLibrary(name: "CNGHTTP2", pkgConfig: "libnghttp2", providers: [.apt(["libnghttp2-dev"])]),
        module("Syscalls", ["CLinux"]),
        module("Buffers", []),
        module("ElkeidWire", ["Buffers"]),
        module("HTTP2", ["CNGHTTP2", "Buffers"]),
        module("Delivery", ["ElkeidWire", "Buffers"]),
        module("Net", ["Syscalls", "Buffers", "Reactor", "TLS"]),
        module("Transport", ["Buffers", "HTTP2", "Net", "Reactor", "Syscalls", "TLS"]),
        module("TLS", ["COpenSSL"]),
        module("Reactor", ["Syscalls", "CLinux"]),
    ],
    swiftLanguageModes: [.v6]
)
