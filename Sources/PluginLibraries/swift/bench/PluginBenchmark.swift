// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import ElkeidPlugin
import Glibc

/// What a record of 30 fields costs: `plugin-bench RECORDS` sends them through a pipe that a thread empties as fast as
/// it can, and prints one line of JSON.
@main
enum PluginBenchmark {
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
        let fields = Fields()
        let wallStart = nanoseconds(CLOCK_MONOTONIC)
        let cpuStart = nanoseconds(CLOCK_THREAD_CPUTIME_ID)
        for _ in 0..<records {
            try client.send(dataType: 7001, timestamp: 1_700_000_000) { (record) in fields.add(to: &record) }
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

/// The same table in all languages: numbers, and texts of 1 or 8 characters. Names are literals, as in any plugin.
private struct Fields {
    let text1 = String(repeating: "v", count: 8)
    let text2 = String(repeating: "v", count: 1)
    let text3 = String(repeating: "v", count: 8)
    let text4 = String(repeating: "v", count: 1)
    let text5 = String(repeating: "v", count: 8)
    let text7 = String(repeating: "v", count: 8)
    let text8 = String(repeating: "v", count: 1)
    let text9 = String(repeating: "v", count: 8)
    let text10 = String(repeating: "v", count: 1)
    let text11 = String(repeating: "v", count: 8)
    let text13 = String(repeating: "v", count: 8)
    let text14 = String(repeating: "v", count: 1)
    let text15 = String(repeating: "v", count: 8)
    let text16 = String(repeating: "v", count: 1)
    let text17 = String(repeating: "v", count: 8)
    let text19 = String(repeating: "v", count: 8)
    let text20 = String(repeating: "v", count: 1)
    let text21 = String(repeating: "v", count: 8)
    let text22 = String(repeating: "v", count: 1)
    let text23 = String(repeating: "v", count: 8)
    let text25 = String(repeating: "v", count: 8)
    let text26 = String(repeating: "v", count: 1)
    let text27 = String(repeating: "v", count: 8)
    let text28 = String(repeating: "v", count: 1)
    let text29 = String(repeating: "v", count: 8)
    let factor = 1_234_567

    func add(to record: inout FieldWriter) {
        record.add("field_0", 0 * factor)
        record.add("field_1", text1)
        record.add("field_2", text2)
        record.add("field_3", text3)
        record.add("field_4", text4)
        record.add("field_5", text5)
        record.add("field_6", 6 * factor)
        record.add("field_7", text7)
        record.add("field_8", text8)
        record.add("field_9", text9)
        record.add("field_10", text10)
        record.add("field_11", text11)
        record.add("field_12", 12 * factor)
        record.add("field_13", text13)
        record.add("field_14", text14)
        record.add("field_15", text15)
        record.add("field_16", text16)
        record.add("field_17", text17)
        record.add("field_18", 18 * factor)
        record.add("field_19", text19)
        record.add("field_20", text20)
        record.add("field_21", text21)
        record.add("field_22", text22)
        record.add("field_23", text23)
        record.add("field_24", 24 * factor)
        record.add("field_25", text25)
        record.add("field_26", text26)
        record.add("field_27", text27)
        record.add("field_28", text28)
        record.add("field_29", text29)
    }
}
