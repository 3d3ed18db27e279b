// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

//! The system calls that the standard library does not offer, behind safe functions: the only unsafe code here.
//!
//! Types and numbers are those of Linux on x86_64 and aarch64, which agree in everything that is used.

#![allow(unsafe_code)]

#[cfg(not(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64"))))]
compile_error!("elkeid-plugin supports Linux on x86_64 and aarch64: check the types in src/system.rs for others");

use std::fs::File;
use std::io;
use std::mem::ManuallyDrop;
use std::os::raw::{c_int, c_short, c_uint, c_ulong, c_void};
use std::os::unix::fs::FileTypeExt;
use std::os::unix::io::{AsRawFd, FromRawFd, RawFd};
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::time::{Duration, Instant};

use crate::error::Error;

#[repr(C)]
struct PollEntry {
    fd: c_int,
    events: c_short,
    revents: c_short,
}

/// `sigset_t`: 1024 bits.
#[repr(C)]
#[derive(Clone, Copy)]
struct SignalSet([c_ulong; 16]);

/// `struct sigaction` as the C library has it (the kernel's is another one).
#[repr(C)]
struct SignalAction {
    handler: usize,
    mask: SignalSet,
    flags: c_int,
    restorer: usize,
}

#[repr(C)]
struct TimeSpec {
    seconds: i64,
    nanoseconds: i64,
}

extern "C" {
    fn fcntl(fd: c_int, command: c_int, ...) -> c_int;
    fn poll(entries: *mut PollEntry, count: c_ulong, timeout: c_int) -> c_int;
    fn write(fd: c_int, bytes: *const c_void, count: usize) -> isize;
    fn isatty(fd: c_int) -> c_int;
    fn eventfd(initial: c_uint, flags: c_int) -> c_int;
    fn sigaction(signal: c_int, new: *const SignalAction, old: *mut SignalAction) -> c_int;
    fn sigemptyset(set: *mut SignalSet) -> c_int;
    fn sigfillset(set: *mut SignalSet) -> c_int;
    fn sigaddset(set: *mut SignalSet, signal: c_int) -> c_int;
    fn sigismember(set: *const SignalSet, signal: c_int) -> c_int;
    fn sigpending(set: *mut SignalSet) -> c_int;
    fn pthread_sigmask(how: c_int, new: *const SignalSet, old: *mut SignalSet) -> c_int;
    fn sigtimedwait(set: *const SignalSet, information: *mut c_void, timeout: *const TimeSpec) -> c_int;
    fn __errno_location() -> *mut c_int;
}

const F_SETFD: c_int = 2;
const F_GETFL: c_int = 3;
const F_SETFL: c_int = 4;
const FD_CLOEXEC: c_int = 1;
const O_ACCMODE: c_int = 3;
const O_WRONLY: c_int = 1;
const O_RDWR: c_int = 2;
const O_NONBLOCK: c_int = 0o4000;
const EFD_FLAGS: c_int = 0o2_004_000; // EFD_CLOEXEC | EFD_NONBLOCK
const SIG_BLOCK: c_int = 0;
const SIG_SETMASK: c_int = 2;
const SIGPIPE: c_int = 13;
const SA_RESTART: c_int = 0x1000_0000;
const SA_RESETHAND: c_int = c_int::MIN; // 0x8000_0000

pub(crate) const SIGINT: c_int = 2;
pub(crate) const SIGTERM: c_int = 15;

const EBADF: i32 = 9;
const EPIPE: i32 = 32;

/// The reason a system call failed, as the error that callers see.
pub(crate) fn system_error(call: &'static str, error: &io::Error) -> Error {
    Error::System { call, errno: error.raw_os_error().unwrap_or(0) }
}

// MARK: Descriptors

/// Uses a descriptor without owning it.
fn borrow(fd: RawFd) -> ManuallyDrop<File> {
    // SAFETY: the file is never dropped, so that the descriptor is not closed; on a descriptor that is not open, the
    // calls made fail with EBADF.
    ManuallyDrop::new(unsafe { File::from_raw_fd(fd) })
}

/// Refuses a descriptor that cannot be an end of one of the agent's pipes. Changes nothing.
pub(crate) fn check_descriptor(fd: RawFd, is_readable: bool) -> Result<(), Error> {
    if fd < 0 {
        return Err(Error::DescriptorNotOpen(fd));
    }
    // SAFETY: F_GETFL takes no argument and touches no memory of ours.
    let flags = unsafe { fcntl(fd, F_GETFL) };
    if flags < 0 {
        let error = io::Error::last_os_error();
        return Err(match error.raw_os_error() {
            Some(EBADF) => Error::DescriptorNotOpen(fd),
            _ => system_error("fcntl", &error),
        });
    }
    let kind = borrow(fd).metadata().map_err(|error| system_error("fstat", &error))?.file_type();
    let access = flags & O_ACCMODE;
    let is_right_way = access == O_RDWR || (access == O_WRONLY) != is_readable;
    if (kind.is_fifo() || kind.is_socket()) && is_right_way {
        Ok(())
    } else {
        Err(Error::DescriptorUnusable(fd))
    }
}

/// Takes over a checked descriptor; a child of the plugin does not inherit it, since it would hide the plugin's end.
pub(crate) fn own_descriptor(fd: RawFd) -> Result<File, Error> {
    // SAFETY: F_SETFD takes an int.
    if unsafe { fcntl(fd, F_SETFD, FD_CLOEXEC) } < 0 {
        return Err(system_error("fcntl", &io::Error::last_os_error()));
    }
    // SAFETY: the caller of `Options::open` hands over the descriptor, which is open as `check_descriptor` has seen.
    Ok(unsafe { File::from_raw_fd(fd) })
}

/// A descriptor of our own for what another one has open.
pub(crate) fn duplicate(fd: RawFd) -> Result<File, Error> {
    borrow(fd).try_clone().map_err(|error| system_error("dup", &error))
}

pub(crate) fn set_nonblocking(file: &File) -> Result<(), Error> {
    let fd = file.as_raw_fd();
    // SAFETY: F_GETFL takes no argument, F_SETFL an int.
    let status = unsafe {
        let flags = fcntl(fd, F_GETFL);
        if flags < 0 {
            flags
        } else {
            fcntl(fd, F_SETFL, flags | O_NONBLOCK)
        }
    };
    if status < 0 {
        return Err(system_error("fcntl", &io::Error::last_os_error()));
    }
    Ok(())
}

pub(crate) fn is_terminal(fd: RawFd) -> bool {
    // SAFETY: takes an int and touches no memory of ours.
    unsafe { isatty(fd) == 1 }
}

// MARK: Waiting

/// What `wait` waits for on a descriptor.
#[derive(Clone, Copy)]
pub(crate) enum Ready {
    Readable = 1, // POLLIN
    Writable = 4, // POLLOUT
}

/// Waits until `file` is ready or has an error, `wake` was signalled, or `deadline` (None: never) has passed.
/// Returns false when the deadline has passed.
pub(crate) fn wait(file: &File, ready: Ready, wake: Option<&File>, deadline: Option<Instant>) -> Result<bool, Error> {
    loop {
        let mut entries = [
            PollEntry { fd: file.as_raw_fd(), events: ready as c_short, revents: 0 },
            // poll passes over negative descriptors.
            PollEntry { fd: wake.map_or(-1, |file| file.as_raw_fd()), events: Ready::Readable as c_short, revents: 0 },
        ];
        let timeout = deadline.map_or(-1, milliseconds_until);
        // SAFETY: the pointer and the count describe `entries`, which lives through the call.
        let count = unsafe { poll(entries.as_mut_ptr(), entries.len() as c_ulong, timeout) };
        if count > 0 {
            return Ok(true);
        }
        if count < 0 {
            let error = io::Error::last_os_error();
            if error.kind() != io::ErrorKind::Interrupted {
                return Err(system_error("poll", &error));
            }
        }
        if deadline.map_or(false, |deadline| Instant::now() >= deadline) {
            return Ok(false);
        }
    }
}

/// Whole milliseconds, rounded up so that the wait does not end early.
fn milliseconds_until(deadline: Instant) -> c_int {
    let rest = deadline.saturating_duration_since(Instant::now()) + Duration::from_nanos(999_999);
    c_int::try_from(rest.as_millis()).unwrap_or(c_int::MAX)
}

/// A descriptor that becomes readable for good when `signal_event` is called.
pub(crate) fn new_event() -> Result<File, Error> {
    // SAFETY: takes numbers only.
    let fd = unsafe { eventfd(0, EFD_FLAGS) };
    if fd < 0 {
        return Err(system_error("eventfd", &io::Error::last_os_error()));
    }
    // SAFETY: the descriptor is new and nobody else's.
    Ok(unsafe { File::from_raw_fd(fd) })
}

pub(crate) fn signal_event(event: &File) {
    signal_event_descriptor(event.as_raw_fd());
}

/// Safe to call from a signal handler.
fn signal_event_descriptor(fd: RawFd) {
    let one: u64 = 1;
    // SAFETY: the 8 bytes live through the call. It fails only when the counter is full: then it is signalled already.
    let _ = unsafe { write(fd, (&one as *const u64).cast(), 8) };
}

// MARK: Signals

/// Runs `body`, which writes to pipes, with SIGPIPE blocked in this thread; one that the writing caused is consumed.
/// The process's own disposition for it stays as it is, and so does that of the programs it starts.
pub(crate) fn without_sigpipe<T>(body: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
    let mut pipe_signal = SignalSet([0; 16]);
    let mut pending = SignalSet([0; 16]);
    let mut previous = SignalSet([0; 16]);
    // SAFETY: all pointers are to sets that live through the calls; the calls cannot fail with these arguments.
    let was_pending = unsafe {
        sigemptyset(&mut pipe_signal);
        sigaddset(&mut pipe_signal, SIGPIPE);
        sigpending(&mut pending);
        pthread_sigmask(SIG_BLOCK, &pipe_signal, &mut previous);
        sigismember(&pending, SIGPIPE) == 1
    };
    let result = body();
    let is_broken = matches!(&result, Err(error) if error.raw_os_error() == Some(EPIPE));
    // SAFETY: as above; the timeout of zero makes sigtimedwait return at once.
    unsafe {
        if is_broken && !was_pending {
            let no_wait = TimeSpec { seconds: 0, nanoseconds: 0 };
            sigtimedwait(&pipe_signal, ptr::null_mut(), &no_wait);
        }
        pthread_sigmask(SIG_SETMASK, &previous, ptr::null_mut());
    }
    result
}

/// Runs `body` with all signals blocked in this thread: a thread that it starts inherits that, and never runs the
/// program's signal handlers.
pub(crate) fn with_signals_blocked<T>(body: impl FnOnce() -> T) -> T {
    let mut all = SignalSet([0; 16]);
    let mut previous = SignalSet([0; 16]);
    // SAFETY: all pointers are to sets that live through the calls.
    unsafe {
        sigfillset(&mut all);
        pthread_sigmask(SIG_SETMASK, &all, &mut previous);
    }
    let result = body();
    // SAFETY: as above.
    unsafe { pthread_sigmask(SIG_SETMASK, &previous, ptr::null_mut()) };
    result
}

static IS_TERMINATING: AtomicBool = AtomicBool::new(false);
static TERMINATION_EVENT: AtomicI32 = AtomicI32::new(-1);

/// Whether a signal given to `install_termination_handler` has arrived.
pub(crate) fn is_terminating() -> bool {
    IS_TERMINATING.load(Ordering::Acquire)
}

extern "C" fn note_termination(_signal: c_int) {
    // SAFETY: the location is this thread's errno. It is put back because the handler may run between a failed call
    // and the look at its errno.
    let saved = unsafe { *__errno_location() };
    IS_TERMINATING.store(true, Ordering::Release);
    signal_event_descriptor(TERMINATION_EVENT.load(Ordering::Acquire));
    // SAFETY: as above.
    unsafe { *__errno_location() = saved };
}

/// Makes the first `signal` set `is_terminating` and signal `event`, which must stay open for good, and the second one
/// do what it does by default.
pub(crate) fn install_termination_handler(event: &'static File, signal: c_int) -> Result<(), Error> {
    TERMINATION_EVENT.store(event.as_raw_fd(), Ordering::Release);
    let handler: extern "C" fn(c_int) = note_termination;
    let mut action = SignalAction {
        handler: handler as usize,
        mask: SignalSet([0; 16]),
        flags: SA_RESTART | SA_RESETHAND,
        restorer: 0,
    };
    // SAFETY: the pointers are to a set and an action that live through the calls; the handler makes only calls that
    // are allowed in handlers.
    let status = unsafe {
        sigemptyset(&mut action.mask);
        sigaction(signal, &action, ptr::null_mut())
    };
    if status < 0 {
        return Err(system_error("sigaction", &io::Error::last_os_error()));
    }
    Ok(())
}

#[cfg(test)]
pub(crate) mod testing {
    //! What tests need of the system.

    use super::*;

    extern "C" {
        fn pipe(fds: *mut c_int) -> c_int;
    }

    /// A new pipe: its reading and its writing end.
    pub(crate) fn new_pipe() -> (File, File) {
        let mut fds = [0; 2];
        // SAFETY: two ints live through the call; the descriptors are new and nobody else's.
        unsafe {
            assert_eq!(pipe(fds.as_mut_ptr()), 0);
            (File::from_raw_fd(fds[0]), File::from_raw_fd(fds[1]))
        }
    }

    /// Gives SIGPIPE the action that ends the process, as a program may have done.
    pub(crate) fn restore_default_sigpipe() {
        let action = SignalAction { handler: 0, mask: SignalSet([0; 16]), flags: 0, restorer: 0 };
        // SAFETY: the action lives through the call.
        unsafe { assert_eq!(sigaction(SIGPIPE, &action, ptr::null_mut()), 0) };
    }
}
