// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

//! Sending allocates nothing, once the client is open.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::io::{copy, sink};
use std::os::unix::io::IntoRawFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::thread;

use elkeid_plugin::{Client, Header, Policy};

struct Counting;

thread_local!(
    /// Of this thread: the test's other threads are no part of sending.
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) }
);

// SAFETY: passes everything on to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.with(|count| count.set(count.get() + 1));
        System.alloc(layout)
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        System.dealloc(place, layout);
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[test]
fn sending_allocates_nothing() {
    for policy in [Policy::Block, Policy::DropNewest] {
        let (mut agent, records) = UnixStream::pair().unwrap();
        let (tasks, _task_writer) = UnixStream::pair().unwrap();
        let reading = thread::spawn(move || copy(&mut agent, &mut sink()).unwrap());
        let client = Client::builder()
            .descriptors(tasks.into_raw_fd(), records.into_raw_fd(), None)
            .policy(policy)
            .open()
            .unwrap();
        let send = |n: u64| {
            client
                .send(Header::new(7001), |record| {
                    record.add("text", "value").add("number", n).add("path", Path::new("/etc/passwd"));
                    record.add("formatted", format_args!("{:.3}", 0.5)).add("bytes", [0xFF; 300]);
                })
                .unwrap();
        };
        send(0);
        client.flush().unwrap();
        let before = ALLOCATIONS.with(Cell::get);
        // About ten times the buffer.
        (0..14_000).for_each(send);
        let count = ALLOCATIONS.with(Cell::get) - before;
        assert_eq!(count, 0, "{:?}", policy);
        client.close();
        assert!(reading.join().unwrap() > 0);
    }
}
