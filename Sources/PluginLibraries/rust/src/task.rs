// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

use crate::error::MalformedTask;
use crate::protobuf::Reader;

/// A command from the server for this plugin.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Task {
    /// What to do; which numbers a plugin answers to is its own matter.
    pub data_type: i32,
    /// The name of the plugin that is meant.
    pub object_name: String,
    /// The parameters, usually JSON.
    pub data: String,
    /// Identifies the task; a result record must repeat it in its field `token`.
    pub token: String,
}

impl Task {
    /// Decodes `Task{1: int32 data_type, 2: string object_name, 3: string data, 4: string token}`.
    ///
    /// Fields may come in any order; the last of a repeated one counts; unknown ones are ignored.
    ///
    /// # Errors
    /// What is wrong with the bytes. The client reports it as [`Error::MalformedTask`](crate::Error::MalformedTask).
    pub fn decode(bytes: &[u8]) -> Result<Task, MalformedTask> {
        let mut task = Task::default();
        let mut reader = Reader::new(bytes);
        while !reader.is_at_end() {
            let (field, wire_type) = reader.read_tag()?;
            match field {
                1 if wire_type == 0 => task.data_type = reader.read_varint()? as i32,
                2 if wire_type == 2 => task.object_name = reader.read_string(field)?,
                3 if wire_type == 2 => task.data = reader.read_string(field)?,
                4 if wire_type == 2 => task.token = reader.read_string(field)?,
                1..=4 => return Err(MalformedTask::WrongWireType(field)),
                _ => reader.skip(wire_type)?,
            }
        }
        Ok(task)
    }
}
