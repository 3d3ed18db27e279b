// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import ElkeidPlugin
import Glibc

/// What a record of 30 fields costs: `plugin-bench RECORDS` sends them through a pipe that a thread empties as fast as
/// it can, and prints one line of JSON.
@main
enum PluginBenchmark {
    private static let fieldCount = 30

    private struct Field {
        var key: String
        var text: String
        /// Sent instead of the text if there is one.
        var number: Int?
    }

    static func main() {
        guard CommandLine.arguments.count == 2, let records = Int(CommandLine.arguments[1]), records > 0 else {
            fail("usage: plugin-bench RECORDS")
        }
        do throws(PluginError) {
            print(try measure(records))
        } catch {
            fail("\(error)")
        }
    }

    private static func measure(_ records: Int) throws(PluginError) -> String {
        let taskPipe = makePipe()
        let recordPipe = makePipe()
        let reader = startReader(recordPipe.reader)
        var options = PluginOptions()
        options.handlesTerminationSignal = false
        let client = try PluginClient(
            descriptors: PluginDescriptors(tasks: taskPipe.reader, records: recordPipe.writer),
            options: options
        )
        let fields = makeFields()
        let wallStart = nanoseconds(CLOCK_MONOTONIC)
        let cpuStart = nanoseconds(CLOCK_THREAD_CPUTIME_ID)
        for _ in 0..<records {
            try client.send(dataType: 7001, timestamp: 1_700_000_000) { (record) in
                let fields = fields.span
                for index in fields.indices {
                    if let number = fields[index].number {
                        record.add(fields[index].key, number)
                    } else {
                        record.add(fields[index].key, fields[index].text)
                    }
                }
            }
        }
        try client.flush()
        let cpu = nanoseconds(CLOCK_THREAD_CPUTIME_ID) - cpuStart
        let wall = nanoseconds(CLOCK_MONOTONIC) - wallStart
        client.close()
        var result: UnsafeMutableRawPointer?
        unsafe pthread_join(reader, &result)
        let bytes = Int(bitPattern: result)
        return "{\"library\":\"swift\",\"records\":\(records),\"seconds\":\(Double(wall) / 1e9)"
            + ",\"ns_per_record\":\(tenths(wall, records)),\"bytes_per_record\":\(tenths(bytes, records))"
            + ",\"cpu_ns_per_record\":\(tenths(cpu, records))}"
    }

    /// The same table in all languages.
    private static func makeFields() -> [Field] {
        (0..<fieldCount).map { (index) in
            Field(
                key: "field_\(index)",
                text: "value" + String(repeating: "v", count: index * 7 % 36),
                number: index % 6 == 0 ? index * 1_234_567 : nil
            )
        }
    }

    /// Reads to the end; its result is how many bytes there were.
    private static func startReader(_ descriptor: CInt) -> pthread_t {
        var thread = pthread_t()
        let status = unsafe pthread_create(
            &thread,
            nil,
            { (context) in
                let descriptor = CInt(truncatingIfNeeded: Int(bitPattern: context))
                var buffer = [UInt8](repeating: 0, count: 1 << 20)
                var total = 0
                while true {
                    let count = unsafe buffer.withUnsafeMutableBytes { (room) in
                        unsafe read(descriptor, room.baseAddress, room.count)
                    }
                    guard count > 0 else { return unsafe UnsafeMutableRawPointer(bitPattern: total) }
                    total += count
                }
            },
            UnsafeMutableRawPointer(bitPattern: Int(descriptor))
        )
        guard status == 0 else { fail("pthread_create failed with errno \(status)") }
        return thread
    }

    private static func makePipe() -> (reader: CInt, writer: CInt) {
        var ends: [CInt] = [-1, -1]
        guard unsafe pipe(&ends) == 0 else { fail("pipe failed with errno \(errno)") }
        return (ends[0], ends[1])
    }

    private static func nanoseconds(_ clock: clockid_t) -> Int {
        var time = timespec()
        unsafe clock_gettime(clock, &time)
        return time.tv_sec * 1_000_000_000 + time.tv_nsec
    }

    private static func tenths(_ total: Int, _ records: Int) -> Double {
        (Double(total) / Double(records) * 10).rounded() / 10
    }

    private static func fail(_ message: String) -> Never {
        let line = Array("plugin-bench: \(message)\n".utf8)
        _ = unsafe line.withUnsafeBytes { unsafe write(STDERR_FILENO, $0.baseAddress, $0.count) }
        exit(1)
    }
}
