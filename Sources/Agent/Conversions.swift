// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Compression
import Configuration
import ElkeidWire
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
