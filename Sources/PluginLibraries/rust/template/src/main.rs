// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

//! PLUGIN_NAME: sends a record every 10 seconds, and answers each task with its own data.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use elkeid_plugin::{error, Client, Error, Received};

/// Agree these numbers with whoever runs the server.
const HELLO_RECORD: i32 = 7100;
const ANSWER_RECORD: i32 = 5100;

const INTERVAL: Duration = Duration::from_secs(10);

fn main() -> ExitCode {
    let client = match Client::open() {
        Ok(client) => client,
        Err(error) => {
            eprintln!("PLUGIN_NAME: {}", error);
            return ExitCode::FAILURE;
        }
    };
    match run(&client) {
        Ok(()) | Err(Error::AgentGone) => ExitCode::SUCCESS,
        Err(error) => {
            error!(client, "PLUGIN_NAME ends: {}", error);
            ExitCode::FAILURE
        }
    }
}

fn run(client: &Client) -> Result<(), Error> {
    let mut due = Instant::now();
    loop {
        match client.receive_timeout(due.saturating_duration_since(Instant::now())) {
            Ok(Received::TimedOut) => {
                due = Instant::now() + INTERVAL;
                client.send(HELLO_RECORD, |record| {
                    record
                        .add("message", "hello")
                        .add("pid", std::process::id());
                })?;
            }
            Ok(Received::Task(task)) => {
                client.send(ANSWER_RECORD, |record| {
                    record
                        .add("token", &task.token)
                        .add("status", "succeed")
                        .add("msg", &task.data);
                })?;
            }
            Ok(Received::End) => return client.flush(),
            Err(error @ Error::MalformedTask(_)) => error!(client, "{}", error),
            Err(error) => return Err(error),
        }
    }
}
