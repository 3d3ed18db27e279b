// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

//! Clients on pipes of the test's own.

use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::io::IntoRawFd;
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use crate::system::testing::{new_pipe, restore_default_sigpipe};
use crate::{Client, Counts, Error, Header, MalformedTask, Options, Outcome, Policy, Priority, Received, Task};

/// Longer than any test: what is written then has another cause.
const HOUR: Duration = Duration::from_secs(3600);

fn open(options: Options) -> (Client, File, File) {
    let (task_reader, task_writer) = new_pipe();
    let (record_reader, record_writer) = new_pipe();
    let client = options
        .descriptors(task_reader.into_raw_fd(), record_writer.into_raw_fd(), None)
        .handle_sigterm(false)
        .open()
        .unwrap();
    (client, task_writer, record_reader)
}

/// Splits what was read into frames; every byte must belong to one.
fn frames(bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut frames = Vec::new();
    let mut rest = bytes;
    while !rest.is_empty() {
        let length = u32::from_le_bytes([rest[0], rest[1], rest[2], rest[3]]) as usize;
        frames.push(rest[4..4 + length].to_vec());
        rest = &rest[4 + length..];
    }
    frames
}

fn read_frames(mut reader: File) -> Vec<Vec<u8>> {
    let mut bytes = Vec::new();
    reader.read_to_end(&mut bytes).unwrap();
    frames(&bytes)
}

fn read_frame(reader: &mut File) -> Vec<u8> {
    let mut length = [0; 4];
    reader.read_exact(&mut length).unwrap();
    let mut frame = vec![0; u32::from_le_bytes(length) as usize];
    reader.read_exact(&mut frame).unwrap();
    frame
}

/// Returns when a write has failed.
fn await_failure(client: &Client) {
    while !client.records().has_failed() {
        thread::yield_now();
    }
}

#[test]
fn the_client_may_be_shared() {
    fn check<T: Send + Sync>() {}
    check::<Client>();
    check::<Error>();
}

#[test]
fn sending_of_every_kind() {
    let (client, _tasks, records) = open(Client::builder().max_record_size(100));
    assert_eq!(
        client
            .send_many(Header::new(1).timestamp(1), 0..3, |record, n| {
                record.add("n", n);
            })
            .unwrap()
            .sent,
        3
    );
    assert_eq!(client.send_raw(b"\xFF\xFE", Priority::High), Ok(Outcome::Sent));
    let too_large = Err(Error::RecordTooLarge { size: 101, limit: 100 });
    assert_eq!(client.send_raw([0; 101], Priority::Normal), too_large);
    assert!(client
        .send(1, |record| {
            record.add("k", [0u8; 100]);
        })
        .is_err());
    client.close();
    client.close();
    assert_eq!(client.send(1, |_| ()), Err(Error::Closed));
    assert_eq!(client.flush(), Err(Error::Closed));
    assert_eq!(client.receive(), Err(Error::Closed));
    let frames = read_frames(records);
    assert_eq!(frames.len(), 4);
    assert_eq!(frames[2], b"\x08\x01\x10\x01\x1A\x08\x0A\x06\x0A\x01n\x12\x012");
    assert_eq!(frames[3], b"\xFF\xFE");
}

#[test]
fn many_threads_and_small_buffers_tear_no_frame() {
    for policy in [Policy::Block, Policy::DropNewest] {
        let options = Client::builder().buffer_size(1000).policy(policy).close_timeout(Duration::MAX);
        let (client, _tasks, records) = open(options);
        let client = Arc::new(client);
        let reading = thread::spawn(move || read_frames(records));
        let threads: Vec<_> = (0..4)
            .map(|thread| {
                let client = Arc::clone(&client);
                thread::spawn(move || {
                    for n in 0..5000 {
                        let value = vec![b'x'; n % 400];
                        client
                            .send(7, |record| {
                                record.add("thread", thread).add("x", &value);
                            })
                            .unwrap();
                        if n % 1000 == 0 {
                            client.flush().unwrap();
                        }
                    }
                })
            })
            .collect();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        client.close();
        let arrived = reading.join().unwrap().len() as u64;
        assert_eq!(arrived + client.dropped(), 20_000, "{:?}", policy);
        if policy == Policy::Block {
            assert_eq!(client.dropped(), 0);
        }
    }
}

#[test]
fn a_stalled_agent_makes_drop_newest_drop() {
    let options = Client::builder().policy(Policy::DropNewest).buffer_size(10_000);
    let (client, _tasks, mut records) = open(options.close_timeout(Duration::ZERO));
    // Nobody reads: that this ends at all shows that it does not wait.
    let counts = client
        .send_many(Header::new(1).timestamp(0), 0..1000, |record, n| {
            record.add("n", format_args!("{:04}", n)).add("x", [b'x'; 1000]);
        })
        .unwrap();
    assert!(counts.sent > 0 && counts.dropped > 0, "{:?}", counts);
    assert_eq!(counts.sent + counts.dropped, 1000);
    assert_eq!(client.dropped(), counts.dropped);

    // Once the agent reads, what is buffered goes out by itself, and there is room again.
    for n in 0..counts.sent {
        let frame = read_frame(&mut records);
        assert!(frame.windows(4).any(|part| part == format!("{:04}", n).as_bytes()), "record {}: {:?}", n, frame);
    }
    // A small one that the pipe takes is not in the way of one that is larger than the buffer.
    assert_eq!(client.send_raw(b"z", Priority::Normal), Ok(Outcome::Sent));
    let large = vec![b'y'; 1 << 20];
    assert_eq!(client.send_raw(&large, Priority::Normal), Ok(Outcome::Sent));
    assert_eq!(client.send(2, |_| ()), Ok(Outcome::Dropped));

    // Both are lost: the one that was begun, too.
    client.close();
    assert_eq!(client.dropped(), counts.dropped + 2);
    assert_eq!(read_frame(&mut records), b"z");
    let mut rest = Vec::new();
    records.read_to_end(&mut rest).unwrap();
    assert!(rest.len() < large.len());
}

#[test]
fn close_ends_a_flush_under_drop_newest() {
    let options = Client::builder().policy(Policy::DropNewest).flush_interval(HOUR).close_timeout(Duration::ZERO);
    let (client, _tasks, mut records) = open(options);
    // More than a pipe holds, and less than the buffer.
    client.send_raw([b'y'; 400_000], Priority::Normal).unwrap();
    thread::scope(|scope| {
        let flushing = scope.spawn(|| client.flush());
        // It has begun, and cannot end.
        records.read_exact(&mut [0]).unwrap();
        client.close();
        assert_eq!(flushing.join().unwrap(), Err(Error::Closed));
    });
    assert_eq!(client.dropped(), 1);
}

#[test]
fn an_agent_that_is_gone_does_not_kill() {
    restore_default_sigpipe();
    for policy in [Policy::Block, Policy::DropNewest] {
        let (client, _tasks, records) = open(Client::builder().policy(policy).flush_interval(HOUR));
        drop(records);
        client.send(1, |_| ()).unwrap();
        assert_eq!(client.flush(), Err(Error::AgentGone));
        assert_eq!(client.send(1, |_| ()), Err(Error::AgentGone));

        // Nobody flushes: the time does, and the next call tells.
        let (client, _tasks, records) = open(Client::builder().policy(policy).flush_interval(Duration::ZERO));
        drop(records);
        client.send(1, |_| ()).unwrap();
        await_failure(&client);
        assert_eq!(client.send(1, |_| ()), Err(Error::AgentGone));
    }
}

#[test]
fn a_flush_that_waits_sees_that_the_agent_has_gone() {
    for policy in [Policy::Block, Policy::DropNewest] {
        let (client, _tasks, mut records) = open(Client::builder().policy(policy).flush_interval(HOUR));
        client.send_raw([b'y'; 400_000], Priority::Normal).unwrap();
        thread::scope(|scope| {
            let flushing = scope.spawn(|| client.flush());
            records.read_exact(&mut [0]).unwrap();
            drop(records);
            assert_eq!(flushing.join().unwrap(), Err(Error::AgentGone), "{:?}", policy);
        });
    }
}

#[test]
fn a_closure_that_panics_leaves_no_trace() {
    let (client, _tasks, records) = open(Client::builder().flush_interval(HOUR));
    let result = catch_unwind(AssertUnwindSafe(|| {
        client.send(1, |record| {
            record.add("k", "v");
            panic!("on purpose");
        })
    }));
    assert!(result.is_err());
    assert!(catch_unwind(AssertUnwindSafe(|| client.send(1, |_| drop(client.flush())))).is_err());
    client.send(Header::new(2).timestamp(0), |_| ()).unwrap();
    // Dropping closes, and closing writes.
    drop(client);
    assert_eq!(read_frames(records), [b"\x08\x02\x1A\0"]);
}

#[test]
fn tasks() {
    let (client, mut tasks, _records) = open(Client::builder());
    assert_eq!(client.receive_timeout(Duration::ZERO), Ok(Received::TimedOut));
    tasks.write_all(b"\x04\0\0\0\x1A\x02h").unwrap();
    assert_eq!(client.receive_timeout(Duration::from_nanos(1)), Ok(Received::TimedOut));
    tasks.write_all(b"i\x01\0\0\0\xFF\x02\0\0\0\x08\x05\x09").unwrap();
    assert_eq!(client.receive(), Ok(Received::Task(Task { data: "hi".into(), ..Task::default() })));
    assert_eq!(client.receive(), Err(MalformedTask::Truncated.into()));
    assert_eq!(client.receive(), Ok(Received::Task(Task { data_type: 5, ..Task::default() })));
    drop(tasks);
    assert_eq!(client.receive(), Err(Error::IncompleteTask { received: 1, expected: 4 }));
    assert_eq!(client.receive(), Ok(Received::End));
    assert_eq!(client.receive_timeout(Duration::MAX), Ok(Received::End));
}

#[test]
fn random_bytes_are_decoded_without_a_panic() {
    let mut random = 0x9E37_79B9_7F4A_7C15u64;
    let mut next = move || {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random
    };
    let mut good = 0;
    for _ in 0..300_000 {
        let mut bytes: Vec<u8> = (0..next() % 24).map(|_| (next() >> 32) as u8).collect();
        // Plausible tags take it further into the decoder.
        for byte in &mut bytes {
            if next() % 3 == 0 {
                *byte = [0x08, 0x12, 0x1A, 0x22, 0x00, 0x01, 0x2D, 0x31][(next() % 8) as usize];
            }
        }
        good += u32::from(Task::decode(&bytes).is_ok());
        let mut line = Vec::new();
        crate::debug::append_line(&mut line, &bytes, Priority::Normal);
        assert!(std::str::from_utf8(&line).is_ok());
    }
    assert!(good > 1000);
}

#[test]
fn descriptors_are_checked() {
    let (reader, writer) = new_pipe();
    let (read, write) = (reader.into_raw_fd(), writer.into_raw_fd());
    let open = |tasks, records, high| Client::builder().descriptors(tasks, records, high).open().map(drop);
    assert_eq!(open(write, write, None), Err(Error::DescriptorUnusable(write)));
    assert_eq!(open(read, read, None), Err(Error::DescriptorUnusable(read)));
    assert_eq!(open(read, write, Some(9_999)), Err(Error::DescriptorNotOpen(9_999)));
    assert_eq!(open(-1, write, None), Err(Error::DescriptorNotOpen(-1)));
    let file = File::open("/proc/self/exe").unwrap().into_raw_fd();
    assert_eq!(open(file, write, None), Err(Error::DescriptorUnusable(file)));
    assert_eq!(open(read, write, None), Ok(()));
    assert_eq!(Counts::default(), Counts { sent: 0, dropped: 0 });
}

#[test]
fn errors_say_what_to_do() {
    let text = Error::DescriptorNotOpen(3).to_string();
    for part in ["descriptor 3", "elkeid-agent", "elkeid-devcenter --plugin", "ELKEID_PLUGIN_DEBUG=1"] {
        assert!(text.contains(part), "{}", text);
    }
    let text = Error::System { call: "read", errno: 5 }.to_string();
    assert!(text.starts_with("read failed: ") && text.contains("os error 5"), "{}", text);
    let error: Box<dyn std::error::Error> = Error::MalformedTask(MalformedTask::InvalidTag).into();
    assert_eq!(error.source().unwrap().to_string(), MalformedTask::InvalidTag.to_string());
}
