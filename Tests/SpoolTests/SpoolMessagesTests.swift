// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Foundation
import Glibc
import Spool
import SpoolSupport
import TestSupport
import Testing

/// Questions and answers as bytes, and a spool in a real folder.
@Suite("Spool in a disk worker")
final class SpoolMessagesTests {
    private static let lane = SpoolLane(name: "über/lane", isUrgent: true)
    private let folder = FileManager.default.temporaryDirectory.path + "/elkeid-spool-\(UUID())"
    private let service = SpoolService()

    deinit { try? FileManager.default.removeItem(atPath: folder) }

    private func question(_ request: SpoolRequest) -> [UInt8] {
        SpoolService.question(request, path: folder, segmentSize: 4096)
    }

    private func ask(_ request: SpoolRequest, _ service: SpoolService? = nil) throws -> SpoolAnswer {
        try #require(SpoolAnswer((service ?? self.service).answer(question(request))))
    }

    /// Seven batches; four of them fill a segment.
    private func batches() -> [SpoolBatch] {
        var line = BatchLine()
        return line.next(7, size: 700)
    }

    private static func place(_ sequence: UInt64) -> SpoolPosition {
        SpoolPosition(sequence: sequence, record: 1000 &+ sequence)
    }

    // MARK: Answers

    /// Only a spool makes pieces: an empty one gives this one, to be filled.
    private static func piece(_ batches: [SpoolBatch], next: UInt64) throws -> SpoolAnswer {
        var piece = try SpoolStore(disk: MemoryDisk()) { 0 }.read(lane, from: place(next), maximum: 0)
        piece.batches = batches
        return .piece(piece)
    }

    private func answers() throws -> [SpoolAnswer] {
        let contents = SpoolContents(
            lane: Self.lane,
            first: Self.place(3),
            end: Self.place(.max),
            bytes: .max,
            segments: 64,
            oldest: 1_700_000_000
        )
        let other = SpoolContents(
            lane: SpoolLane(name: "", isUrgent: false),
            first: .zero,
            end: Self.place(1),
            bytes: 0,
            segments: 0,
            oldest: .max
        )
        let large = SpoolBatch(position: Self.place(8), records: .max, payload: .pattern(70_000))
        return try [
            .opened([], asideBytes: 0, notes: []),
            .opened([contents, other], asideBytes: 1 << 40, notes: ["", "a note", "über"]),
            .appended(bytes: 0),
            .appended(bytes: .max),
            .synced,
            Self.piece([], next: 0),
            Self.piece(batches() + [large], next: .max),
            .advanced(bytes: 12_345),
            .dropped(first: Self.place(.max), bytes: 1),
            .failed(""),
            .failed("write /var/lib/elkeid/spool/a.cursor: No space left on device"),
        ]
    }

    @Test func answersComeBackAsTheyWere() throws {
        for answer in try answers() { #expect(SpoolAnswer(answer.encoded) == answer) }
    }

    /// A worker that dies may leave a part of its answer.
    @Test func aPartOfAnAnswerIsNoAnswer() throws {
        for answer in try answers() {
            let bytes = answer.encoded
            for count in bytes.indices where count < 300 || count > bytes.count - 300 {
                #expect(SpoolAnswer(Array(bytes.prefix(count))) == nil, "\(count) bytes of \(bytes.count)")
            }
        }
        for kind: UInt8 in [0, 8, 255] { #expect(SpoolAnswer([kind] + [UInt8](repeating: 0, count: 100)) == nil) }
    }

    @Test(arguments: 1...200 as ClosedRange<UInt64>)
    func anyBytesAreAnAnswerOrNone(seed: UInt64) throws {
        var random = SeededRandom(seed: seed)
        _ = SpoolAnswer([UInt8(random.int(0...8))] + random.bytes(random.int(0...200)))
        for answer in try answers() where answer.encoded.count < 10_000 && !answer.encoded.isEmpty {
            var bytes = answer.encoded
            for _ in 0..<random.int(1...4) { bytes[random.int(0...(bytes.count - 1))] = UInt8(random.int(0...255)) }
            // What can be read says the same when it is written again.
            if let read = SpoolAnswer(bytes) { #expect(SpoolAnswer(read.encoded) == read, "seed \(seed)") }
        }
    }

    // MARK: Questions

    @Test func aWholeLife() throws {
        let batches = self.batches()
        #expect(try ask(.open) == .opened([], asideBytes: 0, notes: []))
        let size = batches.reduce(2 * Bytes.headerSize) { $0 + $1.payload.count + SpoolBatch.overhead }
        #expect(try ask(.append(Self.lane, attempt: 0, batches)) == .appended(bytes: size))
        #expect(try ask(.append(Self.lane, attempt: 0, batches)) == .appended(bytes: size), "asked again")
        #expect(try ask(.sync) == .synced)

        guard case .piece(let piece) = try ask(.read(Self.lane, from: .zero, maximum: 1500)) else {
            throw Contradiction("no piece")
        }
        #expect(areSame(piece.batches, batches.prefix(2)) && piece.next == batches[2].position)
        #expect(try ask(.advance(Self.lane, to: batches[1].position, isFinal: false)) == .advanced(bytes: size))

        // A worker that takes this one's place.
        let next = SpoolService()
        guard case .opened(let contents, let asideBytes, let notes) = try ask(.open, next) else {
            throw Contradiction("it cannot be opened again")
        }
        #expect(asideBytes == 0 && notes.isEmpty)
        #expect(contents.map(\.lane) == [Self.lane] && contents.map(\.first) == [batches[1].position])
        #expect(contents.map(\.end) == [batches[6].end] && contents.map(\.bytes) == [size])
        #expect(contents.map(\.segments) == [2] && contents.allSatisfy { $0.oldest > 1_600_000_000 })

        let rest = Bytes.headerSize + 3 * (700 + SpoolBatch.overhead)
        #expect(try ask(.dropOldest(Self.lane), next) == .dropped(first: batches[4].position, bytes: rest))
        guard case .piece(let left) = try ask(.read(Self.lane, from: .zero, maximum: .max), next) else {
            throw Contradiction("no piece")
        }
        #expect(areSame(left.batches, batches.suffix(3)) && left.next == batches[6].end)
        #expect(try ask(.advance(Self.lane, to: batches[6].end, isFinal: true), next) == .advanced(bytes: 0))
        #expect(try FileManager.default.contentsOfDirectory(atPath: folder).isEmpty)
        #expect(try ask(.open, SpoolService()) == .opened([], asideBytes: 0, notes: []))
    }

    /// Somebody looks at the folder while the agent uses it.
    @Test func aLookFromOutside() throws {
        let batches = self.batches()
        _ = try ask(.append(Self.lane, attempt: 0, batches))
        _ = try ask(.advance(Self.lane, to: batches[2].position, isFinal: false))
        let store = try SpoolStore.inspecting(try FileDisk(path: folder, isReadOnly: true))
        #expect(try store.verify().isEmpty && store.notes.isEmpty && store.contents.map(\.lane) == [Self.lane])
        var found: [SpoolBatch] = []
        try store.forEachBatch(of: Self.lane) { found.append($0) }
        #expect(areSame(found, batches.dropFirst(2)))
    }

    /// What plugins say is nobody's business.
    @Test func onlyTheAgentCanReadIt() throws {
        _ = try ask(.append(Self.lane, attempt: 0, batches()))
        _ = try ask(.sync)
        let names = try FileManager.default.contentsOfDirectory(atPath: folder)
        #expect(names.count == 3, "\(names)")
        for path in names.map({ "\(folder)/\($0)" }) + [folder] {
            var status = stat()
            #expect(unsafe lstat(path, &status) == 0 && status.st_uid == geteuid())
            #expect(status.st_mode & 0o777 == (path == folder ? 0o700 : 0o600), "\(path)")
        }
    }

    @Test func aFolderThatCannotBeMadeIsAnAnswer() throws {
        let path = "/proc/self/no-such-folder/spool"
        let answer = service.answer(SpoolService.question(.open, path: path, segmentSize: 4096))
        guard case .failed(let reason) = try #require(SpoolAnswer(answer)) else { throw Contradiction("\(answer)") }
        #expect(reason.contains(path))
    }

    // MARK: Nonsense

    private var requests: [SpoolRequest] {
        [
            .open, .append(Self.lane, attempt: 7, batches()), .append(Self.lane, attempt: 0, []), .sync,
            .read(Self.lane, from: Self.place(3), maximum: 100),
            .advance(Self.lane, to: Self.place(1), isFinal: true), .dropOldest(Self.lane),
        ]
    }

    private func isFailure(_ question: [UInt8]) -> Bool {
        guard case .failed = SpoolAnswer(service.answer(question)) else { return false }
        return true
    }

    @Test func aPartOfAQuestionChangesNothing() {
        for request in requests {
            let bytes = question(request)
            for count in bytes.indices { #expect(isFailure(Array(bytes.prefix(count))), "\(request.kind), \(count)") }
            #expect(isFailure(bytes + [0]), "\(request.kind) and more")
        }
        #expect(!FileManager.default.fileExists(atPath: folder))
    }

    @Test func thereAreNoOtherQuestions() {
        let bytes = question(.sync)
        for kind in 0...255 as ClosedRange<UInt8> where kind != 1 && kind != 3 {
            #expect(isFailure(Array(bytes.dropLast()) + [kind]), "\(kind)")
        }
        // A count that no question can have.
        let empty = question(.append(Self.lane, attempt: 0, []))
        for count: [UInt8] in [[1, 0, 0, 0], [0, 0, 0, 1], [255, 255, 255, 255]] {
            #expect(isFailure(Array(empty.dropLast(4)) + count))
        }
    }

    /// Whatever else is in a question, it has an answer.
    @Test func everyQuestionHasAnAnswer() {
        var line = BatchLine()
        let small = line.next(2, size: 5)
        // Of the path, which stays: the test writes nowhere else.
        let start = 4 + folder.utf8.count
        for request in requests.filter({ $0.kind != .append }) + [.append(Self.lane, attempt: 7, small)] {
            try? FileManager.default.removeItem(atPath: folder)
            _ = SpoolService().answer(question(.append(Self.lane, attempt: 0, small)))
            let bytes = question(request)
            for offset in start..<bytes.count {
                for mask: UInt8 in [0xff, 1] {
                    var changed = bytes
                    changed[offset] ^= mask
                    #expect(SpoolAnswer(SpoolService().answer(changed)) != nil, "\(request.kind), byte \(offset)")
                }
            }
        }
    }

    /// In a process of its own, since a trap would end the others' tests.
    @Test func placesBeyondAllNumbersAreRefused() async {
        await #expect(processExitsWith: .success) {
            let folder = FileManager.default.temporaryDirectory.path + "/elkeid-spool-\(UUID())"
            let service = SpoolService()
            let lane = SpoolLane(name: "a", isUrgent: false)
            var refused = 0
            for (sequence, record) in [(.max, 0), (0, .max)] as [(UInt64, UInt64)] {
                let place = SpoolPosition(sequence: sequence, record: record)
                let batch = SpoolBatch(position: place, records: 1, payload: [1])
                let request = SpoolRequest.append(lane, attempt: 0, [batch])
                let question = SpoolService.question(request, path: folder, segmentSize: 4096)
                if case .failed = SpoolAnswer(service.answer(question)) { refused += 1 }
            }
            try? FileManager.default.removeItem(atPath: folder)
            exit(refused == 2 ? 0 : 1)
        }
    }
}
