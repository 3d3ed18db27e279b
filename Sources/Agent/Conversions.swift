// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Compression
import Configuration
import ElkeidWire
import Glibc
import Reactor

extension TimeSpan {
    init(_ duration: Duration) {
        let (seconds, attoseconds) = duration.components
        let whole = TimeSpan.seconds(seconds)
        let (sum, overflow) = whole.nanoseconds.addingReportingOverflow(attoseconds / 1_000_000_000)
        self.init(nanoseconds: overflow ? .max : sum)
    }
}

func coding(_ compression: Configuration.Compression) -> ContentCoding {
    switch compression {
    case .none: .identity
    case .snappy: .snappy
    case .gzip: .gzip
    case .zstd: .zstd
    }
}

/// "NAME=value" of this process.
func processEnvironment() -> [String] {
    var result: [String] = []
    var entry = unsafe environ
    while let text = unsafe entry.pointee {
        unsafe result.append(String(cString: text))
        unsafe entry += 1
    }
    return result
}
