// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

public import DiskWorker
public import ElkeidWire
import JSON
public import Plugins
import Syscalls

/// The agent's end of the component store: questions to a worker process, done in order.
public struct StoreService {
    /// The name under which the worker knows it (`DiskWorker.serve`).
    public static let name = "components"

    private let worker: DiskWorker
    private let root: String

    /// - Parameter root: the folder that holds a folder for each component; absolute.
    public init(worker: DiskWorker, root: String) {
        self.worker = worker
        self.root = root
    }

    // MARK: Questions

    /// Finishes or undoes what a crash left half done, and tells what there is.
    ///
    /// - Parameter completion: gets what there is, and what could not be put in order.
    public func recover(_ completion: @escaping (Result<([FoundComponent], problems: [String]), StoreFailure>) -> Void)
    {
        ask("recover") { result in
            completion(
                result.flatMap { json in
                    Self.expect(json["found"]?.array?.map(Self.found)).map { ($0, json["problems"]?.strings ?? []) }
                }
            )
        }
    }

    /// Process groups that an agent which was killed has left behind.
    public func orphans(_ completion: @escaping (Result<[Orphan], StoreFailure>) -> Void) {
        ask("orphans") { completion($0.flatMap { Self.expect($0["orphans"]?.array?.compactMap(Orphan.init(json:))) }) }
    }

    public enum Preparation {
        case ready(Manifest, VerifiedProgram)
        case differs(String)
        case failed(String)
    }

    public func prepare(_ config: PluginConfig, _ completion: @escaping (Preparation) -> Void) {
        ask("prepare", ["config": config.json]) { result in
            switch result {
            case .failure(let failure): completion(.failed(failure.description))
            case .success(let json):
                if let reason = json["differs"]?.string { return completion(.differs(reason)) }
                guard let manifest = json["manifest"].flatMap(Manifest.init(json:)),
                    let program = json["program"].flatMap(VerifiedProgram.init(json:))
                else { return completion(.failed(Self.odd.description)) }
                completion(.ready(manifest, program))
            }
        }
    }

    public func swap(
        _ config: PluginConfig,
        _ completion: @escaping (Result<Component.SwapOutcome, StoreFailure>) -> Void
    ) {
        ask("swap", ["config": config.json]) { result in
            completion(
                result.flatMap { json in
                    Self.expect(json["manifest"].flatMap(Manifest.init(json:))).map {
                        Component.SwapOutcome(manifest: $0, hasPrevious: json["previous"]?.bool == true)
                    }
                }
            )
        }
    }

    public func rollBack(_ name: String, _ completion: @escaping (Result<Manifest, StoreFailure>) -> Void) {
        ask("rollback", ["name": .string(name)]) {
            completion($0.flatMap { Self.expect($0["manifest"].flatMap(Manifest.init(json:))) })
        }
    }

    public func prove(_ name: String, _ completion: @escaping (StoreFailure?) -> Void) {
        ask("prove", ["name": .string(name)]) { completion(Self.failure($0)) }
    }

    /// Forgets what an installation had begun.
    public func tidy(_ name: String, _ completion: @escaping (StoreFailure?) -> Void) {
        ask("tidy", ["name": .string(name)]) { completion(Self.failure($0)) }
    }

    public func remove(_ name: String, _ completion: @escaping (StoreFailure?) -> Void) {
        ask("remove", ["name": .string(name)]) { completion(Self.failure($0)) }
    }

    /// Removes a part of what is in the trash; the answer is whether there is more.
    public func sweep(_ completion: @escaping (Result<Bool, StoreFailure>) -> Void) {
        ask("sweep") { completion($0.map { $0["more"]?.bool == true }) }
    }

    private static let odd = StoreFailure("the worker's answer does not fit the question")
    private static func expect<R>(_ value: R?) -> Result<R, StoreFailure> {
        value.map { .success($0) } ?? .failure(odd)
    }
    private static func failure<R>(_ result: Result<R, StoreFailure>) -> StoreFailure? {
        if case .failure(let failure) = result { failure } else { nil }
    }

    private static func found(_ json: JSONValue) -> FoundComponent {
        FoundComponent(
            name: json["name"]?.string ?? "",
            hasFolder: json["folder"]?.bool == true,
            manifest: json["manifest"].flatMap(Manifest.init(json:)),
            hasPrevious: json["previous"]?.bool == true,
            isOnProbation: json["probation"]?.bool == true
        )
    }

    private func ask(
        _ operation: String,
        _ arguments: [String: JSONValue] = [:],
        _ completion: @escaping (Result<JSONValue, StoreFailure>) -> Void
    ) {
        var arguments = arguments
        arguments["operation"] = .string(operation)
        arguments["root"] = .string(root)
        worker.call(Self.name, JSONValue.object(arguments).encoded) { result in
            switch result {
            case .failure(let error): completion(.failure(StoreFailure("\(error)")))
            case .success(let bytes):
                guard let answer = try? JSONValue(parsing: bytes) else { return completion(.failure(Self.odd)) }
                if let failure = answer["failure"]?.string { return completion(.failure(StoreFailure(failure))) }
                completion(.success(answer))
            }
        }
    }

    // MARK: Answers

    /// The worker's end.
    public static func answer(_ question: [UInt8]) -> [UInt8] {
        let answer: JSONValue
        do throws(StoreFailure) {
            answer = .object(try perform(question))
        } catch {
            answer = .object(["failure": .string(error.description)])
        }
        return answer.encoded
    }

    private static func perform(_ question: [UInt8]) throws(StoreFailure) -> [String: JSONValue] {
        guard let json = try? JSONValue(parsing: question), let operation = json["operation"]?.string,
            let root = json["root"]?.string
        else { throw StoreFailure("a question that makes no sense") }
        let store = ComponentStore(root: root)
        return try store.locked { () throws(StoreFailure) in
            switch operation {
            case "recover":
                let outcome = try store.recover()
                return ["found": .array(outcome.found.map(description)), "problems": .strings(outcome.problems)]
            case "orphans": return ["orphans": .array(Orphan.find(root: root).map(\.json))]
            case "prepare":
                guard let config = json["config"].flatMap(PluginConfig.init(json:)) else { break }
                switch try store.prepare(config) {
                case .differs(let reason): return ["differs": .string(reason)]
                case .ready(let manifest, let program): return ["manifest": manifest.summary, "program": program.json]
                }
            case "swap":
                guard let config = json["config"].flatMap(PluginConfig.init(json:)) else { break }
                let outcome = try store.swap(config)
                return ["manifest": outcome.manifest.summary, "previous": .bool(outcome.hasPrevious)]
            case "sweep": return ["more": .bool(try store.sweep())]
            default: break
            }
            guard let name = json["name"]?.string, PluginConfig.isName(name) else {
                throw StoreFailure("\(operation) without a component's name")
            }
            switch operation {
            case "rollback": return ["manifest": try store.rollBack(name).summary]
            case "prove": try store.prove(name)
            case "tidy": try store.tidy(name)
            case "remove": try store.remove(name)
            default: throw StoreFailure("\(operation) is not known")
            }
            return [:]
        }
    }

    private static func description(_ found: FoundComponent) -> JSONValue {
        .object([
            "name": .string(found.name), "folder": .bool(found.hasFolder), "manifest": found.manifest?.summary ?? .null,
            "previous": .bool(found.hasPrevious), "probation": .bool(found.isOnProbation),
        ])
    }
}

extension Orphan {
    var json: JSONValue {
        .object([
            "name": .string(name), "group": .integer(Int64(group)),
            "members": .array(
                members.map { .array([.integer(Int64($0.pid)), .integer(Int64(bitPattern: $0.started))]) }
            ),
        ])
    }

    init?(json: JSONValue) {
        guard let name = json["name"]?.string, let group = json["group"]?.integer, group > 1,
            let members = json["members"]?.array
        else { return nil }
        self.init(
            name: name,
            group: Int32(truncatingIfNeeded: group),
            members: members.compactMap { member in
                guard let pair = member.array, pair.count == 2, let pid = pair[0].integer, let start = pair[1].integer
                else { return nil }
                return Member(pid: Int32(truncatingIfNeeded: pid), started: UInt64(bitPattern: start))
            }
        )
    }
}

extension VerifiedProgram {
    var json: JSONValue {
        .object([
            "device": .integer(Int64(bitPattern: file.device)), "inode": .integer(Int64(bitPattern: file.inode)),
            "size": .integer(Int64(bitPattern: file.size)), "modified": .integer(file.modified),
            "changed": .integer(file.changed),
        ])
    }

    init?(json: JSONValue) {
        guard let device = json["device"]?.integer, let inode = json["inode"]?.integer,
            let size = json["size"]?.integer, let modified = json["modified"]?.integer,
            let changed = json["changed"]?.integer
        else { return nil }
        let file = FileIdentity(
            device: UInt64(bitPattern: device),
            inode: UInt64(bitPattern: inode),
            size: UInt64(bitPattern: size),
            modified: modified,
            changed: changed
        )
        self.init(file: file)
    }
}
