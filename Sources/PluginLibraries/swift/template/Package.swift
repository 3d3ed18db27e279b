// swift-tools-version: 6.2
// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import PackageDescription

/// Every use of unsafe memory must be marked "unsafe", in the library and in the plugin.
let strict: [SwiftSetting] = [
    .strictMemorySafety(),
    .treatWarning("StrictMemorySafety", as: .error),
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .enableExperimentalFeature("Lifetimes"),
]

let package = Package(
    name: "PLUGIN_NAME",
    targets: [
        .target(name: "ElkeidPlugin", swiftSettings: strict),
        .executableTarget(name: "PLUGIN_NAME", dependencies: ["ElkeidPlugin"], swiftSettings: strict),
    ],
    swiftLanguageModes: [.v6]
)
