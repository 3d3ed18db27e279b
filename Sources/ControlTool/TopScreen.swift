// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import CLinux
import Console
import Glibc
import JSON
import Syscalls

/// The status, drawn again and again on the terminal's other screen.
final class TopScreen {
    private let output: Terminal
    private let style: Style
    private var order: PluginOrder
    private let seconds: Int
    private var isPaused = false
    private var latest: JSONValue?
    private var earlier: JSONValue?
    private var failure: String?

    init(output: Terminal, style: Style, order: PluginOrder, seconds: Int) {
        self.output = output
        self.style = style
        self.order = order
        self.seconds = seconds
    }

    /// Until q, or a signal. The terminal is left as it was found.
    func run(_ look: () throws(ToolError) -> JSONValue) throws(ToolError) -> Int32 {
        let keys = try Keyboard()
        output.write("\u{1b}[?1049h\u{1b}[?25l")
        defer { output.write("\u{1b}[?25h\u{1b}[?1049l") }
        var isDue = true
        while !output.isBroken && !keys.isEnding {
            if isDue && !isPaused { refresh(look) }
            draw()
            isDue = false
            switch keys.next(milliseconds: seconds * 1000) {
            case .none: isDue = true
            case .resized: break
            case .key(let key): if !handle(key) { return 0 }
            }
        }
        return 0
    }

    private func refresh(_ look: () throws(ToolError) -> JSONValue) {
        do throws(ToolError) {
            let now = try look()
            earlier = latest
            latest = now
            failure = nil
        } catch {
            failure = "\(error)"
        }
    }

    /// - Returns: false when it is to end.
    private func handle(_ key: UInt8) -> Bool {
        switch key {
        case UInt8(ascii: "q"), 3, 4: return false
        case UInt8(ascii: "n"): order = .name
        case UInt8(ascii: "c"): order = .cpu
        case UInt8(ascii: "m"): order = .memory
        case UInt8(ascii: "r"): order = .records
        case UInt8(ascii: "d"): order = .drops
        case UInt8(ascii: " "): isPaused.toggle()
        default: break
        }
        return true
    }

    private func draw() {
        let (columns, rows) = output.size
        var lines: [String] = []
        if let failure {
            lines.append(style("\(failure)", .bad))
        } else if let latest {
            let view = AgentView(latest, earlier: earlier)
            lines = StatusScreen(view: view, style: style, order: order, width: columns).lines
        }
        let room = max(1, rows - 2)
        lines = Array(lines.prefix(room))
        let pause = isPaused ? "  paused" : ""
        let foot = "sort: n c m r d (\(order.rawValue))  space pauses  q quits  every \(seconds) s\(pause)"
        // Every line is drawn over the one before: nothing flickers. A line that is too long is cut by the terminal.
        var text = "\u{1b}[?7l\u{1b}[H"
        for line in lines { text += line + "\u{1b}[K\r\n" }
        text += "\u{1b}[J\u{1b}[\(rows);1H" + style(String(foot.prefix(columns - 1)), .dim) + "\u{1b}[?7h"
        output.write(text)
    }
}

/// Keys as they are pressed, and the terminal's changes.
private final class Keyboard {
    enum Event {
        case none, resized
        case key(UInt8)
    }

    private var before = termios()
    private(set) var isEnding = false
    private let signals: CInt

    init() throws(ToolError) {
        guard isatty(0) == 1, unsafe tcgetattr(0, &before) == 0 else {
            throw ToolError("top takes keys: its standard input must be a terminal")
        }
        // As descriptors, so that nothing is done in a signal handler.
        let wanted: [CInt] = [SIGWINCH, SIGTERM, SIGINT, SIGHUP]
        signals = unsafe CLinux_signalfd(wanted, CInt(wanted.count))
        guard signals >= 0 else { throw ToolError("signalfd: \(Errno.current)") }
        var raw = before
        raw.c_lflag &= ~tcflag_t(ICANON | ECHO)
        unsafe _ = tcsetattr(0, TCSANOW, &raw)
    }

    deinit {
        unsafe _ = tcsetattr(0, TCSANOW, &before)
        _ = close(signals)
    }

    func next(milliseconds: Int) -> Event {
        var wanted = [
            pollfd(fd: 0, events: Int16(POLLIN), revents: 0), pollfd(fd: signals, events: Int16(POLLIN), revents: 0),
        ]
        guard unsafe poll(&wanted, 2, CInt(milliseconds)) > 0 else { return .none }
        if wanted[1].revents != 0 {
            var info = [UInt8](repeating: 0, count: Int(CLinux_signalfd_size()))
            guard unsafe read(signals, &info, info.count) == info.count else { return .resized }
            let signal = unsafe CLinux_signalfd_signal(info)
            if signal != SIGWINCH { isEnding = true }
            return .resized
        }
        var key: UInt8 = 0
        guard unsafe read(0, &key, 1) == 1 else {
            isEnding = true
            return .none
        }
        return .key(key)
    }
}
