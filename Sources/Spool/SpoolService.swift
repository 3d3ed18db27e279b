// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Glibc

/// The spool in the disk worker's process. A worker that takes another's place opens the folder anew.
public final class SpoolService {
    /// The name under which the worker knows it.
    public static let name = "spool"

    private var stores: [String: SpoolStore] = [:]

    public init() {}

    /// A question: the folder, the size of segments, a request.
    public static func question(_ request: SpoolRequest, path: String, segmentSize: Int) -> [UInt8] {
        var writer = ByteWriter(capacity: 256)
        writer.text(path)
        writer.integer(UInt64(segmentSize))
        return writer.bytes + request.encoded
    }

    public func answer(_ question: [UInt8]) -> [UInt8] {
        var reader = ByteReader(question)
        guard let path = reader.text(), let size: UInt64 = reader.integer(), let request = SpoolRequest(&reader),
            reader.isAtEnd
        else { return SpoolAnswer.failed("a question that makes no sense").encoded }
        do throws(SpoolError) {
            return try store(path, Int(clamping: size)).perform(request).encoded
        } catch {
            return SpoolAnswer.failed(error.description).encoded
        }
    }

    private func store(_ path: String, _ segmentSize: Int) throws(SpoolError) -> SpoolStore {
        if let store = stores[path] { return store }
        let store = try SpoolStore(disk: try FileDisk(path: path), segmentSize: segmentSize) { UInt64(time(nil)) }
        stores[path] = store
        return store
    }
}
