// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import COpenSSL
import TLS
import TestSupport
import Testing

/// Errors that others left in the thread's queue are not taken for the connection's.
@Suite("TLS: errors of others")
struct StaleErrorTests {
    /// Leaves two: one of the system, and one of OpenSSL.
    private static func leaveErrors() {
        #expect(unsafe BIO_new_file("/nonexistent/file", "r") == nil)
        #expect(ERR_peek_error() != 0)
    }

    @Test(arguments: [TLSContext.Version.tls12, .tls13])
    func neitherWritingNorReadingMinds(_ version: TLSContext.Version) throws {
        let (client, server) = try connected(client: "ordinary", server: "ordinary", version: version)
        let bytes = [UInt8].pattern(100_000)
        for start in stride(from: 0, to: bytes.count, by: 10_000) {
            Self.leaveErrors()
            #expect(client.write(bytes[start..<(start + 10_000)]) == .bytes(10_000))
            converse(client, server)
            #expect(server.error == nil && client.error == nil)
        }
        #expect(server.plaintext == bytes)
        ERR_clear_error()
    }

    /// As much as `canWrite` allows: the last record of a gathering fits as well.
    @Test(arguments: [TLSContext.Version.tls12, .tls13])
    func aFullQueueIsNoFailure(_ version: TLSContext.Version) throws {
        let (client, server) = try connected(client: "ordinary", server: "ordinary", version: version)
        Self.leaveErrors()
        let record = [UInt8].pattern(TLSSession.recordSize)
        var count = 0
        while client.session.canWrite {
            #expect(client.write(record[...]) == .bytes(record.count))
            count += 1
        }
        #expect(count == TLSSession.gatherSize / TLSSession.recordSize)
        converse(client, server)
        #expect(server.plaintext.count == count * record.count && server.error == nil)
        ERR_clear_error()
    }

    /// What cannot be written fails, whatever was in the queue: it is not taken for a want of room.
    @Test(arguments: [false, true])
    func afterTheEndNothingIsWritten(hasErrors: Bool) throws {
        let (client, _) = try connected(client: "ordinary", server: "ordinary")
        client.session.close()
        if hasErrors { Self.leaveErrors() }
        let result = client.write([1, 2, 3][...])
        guard case .failed(let error) = result else {
            Issue.record("it was not refused: \(result)")
            return
        }
        #expect(error.description.contains("during writing"))
        #expect(ERR_peek_error() == 0, "what was said is out of the queue")
    }
}
