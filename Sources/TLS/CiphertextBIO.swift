// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import COpenSSL

/// Ciphertext on its way out: filled by OpenSSL record by record, emptied by the socket in large writes.
///
/// It is refilled only when it is empty, so that every write to the kernel carries many records (a write per record
/// costs half as much again), and so that "empty" means: the kernel has taken all that was encrypted.
@safe
public final class CiphertextQueue {
    private let base: UnsafeMutableRawPointer
    public let capacity: Int
    private var start = 0
    private var end = 0

    init(capacity: Int) {
        unsafe base = .allocate(byteCount: capacity, alignment: 64)
        self.capacity = capacity
    }

    deinit { unsafe base.deallocate() }

    public var isEmpty: Bool { start == end }
    public var count: Int { end - start }
    public var room: Int { capacity - end }

    func append(_ bytes: UnsafeRawPointer, _ count: Int) -> Bool {
        guard count <= room else { return false }
        unsafe (base + end).copyMemory(from: bytes, byteCount: count)
        end += count
        return true
    }

    /// What is to be written to the socket.
    public func withBytes<R, E: Error>(_ body: (RawSpan) throws(E) -> R) throws(E) -> R {
        try body(unsafe RawSpan(_unsafeStart: base + start, byteCount: count))
    }

    /// The socket took `count` bytes.
    public func removeFirst(_ count: Int) {
        precondition(count <= self.count, "more written than there was")
        start += count
        if start == end {
            start = 0
            end = 0
        }
    }
}

/// The two ends that a session's BIO stands between. The input is borrowed for one call at a time.
@safe
final class BIOBuffers {
    let outgoing: CiphertextQueue
    private var input: UnsafeRawBufferPointer?

    init(capacity: Int) { outgoing = CiphertextQueue(capacity: capacity) }

    /// Bytes of the input that OpenSSL has not taken.
    var unread: Int { unsafe input?.count ?? 0 }

    func lending<R>(_ bytes: RawSpan, _ body: () -> R) -> R {
        unsafe bytes.withUnsafeBytes { buffer in
            unsafe input = buffer
            defer { unsafe input = nil }
            return body()
        }
    }

    fileprivate func read(_ target: UnsafeMutablePointer<CChar>, _ size: Int) -> Int {
        guard let available = unsafe input, let from = available.baseAddress, available.count > 0 else { return 0 }
        let part = min(size, available.count)
        unsafe UnsafeMutableRawPointer(target).copyMemory(from: from, byteCount: part)
        unsafe input = UnsafeRawBufferPointer(rebasing: available[part...])
        return part
    }
}

/// A BIO whose reads and writes work straight on our buffers (BIO_meth_new(3)): no staging copy, no socket.
@safe
enum CiphertextBIO {
    private static nonisolated(unsafe) let method: OpaquePointer? = {
        guard let method = unsafe BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "elkeid buffers") else {
            return nil
        }
        unsafe BIO_meth_set_write(method) { bio, bytes, count in
            unsafe COpenSSL_bio_clear_retry(bio)
            guard let bio = unsafe bio, let bytes = unsafe bytes, let buffers = unsafe CiphertextBIO.buffers(of: bio)
            else { return -1 }
            if unsafe buffers.outgoing.append(bytes, Int(count)) { return count }
            unsafe COpenSSL_bio_set_retry_write(bio)
            return -1
        }
        unsafe BIO_meth_set_read(method) { bio, bytes, count in
            unsafe COpenSSL_bio_clear_retry(bio)
            guard let bio = unsafe bio, let bytes = unsafe bytes, let buffers = unsafe CiphertextBIO.buffers(of: bio)
            else { return -1 }
            let read = unsafe buffers.read(bytes, Int(count))
            if read > 0 { return CInt(read) }
            unsafe COpenSSL_bio_set_retry_read(bio)
            return -1
        }
        unsafe BIO_meth_set_ctrl(method) { _, command, _, _ in
            // The only request that needs an answer: there is nothing to flush to.
            command == BIO_CTRL_FLUSH ? 1 : 0
        }
        return unsafe method
    }()

    /// A BIO over `buffers`, which must outlive it.
    static func make(_ buffers: BIOBuffers) -> OpaquePointer? {
        guard let method = unsafe method, let bio = unsafe BIO_new(method) else { return nil }
        unsafe BIO_set_data(bio, Unmanaged.passUnretained(buffers).toOpaque())
        unsafe BIO_set_init(bio, 1)
        return unsafe bio
    }

    private static func buffers(of bio: OpaquePointer) -> BIOBuffers? {
        guard let data = unsafe BIO_get_data(bio) else { return nil }
        return unsafe Unmanaged<BIOBuffers>.fromOpaque(data).takeUnretainedValue()
    }
}
