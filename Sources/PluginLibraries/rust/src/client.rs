// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

use std::fmt;
use std::fs::File;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::error::Error;
use crate::frames::Framing;
use crate::logger::{write_to_stderr, LogSettings};
use crate::options::{Descriptors, Options, Priority};
use crate::pipe::{Form, RecordPipe};
use crate::record::Record;
use crate::system;
use crate::tasks::{Received, TaskReader};

/// A plugin's connection with the agent that started it. See the crate's documentation for an example.
///
/// Records go out through buffered pipes: they are written when [`Options::buffer_size`] bytes have gathered, at the
/// latest [`Options::flush_interval`] after they were sent, and by [`flush`](Client::flush) and
/// [`close`](Client::close). While nothing is buffered nothing wakes up.
///
/// All methods may be called from any thread: share the client by reference or in an [`Arc`](std::sync::Arc). Dropping
/// the client closes it.
pub struct Client {
    tasks: TaskReader,
    records: RecordPipe,
    high_priority_records: Option<RecordPipe>,
    close_timeout: Duration,
    is_closed: AtomicBool,
    is_debug: bool,
    pub(crate) log: LogSettings,
}

/// What became of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It is in the buffer or has been written.
    Sent,
    /// The buffer was full and the agent did not read: [`Policy::DropNewest`](crate::Policy::DropNewest).
    Dropped,
}

/// What became of several records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// How many are in the buffer or have been written.
    pub sent: u64,
    /// How many were dropped because the buffer was full and the agent did not read.
    pub dropped: u64,
}

/// What a record has beside its fields. A plain `i32` is turned into one: data type, now, normal priority.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub struct Header {
    data_type: i32,
    timestamp: Option<i64>,
    priority: Priority,
}

impl Header {
    /// The header of a record of this type, as agreed with the server.
    pub fn new(data_type: i32) -> Header {
        Header { data_type, timestamp: None, priority: Priority::Normal }
    }

    /// Sets the time of the record in seconds since 1970; by default it is the time of sending.
    pub fn timestamp(mut self, seconds: i64) -> Header {
        self.timestamp = Some(seconds);
        self
    }

    /// Sets which pipe the record takes; the normal one by default.
    pub fn priority(mut self, priority: Priority) -> Header {
        self.priority = priority;
        self
    }
}

impl From<i32> for Header {
    fn from(data_type: i32) -> Header {
        Header::new(data_type)
    }
}

impl Client {
    /// Opens a client with the default options. See [`Options::open`] for the errors.
    pub fn open() -> Result<Client, Error> {
        Options::default().open()
    }

    /// Options to choose from before opening.
    pub fn builder() -> Options {
        Options::default()
    }

    pub(crate) fn open_with(options: &Options) -> Result<Client, Error> {
        let descriptors = options.descriptors.unwrap_or_else(inherited_descriptors);
        let is_debug = is_set("ELKEID_PLUGIN_DEBUG") || (options.descriptors.is_none() && is_in_terminal(&descriptors));
        let (tasks, records, high_priority_records) = if is_debug {
            (system::duplicate(0)?, system::duplicate(1)?, None)
        } else {
            own_descriptors(&descriptors)?
        };
        let (form, framing) = if is_debug { (Form::Lines, Framing::Lines) } else { (Form::Frames, Framing::Lengths) };
        let termination = if options.handle_sigterm { Some(watch_termination(is_debug)?) } else { None };
        let client = Client {
            tasks: TaskReader::new(tasks, framing, options.max_task_size, termination),
            records: RecordPipe::new(records, form, options)?,
            high_priority_records: match high_priority_records {
                Some(file) => Some(RecordPipe::new(file, form, options)?),
                None => None,
            },
            close_timeout: options.close_timeout,
            is_closed: AtomicBool::new(false),
            is_debug,
            log: LogSettings::new(options.stderr_level, options.record_level),
        };
        if is_debug && system::is_terminal(2) {
            write_to_stderr(
                "elkeid plugin: debug mode: records are printed as JSON lines; type DATA_TYPE DATA for a task, Ctrl-D \
                 to end\n",
            );
        }
        Ok(client)
    }

    /// Sends a record whose fields the closure adds: they are encoded straight into the write buffer.
    ///
    /// The header is the data type, or a [`Header`] with a timestamp and a priority. A record without fields is legal.
    /// The closure runs while the pipe's buffer is locked: gather before what takes time.
    ///
    /// ```no_run
    /// # use elkeid_plugin::{Client, Error, Header, Priority};
    /// # fn example(client: &Client, path: &std::path::Path) -> Result<(), Error> {
    /// client.send(7001, |record| {
    ///     record.add("path", path).add("pid", std::process::id());
    /// })?;
    /// client.send(Header::new(7002).timestamp(1_700_000_000).priority(Priority::High), |record| {
    ///     record.add("ratio", format_args!("{:.2}", 0.5));
    /// })?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Error::AgentGone`] once the agent does not read any more (also when an earlier background write found out),
    /// [`Error::RecordTooLarge`], [`Error::Closed`], or [`Error::System`].
    ///
    /// # Panics
    /// When the closure uses the client: that would be a deadlock.
    pub fn send(&self, header: impl Into<Header>, build: impl FnOnce(&mut Record<'_>)) -> Result<Outcome, Error> {
        let header = header.into();
        let timestamp = header.timestamp.unwrap_or_else(now);
        self.pipe(header.priority).send(header.data_type, timestamp, header.priority, build)
    }

    /// Sends a record for each item, with the fields that the closure adds for it. All have the same header.
    ///
    /// The pipe is locked once for all, and while the iterator is asked for items.
    ///
    /// # Errors
    /// As [`send`](Client::send). What comes before the item that failed has been sent, nothing behind it has.
    ///
    /// # Panics
    /// When the closure or the iterator uses the client.
    pub fn send_many<Items: IntoIterator>(
        &self,
        header: impl Into<Header>,
        items: Items,
        build: impl FnMut(&mut Record<'_>, Items::Item),
    ) -> Result<Counts, Error> {
        let header = header.into();
        let timestamp = header.timestamp.unwrap_or_else(now);
        let pipe = self.pipe(header.priority);
        pipe.send_many(header.data_type, timestamp, header.priority, items.into_iter(), build)
    }

    /// Sends a record that is encoded already: the bytes of a Record message, without a length. They are not checked.
    ///
    /// # Errors
    /// As [`send`](Client::send).
    pub fn send_raw(&self, message: impl AsRef<[u8]>, priority: Priority) -> Result<Outcome, Error> {
        self.pipe(priority).send_raw(message.as_ref(), priority)
    }

    /// Writes all buffered records now; returns when the pipes have taken what was buffered at the call.
    ///
    /// # Errors
    /// As [`send`](Client::send).
    pub fn flush(&self) -> Result<(), Error> {
        if let Some(pipe) = &self.high_priority_records {
            pipe.flush()?;
        }
        self.records.flush()
    }

    /// Writes all buffered records and closes the record pipes, which tells the agent that no more will come.
    ///
    /// Waits for the agent to take what is buffered; under [`Policy::DropNewest`](crate::Policy::DropNewest) at most
    /// [`Options::close_timeout`], then what is left counts as dropped. A failure to write is not reported: call
    /// [`flush`](Client::flush) before to know. A `receive` that waits in another thread is not interrupted. A second
    /// call does nothing; other calls return [`Error::Closed`] from here on.
    pub fn close(&self) {
        self.is_closed.store(true, Ordering::Release);
        let deadline = Instant::now().checked_add(self.close_timeout);
        if let Some(pipe) = &self.high_priority_records {
            pipe.close(deadline);
        }
        self.records.close(deadline);
    }

    /// How many records were dropped since the client was opened. May be called any time, also after `close`.
    pub fn dropped(&self) -> u64 {
        self.records.dropped() + self.high_priority_records.as_ref().map_or(0, RecordPipe::dropped)
    }

    /// Waits for the next task as long as it takes. A task that has arrived in part is kept for the next call.
    ///
    /// # Errors
    /// [`Error::MalformedTask`] (the next call goes on behind it), [`Error::TaskTooLarge`], [`Error::IncompleteTask`]
    /// (the agent ended inside a task; the next call returns the end), [`Error::Closed`], or [`Error::System`].
    pub fn receive(&self) -> Result<Received, Error> {
        self.check_not_closed()?;
        self.tasks.receive(None)
    }

    /// Waits for the next task for at most this long; with zero it only takes what is there.
    ///
    /// # Errors
    /// As [`receive`](Client::receive).
    pub fn receive_timeout(&self, timeout: Duration) -> Result<Received, Error> {
        self.check_not_closed()?;
        self.tasks.receive(Some(timeout))
    }

    /// Whether the client runs in debug mode: without an agent, records as text on stdout, tasks from stdin.
    pub fn is_debug(&self) -> bool {
        self.is_debug
    }

    #[cfg(test)]
    pub(crate) fn records(&self) -> &RecordPipe {
        &self.records
    }

    fn check_not_closed(&self) -> Result<(), Error> {
        if self.is_closed.load(Ordering::Acquire) {
            return Err(Error::Closed);
        }
        Ok(())
    }

    fn pipe(&self, priority: Priority) -> &RecordPipe {
        match (&self.high_priority_records, priority) {
            (Some(pipe), Priority::High) => pipe,
            _ => &self.records,
        }
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.close();
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("is_debug", &self.is_debug)
            .field("is_closed", &self.is_closed)
            .field("dropped", &self.dropped())
            .finish_non_exhaustive()
    }
}

fn now() -> i64 {
    // A clock before 1970 gives 0: there is no better time to tell.
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs() as i64)
}

fn is_set(name: &str) -> bool {
    std::env::var_os(name).map_or(false, |value| !value.is_empty())
}

fn inherited_descriptors() -> Descriptors {
    let has_high_priority = is_set("ELKEID_PLUGIN_HIGH_PRIORITY_PIPE");
    Descriptors { tasks: 3, records: 4, high_priority_records: if has_high_priority { Some(5) } else { None } }
}

/// Whether a person has started the program: there is no pipe of an agent, but a terminal.
fn is_in_terminal(descriptors: &Descriptors) -> bool {
    let is_not_open = |result| matches!(result, Err(Error::DescriptorNotOpen(_)));
    is_not_open(system::check_descriptor(descriptors.tasks, true))
        && is_not_open(system::check_descriptor(descriptors.records, false))
        && system::is_terminal(1)
}

/// Takes over all descriptors or, when one of them is refused, none.
fn own_descriptors(descriptors: &Descriptors) -> Result<(File, File, Option<File>), Error> {
    system::check_descriptor(descriptors.tasks, true)?;
    system::check_descriptor(descriptors.records, false)?;
    if let Some(fd) = descriptors.high_priority_records {
        system::check_descriptor(fd, false)?;
    }
    Ok((
        system::own_descriptor(descriptors.tasks)?,
        system::own_descriptor(descriptors.records)?,
        descriptors.high_priority_records.map(system::own_descriptor).transpose()?,
    ))
}

/// Installs the signal handlers, and gives what becomes readable when a signal has come. One for the whole process,
/// kept for good: a handler may run any time.
fn watch_termination(is_debug: bool) -> Result<&'static File, Error> {
    static EVENT: Mutex<Option<&'static File>> = Mutex::new(None);
    let mut event = EVENT.lock().unwrap_or_else(PoisonError::into_inner);
    let file = match *event {
        Some(file) => file,
        None => {
            let file: &'static File = Box::leak(Box::new(system::new_event()?));
            *event = Some(file);
            file
        }
    };
    // A process that is to end already dies of the next signal: that must not be undone.
    if !system::is_terminating() {
        system::install_termination_handler(file, system::SIGTERM)?;
        if is_debug {
            system::install_termination_handler(file, system::SIGINT)?;
        }
    }
    Ok(file)
}
