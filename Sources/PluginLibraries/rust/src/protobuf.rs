// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

//! Reading of the Protocol Buffers encoding, checking every bound.

use crate::error::MalformedTask;

/// The most bytes that a varint has.
pub(crate) const MAX_VARINT_SIZE: usize = 10;

/// Bytes that a number takes as a varint.
pub(crate) fn varint_size(value: usize) -> usize {
    let mut rest = value >> 7;
    let mut size = 1;
    while rest != 0 {
        size += 1;
        rest >>= 7;
    }
    size
}

pub(crate) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Reader<'a> {
        Reader { rest: bytes }
    }

    pub(crate) fn is_at_end(&self) -> bool {
        self.rest.is_empty()
    }

    /// The next field's number and wire type.
    pub(crate) fn read_tag(&mut self) -> Result<(u32, u8), MalformedTask> {
        let tag = self.read_varint()?;
        match tag >> 3 {
            field @ 1..=0x1FFF_FFFF => Ok((field as u32, (tag & 7) as u8)),
            _ => Err(MalformedTask::InvalidTag),
        }
    }

    pub(crate) fn read_varint(&mut self) -> Result<u64, MalformedTask> {
        let mut value = 0;
        for index in 0..MAX_VARINT_SIZE {
            let byte = self.read_bytes(1)?[0];
            // The tenth byte has room for one bit; what is beyond it is dropped, as protobuf libraries do.
            value |= u64::from(byte & 0x7F) << (7 * index);
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(MalformedTask::VarintTooLong)
    }

    pub(crate) fn read_length_delimited(&mut self) -> Result<&'a [u8], MalformedTask> {
        let length = self.read_varint()?;
        self.read_bytes(usize::try_from(length).map_err(|_| MalformedTask::Truncated)?)
    }

    pub(crate) fn read_string(&mut self, field: u32) -> Result<String, MalformedTask> {
        let bytes = self.read_length_delimited()?;
        let text = std::str::from_utf8(bytes).map_err(|_| MalformedTask::NotUtf8(field))?;
        Ok(text.to_owned())
    }

    /// Passes over a field that this version does not know.
    pub(crate) fn skip(&mut self, wire_type: u8) -> Result<(), MalformedTask> {
        match wire_type {
            0 => self.read_varint().map(|_| ()),
            1 => self.read_bytes(8).map(|_| ()),
            2 => self.read_length_delimited().map(|_| ()),
            5 => self.read_bytes(4).map(|_| ()),
            // Groups (3, 4) are not in proto3, 6 and 7 do not exist.
            _ => Err(MalformedTask::InvalidTag),
        }
    }

    fn read_bytes(&mut self, count: usize) -> Result<&'a [u8], MalformedTask> {
        if count > self.rest.len() {
            return Err(MalformedTask::Truncated);
        }
        let (bytes, rest) = self.rest.split_at(count);
        self.rest = rest;
        Ok(bytes)
    }
}
