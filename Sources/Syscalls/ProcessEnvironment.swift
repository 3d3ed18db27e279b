// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Glibc

/// This process's environment (environ(7)), "NAME=value" each.
public func processEnvironment() -> [String] {
    var result: [String] = []
    var entry = unsafe environ
    while let text = unsafe entry.pointee {
        unsafe result.append(String(cString: text))
        unsafe entry += 1
    }
    return result
}

/// By name; the last of several.
public func environmentVariables(_ entries: [String]) -> [String: String] {
    var values: [String: String] = [:]
    for entry in entries {
        guard let equals = entry.firstIndex(of: "=") else { continue }
        values[String(entry[..<equals])] = String(entry[entry.index(after: equals)...])
    }
    return values
}
