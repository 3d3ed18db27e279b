// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

//! Records as lines of JSON, for debug mode.

use std::io::Write;

use crate::error::MalformedTask;
use crate::options::Priority;
use crate::protobuf::Reader;

/// Appends the line of one encoded Record message.
pub(crate) fn append_line(line: &mut Vec<u8>, message: &[u8], priority: Priority) {
    let start = line.len();
    if append_record(line, message, priority).is_err() {
        line.truncate(start);
        line.extend_from_slice(b"{\"malformed\":\"");
        for byte in message {
            line.extend_from_slice(&[hex_digit(byte >> 4), hex_digit(byte & 15)]);
        }
        line.extend_from_slice(b"\"}");
    }
    line.push(b'\n');
}

fn hex_digit(value: u8) -> u8 {
    b"0123456789abcdef"[usize::from(value)]
}

fn append_record(line: &mut Vec<u8>, message: &[u8], priority: Priority) -> Result<(), MalformedTask> {
    let (mut data_type, mut timestamp) = (0, 0);
    let mut fields = Vec::new();
    let mut reader = Reader::new(message);
    while !reader.is_at_end() {
        match reader.read_tag()? {
            (1, 0) => data_type = reader.read_varint()? as i32,
            (2, 0) => timestamp = reader.read_varint()? as i64,
            // A message that comes twice is merged: the entries of both count.
            (3, 2) => read_payload(reader.read_length_delimited()?, &mut fields)?,
            (field @ 1..=3, _) => return Err(MalformedTask::WrongWireType(field)),
            (_, wire_type) => reader.skip(wire_type)?,
        }
    }
    append_formatted(line, format_args!("{{\"data_type\":{},\"timestamp\":{}", data_type, timestamp));
    if priority == Priority::High {
        line.extend_from_slice(b",\"priority\":\"high\"");
    }
    line.extend_from_slice(b",\"fields\":{");
    for (index, (key, value)) in fields.into_iter().enumerate() {
        if index > 0 {
            line.push(b',');
        }
        append_string(line, key);
        line.push(b':');
        append_string(line, value);
    }
    line.extend_from_slice(b"}}");
    Ok(())
}

fn read_payload<'a>(payload: &'a [u8], fields: &mut Vec<(&'a [u8], &'a [u8])>) -> Result<(), MalformedTask> {
    let mut reader = Reader::new(payload);
    while !reader.is_at_end() {
        match reader.read_tag()? {
            (1, 2) => fields.push(read_entry(reader.read_length_delimited()?)?),
            (1, _) => return Err(MalformedTask::WrongWireType(1)),
            (_, wire_type) => reader.skip(wire_type)?,
        }
    }
    Ok(())
}

fn read_entry(entry: &[u8]) -> Result<(&[u8], &[u8]), MalformedTask> {
    let (mut key, mut value): (&[u8], &[u8]) = (&[], &[]);
    let mut reader = Reader::new(entry);
    while !reader.is_at_end() {
        match reader.read_tag()? {
            (1, 2) => key = reader.read_length_delimited()?,
            (2, 2) => value = reader.read_length_delimited()?,
            (field @ 1..=2, _) => return Err(MalformedTask::WrongWireType(field)),
            (_, wire_type) => reader.skip(wire_type)?,
        }
    }
    Ok((key, value))
}

fn append_string(line: &mut Vec<u8>, bytes: &[u8]) {
    line.push(b'"');
    // The standard library replaces each maximal ill-formed subpart by one U+FFFD, as Unicode recommends.
    for byte in String::from_utf8_lossy(bytes).bytes() {
        match byte {
            b'"' => line.extend_from_slice(b"\\\""),
            b'\\' => line.extend_from_slice(b"\\\\"),
            b'\n' => line.extend_from_slice(b"\\n"),
            b'\r' => line.extend_from_slice(b"\\r"),
            b'\t' => line.extend_from_slice(b"\\t"),
            0x08 => line.extend_from_slice(b"\\b"),
            0x0C => line.extend_from_slice(b"\\f"),
            0..=0x1F => line.extend_from_slice(&[b'\\', b'u', b'0', b'0', hex_digit(byte >> 4), hex_digit(byte & 15)]),
            _ => line.push(byte),
        }
    }
    line.push(b'"');
}

fn append_formatted(line: &mut Vec<u8>, text: std::fmt::Arguments<'_>) {
    line.write_fmt(text).expect("writing to memory cannot fail");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Record;

    fn line_of(message: &[u8], priority: Priority) -> String {
        let mut line = Vec::new();
        append_line(&mut line, message, priority);
        String::from_utf8(line).unwrap()
    }

    #[test]
    fn records() {
        let mut buffer = Vec::new();
        let mut record = Record::begin(&mut buffer, 7001, 1_700_000_000);
        record.add("k", "v").add("e\"\\", "\n\r\t\x08\x0C\x01\x1F\x7F\u{e9}").add("u", b"a\xFFb\xE2\x82c\xED\xA0\x80");
        record.finish(1000).unwrap();
        assert_eq!(
            line_of(&buffer[4..], Priority::High),
            "{\"data_type\":7001,\"timestamp\":1700000000,\"priority\":\"high\",\"fields\":{\"k\":\"v\",\
             \"e\\\"\\\\\":\"\\n\\r\\t\\b\\f\\u0001\\u001f\x7F\u{e9}\",\
             \"u\":\"a\u{FFFD}b\u{FFFD}c\u{FFFD}\u{FFFD}\u{FFFD}\"}}\n"
        );
        assert_eq!(line_of(b"", Priority::Normal), "{\"data_type\":0,\"timestamp\":0,\"fields\":{}}\n");
    }

    #[test]
    fn what_is_not_a_record() {
        assert_eq!(line_of(b"\x0D\xAB", Priority::Normal), "{\"malformed\":\"0dab\"}\n");
        assert_eq!(line_of(b"\x08\x01\x1A\x02\x0A\x7F", Priority::Normal), "{\"malformed\":\"08011a020a7f\"}\n");
    }
}
