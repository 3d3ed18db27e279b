// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Glibc
import Reactor
import Spool

/// A large backlog on the disk: what it takes to write it, to open it, and to read it.
struct SpoolBenchmark {
    private var size = 1 << 30
    private var path = "/tmp"
    private static let batch = 256 << 10
    private static let lanes = 4

    init(options: [String] = []) {
        var rest = options[...]
        while let option = rest.popFirst() {
            guard let value = rest.popFirst() else { refuse("\(option) needs a value") }
            switch option {
            case "--mebibytes":
                guard let count = Int(value), (16...65536).contains(count) else {
                    refuse("--mebibytes takes a number from 16 to 65536, not \"\(value)\"")
                }
                size = count << 20
            case "--folder": path = value
            default: refuse("spool has no option \"\(option)\"")
            }
        }
    }

    func run() {
        let folder = "\(path)/elkeid-spool-\(getpid())"
        defer { _ = unsafe system("rm -rf '\(folder)'") }
        do throws(SpoolError) {
            try measure(folder)
        } catch {
            refuse("\(error)")
        }
    }

    private func measure(_ folder: String) throws(SpoolError) {
        let lanes = (0..<Self.lanes).map { SpoolLane(name: "lane \($0)", isUrgent: false) }
        let writing = try timed { () throws(SpoolError) in try write(folder, lanes) }
        let before = residentKilobytes()
        var store: SpoolStore?
        let opening = try timed { () throws(SpoolError) in
            store = try SpoolStore(disk: try FileDisk(path: folder)) { UInt64(time(nil)) }
        }
        let growth = peakKilobytes(since: before)
        guard let store else { return }
        let contents = store.contents
        let reading = try timed { () throws(SpoolError) in
            for lane in contents {
                var place = lane.first
                while place < lane.end { place = try store.read(lane.lane, from: place, maximum: 512 << 10).next }
            }
        }
        let mebibytes = Double(size >> 20)
        print("spool: \(size >> 20) MiB in \(contents.reduce(0) { $0 + $1.segments }) files of \(lanes.count) lanes")
        print("  written and synced:  \(format(mebibytes / writing)) MiB/s")
        print("  opened:              \(format(opening)) s, \(growth) KiB of memory")
        print("  read and checked:    \(format(mebibytes / reading)) MiB/s")
    }

    private func write(_ folder: String, _ lanes: [SpoolLane]) throws(SpoolError) {
        let store = try SpoolStore(disk: try FileDisk(path: folder)) { UInt64(time(nil)) }
        let payload = [UInt8](repeating: 0x5a, count: Self.batch)
        for index in 0..<(size / Self.batch) {
            let number = UInt64(index / lanes.count)
            let position = SpoolPosition(sequence: number, record: number * 1000)
            let batch = SpoolBatch(position: position, records: 1000, payload: payload)
            _ = try store.append([batch], to: lanes[index % lanes.count], attempt: 0)
        }
        try store.sync()
    }

    /// Seconds.
    private func timed(_ body: () throws(SpoolError) -> Void) throws(SpoolError) -> Double {
        let began = MonotonicTime.now()
        try body()
        return (MonotonicTime.now() - began).seconds
    }

    private func residentKilobytes() -> Int {
        // The peak is counted anew from here: proc(5), clear_refs.
        if let file = unsafe fopen("/proc/self/clear_refs", "w") {
            unsafe fputs("5", file)
            unsafe fclose(file)
        }
        return own.resident.now
    }

    private func peakKilobytes(since before: Int) -> Int { max(0, own.resident.peak - before) }

    private var own: ProcessFigures { ProcessFigures(pid: getpid()) }
}

/// With three digits behind the point.
func format(_ value: Double) -> String {
    let thousandths = Int((value * 1000).rounded())
    let fraction = "\(thousandths % 1000)"
    return "\(thousandths / 1000)." + String(repeating: "0", count: 3 - fraction.count) + fraction
}
