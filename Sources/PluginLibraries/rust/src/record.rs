// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

use std::borrow::Cow;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;

use crate::protobuf::{varint_size, MAX_VARINT_SIZE};

/// Bytes of the length in front of each frame.
pub(crate) const LENGTH_SIZE: usize = 4;

/// Bytes kept free for the length of a payload: right for 128 to 16,383 bytes, others are moved when finished.
const RESERVED_LENGTH_SIZE: usize = 2;

/// Takes the fields of one record and encodes them straight into the write buffer of its pipe.
///
/// Given to the closure of [`Client::send`](crate::Client::send). A key that is added twice is legal on the wire and
/// readers keep the last value.
pub struct Record<'a> {
    /// Finished frames, and behind them from `start`: length, 4 bytes little-endian; Record message under construction.
    buffer: &'a mut Vec<u8>,
    start: usize,
    payload: usize,
    is_finished: bool,
}

impl<'a> Record<'a> {
    /// Starts a record behind the finished ones.
    pub(crate) fn begin(buffer: &'a mut Vec<u8>, data_type: i32, timestamp: i64) -> Record<'a> {
        let start = buffer.len();
        buffer.reserve(LENGTH_SIZE + 2 * (1 + MAX_VARINT_SIZE) + 1 + RESERVED_LENGTH_SIZE);
        buffer.extend_from_slice(&[0; LENGTH_SIZE]);
        // Zero is the default of proto3 and not written.
        if data_type != 0 {
            buffer.push(0x08);
            put_varint(buffer, i64::from(data_type) as u64);
        }
        if timestamp != 0 {
            buffer.push(0x10);
            put_varint(buffer, timestamp as u64);
        }
        buffer.extend_from_slice(&[0x1A, 0, 0]);
        let payload = buffer.len();
        Record { buffer, start, payload, is_finished: false }
    }

    /// Adds a field.
    ///
    /// The key is a short name. The value is text, bytes (which need not be UTF-8), a path, an integer (sent in decimal
    /// digits, which is how the server expects all numbers), or `format_args!(…)`: see [`Value`].
    /// Nothing is allocated.
    #[inline]
    pub fn add(&mut self, key: impl AsRef<[u8]>, value: impl Value) -> &mut Self {
        value.add_to(self, key.as_ref());
        self
    }

    /// Adds a field whose value is these bytes: for types that are no [`Value`] but give bytes.
    #[inline]
    pub fn add_bytes(&mut self, key: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> &mut Self {
        self.put_entry(key.as_ref(), value.as_ref());
        self
    }

    /// Payload.fields is `map<string, string>`: field 1, repeated, each an entry of key (1) and value (2).
    fn put_entry(&mut self, key: &[u8], value: &[u8]) {
        let buffer = &mut *self.buffer;
        let size = 2 + varint_size(key.len()) + key.len() + varint_size(value.len()) + value.len();
        buffer.reserve(1 + MAX_VARINT_SIZE + size);
        if size < 0x80 {
            // All three lengths have one byte: by far the most frequent case.
            buffer.extend_from_slice(&[0x0A, size as u8, 0x0A, key.len() as u8]);
            buffer.extend_from_slice(key);
            buffer.extend_from_slice(&[0x12, value.len() as u8]);
        } else {
            buffer.push(0x0A);
            put_varint(buffer, size as u64);
            buffer.push(0x0A);
            put_varint(buffer, key.len() as u64);
            buffer.extend_from_slice(key);
            buffer.push(0x12);
            put_varint(buffer, value.len() as u64);
        }
        buffer.extend_from_slice(value);
    }

    /// The length of the text is known only behind it: what goes in front is added there and then moved.
    fn put_formatted(&mut self, key: &[u8], value: fmt::Arguments<'_>) {
        let start = self.buffer.len();
        self.buffer.write_fmt(value).expect("a formatting trait implementation returned an error");
        let value_end = self.buffer.len();
        let value_size = value_end - start;
        let size = 2 + varint_size(key.len()) + key.len() + varint_size(value_size) + value_size;
        self.buffer.push(0x0A);
        put_varint(self.buffer, size as u64);
        self.buffer.push(0x0A);
        put_varint(self.buffer, key.len() as u64);
        self.buffer.extend_from_slice(key);
        self.buffer.push(0x12);
        put_varint(self.buffer, value_size as u64);
        let front = self.buffer.len() - value_end;
        self.buffer[start..].rotate_right(front);
    }

    fn put_decimal(&mut self, key: &[u8], is_negative: bool, magnitude: u64) {
        // 20 digits are the most a u64 has, and a sign.
        let mut digits = [0; 21];
        let mut rest = magnitude;
        let mut start = digits.len();
        loop {
            start -= 1;
            digits[start] = b'0' + (rest % 10) as u8;
            rest /= 10;
            if rest == 0 {
                break;
            }
        }
        if is_negative {
            start -= 1;
            digits[start] = b'-';
        }
        self.put_entry(key, &digits[start..]);
    }

    /// Fills in the lengths, and keeps the record if its size is at most `limit`.
    /// Returns the size of the encoded record without the length in front of it; Err when it is over the limit.
    pub(crate) fn finish(mut self, limit: usize) -> Result<usize, usize> {
        let payload_end = self.buffer.len();
        let payload_size = payload_end - self.payload;
        let length_size = varint_size(payload_size);
        let new_payload = self.payload - RESERVED_LENGTH_SIZE + length_size;
        let size = new_payload + payload_size - self.start - LENGTH_SIZE;
        if size > limit.min(u32::MAX as usize) {
            return Err(size);
        }
        if new_payload != self.payload {
            self.buffer.resize(payload_end.max(new_payload + payload_size), 0);
            self.buffer.copy_within(self.payload..payload_end, new_payload);
            self.buffer.truncate(new_payload + payload_size);
        }
        let mut rest = payload_size;
        for index in 0..length_size {
            let continues = if index + 1 < length_size { 0x80 } else { 0 };
            self.buffer[new_payload - length_size + index] = (rest & 0x7F) as u8 | continues;
            rest >>= 7;
        }
        self.buffer[self.start..self.start + LENGTH_SIZE].copy_from_slice(&(size as u32).to_le_bytes());
        self.is_finished = true;
        Ok(size)
    }
}

impl Drop for Record<'_> {
    /// Takes back what was encoded when the record is too large or the closure panicked.
    fn drop(&mut self) {
        if !self.is_finished {
            self.buffer.truncate(self.start);
        }
    }
}

impl fmt::Debug for Record<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Record").field("payload_size", &(self.buffer.len() - self.payload)).finish()
    }
}

fn put_varint(buffer: &mut Vec<u8>, value: u64) {
    let mut rest = value;
    while rest >= 0x80 {
        buffer.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    buffer.push(rest as u8);
}

/// What the value of a record's field can be.
///
/// Implemented for strings, byte slices and vectors, paths and other `OsStr`s, integers, and
/// [`fmt::Arguments`]: `record.add("ratio", format_args!("{:.2}", ratio))`.
pub trait Value {
    /// Adds the field with this value to the record.
    fn add_to(&self, record: &mut Record<'_>, key: &[u8]);
}

impl<T: Value + ?Sized> Value for &T {
    #[inline]
    fn add_to(&self, record: &mut Record<'_>, key: &[u8]) {
        (**self).add_to(record, key);
    }
}

impl Value for fmt::Arguments<'_> {
    fn add_to(&self, record: &mut Record<'_>, key: &[u8]) {
        record.put_formatted(key, *self);
    }
}

impl<const N: usize> Value for [u8; N] {
    #[inline]
    fn add_to(&self, record: &mut Record<'_>, key: &[u8]) {
        record.put_entry(key, self);
    }
}

macro_rules! value_of_bytes {
    ($($type:ty => $bytes:expr;)*) => {$(
        impl Value for $type {
            #[inline]
            fn add_to(&self, record: &mut Record<'_>, key: &[u8]) {
                let bytes: for<'v> fn(&'v $type) -> &'v [u8] = $bytes;
                record.put_entry(key, bytes(self));
            }
        }
    )*};
}

value_of_bytes! {
    str => |value| value.as_bytes();
    String => |value| value.as_bytes();
    Box<str> => |value| value.as_bytes();
    Rc<str> => |value| value.as_bytes();
    Arc<str> => |value| value.as_bytes();
    Cow<'_, str> => |value| value.as_bytes();
    [u8] => |value| value;
    Vec<u8> => |value| value;
    Box<[u8]> => |value| value;
    Cow<'_, [u8]> => |value| value;
    OsStr => |value| value.as_bytes();
    OsString => |value| value.as_bytes();
    Path => |value| value.as_os_str().as_bytes();
    PathBuf => |value| value.as_os_str().as_bytes();
}

macro_rules! value_of_integers {
    ($is_negative:expr, $magnitude:expr; $($type:ty)*) => {$(
        impl Value for $type {
            #[inline]
            fn add_to(&self, record: &mut Record<'_>, key: &[u8]) {
                record.put_decimal(key, $is_negative(*self as _), $magnitude(*self as _));
            }
        }
    )*};
}

value_of_integers! { |_: u64| false, |value: u64| value; u8 u16 u32 u64 usize }
value_of_integers! { |value: i64| value < 0, |value: i64| value.unsigned_abs(); i8 i16 i32 i64 isize }

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: usize = 8 << 20;

    fn encode(data_type: i32, timestamp: i64, build: impl FnOnce(&mut Record<'_>)) -> Vec<u8> {
        let mut buffer = Vec::new();
        let mut record = Record::begin(&mut buffer, data_type, timestamp);
        build(&mut record);
        let size = record.finish(LIMIT).unwrap();
        assert_eq!(size + LENGTH_SIZE, buffer.len());
        assert_eq!(buffer[..4], (size as u32).to_le_bytes());
        buffer[4..].to_vec()
    }

    #[test]
    fn zero_is_not_written_but_the_payload_is() {
        assert_eq!(encode(0, 0, |_| ()), [0x1A, 0]);
    }

    #[test]
    fn negative_numbers_have_ten_bytes() {
        let expected: Vec<u8> = [0x08, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x01, 0x10]
            .into_iter()
            .chain([0xFE, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x01, 0x1A, 0x00])
            .collect();
        assert_eq!(encode(-1, -2, |_| ()), expected);
    }

    #[test]
    fn entries_have_key_and_value_also_when_empty() {
        let encoded = encode(1, 0, |record| {
            record.add("", "").add("k", b"\xFF");
        });
        assert_eq!(encoded, b"\x08\x01\x1A\x0E\x0A\x04\x0A\x00\x12\x00\x0A\x06\x0A\x01k\x12\x01\xFF");
    }

    #[test]
    fn every_kind_of_value() {
        let text = String::from("x");
        let encoded = encode(1, 0, |record| {
            record.add("a", "x").add("a", String::from("x")).add("a", &text).add("a", vec![b'x']);
            record.add("a", [b'x']).add("a", Path::new("x")).add("a", Cow::from("x")).add("a", format_args!("{}", 'x'));
            record.add_bytes("a", "x").add(vec![b'a'], Arc::<str>::from("x")).add("a", OsString::from("x"));
        });
        assert_eq!(encoded[4..], b"\x0A\x06\x0A\x01a\x12\x01x".repeat(11)[..]);
    }

    #[test]
    fn integers_are_decimal() {
        let encoded = encode(1, 0, |record| {
            record.add("", i64::MIN).add("", u64::MAX).add("", 0u8).add("", -128i8).add("", -7).add("", 10usize);
        });
        let text = String::from_utf8_lossy(&encoded).into_owned();
        for digits in ["-9223372036854775808", "18446744073709551615", "\x010", "\x04-128", "\x02-7", "\x0210"] {
            assert!(text.contains(digits), "{:?} in {:?}", digits, text);
        }
    }

    #[test]
    fn every_size_of_lengths() {
        for size in [0, 1, 100, 113, 114, 115, 119, 120, 127, 128, 200, 16_300, 16_370, 16_383, 16_384, 70_000, 3 << 20]
        {
            let value = vec![b'v'; size];
            let encoded = encode(1, 1, |record| {
                record.add("key", &value);
            });
            let formatted = encode(1, 1, |record| {
                record.add("key", format_args!("{}", String::from_utf8_lossy(&value)));
            });
            assert_eq!(encoded, formatted);
            let mut reader = crate::protobuf::Reader::new(&encoded[4..]);
            assert_eq!(reader.read_tag(), Ok((3, 2)));
            let mut payload = crate::protobuf::Reader::new(reader.read_length_delimited().unwrap());
            assert!(reader.is_at_end());
            assert_eq!(payload.read_tag(), Ok((1, 2)));
            let mut entry = crate::protobuf::Reader::new(payload.read_length_delimited().unwrap());
            assert!(payload.is_at_end());
            assert_eq!(entry.read_tag(), Ok((1, 2)));
            assert_eq!(entry.read_length_delimited(), Ok(&b"key"[..]));
            assert_eq!(entry.read_tag(), Ok((2, 2)));
            assert_eq!(entry.read_length_delimited(), Ok(&value[..]));
            assert!(entry.is_at_end());
        }
    }

    #[test]
    fn a_record_over_the_limit_is_taken_back() {
        let mut buffer = vec![1, 2, 3];
        let mut record = Record::begin(&mut buffer, 1, 1);
        record.add("k", "v".repeat(100));
        let size = record.finish(50).unwrap_err();
        assert_eq!(buffer, [1, 2, 3]);
        let mut record = Record::begin(&mut buffer, 1, 1);
        record.add("k", "v".repeat(100));
        assert_eq!(record.finish(size), Ok(size));
        assert_eq!(buffer.len(), 3 + 4 + size);
    }
}
