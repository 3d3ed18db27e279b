// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

//! Sends the load average of the machine every second: an example of a complete plugin.
//!
//! Try it in a terminal, `cargo run --example loadavg`: records are printed as JSON. Type `7201 hello` and Enter for a
//! task that is echoed, `7202 5000` for one that changes the interval to 5 s; Ctrl-D ends it.

use std::fs;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use elkeid_plugin::{error, Client, Error, Header, Priority, Received, Task};

// Data types tell the server what a record or a task is. Yours are agreed with whoever runs the server.
const LOAD_RECORD: i32 = 7200;
const ECHO_TASK: i32 = 7201;
const INTERVAL_TASK: i32 = 7202;
const END_RECORD: i32 = 7203;
/// What servers take as the answer to a task that has no record type of its own.
const ANSWER_RECORD: i32 = 5100;

fn main() -> ExitCode {
    // Takes over the pipes that the agent has given this process.
    let client = match Client::open() {
        Ok(client) => client,
        Err(error) => {
            eprintln!("loadavg: {}", error);
            return ExitCode::FAILURE;
        }
    };
    match run(&client) {
        // When the agent is gone there is nobody left to send to: that is an end like any other.
        Ok(()) | Err(Error::AgentGone) => ExitCode::SUCCESS,
        Err(error) => {
            error!(client, "loadavg ends: {}", error);
            ExitCode::FAILURE
        }
    }
}

/// One loop does everything: it waits for tasks, but no longer than until the next record is due.
fn run(client: &Client) -> Result<(), Error> {
    let mut interval = Duration::from_secs(1);
    let mut due = Instant::now();
    let mut sent = 0u64;
    loop {
        // First the time: many tasks must not keep the records back.
        let rest = due.saturating_duration_since(Instant::now());
        if rest.is_zero() {
            due = Instant::now() + interval;
            match send_load(client) {
                Ok(()) => sent += 1,
                Err(SendError::Plugin(error)) => return Err(error),
                Err(SendError::LoadAverage(problem)) => error!(client, "cannot read /proc/loadavg: {}", problem),
            }
            continue;
        }
        match client.receive_timeout(rest) {
            // The next record is due.
            Ok(Received::TimedOut) => {}
            Ok(Received::Task(task)) => {
                if let Some(new_interval) = answer(client, &task)? {
                    interval = new_interval;
                    due = Instant::now() + interval;
                }
            }
            // The agent ends, or wants this plugin to end (then it sends SIGTERM).
            Ok(Received::End) => break,
            // One task was unusable: say so, and go on with the next one.
            Err(error @ Error::MalformedTask(_)) => error!(client, "{}", error),
            Err(error) => return Err(error),
        }
    }
    client.send(END_RECORD, |record| {
        record.add("sent", sent);
    })?;
    // Records are buffered: flush reports whether the last ones were taken.
    client.flush()?;
    client.close();
    Ok(())
}

enum SendError {
    Plugin(Error),
    LoadAverage(String),
}

/// Sends one record. The file looks like `0.10 0.20 0.30 1/234 5678`.
fn send_load(client: &Client) -> Result<(), SendError> {
    let text = fs::read_to_string("/proc/loadavg").map_err(|error| SendError::LoadAverage(error.to_string()))?;
    let words: Vec<&str> = text.split([' ', '/', '\n']).collect();
    let (load, running, total) = match &words[..] {
        [one, five, fifteen, running, total, ..] => ([one, five, fifteen], running, total),
        _ => return Err(SendError::LoadAverage(format!("its content {:?} is unexpected", text))),
    };
    client
        .send(LOAD_RECORD, |record| {
            record.add("load_1", load[0]).add("load_5", load[1]).add("load_15", load[2]);
            record.add("running", running).add("total", total);
        })
        .map_err(SendError::Plugin)?;
    Ok(())
}

/// Does what a task asks for, and answers it. Returns the new interval if it is about that.
fn answer(client: &Client, task: &Task) -> Result<Option<Duration>, Error> {
    match task.data_type {
        ECHO_TASK => {
            // High priority: it overtakes other records where the agent has a pipe for that.
            client.send(Header::new(ECHO_TASK).priority(Priority::High), |record| {
                // An answer repeats the token of its task: that is how the server knows which one it belongs to.
                record.add("token", &task.token).add("status", "succeed");
                record.add("msg", &task.data).add("language", "rust");
            })?;
            Ok(None)
        }
        INTERVAL_TASK => match task.data.parse() {
            Ok(milliseconds @ 100..=3_600_000) => {
                let message = format!("interval is {} ms", milliseconds);
                send_answer(client, INTERVAL_TASK, task, "succeed", &message)?;
                Ok(Some(Duration::from_millis(milliseconds)))
            }
            _ => {
                let message = format!("{:?} is not a number of milliseconds from 100 to 3600000", task.data);
                send_answer(client, INTERVAL_TASK, task, "failed", &message)?;
                Ok(None)
            }
        },
        unknown => {
            send_answer(client, ANSWER_RECORD, task, "failed", &format!("unknown data type {}", unknown))?;
            Ok(None)
        }
    }
}

fn send_answer(client: &Client, data_type: i32, task: &Task, status: &str, message: &str) -> Result<(), Error> {
    client.send(data_type, |record| {
        record.add("token", &task.token).add("status", status).add("msg", message);
    })?;
    Ok(())
}
