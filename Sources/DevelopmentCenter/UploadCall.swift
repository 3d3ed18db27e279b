// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import ElkeidWire
import GRPC
import Syscalls

/// `/grpc.FileExt/Upload`: a file comes in, in chunks; the first one names it.
final class UploadCall: CallHandler {
    /// Bytes of one upload, far above what agents send.
    static let limit = 1 << 30

    private let call: ServerCall
    private unowned let center: Center
    private var path: String?
    private var file: FileDescriptor?
    private var failure: String?
    private var size = 0

    init(_ call: ServerCall, center: Center) {
        self.call = call
        self.center = center
    }

    func received(_ message: [UInt8]) -> GRPCStatus? {
        do throws(WireError) {
            let request = try FileUploadRequest(decoding: message)
            if path == nil { begin(request.token) }
            append(request.data)
            return nil
        } catch {
            return GRPCStatus(.internalError, "grpc: failed to unmarshal the received message: \(error.description)")
        }
    }

    private func begin(_ token: String) {
        let path = center.uploadPath(token)
        self.path = path
        do throws(CenterError) { try Folder.make(center.uploads, permissions: 0o700) } catch {
            failure = error.description
            return
        }
        do throws(Errno) { file = try FileDescriptor.open(path, .createNew) } catch { failure = "\(path): \(error)" }
    }

    private func append(_ data: [UInt8]) {
        size += data.count
        if size > Self.limit { failure = "\(path ?? ""): more than \(Self.limit) bytes" }
        guard failure == nil else { return }
        do throws(Errno) {
            switch file {
            case .some(let file): try file.writeAll(unsafe data.span.bytes)
            case .none: return
            }
        } catch {
            failure = "\(path ?? ""): \(error)"
        }
    }

    func halfClosed() -> GRPCStatus {
        guard let path else { return GRPCStatus(.unknown, "an upload without any chunk") }
        center.uploaded(path, size: size, failure: failure)
        let response = FileUploadResponse(status: failure == nil ? .success : .failed)
        call.send(response.encoded())
        return GRPCStatus(.ok)
    }

    func ended() { file = nil }
}
