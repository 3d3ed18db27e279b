// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

/// What a plugin is checked for, in the order of the report.
public enum Check: String, CaseIterable, Sendable {
    case start
    case idle
    case tasks
    case flush
    case stop
    case sigterm
    case agentEnd = "agent-end"
    case backPressure = "back-pressure"
    case garbage
    case highPriority = "high-priority"
    case frames

    /// What the contract asks of the plugin, in one sentence.
    public var demand: String {
        switch self {
        case .start: "It runs with descriptors 3 and 4 and nothing on standard input, and uses no standard output."
        case .idle: "With nothing to do it uses next to no processor time."
        case .tasks:
            "Tasks on descriptor 3 are answered by records with their token, however the frames are cut;"
                + " one of an unknown type does not end it."
        case .flush: "A record is written at the latest 200 ms after it was made, and not each by a write of its own."
        case .stop: "At the end of file of descriptor 3 it writes what it still has, and ends."
        case .sigterm: "It ends upon SIGTERM, at once or in order."
        case .agentEnd: "When both pipes are gone at once it ends, by itself and without turning in a loop."
        case .backPressure: "It outlives an agent that does not read, in bounded memory, and tears no frame."
        case .garbage: "Unknown fields are passed over; what is no Task neither crashes it nor takes its memory."
        case .highPriority: "Descriptor 5 is used only when it is offered, and as descriptor 4 is."
        case .frames: "All that it wrote in any check is whole frames of well-formed Records."
        }
    }
}
