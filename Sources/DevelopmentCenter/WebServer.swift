// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Net
import Reactor
import Syscalls

/// Service discovery and component downloads over HTTP/1.1.
final class WebServer {
    static let connectionLimit = 256

    /// An Agent Center as service discovery describes it.
    struct Endpoint {
        var ip: String
        var port: UInt16
        /// Agents on it: the fewer, the better.
        var streams: Int
    }

    /// The name under which Agent Centers register.
    static let serviceName = "hids_svr_grpc"

    private let reactor: Reactor
    private let started = Clock.secondsSince1970()
    private var listener: Listener?
    private var connections: [ObjectIdentifier: WebConnection] = [:]
    private var ended: [WebConnection] = []
    private var clear: Deferred?
    /// Components by the path of their URL.
    private let files: [String: Component]
    /// Tells the centers, to one that asks at this address of ours.
    var discovery: (SocketAddress?) -> [Endpoint] = { _ in [] }

    init(reactor: Reactor, components: [Component]) {
        self.reactor = reactor
        var files: [String: Component] = [:]
        for component in components {
            files["/agent/component/\(component.name)/\(component.fileName)"] = component
            files["/agent/component/\(component.fileName)"] = component
        }
        self.files = files
        clear = reactor.makeDeferred { [weak self] in self?.ended.removeAll() }
    }

    var port: UInt16 { listener?.port ?? 0 }

    func serve(_ listener: Listener) { self.listener = listener }

    func accept(_ descriptor: consuming FileDescriptor) {
        guard connections.count < Self.connectionLimit else { return }
        let connection = WebConnection(descriptor, server: self, reactor: reactor)
        connections[ObjectIdentifier(connection)] = connection
    }

    func ended(_ connection: WebConnection) {
        connections.removeValue(forKey: ObjectIdentifier(connection))
        ended.append(connection)
        clear?.schedule()
    }

    func stop() {
        listener?.close()
        for connection in Array(connections.values) { connection.close() }
    }

    // MARK: Answers

    func answer(_ request: HTTPRequest, at address: SocketAddress?) -> HTTPResponse {
        if request.path == "/registry/detail" { return discover(request, at: address) }
        guard let component = files[request.path] else {
            return HTTPResponse(.notFound, text: "There is no \(request.path) here.\n")
        }
        return download(component, request)
    }

    private func discover(_ request: HTTPRequest, at address: SocketAddress?) -> HTTPResponse {
        var body = JSONText()
        guard let name = request.parameter("name"), !name.isEmpty else {
            body.add("msg", "name is empty")
            return HTTPResponse(.badRequest, json: body)
        }
        body.add("msg", "ok")
        let now = Clock.secondsSince1970()
        let endpoints = name == Self.serviceName ? discovery(address) : []
        body.add(
            "data",
            endpoints.map { endpoint in
                var entry = JSONText()
                entry.add("name", name)
                entry.add("ip", endpoint.ip)
                entry.add("port", endpoint.port)
                entry.add("status", 0)
                entry.add("create_at", started)
                entry.add("update_at", now)
                entry.add("weight", endpoint.streams)
                entry.add("extra", JSONText())
                return entry
            }
        )
        return HTTPResponse(.ok, json: body)
    }

    private func download(_ component: Component, _ request: HTTPRequest) -> HTTPResponse {
        let tag = "\"\(component.sha256)\""
        // A range of something else than what the client has part of would be of no use (If-Range).
        let isSame = request.field("if-range").map { $0 == tag } ?? true
        let range = ByteRange(request.method == .get && isSame ? request.field("range") : nil, size: component.size)
        let wanted: Range<Int>
        var response: HTTPResponse
        switch range {
        case .unsatisfiable:
            response = HTTPResponse(.rangeNotSatisfiable, text: "")
            response.fields.append(("Content-Range", "bytes */\(component.size)"))
            return response
        case .whole:
            wanted = 0..<component.size
            response = HTTPResponse(.ok)
        case .part(let part):
            wanted = part
            response = HTTPResponse(.partialContent)
            response.fields.append(
                ("Content-Range", "bytes \(part.lowerBound)-\(part.upperBound - 1)/\(component.size)")
            )
        }
        response.fields += [("Content-Type", "application/octet-stream"), ("Accept-Ranges", "bytes"), ("ETag", tag)]
        response.file = HTTPResponse.File(path: component.path, range: wanted)
        return response
    }
}

/// An answer: a small body, or a part of a file.
struct HTTPResponse {
    struct File {
        var path: String
        var range: Range<Int>
    }
    var status: HTTPStatus
    var fields: [(String, String)] = []
    var body: [UInt8] = []
    var file: File?

    init(_ status: HTTPStatus) { self.status = status }

    init(_ status: HTTPStatus, text: String) {
        self.status = status
        fields = [("Content-Type", "text/plain; charset=utf-8")]
        body = Array(text.utf8)
    }

    init(_ status: HTTPStatus, json: JSONText) {
        self.status = status
        fields = [("Content-Type", "application/json; charset=utf-8")]
        body = Array(json.text.utf8)
    }

    /// Status line and fields.
    func head(keepsAlive: Bool) -> [UInt8] {
        var text = "HTTP/1.1 \(status.code) \(status.reason)\r\nContent-Length: \(file?.range.count ?? body.count)\r\n"
        for (name, value) in fields { text += "\(name): \(value)\r\n" }
        if status == .methodNotAllowed { text += "Allow: GET, HEAD\r\n" }
        text += keepsAlive ? "Connection: keep-alive\r\n\r\n" : "Connection: close\r\n\r\n"
        return Array(text.utf8)
    }
}
