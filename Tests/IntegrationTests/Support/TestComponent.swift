// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Foundation
import Glibc

/// A component as a manager publishes it: a file at a web server, and what servers say of it.
struct TestComponent {
    let name: String
    let version: String
    /// Below the web server's folder.
    let file: String
    var type: String
    var sha256: String
    var signature = ""
    var detail = ""
    var urls: [String]

    /// An entry of the server's configuration.
    var configuration: [String: Any] {
        [
            "name": name, "type": type, "version": version, "sha256": sha256, "signature": signature,
            "download_urls": urls, "detail": detail,
        ]
    }

    /// A program that is a shell script. It notes its version in the file `started` when it starts.
    init(script name: String, _ version: String, _ lines: String, at server: WebServer, place: String = "files") throws
    {
        let text = "#!/bin/sh\necho \(version) >>started\n\(lines)\n"
        try self.init(program: Data(text.utf8), name, version, at: server, place: place)
    }

    /// What most scripts do: wait for the end of the tasks.
    static let waits = "exec cat <&3 >/dev/null"

    init(program: Data, _ name: String, _ version: String, at server: WebServer, place: String = "files") throws {
        self.name = name
        self.version = version
        type = "exec"
        file = "\(name)-\(version).plg"
        let path = server.files + "/" + file
        try program.write(to: URL(filePath: path))
        sha256 = try Self.checksum(path)
        urls = [server.url(place, file)]
    }

    /// interop-plugin-writer, made so large, which reads its settings from `writer.json` in the archive.
    init(
        writer name: String,
        _ version: String,
        settings: [String: Any],
        size: Int = 0,
        at server: WebServer
    ) throws {
        let folder = try TemporaryFolder()
        defer { folder.remove() }
        try write(try JSON.line(settings), to: folder.path + "/writer.json")
        // Random, so that it does not become small.
        let random = FileHandle(forReadingAtPath: "/dev/urandom")
        let ballast = size == 0 ? Data() : try random?.read(upToCount: size) ?? Data()
        try ballast.write(to: URL(filePath: folder.path + "/ballast"))
        try self.init(
            archive: "good",
            name,
            version,
            program: TestEnvironment.pluginWriter(),
            files: ["writer.json": folder.path + "/writer.json", "ballast": folder.path + "/ballast"],
            at: server
        )
    }

    /// An archive of a kind of make-archive.py.
    init(
        archive kind: String,
        _ name: String,
        _ version: String,
        program: String,
        files: [String: String] = [:],
        at server: WebServer,
        place: String = "files"
    ) throws {
        self.name = name
        self.version = version
        type = "tar.gz"
        file = "\(name)-\(version).tar.gz"
        let path = server.files + "/" + file
        _ = try ChildProcess.output(
            of: ["/usr/bin/env", "python3", Repository.components + "/make-archive.py", kind, name, program, path]
                + files.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" }
        )
        sha256 = try Self.checksum(path)
        signature = try Self.checksum(program)
        urls = [server.url(place, file)]
    }

    static func checksum(_ path: String) throws -> String {
        String(try ChildProcess.output(of: ["/usr/bin/env", "sha256sum", path]).prefix(64))
    }
}

extension InteropServer {
    /// Sends the complete list, and keeps it for later connections.
    func configure(_ components: [TestComponent]) throws {
        try command("config", ["configs": components.map(\.configuration)])
    }
}
