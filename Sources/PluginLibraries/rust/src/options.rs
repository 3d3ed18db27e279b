// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

use std::os::unix::io::RawFd;
use std::time::Duration;

use crate::client::Client;
use crate::error::Error;
use crate::logger::Level;

/// What `send` does when the agent does not read and the buffer is full.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Policy {
    /// It waits until the agent reads. Nothing is lost.
    Block,
    /// It drops the new record, counts it, and returns at once: for plugins that must never be held up.
    DropNewest,
}

/// Which pipe a record takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Priority {
    /// The pipe that always exists.
    Normal,
    /// The high-priority pipe if the agent offers one, otherwise as `Normal`. There is no order between the two.
    High,
}

/// The pipes between the agent and a plugin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Descriptors {
    pub(crate) tasks: RawFd,
    pub(crate) records: RawFd,
    pub(crate) high_priority_records: Option<RawFd>,
}

/// Limits, times and choices of a [`Client`]; made by [`Client::builder`], used up by [`open`](Options::open).
///
/// The defaults are those of the contract between agent and plugins.
#[derive(Debug, Clone)]
#[must_use = "nothing is opened before open() is called"]
pub struct Options {
    pub(crate) descriptors: Option<Descriptors>,
    pub(crate) policy: Policy,
    pub(crate) buffer_size: usize,
    pub(crate) flush_interval: Duration,
    pub(crate) close_timeout: Duration,
    pub(crate) max_record_size: usize,
    pub(crate) max_task_size: usize,
    pub(crate) handle_sigterm: bool,
    pub(crate) stderr_level: Option<Level>,
    pub(crate) record_level: Option<Level>,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            descriptors: None,
            policy: Policy::Block,
            buffer_size: 512 << 10,
            flush_interval: Duration::from_millis(200),
            close_timeout: Duration::from_secs(2),
            max_record_size: 8 << 20,
            max_task_size: 1 << 20,
            handle_sigterm: true,
            stderr_level: Some(Level::Info),
            record_level: Some(Level::Error),
        }
    }
}

impl Options {
    /// Opens the client: takes over the pipes of the agent and marks them close-on-exec.
    ///
    /// Without an agent it goes into debug mode: see the crate's documentation.
    ///
    /// # Errors
    /// [`Error::DescriptorNotOpen`] or [`Error::DescriptorUnusable`] when the program was not started by an agent (the
    /// descriptors stay as they are), [`Error::System`] when a system call fails or no thread can be started.
    pub fn open(self) -> Result<Client, Error> {
        Client::open_with(&self)
    }

    /// Uses these descriptors instead of the inherited ones: 3 for tasks, 4 for records, and 5 for high-priority
    /// records if the environment variable `ELKEID_PLUGIN_HIGH_PRIORITY_PIPE` is set and not empty.
    ///
    /// The client owns them once it is open: nothing else may close them. The record pipes are closed by
    /// [`Client::close`], the task pipe when the client is dropped.
    pub fn descriptors(mut self, tasks: RawFd, records: RawFd, high_priority_records: Option<RawFd>) -> Self {
        self.descriptors = Some(Descriptors { tasks, records, high_priority_records });
        self
    }

    /// What `send` does when the agent does not read and the buffer is full; `Block` by default.
    pub fn policy(mut self, policy: Policy) -> Self {
        self.policy = policy;
        self
    }

    /// Records are written when this many bytes have gathered for a pipe; 512 KiB by default.
    pub fn buffer_size(mut self, bytes: usize) -> Self {
        self.buffer_size = bytes;
        self
    }

    /// Records are written at the latest this long after the first one came into the empty buffer; 200 ms by default.
    pub fn flush_interval(mut self, interval: Duration) -> Self {
        self.flush_interval = interval;
        self
    }

    /// The longest time that `close` waits under `DropNewest` for the agent to take what is buffered; 2 s by default.
    pub fn close_timeout(mut self, timeout: Duration) -> Self {
        self.close_timeout = timeout;
        self
    }

    /// The longest encoded record in bytes that is sent; 8 MiB by default. The agent takes a longer one for a broken
    /// stream and stops the plugin.
    pub fn max_record_size(mut self, bytes: usize) -> Self {
        self.max_record_size = bytes;
        self
    }

    /// The longest task in bytes that is accepted; 1 MiB by default.
    pub fn max_task_size(mut self, bytes: usize) -> Self {
        self.max_task_size = bytes;
        self
    }

    /// Whether the first SIGTERM makes `receive` return the end, so that the plugin can end in order; true by default.
    /// The second one ends the process at once. In debug mode the same holds for SIGINT. With false, no signal handler
    /// is installed.
    pub fn handle_sigterm(mut self, handle: bool) -> Self {
        self.handle_sigterm = handle;
        self
    }

    /// The lowest level of log lines on stderr, None for no lines; `Info` by default.
    pub fn stderr_level(mut self, level: impl Into<Option<Level>>) -> Self {
        self.stderr_level = level.into();
        self
    }

    /// The lowest level of log messages that are sent to the agent, None for none; `Error` by default.
    pub fn record_level(mut self, level: impl Into<Option<Level>>) -> Self {
        self.record_level = level.into();
        self
    }
}
