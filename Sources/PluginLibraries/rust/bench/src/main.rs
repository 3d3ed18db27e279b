// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

//! `bench N`: what sending a record of 30 fields costs, with the library and with prost.
//!
//! Prints a line of JSON for each:
//! - `rust`: this library;
//! - `prost`: a message with its map of strings is made for each record, as a plugin has to, and encoded;
//! - `prost-reused`: only the encoding, of a message that was made once.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::io::{FromRawFd, IntoRawFd};
use std::thread;
use std::time::Instant;

use elkeid_plugin::{Client, Header};
use prost::Message;

#[derive(Clone, PartialEq, Message)]
struct Payload {
    #[prost(map = "string, string", tag = "1")]
    fields: HashMap<String, String>,
}

#[derive(Clone, PartialEq, Message)]
struct Record {
    #[prost(int32, tag = "1")]
    data_type: i32,
    #[prost(int64, tag = "2")]
    timestamp: i64,
    #[prost(message, optional, tag = "3")]
    payload: Option<Payload>,
}

enum Value {
    Text(String),
    Number(u64),
}

const DATA_TYPE: i32 = 7001;
const TIMESTAMP: i64 = 1_700_000_000;
const BUFFER_SIZE: usize = 512 << 10;

fn table() -> Vec<(String, Value)> {
    (0..30)
        .map(|i| {
            let value = match i % 6 {
                0 => Value::Number(i * 1_234_567),
                _ => Value::Text("v".repeat((1 + i * 7 % 14) as usize)),
            };
            (format!("field_{}", i), value)
        })
        .collect()
}

#[repr(C)]
struct TimeSpec {
    seconds: i64,
    nanoseconds: i64,
}

extern "C" {
    fn pipe(fds: *mut i32) -> i32;
    fn clock_gettime(clock: i32, time: *mut TimeSpec) -> i32;
}

const CLOCK_THREAD_CPUTIME_ID: i32 = 3;

fn thread_cpu_nanoseconds() -> f64 {
    let mut time = TimeSpec { seconds: 0, nanoseconds: 0 };
    // SAFETY: the time lives through the call.
    let status = unsafe { clock_gettime(CLOCK_THREAD_CPUTIME_ID, &mut time) };
    assert_eq!(status, 0, "clock_gettime failed: {}", io::Error::last_os_error());
    time.seconds as f64 * 1e9 + time.nanoseconds as f64
}

fn new_pipe() -> (File, File) {
    let mut fds = [0; 2];
    // SAFETY: the array lives through the call; the descriptors are new and nobody else's.
    unsafe {
        assert_eq!(pipe(fds.as_mut_ptr()), 0, "pipe failed: {}", io::Error::last_os_error());
        (File::from_raw_fd(fds[0]), File::from_raw_fd(fds[1]))
    }
}

/// Runs `send` with the writing end of a pipe that a thread reads to nowhere, and prints the result.
fn measure(library: &str, records: u64, send: impl FnOnce(File)) {
    let (mut reader, writer) = new_pipe();
    let reading = thread::spawn(move || {
        let mut buffer = vec![0; 1 << 20];
        let mut total = 0;
        loop {
            match reader.read(&mut buffer).expect("reading the pipe") {
                0 => return total,
                count => total += count as u64,
            }
        }
    });
    let start = Instant::now();
    let cpu_start = thread_cpu_nanoseconds();
    send(writer);
    let cpu = thread_cpu_nanoseconds() - cpu_start;
    let seconds = start.elapsed().as_secs_f64();
    let bytes = reading.join().expect("the reading thread");
    let n = records as f64;
    println!(
        "{{\"library\":\"{}\",\"records\":{},\"seconds\":{:.6},\"ns_per_record\":{:.1},\"bytes_per_record\":{:.1},\
         \"cpu_ns_per_record\":{:.1}}}",
        library,
        records,
        seconds,
        seconds * 1e9 / n,
        bytes as f64 / n,
        cpu / n
    );
}

fn send_with_library(records: u64, writer: File, table: &[(String, Value)]) {
    // The client wants a task pipe as well; the end that nobody writes to stays open until the client is closed.
    let (task_reader, _task_writer) = new_pipe();
    let client = Client::builder()
        .descriptors(task_reader.into_raw_fd(), writer.into_raw_fd(), None)
        .handle_sigterm(false)
        .open()
        .expect("opening the client");
    for _ in 0..records {
        client
            .send(Header::new(DATA_TYPE).timestamp(TIMESTAMP), |record| {
                for (key, value) in table {
                    match value {
                        Value::Text(text) => record.add(key, text),
                        Value::Number(number) => record.add(key, number),
                    };
                }
            })
            .expect("sending");
    }
    client.close();
}

fn message(table: &[(String, Value)]) -> Record {
    let text = |value: &Value| match value {
        Value::Text(text) => text.clone(),
        Value::Number(number) => number.to_string(),
    };
    let fields = table.iter().map(|(key, value)| (key.clone(), text(value))).collect();
    Record { data_type: DATA_TYPE, timestamp: TIMESTAMP, payload: Some(Payload { fields }) }
}

fn append_frame(buffer: &mut Vec<u8>, record: &Record, writer: &mut File) {
    buffer.extend_from_slice(&(record.encoded_len() as u32).to_le_bytes());
    record.encode(buffer).expect("encoding");
    if buffer.len() >= BUFFER_SIZE {
        writer.write_all(buffer).expect("writing");
        buffer.clear();
    }
}

fn main() {
    let records = match std::env::args().nth(1).map(|argument| argument.parse()) {
        Some(Ok(records)) if records > 0 => records,
        _ => {
            eprintln!("usage: bench-rust N: N is how many records each library sends, for example 1000000");
            std::process::exit(2);
        }
    };
    let table = table();
    measure("rust", records, |writer| {
        send_with_library(records, writer, &table);
    });
    measure("prost", records, |mut writer| {
        let mut buffer = Vec::with_capacity(BUFFER_SIZE + (64 << 10));
        for _ in 0..records {
            append_frame(&mut buffer, &message(&table), &mut writer);
        }
        writer.write_all(&buffer).expect("writing");
    });
    measure("prost-reused", records, |mut writer| {
        let mut buffer = Vec::with_capacity(BUFFER_SIZE + (64 << 10));
        let record = message(&table);
        for _ in 0..records {
            append_frame(&mut buffer, &record, &mut writer);
        }
        writer.write_all(&buffer).expect("writing");
    });
}
