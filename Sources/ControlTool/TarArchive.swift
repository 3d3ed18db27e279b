// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import CArchive
import Glibc
import Syscalls

/// Writes a tar archive compressed by gzip, file after file.
@safe
final class TarArchive {
    private let archive: OpaquePointer
    private let folder: String
    private var isClosed = false

    /// - Parameters:
    ///   - path: of the archive, which must not be there; only its owner can read it.
    ///   - folder: in which everything in it is.
    init(path: String, folder: String) throws(ToolError) {
        self.folder = folder
        let descriptor: CInt
        do throws(Errno) { descriptor = try FileDescriptor.open(path, .createNew).release() } catch {
            throw ToolError("\(path): \(error)")
        }
        guard let archive = unsafe archive_write_new() else {
            _ = close(descriptor)
            throw ToolError("libarchive: out of memory")
        }
        unsafe self.archive = archive
        self.descriptor = descriptor
        guard unsafe archive_write_add_filter_gzip(archive) == ARCHIVE_OK,
            unsafe archive_write_set_format_pax_restricted(archive) == ARCHIVE_OK,
            unsafe archive_write_open_fd(archive, descriptor) == ARCHIVE_OK
        else { throw failure() }
    }

    private let descriptor: CInt

    deinit {
        unsafe archive_write_free(archive)
        _ = close(descriptor)
    }

    private func failure() -> ToolError {
        let text = unsafe archive_error_string(archive).map { unsafe String(cString: $0) }
        return ToolError("the archive cannot be written: \(text ?? "unknown error")")
    }

    func add(_ name: String, _ bytes: [UInt8], at time: Int64) throws(ToolError) {
        guard let entry = unsafe archive_entry_new() else { throw ToolError("libarchive: out of memory") }
        defer { unsafe archive_entry_free(entry) }
        unsafe archive_entry_set_pathname(entry, "\(folder)/\(name)")
        unsafe archive_entry_set_size(entry, la_int64_t(bytes.count))
        unsafe archive_entry_set_filetype(entry, UInt32(Glibc.S_IFREG))
        unsafe archive_entry_set_perm(entry, 0o600)
        unsafe archive_entry_set_mtime(entry, time_t(time), 0)
        guard unsafe archive_write_header(archive, entry) == ARCHIVE_OK else { throw failure() }
        let written = unsafe bytes.withUnsafeBytes { unsafe archive_write_data(archive, $0.baseAddress, $0.count) }
        guard written == bytes.count else { throw failure() }
    }

    /// Until then the archive is not complete.
    func finish() throws(ToolError) {
        guard unsafe archive_write_close(archive) == ARCHIVE_OK else { throw failure() }
    }
}
