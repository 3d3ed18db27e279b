// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

//! The reading end of the task pipe.

use std::fs::File;
use std::io::{self, Read};
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::error::Error;
use crate::frames::{Framing, TaskFrames};
use crate::system::{self, Ready};
use crate::task::Task;

/// What waiting for a task ended with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Received {
    /// A task has arrived.
    Task(Task),
    /// The time was over before a task had arrived. Only [`Client::receive_timeout`](crate::Client::receive_timeout)
    /// returns this.
    TimedOut,
    /// The agent has ended or wants the plugin to end: flush, close and exit.
    End,
}

/// The descriptor stays open as long as this lives, so that closing the client cannot pull it away under a thread that
/// waits in `receive`.
pub(crate) struct TaskReader {
    file: File,
    /// Becomes readable when the process has got SIGTERM; None when that is not watched.
    termination: Option<&'static File>,
    /// None while a thread reads.
    state: Mutex<Option<State>>,
    state_is_back: Condvar,
}

struct State {
    frames: TaskFrames,
    failure: Option<Error>,
    has_ended: bool,
}

impl TaskReader {
    pub(crate) fn new(file: File, framing: Framing, limit: usize, termination: Option<&'static File>) -> TaskReader {
        let state = State { frames: TaskFrames::new(framing, limit), failure: None, has_ended: false };
        TaskReader { file, termination, state: Mutex::new(Some(state)), state_is_back: Condvar::new() }
    }

    /// Waits for a task at most this long, None for as long as it takes. A thread that comes while another one waits
    /// here waits for that one first.
    pub(crate) fn receive(&self, timeout: Option<Duration>) -> Result<Received, Error> {
        // A time too far away to be expressed is as good as never.
        let deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        let mut state = match self.take_state(deadline) {
            Some(state) => state,
            None => return Ok(Received::TimedOut),
        };
        let result = self.receive_with(&mut state, deadline);
        *self.state.lock().unwrap_or_else(PoisonError::into_inner) = Some(state);
        self.state_is_back.notify_one();
        result
    }

    fn take_state(&self, deadline: Option<Instant>) -> Option<State> {
        let mut guard = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if let Some(state) = guard.take() {
                return Some(state);
            }
            match deadline {
                None => guard = self.state_is_back.wait(guard).unwrap_or_else(PoisonError::into_inner),
                Some(deadline) => {
                    let rest = deadline.saturating_duration_since(Instant::now());
                    if rest == Duration::ZERO {
                        return None;
                    }
                    guard = self.state_is_back.wait_timeout(guard, rest).unwrap_or_else(PoisonError::into_inner).0;
                }
            }
        }
    }

    fn receive_with(&self, state: &mut State, deadline: Option<Instant>) -> Result<Received, Error> {
        if let Some(failure) = &state.failure {
            return Err(failure.clone());
        }
        loop {
            if state.has_ended || (self.termination.is_some() && system::is_terminating()) {
                return Ok(Received::End);
            }
            match state.frames.next_task() {
                Ok(Some(task)) => return Ok(Received::Task(task)),
                Ok(None) => (),
                Err(error) => {
                    if let Error::TaskTooLarge { .. } = error {
                        state.failure = Some(error.clone());
                    }
                    return Err(error);
                }
            }
            if !system::wait(&self.file, Ready::Readable, self.termination, deadline)? {
                return Ok(Received::TimedOut);
            }
            if self.termination.is_some() && system::is_terminating() {
                continue;
            }
            if let Some(received) = self.read_more(state)? {
                return Ok(received);
            }
        }
    }

    /// Reads what has arrived. Returns what the end of the pipe means, if that is what came.
    fn read_more(&self, state: &mut State) -> Result<Option<Received>, Error> {
        match (&self.file).read(state.frames.room()) {
            Ok(0) => {
                state.has_ended = true;
                state.frames.finish().map(|task| Some(task.map_or(Received::End, Received::Task)))
            }
            Ok(count) => {
                state.frames.arrived(count);
                Ok(None)
            }
            // Somebody else may have emptied a non-blocking pipe since it was ready.
            Err(error) if matches!(error.kind(), io::ErrorKind::Interrupted | io::ErrorKind::WouldBlock) => Ok(None),
            Err(error) => Err(system::system_error("read", &error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;
    use crate::system::testing::new_pipe;

    #[test]
    fn a_waiting_receive_keeps_a_timed_one_no_longer_than_its_time() {
        let (reading, writing) = new_pipe();
        let reader = TaskReader::new(reading, Framing::Lengths, 1000, None);
        thread::scope(|scope| {
            let waiting = scope.spawn(|| reader.receive(None));
            while reader.state.lock().unwrap().is_some() {
                thread::yield_now();
            }
            for timeout in [Duration::ZERO, Duration::from_millis(1)] {
                assert_eq!(reader.receive(Some(timeout)), Ok(Received::TimedOut));
            }
            drop(writing);
            assert_eq!(waiting.join().unwrap(), Ok(Received::End));
        });
        assert_eq!(reader.receive(None), Ok(Received::End));
    }
}
