// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import JSON
import Logging

/// What went wrong lately, for whoever asks what is wrong: the last few different warnings and errors of the log.
struct RecentProblems {
    /// A screen's worth.
    static let limit = 20

    private struct Problem {
        var level: String
        var message: String
        var plugin: String?
        /// Seconds since 1970, of the first and the last time.
        var first: Int64
        var last: Int64
        var count: Int64 = 1
    }

    private var problems: [Problem] = []

    /// The same one again is counted, and is the last one then.
    mutating func add(level: String, message: String, plugin: String?, at time: Int64) {
        var problem = Problem(level: level, message: message, plugin: plugin, first: time, last: time)
        if let index = problems.firstIndex(where: { $0.message == message && $0.plugin == plugin }) {
            problem.first = problems[index].first
            problem.count = problems[index].count + 1
            problems.remove(at: index)
        }
        problems.append(problem)
        if problems.count > Self.limit { problems.removeFirst() }
    }

    /// The oldest first.
    var json: JSONValue {
        .array(
            problems.map { problem in
                var members: [String: JSONValue] = [
                    "level": .string(problem.level), "message": .string(problem.message),
                    "first": .integer(problem.first), "last": .integer(problem.last), "count": .integer(problem.count),
                ]
                if let plugin = problem.plugin { members["plugin"] = .string(plugin) }
                return .object(members)
            }
        )
    }
}
