// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import ElkeidWire
import Testing

@Suite("Messages from arbitrary bytes")
struct MessageArbitraryBytesTests {
    /// A cut between two fields leaves a shorter message, any other cut an error.
    @Test func truncationAtEachByte() throws {
        let whole = Samples.commands[3]
        let configs = whole.configs
        let parts =
            [Command(), Command(agentControl: 1), Command(agentControl: 1, task: whole.task)]
            + (1...configs.count).map {
                Command(agentControl: 1, task: whole.task, configs: [PluginConfig](configs[..<$0]))
            }
        let byLength = Dictionary(uniqueKeysWithValues: parts.map { ($0.encodedSize, $0) })
        let bytes = whole.encoded()
        for length in 0...bytes.count {
            let cut = [UInt8](bytes[..<length])
            if let part = byLength[length] {
                #expect(try Command(decoding: cut) == part)
            } else {
                // Where the cut value begins is after the last whole field; a tag here is one byte.
                let fieldStart = try #require(byLength.keys.filter { $0 < length }.max())
                #expect(throws: WireError.truncated(at: fieldStart + 1)) { try Command(decoding: cut) }
            }
        }
    }

    @Test func truncatedRecordsAndHeaders() throws {
        var writer = WireWriter()
        Samples.headers[1].encode(into: &writer)
        for record in Samples.records { writer.message(1, record) }
        let bytes = writer.bytes
        var whole = 0
        for length in 0...bytes.count {
            do throws(WireError) {
                let message = try PackagedData(decoding: [UInt8](bytes[..<length]))
                #expect(message.records.allSatisfy { $0.encoded.upperBound <= length })
                whole += 1
            } catch {
                guard case .truncated = error else {
                    Issue.record("cut at \(length): \(error)")
                    continue
                }
            }
        }
        // Nothing, and after each of the 11 header fields and 6 records.
        #expect(whole == 1 + 11 + Samples.records.count)
    }

    /// Decoding either fails at an offset within the input, or gives a message that survives being encoded again.
    func check<Message: TextMessage>(_ type: Message.Type, _ bytes: [UInt8]) -> Bool {
        do throws(WireError) {
            let message = try Message(decoding: bytes)
            let encoded = message.encoded()
            #expect(message.encodedSize == encoded.count, "\(bytes)")
            #expect(try Message(decoding: encoded) == message, "\(bytes)")
            return true
        } catch {
            #expect((0...bytes.count).contains(error.offset), "\(error) in \(bytes)")
            return false
        }
    }

    /// How many of the seven decoders accepted the bytes.
    func checkAll(_ bytes: [UInt8]) -> Int {
        var accepted = 0
        if check(Command.self, bytes) { accepted += 1 }
        if check(PluginTask.self, bytes) { accepted += 1 }
        if check(PluginConfig.self, bytes) { accepted += 1 }
        if check(FileUploadRequest.self, bytes) { accepted += 1 }
        if check(FileUploadResponse.self, bytes) { accepted += 1 }
        if check(Record.self, bytes) { accepted += 1 }
        if check(PackagedDataHeader.self, bytes) { accepted += 1 }
        if let message = try? PackagedData(decoding: bytes) {
            for record in message.records {
                #expect(record.encoded.upperBound <= bytes.count)
                #expect(record.data.isEmpty || record.encoded.contains(record.data.lowerBound))
                #expect(record.data.upperBound <= record.encoded.upperBound)
            }
        }
        return accepted
    }

    @Test(arguments: 1...8) func randomBytes(_ seed: UInt64) {
        var random = SeededGenerator(state: seed)
        var accepted = 0
        for _ in 0..<1000 {
            // Small values make plausible tags and lengths.
            let largest: UInt8 = Bool.random(using: &random) ? 255 : 63
            let count = Int.random(in: 0...40, using: &random)
            accepted += checkAll((0..<count).map { _ in UInt8.random(in: 0...largest, using: &random) })
        }
        #expect(accepted > 0 && accepted < 7000)
    }

    @Test(arguments: 1...8) func mutatedMessages(_ seed: UInt64) {
        var random = SeededGenerator(state: seed)
        let samples = [
            Samples.commands[3].encoded(), Samples.tasks[1].encoded(), Samples.configs[1].encoded(),
            Samples.requests[1].encoded(), Samples.records[1].encoded(), Samples.headers[1].encoded(),
        ]
        var accepted = 0
        for _ in 0..<500 {
            var bytes = samples.randomElement(using: &random) ?? []
            for _ in 0..<Int.random(in: 1...4, using: &random) where !bytes.isEmpty {
                let position = Int.random(in: 0..<bytes.count, using: &random)
                switch Int.random(in: 0..<4, using: &random) {
                case 0: bytes[position] ^= 1 << UInt8.random(in: 0...7, using: &random)
                case 1: bytes[position] = UInt8.random(in: 0...255, using: &random)
                case 2: bytes.remove(at: position)
                default: bytes.insert(UInt8.random(in: 0...255, using: &random), at: position)
                }
            }
            accepted += checkAll(bytes)
        }
        #expect(accepted > 0 && accepted < 3500)
    }
}

extension WireError {
    var offset: Int {
        switch self {
        case .truncated(let at), .varintTooLong(let at), .fieldNumber(let at), .wireType(let at),
            .unbalancedGroup(let at), .depth(let at), .utf8(let at):
            at
        }
    }
}
