// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import DevelopmentCenter
import Foundation
import Reactor
import Syscalls
import Testing

/// Sends bytes and collects what comes back until the server closes.
private final class RawClient: ReadinessHandler {
    private var pending: [UInt8]
    private var source: Source?
    var received: [UInt8] = []
    var isClosed = false

    init(_ text: String, to port: UInt16, reactor: Reactor) throws {
        pending = Array(text.utf8)
        let address = try SocketAddress(text: "127.0.0.1:\(port)")
        source = reactor.watch(try address.startConnecting(), for: [.read, .write], handler: self)
    }

    func handle(_ readiness: Readiness, of source: Source) {
        if !pending.isEmpty && readiness.contains(.writable) {
            let pending = self.pending
            if case .bytes(let count) = source.withDescriptor({ unsafe $0.send(pending.span.bytes) }) {
                self.pending.removeFirst(count)
            }
            if self.pending.isEmpty { source.wait(for: .read) }
        }
        guard readiness.contains(.readable) || readiness.contains(.hangup) else { return }
        var chunk: [UInt8] = []
        do {
            try source.withDescriptor { (fd) throws(Errno) in
                try fd.readChunk(appendingTo: &chunk, capacity: 65536)
            }
        } catch {
            chunk = []
        }
        received += chunk
        if chunk.isEmpty {
            isClosed = true
            source.close()
        }
    }
}

/// One answer taken apart.
private struct Answer {
    var status: Int
    var fields: [String: String] = [:]
    var body: [UInt8]

    /// The first answer in `bytes`, which are left with what follows it.
    init(_ bytes: inout [UInt8], headOnly: Bool = false) throws {
        guard let end = Data(bytes).range(of: Data("\r\n\r\n".utf8)) else { throw Problem(description: "no head") }
        let lines = String(decoding: bytes[..<end.lowerBound], as: UTF8.self).components(separatedBy: "\r\n")
        status = Int(lines[0].split(separator: " ")[1]) ?? 0
        for line in lines.dropFirst() {
            let parts = line.split(separator: ":", maxSplits: 1)
            fields[parts[0].lowercased()] = parts[1].trimmingCharacters(in: .whitespaces)
        }
        let length = headOnly ? 0 : Int(fields["content-length"] ?? "") ?? 0
        guard bytes.count >= end.upperBound + length else { throw Problem(description: "body cut short") }
        body = Array(bytes[end.upperBound..<(end.upperBound + length)])
        bytes.removeFirst(end.upperBound + length)
    }
}

@Suite
struct WebTests {
    private static let contents = (0..<300_000).map { UInt8(truncatingIfNeeded: $0 &* 7 &+ $0 >> 9) }

    private static func center() throws -> TestCenter {
        try TestCenter { scratch in
            let path = try scratch.file("plugin", contents)
            return [try Component(ComponentSpecification(name: "plugin", version: "1.0.0.1", path: path))]
        }
    }

    private static let file = "/agent/component/plugin/plugin-default-default-1.0.0.1.plg"

    /// All that comes back for `text`; its last request must ask for the end of the connection.
    private func exchange(_ text: String, with test: TestCenter) throws -> [UInt8] {
        let port = try #require(test.center.httpPort)
        let client = try RawClient(text, to: port, reactor: test.reactor)
        try test.run("answer") { client.isClosed }
        return client.received
    }

    private func get(
        _ path: String,
        _ fields: String = "",
        method: String = "GET",
        with test: TestCenter
    ) throws -> Answer {
        var bytes = try exchange(
            "\(method) \(path) HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\(fields)\r\n",
            with: test
        )
        let answer = try Answer(&bytes, headOnly: method == "HEAD")
        #expect(bytes.isEmpty)
        return answer
    }

    @Test
    func discoveryTellsTheCenterAsServiceDiscoveryDoes() throws {
        let test = try Self.center()
        let answer = try get("/registry/detail?name=hids_svr_grpc&count=10", with: test)
        #expect(answer.status == 200)
        #expect(answer.fields["content-type"] == "application/json; charset=utf-8")
        let object = try #require(try JSONSerialization.jsonObject(with: Data(answer.body)) as? [String: Any])
        #expect(Set(object.keys) == ["msg", "data"])
        #expect(object["msg"] as? String == "ok")
        let entry = try #require((object["data"] as? [[String: Any]])?.first)
        #expect(
            Set(entry.keys) == ["name", "ip", "port", "status", "create_at", "update_at", "weight", "extra"]
        )
        #expect(entry["name"] as? String == "hids_svr_grpc")
        #expect(entry["ip"] as? String == "127.0.0.1")
        #expect(entry["port"] as? Int == Int(test.center.port))
        #expect(entry["status"] as? Int == 0)
        #expect(entry["weight"] as? Int == 0)
        #expect(entry["create_at"] is Int && entry["update_at"] is Int && entry["extra"] is [String: Any])
    }

    @Test(arguments: [
        ("/registry/detail?name=other", 200, "{\"msg\":\"ok\",\"data\":[]}"),
        ("/registry/detail", 400, "{\"msg\":\"name is empty\"}"),
        ("/registry/detail?name=", 400, "{\"msg\":\"name is empty\"}"),
    ])
    func discoveryOfSomethingElse(_ path: String, _ status: Int, _ body: String) throws {
        let answer = try get(path, with: try Self.center())
        #expect(answer.status == status)
        #expect(String(decoding: answer.body, as: UTF8.self) == body)
    }

    @Test(arguments: [
        (file, 200), ("/agent/component/plugin-default-default-1.0.0.1.plg", 200), ("/", 404),
        ("/agent/component/", 404),
        ("/agent/component/plugin/../../etc/passwd", 404), ("/agent/component/plugin%2fplugin", 404),
    ])
    func onlyComponentsAreServed(_ path: String, _ status: Int) throws {
        let answer = try get(path, with: try Self.center())
        #expect(answer.status == status)
        #expect((answer.body == Self.contents) == (status == 200))
    }

    @Test(arguments: [
        ("Range: bytes=0-99\r\n", 206, 0..<100, "bytes 0-99/300000"),
        ("Range: bytes=-5\r\n", 206, 299_995..<300_000, "bytes 299995-299999/300000"),
        ("Range: bytes=250000-\r\n", 206, 250_000..<300_000, "bytes 250000-299999/300000"),
        ("Range: bytes=300000-\r\n", 416, 0..<0, "bytes */300000"),
        ("Range: bytes=0-1,5-6\r\n", 200, 0..<300_000, nil),
        ("Range: bytes=0-99\r\nIf-Range: \"other\"\r\n", 200, 0..<300_000, nil),
    ])
    func partsAreServed(_ fields: String, _ status: Int, _ range: Range<Int>, _ contentRange: String?) throws {
        let answer = try get(Self.file, fields, with: try Self.center())
        #expect(answer.status == status)
        #expect(answer.body == Array(Self.contents[range]))
        #expect(answer.fields["content-range"] == contentRange)
    }

    @Test
    func entityTagAllowsToGoOn() throws {
        let test = try Self.center()
        let tag = try #require(try get(Self.file, method: "HEAD", with: test).fields["etag"])
        let answer = try get(Self.file, "Range: bytes=9-\r\nIf-Range: \(tag)\r\n", with: test)
        #expect(answer.status == 206)
        #expect(answer.body == Array(Self.contents[9...]))
    }

    @Test
    func headHasTheLengthAndNoBody() throws {
        let answer = try get(Self.file, "Range: bytes=0-1\r\n", method: "HEAD", with: try Self.center())
        #expect(answer.status == 200)
        #expect(answer.fields["content-length"] == "300000")
        #expect(answer.fields["accept-ranges"] == "bytes")
    }

    @Test
    func requestsSentAheadAreAnsweredInOrder() throws {
        let test = try Self.center()
        let paths = ["/nothing", Self.file, "/registry/detail?name=x", Self.file]
        var text = paths.map { "GET \($0) HTTP/1.1\r\nHost: a\r\n\r\n" }.joined()
        text += "HEAD / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n"
        var bytes = try exchange(text, with: test)
        let answers = try paths.map { _ in try Answer(&bytes) }
        #expect(answers.map(\.status) == [404, 200, 200, 200])
        #expect(answers.map(\.fields["connection"]) == Array(repeating: "keep-alive", count: 4))
        #expect(answers[1].body == Self.contents && answers[3].body == Self.contents)
        let last = try Answer(&bytes, headOnly: true)
        #expect(last.status == 404)
        #expect(last.fields["connection"] == "close")
        #expect(bytes.isEmpty)
    }

    @Test
    func wrongRequestIsAnsweredAndTheConnectionClosed() throws {
        var bytes = try exchange("POST / HTTP/1.1\r\nHost: a\r\n\r\n", with: try Self.center())
        let answer = try Answer(&bytes)
        #expect(answer.status == 405)
        #expect(answer.fields["allow"] == "GET, HEAD")
        #expect(answer.fields["connection"] == "close")
        #expect(bytes.isEmpty)
    }
}
