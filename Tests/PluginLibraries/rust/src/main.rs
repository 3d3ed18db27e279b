// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

//! A plugin that does what lines on stdin tell it, for the tests of the plugin libraries.

#![forbid(unsafe_code)]

use std::fs::File;
use std::io::{self, BufRead, BufReader, Write};
use std::process::exit;
use std::str::FromStr;
use std::thread;
use std::time::Duration;

use elkeid_plugin::{debug, error, info, warn, Client, Counts, Error, Header, Options, Outcome, Policy, Priority};
use elkeid_plugin::{Received, Task};

fn main() {
    let mut options = Client::builder();
    let mut commands = None;
    for argument in std::env::args().skip(1) {
        let (name, value) = argument.split_once('=').unwrap_or_else(|| fail(&format!("{:?} is no option", argument)));
        match name {
            "commands" => commands = Some(value.to_owned()),
            _ => options = with_option(options, name, value),
        }
    }
    let client = match options.open() {
        Ok(client) => client,
        Err(error) => {
            eprintln!("{}", error);
            print_line(commands.is_some(), &format!("error {}", kind(&error)));
            exit(1);
        }
    };
    let input: Box<dyn BufRead> = if client.is_debug() {
        let path = commands.unwrap_or_else(|| fail("in debug mode the option commands=FILE is needed"));
        let file = File::open(&path).unwrap_or_else(|error| fail(&format!("{}: {}", path, error)));
        Box::new(BufReader::new(file))
    } else {
        Box::new(BufReader::new(io::stdin()))
    };
    let mut probe = Probe { client, lines: Lines(input) };
    probe.answer("ready");
    while let Some(line) = probe.lines.next_line() {
        probe.run(&line);
    }
    // Without a close, as when a plugin is killed.
    exit(0);
}

fn with_option(options: Options, name: &str, value: &str) -> Options {
    let milliseconds = || Duration::from_millis(number(value));
    match (name, value) {
        ("policy", "block") => options.policy(Policy::Block),
        ("policy", "drop") => options.policy(Policy::DropNewest),
        ("buffer", _) => options.buffer_size(number(value)),
        ("flush", _) => options.flush_interval(milliseconds()),
        ("close-timeout", _) => options.close_timeout(milliseconds()),
        ("record-limit", _) => options.max_record_size(number(value)),
        ("task-limit", _) => options.max_task_size(number(value)),
        ("sigterm", "on") => options.handle_sigterm(true),
        ("sigterm", "off") => options.handle_sigterm(false),
        ("fds", _) => {
            let fds: Vec<i32> = value.split(',').map(number).collect();
            match fds[..] {
                [tasks, records] => options.descriptors(tasks, records, None),
                [tasks, records, high] => options.descriptors(tasks, records, Some(high)),
                _ => fail("fds=TASKS,RECORDS[,HIGH] is expected"),
            }
        }
        _ => fail(&format!("{}={} is no option", name, value)),
    }
}

/// A mistake in the test: it must not look like a result.
fn fail(problem: &str) -> ! {
    eprintln!("probe: {}", problem);
    exit(2);
}

fn number<T: FromStr>(text: &str) -> T {
    text.parse().unwrap_or_else(|_| fail(&format!("{:?} is no number, or out of range", text)))
}

fn from_hex(text: &str) -> Vec<u8> {
    let digit = |byte: u8| (byte as char).to_digit(16).unwrap_or_else(|| fail(&format!("{:?} is not hex", text))) as u8;
    match text {
        "-" => Vec::new(),
        _ if text.len() % 2 != 0 => fail(&format!("{:?} is not hex", text)),
        _ => text.as_bytes().chunks(2).map(|pair| digit(pair[0]) << 4 | digit(pair[1])).collect(),
    }
}

fn to_hex(text: &str) -> String {
    match text {
        "" => "-".to_owned(),
        _ => text.bytes().map(|byte| format!("{:02x}", byte)).collect(),
    }
}

fn kind(error: &Error) -> &'static str {
    match error {
        Error::DescriptorNotOpen(_) => "descriptor-not-open",
        Error::DescriptorUnusable(_) => "descriptor-unusable",
        Error::AgentGone => "agent-gone",
        Error::Closed => "closed",
        Error::IncompleteTask { .. } => "incomplete-task",
        Error::TaskTooLarge { .. } => "task-too-large",
        Error::MalformedTask(_) => "malformed-task",
        Error::RecordTooLarge { .. } => "record-too-large",
        Error::System { .. } => "system",
        _ => fail(&format!("an error without a kind: {}", error)),
    }
}

fn print_line(is_debug: bool, line: &str) {
    let line = format!("{}\n", line);
    let result = if is_debug {
        io::stderr().write_all(line.as_bytes())
    } else {
        io::stdout().write_all(line.as_bytes()).and_then(|()| io::stdout().flush())
    };
    result.unwrap_or_else(|error| fail(&format!("a result cannot be written: {}", error)));
}

fn priority(words: &[&str]) -> Priority {
    match words {
        [] => Priority::Normal,
        ["high"] => Priority::High,
        _ => fail(&format!("{:?} is not high", words)),
    }
}

struct Lines(Box<dyn BufRead>);

impl Lines {
    fn next_line(&mut self) -> Option<String> {
        let mut line = String::new();
        match self.0.read_line(&mut line) {
            Ok(0) => None,
            Ok(_) => {
                if line.ends_with('\n') {
                    line.pop();
                }
                Some(line)
            }
            Err(error) => fail(&format!("commands cannot be read: {}", error)),
        }
    }
}

struct Probe {
    client: Client,
    lines: Lines,
}

impl Probe {
    fn answer(&self, line: &str) {
        print_line(self.client.is_debug(), line);
    }

    fn answer_outcome(&self, result: Result<Outcome, Error>) {
        match result {
            Ok(Outcome::Sent) => self.answer("sent"),
            Ok(Outcome::Dropped) => self.answer("dropped"),
            Err(error) => self.answer_error(&error),
        }
    }

    fn answer_counts(&self, result: Result<Counts, Error>) {
        match result {
            Ok(counts) => self.answer(&format!("sent {} dropped {}", counts.sent, counts.dropped)),
            Err(error) => self.answer_error(&error),
        }
    }

    fn answer_error(&self, error: &Error) {
        self.answer(&format!("error {}", kind(error)));
    }

    fn answer_received(&self, result: &Result<Received, Error>) {
        match result {
            Ok(Received::Task(Task { data_type, object_name, data, token })) => {
                let (object_name, data, token) = (to_hex(object_name), to_hex(data), to_hex(token));
                self.answer(&format!("task {} {} {} {}", data_type, object_name, data, token));
            }
            Ok(Received::TimedOut) => self.answer("timeout"),
            Ok(Received::End) => self.answer("end"),
            Err(error) => self.answer_error(error),
        }
    }

    fn run(&mut self, line: &str) {
        let words: Vec<&str> = line.split(' ').collect();
        match words[..] {
            ["record", data_type, timestamp, ref rest @ ..] => {
                let header = Header::new(number(data_type)).timestamp(number(timestamp)).priority(priority(rest));
                self.record(header);
            }
            ["repeat", count, data_type, size, ref rest @ ..] => {
                let header = Header::new(number(data_type)).timestamp(1).priority(priority(rest));
                self.answer_counts(self.repeat(number(count), header, number(size)));
            }
            ["many", count, data_type] => {
                let header = Header::new(number(data_type)).timestamp(1);
                let items = 0..number::<u64>(count);
                let result = self.client.send_many(header, items, |record, n| {
                    record.add("n", n);
                });
                self.answer_counts(result);
            }
            ["raw", hex, ref rest @ ..] => {
                self.answer_outcome(self.client.send_raw(from_hex(hex), priority(rest)));
            }
            ["flush"] => match self.client.flush() {
                Ok(()) => self.answer("ok"),
                Err(error) => self.answer_error(&error),
            },
            ["close"] => {
                self.client.close();
                self.answer("ok");
            }
            ["receive"] => self.answer_received(&self.client.receive()),
            ["receive", milliseconds] => {
                let timeout = Duration::from_millis(number(milliseconds));
                self.answer_received(&self.client.receive_timeout(timeout));
            }
            ["receive-all"] => self.receive_all(),
            ["dropped"] => self.answer(&self.client.dropped().to_string()),
            ["log", level, ..] => {
                let text = line.splitn(3, ' ').nth(2).unwrap_or("");
                match level {
                    "debug" => debug!(self.client, "{}", text),
                    "info" => info!(self.client, "{}", text),
                    "warn" | "warning" => warn!(self.client, "{}", text),
                    "error" => error!(self.client, "{}", text),
                    _ => fail(&format!("{:?} is no level", level)),
                }
                self.answer("ok");
            }
            ["threads", threads, count, data_type] => {
                self.answer_counts(self.threads(number(threads), number(count), number(data_type)));
            }
            ["sleep", milliseconds] => {
                thread::sleep(Duration::from_millis(number(milliseconds)));
                self.answer("ok");
            }
            ["exit"] => exit(0),
            _ => fail(&format!("{:?} is no command", line)),
        }
    }

    fn record(&mut self, header: Header) {
        let mut fields = Vec::new();
        loop {
            let line = self.lines.next_line().unwrap_or_else(|| fail("a record without send"));
            match line.split(' ').collect::<Vec<_>>()[..] {
                ["field", key, value] => fields.push((from_hex(key), from_hex(value))),
                ["send"] => break,
                _ => fail(&format!("{:?} is not field or send", line)),
            }
        }
        let result = self.client.send(header, |record| {
            for (key, value) in &fields {
                record.add(key, value);
            }
        });
        self.answer_outcome(result);
    }

    fn repeat(&self, count: u64, header: Header, size: usize) -> Result<Counts, Error> {
        let pad = "x".repeat(size);
        let mut counts = Counts::default();
        for n in 0..count {
            let outcome = self.client.send(header, |record| {
                record.add("n", n).add("pad", &pad);
            })?;
            add(&mut counts, outcome);
        }
        Ok(counts)
    }

    fn threads(&self, threads: u64, count: u64, data_type: i32) -> Result<Counts, Error> {
        let header = Header::new(data_type).timestamp(1);
        let client = &self.client;
        let send = move |thread: u64| -> Result<Counts, Error> {
            let mut counts = Counts::default();
            for n in 0..count {
                let outcome = client.send(header, |record| {
                    record.add("thread", thread).add("n", n);
                })?;
                add(&mut counts, outcome);
            }
            Ok(counts)
        };
        let results: Vec<_> = thread::scope(|scope| {
            let running: Vec<_> = (0..threads).map(|thread| scope.spawn(move || send(thread))).collect();
            running.into_iter().map(|thread| thread.join().unwrap_or_else(|_| fail("a thread has panicked"))).collect()
        });
        let mut total = Counts::default();
        for result in results {
            let counts = result?;
            total.sent += counts.sent;
            total.dropped += counts.dropped;
        }
        Ok(total)
    }

    fn receive_all(&self) {
        loop {
            let result = self.client.receive();
            self.answer_received(&result);
            match result {
                // After these comes another result.
                Ok(Received::Task(_)) | Err(Error::MalformedTask(_) | Error::IncompleteTask { .. }) => (),
                _ => return,
            }
        }
    }
}

fn add(counts: &mut Counts, outcome: Outcome) {
    match outcome {
        Outcome::Sent => counts.sent += 1,
        Outcome::Dropped => counts.dropped += 1,
    }
}
