// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

//! Cuts the bytes of the task pipe into tasks. Does no input of its own.

use crate::error::{Error, MalformedTask};
use crate::record::LENGTH_SIZE;
use crate::task::Task;

/// Bytes asked from the pipe at a time: what a pipe holds by default.
const READ_SIZE: usize = 64 << 10;

/// How the tasks are told apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Framing {
    /// A length, 4 bytes little-endian, and a Task message.
    Lengths,
    /// Lines `DATA_TYPE DATA...`: debug mode.
    Lines,
}

pub(crate) struct TaskFrames {
    framing: Framing,
    limit: usize,
    bytes: Vec<u8>,
    /// `bytes[start..end]` have arrived and are not used up; what follows is room.
    start: usize,
    end: usize,
    /// Bytes from `start` on that hold no end of a line.
    searched: usize,
    /// Lines taken as tasks, for their tokens.
    lines: u64,
}

impl TaskFrames {
    pub(crate) fn new(framing: Framing, limit: usize) -> TaskFrames {
        TaskFrames { framing, limit, bytes: Vec::new(), start: 0, end: 0, searched: 0, lines: 0 }
    }

    /// The next whole task, or None when more bytes are needed.
    pub(crate) fn next_task(&mut self) -> Result<Option<Task>, Error> {
        match self.framing {
            Framing::Lengths => self.next_frame(),
            Framing::Lines => self.next_line(),
        }
    }

    /// What the end of the pipe leaves: a last line without an end is a task, the start of a frame is an error.
    pub(crate) fn finish(&mut self) -> Result<Option<Task>, Error> {
        let received = self.end - self.start;
        if received == 0 {
            return Ok(None);
        }
        match self.framing {
            Framing::Lengths => Err(Error::IncompleteTask { received, expected: self.expected() }),
            Framing::Lines => {
                let line = self.start..self.end;
                self.start = self.end;
                self.task_of_line(line).map(Some)
            }
        }
    }

    /// Free room behind what has arrived, to read into.
    pub(crate) fn room(&mut self) -> &mut [u8] {
        if self.start > 0 {
            self.bytes.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
        // A length over the limit never gets here, so this is bounded by it.
        let needed = match self.framing {
            Framing::Lengths => self.expected().max(self.end + READ_SIZE),
            Framing::Lines => self.end + READ_SIZE,
        };
        if self.end == 0 {
            // What an unusually large task took is given back.
            self.bytes.truncate(needed);
            self.bytes.shrink_to(needed);
        }
        if self.bytes.len() < needed {
            self.bytes.resize(needed, 0);
        }
        &mut self.bytes[self.end..]
    }

    /// `count` bytes were read into the room.
    pub(crate) fn arrived(&mut self, count: usize) {
        self.end += count;
    }

    fn length(&self) -> usize {
        let mut length = [0; LENGTH_SIZE];
        length.copy_from_slice(&self.bytes[self.start..self.start + LENGTH_SIZE]);
        u32::from_le_bytes(length) as usize
    }

    /// Bytes of the frame that has begun, its length included; 4 while that is incomplete.
    fn expected(&self) -> usize {
        if self.end - self.start < LENGTH_SIZE {
            LENGTH_SIZE
        } else {
            LENGTH_SIZE + self.length()
        }
    }

    fn next_frame(&mut self) -> Result<Option<Task>, Error> {
        let received = self.end - self.start;
        if received < LENGTH_SIZE {
            return Ok(None);
        }
        if self.length() > self.limit {
            return Err(Error::TaskTooLarge { length: self.length(), limit: self.limit });
        }
        if received < self.expected() {
            return Ok(None);
        }
        let body = self.start + LENGTH_SIZE..self.start + self.expected();
        self.start = body.end;
        Ok(Some(Task::decode(&self.bytes[body])?))
    }

    fn next_line(&mut self) -> Result<Option<Task>, Error> {
        loop {
            let from = self.start + self.searched;
            let length = match self.bytes[from..self.end].iter().position(|byte| *byte == b'\n') {
                Some(position) => self.searched + position,
                None => {
                    self.searched = self.end - self.start;
                    if self.searched > self.limit {
                        return Err(Error::TaskTooLarge { length: self.searched, limit: self.limit });
                    }
                    return Ok(None);
                }
            };
            if length > self.limit {
                return Err(Error::TaskTooLarge { length, limit: self.limit });
            }
            let line = self.start..self.start + length;
            self.start = line.end + 1;
            self.searched = 0;
            if length > 0 {
                return self.task_of_line(line).map(Some);
            }
        }
    }

    fn task_of_line(&mut self, line: std::ops::Range<usize>) -> Result<Task, Error> {
        let line = std::str::from_utf8(&self.bytes[line]).map_err(|_| MalformedTask::InvalidLine)?;
        let (number, data) = line.split_once(' ').unwrap_or((line, ""));
        let is_number = number.strip_prefix('-').unwrap_or(number).bytes().all(|byte| byte.is_ascii_digit());
        let data_type = match number.parse() {
            Ok(data_type) if is_number => data_type,
            _ => return Err(MalformedTask::InvalidLine.into()),
        };
        self.lines += 1;
        let token = format!("debug-{}", self.lines);
        Ok(Task { data_type, object_name: String::new(), data: data.to_owned(), token })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arrive(frames: &mut TaskFrames, bytes: &[u8]) {
        let mut rest = bytes;
        while !rest.is_empty() {
            let room = frames.room();
            let count = room.len().min(rest.len());
            room[..count].copy_from_slice(&rest[..count]);
            frames.arrived(count);
            rest = &rest[count..];
        }
    }

    #[test]
    fn frames_byte_by_byte() {
        let mut frames = TaskFrames::new(Framing::Lengths, 100);
        let bytes = b"\x02\0\0\0\x08\x07\0\0\0\0\x01\0\0\0\xFF\x04\0\0\0\x1A\x02hi\x05\0\0\0\x08";
        let mut results = Vec::new();
        for byte in bytes {
            arrive(&mut frames, &[*byte]);
            if let Some(result) = frames.next_task().transpose() {
                results.push(result);
            }
        }
        let expected = vec![
            Ok(Task { data_type: 7, ..Task::default() }),
            Ok(Task::default()),
            Err(Error::MalformedTask(MalformedTask::Truncated)),
            Ok(Task { data: "hi".into(), ..Task::default() }),
        ];
        assert_eq!(results, expected);
        assert_eq!(frames.finish(), Err(Error::IncompleteTask { received: 5, expected: 9 }));
    }

    #[test]
    fn a_length_over_the_limit() {
        let mut frames = TaskFrames::new(Framing::Lengths, 10);
        arrive(&mut frames, b"\x0B\0\0\0");
        assert_eq!(frames.next_task(), Err(Error::TaskTooLarge { length: 11, limit: 10 }));
        assert_eq!(frames.next_task(), Err(Error::TaskTooLarge { length: 11, limit: 10 }));
    }

    #[test]
    fn large_frames_grow_and_shrink() {
        let mut frames = TaskFrames::new(Framing::Lengths, 1 << 20);
        let mut task = vec![0x1A, 0x80, 0x80, 0x20];
        task.resize(4 + (512 << 10), b'd');
        arrive(&mut frames, &(task.len() as u32).to_le_bytes());
        assert_eq!(frames.next_task(), Ok(None));
        arrive(&mut frames, &task);
        assert_eq!(frames.next_task().unwrap().unwrap().data.len(), 512 << 10);
        assert_eq!(frames.room().len(), READ_SIZE);
        assert!(frames.bytes.capacity() < 2 * READ_SIZE);
    }

    #[test]
    fn lines() {
        let mut frames = TaskFrames::new(Framing::Lines, 20);
        arrive(&mut frames, b"7201 a  b\n\n-5\n7 \nx\n+1 a\n 7\n99999999999\n\xFF\n7");
        let task = |data_type, data: &str, n: u32| {
            Ok(Some(Task { data_type, data: data.into(), token: format!("debug-{}", n), ..Task::default() }))
        };
        assert_eq!(frames.next_task(), task(7201, "a  b", 1));
        assert_eq!(frames.next_task(), task(-5, "", 2));
        assert_eq!(frames.next_task(), task(7, "", 3));
        for _ in 0..5 {
            assert_eq!(frames.next_task(), Err(MalformedTask::InvalidLine.into()));
        }
        assert_eq!(frames.next_task(), Ok(None));
        arrive(&mut frames, b"8 x");
        assert_eq!(frames.next_task(), Ok(None));
        assert_eq!(frames.finish(), task(78, "x", 4));
        assert_eq!(frames.finish(), Ok(None));
        arrive(&mut frames, b"7 3456789012345678901234");
        assert_eq!(frames.next_task(), Err(Error::TaskTooLarge { length: 24, limit: 20 }));
    }
}
