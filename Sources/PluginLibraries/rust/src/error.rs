// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

use std::fmt;
use std::io;

/// What can go wrong between a plugin and the agent that started it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// The descriptor is not open: the program was not started by an agent.
    DescriptorNotOpen(i32),
    /// The descriptor is open, but neither a pipe nor a socket that goes the way the contract says.
    DescriptorUnusable(i32),
    /// The agent has closed its end of a record pipe, or has ended: nothing can be sent any more.
    AgentGone,
    /// The client has been closed.
    Closed,
    /// The agent's task pipe ended inside a frame. Reported once; the next `receive` returns the end.
    IncompleteTask {
        /// Bytes that had arrived, the 4 bytes of the length included.
        received: usize,
        /// Bytes of the whole frame; 4 while the length itself is incomplete.
        expected: usize,
    },
    /// The agent announced a task over the limit. Where the next task starts is not known any more: every later
    /// `receive` returns this again.
    TaskTooLarge {
        /// The announced size in bytes.
        length: usize,
        /// The limit in bytes.
        limit: usize,
    },
    /// One task could not be decoded. It has been skipped; the next `receive` goes on with the one after it.
    MalformedTask(MalformedTask),
    /// The encoded record is larger than what the agent accepts. It was not sent.
    RecordTooLarge {
        /// The size of the encoded record in bytes.
        size: usize,
        /// The limit in bytes.
        limit: usize,
    },
    /// A system call failed for a reason outside of the contract.
    System {
        /// The name of the call.
        call: &'static str,
        /// Its `errno`.
        errno: i32,
    },
}

/// Why the bytes of a task are not a Task message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum MalformedTask {
    /// A field reaches past the end.
    Truncated,
    /// A varint has more than 10 bytes.
    VarintTooLong,
    /// A tag has an invalid field number or wire type.
    InvalidTag,
    /// The field with this number has the wrong wire type.
    WrongWireType(u32),
    /// The field with this number is not valid UTF-8.
    NotUtf8(u32),
    /// In debug mode, a line is not of the form `DATA_TYPE DATA...`.
    InvalidLine,
}

const HOW_TO_START: &str = "this is an Elkeid plugin, to be started by elkeid-agent or elkeid-devcenter --plugin \
    (descriptor 3 reads tasks, 4 writes records), or with ELKEID_PLUGIN_DEBUG=1 in the environment to try it by hand";

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::DescriptorNotOpen(fd) => {
                write!(f, "descriptor {} is not open: {}", fd, HOW_TO_START)
            }
            Error::DescriptorUnusable(fd) => {
                write!(f, "descriptor {} is not a pipe in the right direction: {}", fd, HOW_TO_START)
            }
            Error::AgentGone => write!(f, "the agent has closed the record pipe: end the plugin"),
            Error::Closed => write!(f, "the plugin client has been closed: make no calls after close()"),
            Error::IncompleteTask { received, expected } => write!(
                f,
                "the task pipe ended inside a task, after {} of {} bytes: the agent has ended suddenly",
                received, expected
            ),
            Error::TaskTooLarge { length, limit } => write!(
                f,
                "the agent announced a task of {} bytes, the limit is {}: raise Options::max_task_size, or restart \
                 the plugin if the task pipe is out of step",
                length, limit
            ),
            Error::MalformedTask(reason) => {
                write!(f, "a task was skipped because it is not a valid Task message: {}", reason)
            }
            Error::RecordTooLarge { size, limit } => write!(
                f,
                "a record of {} bytes was not sent, the limit is {}: split it or shorten its values",
                size, limit
            ),
            Error::System { call, errno } => {
                write!(f, "{} failed: {}", call, io::Error::from_raw_os_error(*errno))
            }
        }
    }
}

impl fmt::Display for MalformedTask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            MalformedTask::Truncated => write!(f, "a field reaches past the end"),
            MalformedTask::VarintTooLong => write!(f, "a varint has more than 10 bytes"),
            MalformedTask::InvalidTag => write!(f, "a tag has an invalid field number or wire type"),
            MalformedTask::WrongWireType(field) => write!(f, "field {} has the wrong wire type", field),
            MalformedTask::NotUtf8(field) => write!(f, "field {} is not valid UTF-8", field),
            MalformedTask::InvalidLine => {
                write!(f, "a line is DATA_TYPE, a space and DATA in UTF-8, such as: 7001 {{\"a\":1}}")
            }
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Error::MalformedTask(reason) => Some(reason),
            _ => None,
        }
    }
}

impl std::error::Error for MalformedTask {}

impl From<MalformedTask> for Error {
    fn from(reason: MalformedTask) -> Error {
        Error::MalformedTask(reason)
    }
}
