// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

//! PLUGIN_NAME: a plugin for the Elkeid agent.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use elkeid_plugin::{error, warn, Client, Error, Received, Task};

/// Agree your own numbers with whoever runs the server.
const RECORD_TYPE: i32 = 7000;
const TASK_TYPE: i32 = 7001;
/// What servers take as the answer to any task.
const ANSWER_TYPE: i32 = 5100;

const INTERVAL: Duration = Duration::from_secs(10);

fn main() -> ExitCode {
    let client = match Client::open() {
        Ok(client) => client,
        Err(error) => {
            eprintln!("PLUGIN_NAME: {}", error);
            return ExitCode::FAILURE;
        }
    };
    // Flushing says whether the last records were taken.
    match run(&client).and_then(|()| client.flush()) {
        Ok(()) | Err(Error::AgentGone) => ExitCode::SUCCESS,
        Err(error) => {
            error!(client, "PLUGIN_NAME ends: {}", error);
            ExitCode::FAILURE
        }
    }
}

/// Looks at the time first, so that many tasks do not hold up a record. Returns at the agent's end.
fn run(client: &Client) -> Result<(), Error> {
    let mut next = Instant::now();
    loop {
        let now = Instant::now();
        if now >= next {
            client.send(RECORD_TYPE, |record| {
                record.add("pid", std::process::id());
            })?;
            next += INTERVAL;
            if next <= now {
                next = now + INTERVAL; // what a pause has left out is not made up for
            }
            continue;
        }
        match client.receive_timeout(next - now) {
            Ok(Received::Task(task)) => answer(client, &task)?,
            Ok(Received::TimedOut) => (),
            Ok(Received::End) => return Ok(()),
            // The next task can be received, or the end.
            Err(error @ (Error::MalformedTask(_) | Error::IncompleteTask { .. })) => {
                warn!(client, "{}", error);
            }
            Err(error) => return Err(error),
        }
    }
}

/// The server knows by the token which task this answers.
fn answer(client: &Client, task: &Task) -> Result<(), Error> {
    let (status, msg) = if task.data_type == TASK_TYPE {
        ("succeed", task.data.clone())
    } else {
        ("failed", format!("unknown data type {}", task.data_type))
    };
    client.send(ANSWER_TYPE, |record| {
        record.add("token", &task.token).add("status", status);
        record.add("msg", &msg);
    })?;
    Ok(())
}
