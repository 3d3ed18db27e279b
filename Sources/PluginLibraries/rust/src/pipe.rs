// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

//! The buffered writing end of one record pipe, for any number of threads, and the thread that flushes it.

use std::fs::File;
use std::io::{self, Write};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::client::{Counts, Outcome};
use crate::debug;
use crate::error::Error;
use crate::options::{Options, Policy, Priority};
use crate::record::{Record, LENGTH_SIZE};
use crate::system::{self, Ready};

/// Room beyond the flush limit for the record that crosses it; larger ones make the buffer grow for a while.
const SLACK: usize = 64 << 10;

/// What is written to the descriptor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    Frames,
    /// Debug mode: a line of JSON for each record. Never dropped, since a terminal must not be made non-blocking: its
    /// other users share that.
    Lines,
}

pub(crate) struct RecordPipe {
    shared: Arc<Shared>,
    flusher: Mutex<Option<JoinHandle<()>>>,
}

struct Shared {
    form: Form,
    policy: Policy,
    buffer_size: usize,
    flush_interval: Duration,
    max_record_size: usize,
    state: Mutex<State>,
    /// The flushing thread waits here while there is nothing to write yet.
    changed: Condvar,
    dropped: AtomicU64,
    /// Signalled when the pipe is closed, for those who wait for room under `DropNewest`.
    closing: Option<File>,
    /// The thread whose closure adds fields just now, 0 for none.
    building_thread: AtomicUsize,
}

struct State {
    /// None once closed. A thread that waits for room holds on to the file, so that the number is not used anew.
    file: Option<Arc<File>>,
    /// `buffer[head..]` is still to be written.
    buffer: Vec<u8>,
    head: usize,
    /// Where the frame starts that `head` is in.
    frame: usize,
    /// Bytes written since the pipe was opened.
    written: u64,
    /// When the oldest buffered record must be written; meaningless while the buffer is empty.
    deadline: Instant,
    flusher: Flusher,
    is_closed: bool,
    /// Once writing failed, every later call fails in the same way.
    failure: Option<Error>,
}

/// What the flushing thread does, so that it is woken only when that is needed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Flusher {
    /// Waits for a first record.
    Idle,
    /// Waits for the deadline.
    Timed,
    /// Will look at the state by itself.
    Awake,
}

impl RecordPipe {
    /// Starts the flushing thread, which receives no signals.
    pub(crate) fn new(file: File, form: Form, options: &Options) -> Result<RecordPipe, Error> {
        let policy = if form == Form::Lines { Policy::Block } else { options.policy };
        let closing = match policy {
            Policy::Block => None,
            Policy::DropNewest => {
                system::set_nonblocking(&file)?;
                Some(system::new_event()?)
            }
        };
        let state = State {
            file: Some(Arc::new(file)),
            buffer: Vec::new(),
            head: 0,
            frame: 0,
            written: 0,
            deadline: Instant::now(),
            flusher: Flusher::Awake,
            is_closed: false,
            failure: None,
        };
        let shared = Arc::new(Shared {
            form,
            policy,
            buffer_size: options.buffer_size,
            flush_interval: options.flush_interval,
            max_record_size: options.max_record_size,
            state: Mutex::new(state),
            changed: Condvar::new(),
            dropped: AtomicU64::new(0),
            closing,
            building_thread: AtomicUsize::new(0),
        });
        shared.lock().buffer = Vec::with_capacity(shared.capacity());
        let flushed = Arc::clone(&shared);
        let flusher = system::with_signals_blocked(|| {
            thread::Builder::new().name("elkeid-flush".into()).spawn(move || flushed.flush_until_closed())
        })
        .map_err(|error| system::system_error("pthread_create", &error))?;
        Ok(RecordPipe { shared, flusher: Mutex::new(Some(flusher)) })
    }

    pub(crate) fn dropped(&self) -> u64 {
        self.shared.dropped.load(Ordering::Relaxed)
    }

    /// Whether a write has failed, also one that the flushing thread made.
    #[cfg(test)]
    pub(crate) fn has_failed(&self) -> bool {
        self.shared.lock().failure.is_some()
    }

    pub(crate) fn send(
        &self,
        data_type: i32,
        timestamp: i64,
        priority: Priority,
        build: impl FnOnce(&mut Record<'_>),
    ) -> Result<Outcome, Error> {
        let shared = &*self.shared;
        let mut state = shared.lock_usable()?;
        let _building = Building::new(shared);
        shared.append(&mut state, priority, |buffer| shared.encode(buffer, data_type, timestamp, build))
    }

    pub(crate) fn send_many<Item>(
        &self,
        data_type: i32,
        timestamp: i64,
        priority: Priority,
        items: impl Iterator<Item = Item>,
        mut build: impl FnMut(&mut Record<'_>, Item),
    ) -> Result<Counts, Error> {
        let shared = &*self.shared;
        let mut state = shared.lock_usable()?;
        let _building = Building::new(shared);
        let mut counts = Counts::default();
        for item in items {
            let outcome = shared.append(&mut state, priority, |buffer| {
                shared.encode(buffer, data_type, timestamp, |record| build(record, item))
            })?;
            match outcome {
                Outcome::Sent => counts.sent += 1,
                Outcome::Dropped => counts.dropped += 1,
            }
        }
        Ok(counts)
    }

    pub(crate) fn send_raw(&self, message: &[u8], priority: Priority) -> Result<Outcome, Error> {
        let shared = &*self.shared;
        let mut state = shared.lock_usable()?;
        shared.append(&mut state, priority, |buffer| {
            if message.len() > shared.max_record_size.min(u32::MAX as usize) {
                return Err(Error::RecordTooLarge { size: message.len(), limit: shared.max_record_size });
            }
            buffer.reserve(LENGTH_SIZE + message.len());
            buffer.extend_from_slice(&(message.len() as u32).to_le_bytes());
            buffer.extend_from_slice(message);
            Ok(())
        })
    }

    /// Waits until the pipe has taken everything that is buffered now.
    pub(crate) fn flush(&self) -> Result<(), Error> {
        let shared = &*self.shared;
        let mut state = shared.lock_usable()?;
        if shared.policy == Policy::Block {
            return shared.write(&mut state);
        }
        let target = state.written + state.pending() as u64;
        loop {
            shared.write(&mut state)?;
            let file = match &state.file {
                Some(file) if state.written < target => Arc::clone(file),
                _ => return Ok(()),
            };
            // Others may send meanwhile: under this policy they never wait.
            drop(state);
            system::wait(&file, Ready::Writable, shared.closing.as_ref(), None)?;
            state = shared.lock_usable()?;
        }
    }

    /// Writes what is buffered, ends the flushing thread and closes the descriptor. Under `DropNewest`, what the pipe
    /// has not taken at the deadline (None: never) counts as dropped. Later calls do nothing.
    pub(crate) fn close(&self, deadline: Option<Instant>) {
        let shared = &*self.shared;
        let mut state = shared.lock();
        if state.is_closed {
            return;
        }
        match shared.policy {
            Policy::Block => {
                // There is nobody left to tell of a failure: who wants to know calls flush before.
                let _ = shared.write(&mut state);
                state.is_closed = true;
            }
            Policy::DropNewest => {
                state.is_closed = true;
                if let Some(closing) = &shared.closing {
                    system::signal_event(closing);
                }
                state = shared.drain(state, deadline);
            }
        }
        let file = state.file.take();
        drop(state);
        shared.changed.notify_all();
        let flusher = self.flusher.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(flusher) = flusher {
            // It ends without a panic; were it otherwise, the message is on stderr already.
            let _ = flusher.join();
        }
        drop(file);
    }
}

impl Drop for RecordPipe {
    /// For a client that could not be opened completely: nothing is buffered then.
    fn drop(&mut self) {
        self.close(Some(Instant::now()));
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        assert!(
            self.building_thread.load(Ordering::Relaxed) != this_thread(),
            "the plugin client was called from within its own closure that adds fields: gather the values before"
        );
        // A closure that panicked has left no trace in the state: see `Drop for Record`.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock_usable(&self) -> Result<MutexGuard<'_, State>, Error> {
        let state = self.lock();
        if state.is_closed {
            return Err(Error::Closed);
        }
        match &state.failure {
            Some(failure) => Err(failure.clone()),
            None => Ok(state),
        }
    }

    /// The size of the buffer in normal times.
    fn capacity(&self) -> usize {
        match self.policy {
            Policy::Block => self.buffer_size.saturating_add(SLACK),
            // Twice, so that what is left after part was written has to be moved to the front only now and then.
            Policy::DropNewest => self.buffer_size.saturating_mul(2).saturating_add(SLACK),
        }
    }

    fn encode(
        &self,
        buffer: &mut Vec<u8>,
        data_type: i32,
        timestamp: i64,
        build: impl FnOnce(&mut Record<'_>),
    ) -> Result<(), Error> {
        let mut record = Record::begin(buffer, data_type, timestamp);
        build(&mut record);
        match record.finish(self.max_record_size) {
            Ok(_) => Ok(()),
            Err(size) => Err(Error::RecordTooLarge { size, limit: self.max_record_size }),
        }
    }

    /// Adds the frame that `encode` appends to the buffer; that must append nothing when it fails.
    #[inline]
    fn append(
        &self,
        state: &mut State,
        priority: Priority,
        encode: impl FnOnce(&mut Vec<u8>) -> Result<(), Error>,
    ) -> Result<Outcome, Error> {
        if state.frame > self.buffer_size {
            state.move_to_front();
        }
        let start = state.buffer.len();
        let older = state.pending();
        let result = encode(&mut state.buffer);
        if result.is_err() {
            // A huge record that was refused has left its room.
            state.shrink(self.capacity());
        }
        result?;
        if self.form == Form::Lines {
            let message = state.buffer.split_off(start);
            debug::append_line(&mut state.buffer, &message[LENGTH_SIZE..], priority);
        }
        if self.policy == Policy::DropNewest && older > 0 && state.pending() > self.buffer_size {
            self.write_until_full(state, start)?;
            if state.head < start && state.pending() > self.buffer_size {
                state.buffer.truncate(start);
                state.shrink(self.capacity());
                self.dropped.fetch_add(1, Ordering::Relaxed);
                self.hand_over(state);
                return Ok(Outcome::Dropped);
            }
        }
        if state.pending() >= self.buffer_size {
            self.write(state)?;
            if state.pending() > 0 {
                self.hand_over(state);
            }
        } else if older == 0 {
            let now = Instant::now();
            // A time too far away to be expressed is as good as a century.
            state.deadline = now.checked_add(self.flush_interval).unwrap_or_else(|| now + CENTURY);
            if state.flusher == Flusher::Idle {
                self.wake_flusher(state);
            }
        }
        Ok(Outcome::Sent)
    }

    /// The pipe is full: has the flushing thread wait for room.
    fn hand_over(&self, state: &mut State) {
        state.deadline = Instant::now();
        if state.flusher != Flusher::Awake {
            self.wake_flusher(state);
        }
    }

    fn wake_flusher(&self, state: &mut State) {
        state.flusher = Flusher::Awake;
        self.changed.notify_all();
    }

    /// Writes what is buffered: all of it, or under `DropNewest` what the pipe takes at once.
    fn write(&self, state: &mut State) -> Result<(), Error> {
        let end = state.buffer.len();
        self.write_until_full(state, end)
    }

    /// Writes `buffer[head..end]`, see `write`. A failure stays.
    fn write_until_full(&self, state: &mut State, end: usize) -> Result<(), Error> {
        let file = match &state.file {
            Some(file) if state.head < end => Arc::clone(file),
            _ => return Ok(()),
        };
        let result = system::without_sigpipe(|| {
            while state.head < end {
                match (&*file).write(&state.buffer[state.head..end]) {
                    Ok(count) => {
                        state.head += count;
                        state.written += count as u64;
                    }
                    Err(error) => match error.kind() {
                        io::ErrorKind::Interrupted => (),
                        io::ErrorKind::WouldBlock if self.policy == Policy::DropNewest => return Ok(()),
                        // Somebody else has made the pipe non-blocking.
                        io::ErrorKind::WouldBlock => {
                            if let Err(failure) = system::wait(&file, Ready::Writable, None, None) {
                                state.failure = Some(failure);
                                return Ok(());
                            }
                        }
                        _ => return Err(error),
                    },
                }
            }
            Ok(())
        });
        if let Err(error) = result {
            state.failure = Some(match error.kind() {
                io::ErrorKind::BrokenPipe => Error::AgentGone,
                _ => system::system_error("write", &error),
            });
        }
        if let Some(failure) = &state.failure {
            let failure = failure.clone();
            state.clear(self.capacity());
            return Err(failure);
        }
        if state.pending() == 0 {
            state.clear(self.capacity());
        } else {
            state.pass_written_frames();
        }
        Ok(())
    }

    /// Waits until the pipe has taken everything; at the deadline, counts what is left as dropped.
    fn drain<'a>(&'a self, mut state: MutexGuard<'a, State>, deadline: Option<Instant>) -> MutexGuard<'a, State> {
        loop {
            if state.failure.is_some() || self.write(&mut state).is_err() || state.pending() == 0 {
                return state;
            }
            let file = match &state.file {
                Some(file) => Arc::clone(file),
                None => return state,
            };
            drop(state);
            let is_ready = system::wait(&file, Ready::Writable, None, deadline);
            state = self.lock();
            if is_ready != Ok(true) {
                self.dropped.fetch_add(state.pending_frames(), Ordering::Relaxed);
                return state;
            }
        }
    }

    fn flush_until_closed(&self) {
        let mut state = self.lock();
        while !state.is_closed && state.failure.is_none() {
            if state.pending() == 0 {
                state.flusher = Flusher::Idle;
                state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
                state.flusher = Flusher::Awake;
                continue;
            }
            let rest = state.deadline.saturating_duration_since(Instant::now());
            if rest > Duration::ZERO {
                state.flusher = Flusher::Timed;
                state = self.changed.wait_timeout(state, rest).unwrap_or_else(PoisonError::into_inner).0;
                state.flusher = Flusher::Awake;
                continue;
            }
            // The next call of the plugin reports a failure.
            let _ = self.write(&mut state);
            let file = match &state.file {
                Some(file) if state.pending() > 0 => Arc::clone(file),
                _ => continue,
            };
            drop(state);
            let result = system::wait(&file, Ready::Writable, self.closing.as_ref(), None);
            state = self.lock();
            if let Err(error) = result {
                state.failure.get_or_insert(error);
            }
        }
    }
}

const CENTURY: Duration = Duration::from_secs(100 * 365 * 86_400);

impl State {
    fn pending(&self) -> usize {
        self.buffer.len() - self.head
    }

    /// Forgets everything that is buffered.
    fn clear(&mut self, capacity: usize) {
        self.buffer.clear();
        self.head = 0;
        self.frame = 0;
        self.shrink(capacity);
    }

    /// Gives back what an unusually large record made the buffer grow, once there is nothing in it.
    fn shrink(&mut self, capacity: usize) {
        if self.buffer.is_empty() && self.buffer.capacity() > capacity {
            self.buffer = Vec::with_capacity(capacity);
        }
    }

    /// Where the frame ends that starts at `start`.
    fn frame_end(&self, start: usize) -> usize {
        let mut length = [0; LENGTH_SIZE];
        length.copy_from_slice(&self.buffer[start..start + LENGTH_SIZE]);
        start + LENGTH_SIZE + u32::from_le_bytes(length) as usize
    }

    fn pass_written_frames(&mut self) {
        while self.frame < self.head {
            let end = self.frame_end(self.frame);
            if end > self.head {
                return;
            }
            self.frame = end;
        }
    }

    /// Moves what is not written yet, from the start of its first frame on, to the start of the buffer.
    fn move_to_front(&mut self) {
        self.buffer.drain(..self.frame);
        self.head -= self.frame;
        self.frame = 0;
    }

    /// The frames that are not written completely.
    fn pending_frames(&self) -> u64 {
        let mut count = 0;
        let mut start = self.frame;
        while start < self.buffer.len() {
            start = self.frame_end(start);
            count += 1;
        }
        count
    }
}

/// Marks this thread as the one whose closure runs, so that a call from within it is found instead of a deadlock.
struct Building<'a>(&'a Shared);

impl<'a> Building<'a> {
    fn new(shared: &'a Shared) -> Building<'a> {
        shared.building_thread.store(this_thread(), Ordering::Relaxed);
        Building(shared)
    }
}

impl Drop for Building<'_> {
    fn drop(&mut self) {
        self.0.building_thread.store(0, Ordering::Relaxed);
    }
}

/// A number that no other living thread has; never 0.
fn this_thread() -> usize {
    thread_local!(static PLACE: u8 = const { 0 });
    PLACE.with(|place| place as *const u8 as usize)
}
