// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import ElkeidPlugin
import Glibc
import Testing

/// A program that no agent started must notice.
@Suite(.serialized)
struct DescriptorTests {
    @Test func descriptorsThatAreNotOpen() throws {
        let agent = try AgentSide()
        let notOpen: CInt = 1_000_000
        #expect(throws: PluginError.descriptorNotOpen(notOpen)) {
            try PluginClient(descriptors: PluginDescriptors(tasks: notOpen, records: agent.plugin.records))
        }
        #expect(throws: PluginError.descriptorNotOpen(notOpen)) {
            try PluginClient(descriptors: PluginDescriptors(tasks: agent.plugin.tasks, records: notOpen))
        }
        #expect(throws: PluginError.descriptorNotOpen(notOpen)) {
            var descriptors = agent.plugin
            descriptors.highPriorityRecords = notOpen
            _ = try PluginClient(descriptors: descriptors)
        }
        // All were refused, so they are still ours.
        #expect(close(agent.plugin.tasks) == 0)
        #expect(close(agent.plugin.records) == 0)
    }

    @Test func descriptorsOfTheWrongKind() throws {
        let agent = try AgentSide()
        defer {
            close(agent.plugin.tasks)
            close(agent.plugin.records)
        }
        #expect(throws: PluginError.descriptorUnusable(agent.plugin.records)) {
            try PluginClient(
                descriptors: PluginDescriptors(tasks: agent.plugin.records, records: agent.plugin.tasks)
            )
        }
        let file = unsafe open("/dev/null", O_RDWR | O_CLOEXEC)
        defer { close(file) }
        #expect(throws: PluginError.descriptorUnusable(file)) {
            try PluginClient(descriptors: PluginDescriptors(tasks: file, records: agent.plugin.records))
        }
    }

    @Test func inheritedDescriptorsFollowTheEnvironment() {
        let name = "ELKEID_PLUGIN_HIGH_PRIORITY_PIPE"
        unsafe unsetenv(name)
        #expect(PluginDescriptors.inherited == PluginDescriptors(tasks: 3, records: 4))
        unsafe setenv(name, "", 1)
        #expect(PluginDescriptors.inherited.highPriorityRecords == nil)
        unsafe setenv(name, "1", 1)
        #expect(PluginDescriptors.inherited == PluginDescriptors(tasks: 3, records: 4, highPriorityRecords: 5))
        unsafe unsetenv(name)
    }

    @Test(arguments: [
        (PluginError.descriptorNotOpen(3), ["descriptor 3", "started by elkeid-agent"]),
        (.descriptorUnusable(4), ["descriptor 4", "not a pipe"]),
        (.incompleteTask(received: 5, expected: 9), ["after 5 of 9 bytes"]),
        (.taskTooLarge(length: 9, limit: 5), ["9 bytes", "limit is 5", "maximumTaskSize"]),
        (.malformedTask(.notUTF8(field: 4)), ["skipped", "field 4 is not valid UTF-8"]),
        (.recordTooLarge(size: 9, limit: 5), ["9 bytes", "limit is 5"]),
        (.system(.pthreadCreate, errno: EAGAIN), ["pthread_create", "Resource temporarily unavailable"]),
    ])
    func messagesSayWhatAndWhere(error: PluginError, parts: [String]) {
        for part in parts { #expect("\(error)".contains(part)) }
        #expect(!"\(error)".contains("\n"))
    }
}
