// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Buffers
import CNGHTTP2

/// The C side of the session: each callback unwraps its context and calls the method of the same meaning.
@safe
enum Callbacks {
    static func session(_ context: UnsafeMutableRawPointer?) -> HTTP2Session? {
        guard let context = unsafe context else { return nil }
        return unsafe Unmanaged<HTTP2Session>.fromOpaque(context).takeUnretainedValue()
    }

    static let read: nghttp2_data_source_read_callback = { _, _, _, length, flags, source, context in
        guard let pointer = unsafe source?.pointee.ptr, let flags = unsafe flags,
            let session = unsafe Callbacks.session(context)
        else { return Int(NGHTTP2_ERR_CALLBACK_FAILURE.rawValue) }
        let stream = unsafe Unmanaged<HTTP2Stream>.fromOpaque(pointer).takeUnretainedValue()
        if stream.pending.isEmpty && !stream.finished {
            stream.deferred = true
            return Int(NGHTTP2_ERR_DEFERRED.rawValue)
        }
        let count = min(length, stream.pending.count)
        unsafe flags.pointee |= NGHTTP2_DATA_FLAG_NO_COPY.rawValue
        if stream.finished && count == stream.pending.count {
            unsafe flags.pointee |= NGHTTP2_DATA_FLAG_EOF.rawValue
            if !stream.trailers.isEmpty {
                unsafe flags.pointee |= NGHTTP2_DATA_FLAG_NO_END_STREAM.rawValue
                session.submitTrailers(stream)
            }
        }
        return count
    }

    static func install(_ callbacks: OpaquePointer?) {
        unsafe nghttp2_session_callbacks_set_send_data_callback(callbacks) { _, _, header, length, source, context in
            guard let header = unsafe header, let pointer = unsafe source?.pointee.ptr,
                let session = unsafe Callbacks.session(context)
            else { return Int32(NGHTTP2_ERR_CALLBACK_FAILURE.rawValue) }
            let stream = unsafe Unmanaged<HTTP2Stream>.fromOpaque(pointer).takeUnretainedValue()
            return unsafe session.emit(header, length, stream)
        }
        unsafe nghttp2_session_callbacks_set_data_source_read_length_callback(callbacks) {
            _,
            _,
            _,
            connectionWindow,
            streamWindow,
            maxFrame,
            _ in
            Int(min(Int(connectionWindow), Int(streamWindow), Int(maxFrame), HTTP2Session.fullFrame))
        }
        unsafe nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks) { _, frame, context in
            guard let frame = unsafe frame else { return 0 }
            unsafe Callbacks.session(context)?.beginHeaders(frame.pointee.hd.stream_id)
            return 0
        }
        unsafe nghttp2_session_callbacks_set_on_header_callback(callbacks) {
            _,
            frame,
            name,
            nameLength,
            value,
            valueLength,
            _,
            context in
            guard let frame = unsafe frame else { return 0 }
            let header = unsafe HTTP2Header(
                String(decoding: UnsafeBufferPointer(start: name, count: nameLength), as: UTF8.self),
                String(decoding: UnsafeBufferPointer(start: value, count: valueLength), as: UTF8.self)
            )
            unsafe Callbacks.session(context)?.addHeader(frame.pointee.hd.stream_id, header)
            return 0
        }
        unsafe nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks) { _, frame, context in
            guard let frame = unsafe frame else { return 0 }
            unsafe Callbacks.session(context)?.frameReceived(frame)
            return 0
        }
        unsafe nghttp2_session_callbacks_set_on_frame_send_callback(callbacks) { _, frame, context in
            guard let frame = unsafe frame else { return 0 }
            if unsafe UInt32(frame.pointee.hd.type) == NGHTTP2_PING.rawValue {
                unsafe Callbacks.session(context)?.pingFramed(frame)
                return 0
            }
            guard unsafe UInt32(frame.pointee.hd.type) == NGHTTP2_GOAWAY.rawValue else { return 0 }
            let goaway = unsafe frame.pointee.goaway
            let reason = unsafe String(
                decoding: UnsafeBufferPointer(start: goaway.opaque_data, count: goaway.opaque_data_len),
                as: UTF8.self
            )
            unsafe Callbacks.session(context)?.goAwaySent(HTTP2ErrorCode(rawValue: goaway.error_code), reason: reason)
            return 0
        }
        unsafe nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks) {
            _,
            _,
            id,
            bytes,
            count,
            context in
            guard let bytes = unsafe bytes else { return 0 }
            let span = unsafe RawSpan(_unsafeStart: UnsafeRawPointer(bytes), byteCount: count)
            unsafe Callbacks.session(context)?.dataReceived(id, span)
            return 0
        }
        unsafe nghttp2_session_callbacks_set_on_stream_close_callback(callbacks) { _, id, code, context in
            unsafe Callbacks.session(context)?.streamClosed(id, code)
            return 0
        }
        unsafe nghttp2_session_callbacks_set_error_callback2(callbacks) { _, _, message, count, context in
            guard let message = unsafe message else { return 0 }
            unsafe Callbacks.session(context)?.lastMessage = String(
                decoding: UnsafeRawBufferPointer(start: message, count: count),
                as: UTF8.self
            )
            return 0
        }
    }
}

/// Header fields in nghttp2's form, for the duration of a call; nghttp2 copies them.
@safe
enum NameValues {
    static func with<R>(_ headers: [HTTP2Header], _ body: (UnsafePointer<nghttp2_nv>?, Int) -> R) -> R {
        var bytes: [UInt8] = []
        for header in headers {
            bytes += header.name.utf8
            bytes += header.value.utf8
        }
        return unsafe bytes.withUnsafeMutableBufferPointer { buffer in
            var fields: [nghttp2_nv] = unsafe []
            var offset = 0
            for header in headers {
                let name = unsafe buffer.baseAddress.map { unsafe $0 + offset }
                offset += header.name.utf8.count
                let value = unsafe buffer.baseAddress.map { unsafe $0 + offset }
                offset += header.value.utf8.count
                unsafe fields.append(
                    nghttp2_nv(
                        name: name,
                        value: value,
                        namelen: header.name.utf8.count,
                        valuelen: header.value.utf8.count,
                        flags: UInt8(NGHTTP2_NV_FLAG_NONE.rawValue)
                    )
                )
            }
            return unsafe fields.withUnsafeBufferPointer { unsafe body($0.baseAddress, $0.count) }
        }
    }
}
