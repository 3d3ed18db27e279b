// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Conformance
import Console
import Glibc
import Reactor
import Syscalls
import TLS

/// `elkeid-devcenter`.
public enum DevelopmentCenterProgram {
    /// Does what `arguments` (without the program's name) ask for; the result is the exit code.
    public static func run(_ arguments: [String], version: String) -> Int32 {
        // A reader of our output that goes away is seen by writing, not by dying with an agent left running.
        signal(SIGPIPE, SIG_IGN)
        let invocation: Invocation
        do throws(CenterError) { invocation = try CommandLineParser.parse(arguments) } catch {
            Terminal.complain("\(error)\nSee elkeid-devcenter --help.")
            return 2
        }
        do throws(CenterError) {
            switch invocation {
            case .help: Terminal().write(Help.text)
            case .version: Terminal().line("elkeid-devcenter \(version)")
            case .certificates(let folder): try makeCertificates(folder)
            case .serve(let options): try serve(options)
            case .demo(let options): return try Demo.run(options)
            case .conformance(let invocation): return conformance(invocation)
            }
            return 0
        } catch {
            Terminal.complain(error.description)
            return 1
        }
    }

    private static func conformance(_ invocation: ConformanceInvocation) -> Int32 {
        do throws(ConformanceError) { return try ConformanceProgram.run(invocation) } catch {
            Terminal.complain(error.description)
            if case .usage = error { return 2 }
            return 1
        }
    }

    private static func makeCertificates(_ path: String) throws(CenterError) {
        let folder = CertificateFolder(path)
        try folder.make()
        let shown = CertificateFolder(Folder.absolute(path) ?? path)
        Terminal().line(
            """
            For the server: \(shown.server.certificate), \(shown.server.privateKey)
            For agents, in [tls] of agent.conf:
              ca = \(shown.client.authority)
              certificate = \(shown.client.certificate)
              private_key = \(shown.client.privateKey)
            """
        )
    }

    private static func serve(_ options: ServeOptions) throws(CenterError) {
        let terminal = Terminal()
        let folder = CertificateFolder(options.certificates)
        let made = try folder.makeIfAbsent()
        var components: [Component] = []
        for specification in options.components {
            var component = try Component(specification)
            component.detail = options.details[component.name] ?? ""
            components.append(component)
        }
        let reactor = try makeReactor()
        let http = options.http == "none" ? nil : try SocketAddress(text: options.http)
        let center = try Center(
            Center.Settings(
                listen: try SocketAddress(text: options.listen),
                http: http,
                certificates: folder.server,
                uploads: options.uploads,
                components: components
            ),
            reactor: reactor
        )
        let address = "\(try SocketAddress(text: options.listen).host):\(center.port)"
        let display = Display(options.display, title: "Agent Center on \(address)", terminal: terminal)
        let session = try Session(center, display: display, seconds: options.display.seconds, reactor: reactor)
        if made { display.noted("certificates made in \(folder.path)") }
        display.noted(
            "agents: \(address)" + (center.httpPort.map { "  http: \(SocketAddress.authority(http, port: $0))" } ?? "")
        )
        try session.run()
        center.stop()
        // What was said last still leaves.
        try? reactor.turn(wait: false)
        try? reactor.turn(wait: false)
        center.close()
        Summary.show(session.figures(), agent: nil, display: display)
    }

    static func makeReactor() throws(CenterError) -> Reactor {
        do throws(Errno) { return try Reactor() } catch { throw CenterError("no event loop: \(error)") }
    }
}

extension Terminal {
    /// One line on standard error.
    static func complain(_ text: String) {
        Terminal(descriptor: STDERR_FILENO).line("elkeid-devcenter: \(text)")
    }
}
