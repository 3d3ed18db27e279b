// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Foundation
import Glibc

/// An nginx that serves components from a folder, over http and https.
///
/// `/files/` serves them, `/slow/` at a tenth of a megabyte a second, `/gone/` answers 404, `/failing/` 500 until the file is
/// there, `/moved/` redirects to `/files/`, `/loop/` to itself, `/ftp/` to another scheme.
final class WebServer {
    let files: String
    private let folder: String
    private var process: ChildProcess?
    let port: UInt16
    let securePort: UInt16
    /// PEM file of the authority that its certificate is signed by.
    let authority: String

    init(in folder: String) throws {
        self.folder = folder
        files = folder + "/files"
        for place in [files, folder + "/temporary"] {
            try FileManager.default.createDirectory(atPath: place, withIntermediateDirectories: true)
        }
        port = try unusedPort()
        securePort = try unusedPort()
        authority = folder + "/web.crt"
        _ = try ChildProcess.output(of: [
            "/usr/bin/env", "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
            "-nodes", "-keyout", folder + "/web.key", "-out", authority, "-days", "2", "-subj", "/CN=components",
            "-addext",
            "subjectAltName=IP:127.0.0.1",
        ])
        try write(configuration, to: folder + "/nginx.conf")
        try start()
    }

    private var configuration: String {
        """
        \(getuid() == 0 ? "user root;" : "")
        daemon off;
        master_process off;
        pid \(folder)/nginx.pid;
        error_log \(folder)/error.log warn;
        events { worker_connections 512; }
        http {
            log_format lines '$status $request_uri $http_range $body_bytes_sent';
            access_log \(folder)/access.log lines;
            client_body_temp_path \(folder)/temporary;
            proxy_temp_path \(folder)/temporary;
            fastcgi_temp_path \(folder)/temporary;
            uwsgi_temp_path \(folder)/temporary;
            scgi_temp_path \(folder)/temporary;
            default_type application/octet-stream;
            server {
                listen 127.0.0.1:\(port);
                listen 127.0.0.1:\(securePort) ssl;
                ssl_certificate \(authority);
                ssl_certificate_key \(folder)/web.key;
                location /files/ { alias \(files)/; }
                location /slow/ { alias \(files)/; limit_rate 100k; }
                location /slower/ { alias \(files)/; limit_rate 400k; limit_rate_after 300k; }
                location /gone/ { return 404; }
                location /failing/ { alias \(files)/; error_page 404 =500 @failed; }
                location @failed { return 500; }
                location /moved/ { rewrite ^/moved/(.*)$ ../files/$1 redirect; }
                location /loop/ { return 302 $request_uri; }
                location /ftp/ { return 301 ftp://127.0.0.1$request_uri; }
            }
        }
        """
    }

    func start() throws {
        process = try ChildProcess(
            [TestEnvironment.nginx(), "-p", folder, "-c", folder + "/nginx.conf"],
            .init(errors: folder + "/nginx.err")
        )
        try eventually("nginx to listen", state: tail(of: folder + "/nginx.err")) { canConnect(port).asAnswer }
    }

    /// As when its host fails: connections break.
    func stop() { process?.end() }
    func end() { stop() }

    func url(_ place: String, _ file: String, secure: Bool = false) -> String {
        "\(secure ? "https" : "http")://127.0.0.1:\(secure ? securePort : port)/\(place)/\(file)"
    }

    /// Status, path and Range of each request that has ended.
    var requests: [String] { text(of: folder + "/access.log").split(separator: "\n").map(String.init) }
}

/// Is somebody listening there?
func canConnect(_ port: UInt16) -> Bool {
    let socket = Glibc.socket(AF_INET, CInt(SOCK_STREAM.rawValue), 0)
    defer { close(socket) }
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = port.bigEndian
    address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
    return unsafe withUnsafePointer(to: &address) { pointer in
        unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
            unsafe connect(socket, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) == 0
        }
    }
}
