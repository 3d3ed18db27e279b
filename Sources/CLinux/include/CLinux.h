// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

// Linux calls that Swift's Glibc module lacks, each with the errno convention of the original
// (-1 and errno). `_GNU_SOURCE` is defined in the .c files only: in a header it would change
// the layout of types that other C modules import.
#ifndef CLINUX_H
#define CLINUX_H

#include <stddef.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/types.h>

/// epoll_create1(2) with EPOLL_CLOEXEC.
int CLinux_epoll_create(void);
/// epoll_ctl(2) with `data` as the event's 64-bit user data.
int CLinux_epoll_ctl(int epfd, int operation, int fd, uint32_t events, uint64_t data);

/// timerfd_create(2) on `clock`, non-blocking, close-on-exec.
int CLinux_timerfd_create(int clock);
/// Arms the timer at an absolute time of its clock in nanoseconds; 0 disarms it.
int CLinux_timerfd_arm(int fd, uint64_t deadline_ns);

/// signalfd(2) for the `count` signals, which are blocked in the calling thread first.
int CLinux_signalfd(const int *signals, int count);
/// Size of one signalfd_siginfo, and the signal number in it.
int CLinux_signalfd_size(void);
int CLinux_signalfd_signal(const void *info);

/// pidfd_open(2); fails with ENOSYS before Linux 5.3.
int CLinux_pidfd_open(pid_t pid);
/// Reaps `pid` without blocking: 1 = reaped (code and whether it was a signal), 0 = still running, -1 = errno.
int CLinux_reap(pid_t pid, int *code, int *by_signal);

/// pipe2(2) with O_CLOEXEC; `flags` adds O_NONBLOCK.
int CLinux_pipe(int fds[2], int flags);
/// accept4(2) with SOCK_NONBLOCK and SOCK_CLOEXEC.
int CLinux_accept(int fd);
/// Largest socket address: room for sockaddr_in6.
#define CLINUX_ADDRESS_SIZE 28
/// Fills `address` from an IPv4 or IPv6 literal (with an optional %scope); returns its length, or 0 when it is none.
int CLinux_parse_address(const char *host, uint16_t port, uint8_t address[CLINUX_ADDRESS_SIZE]);
/// The numeric form "1.2.3.4:5" or "[::1]:5" of an address; returns 0, or -1.
int CLinux_format_address(const uint8_t *address, char *text, int size);
/// A non-blocking, close-on-exec TCP socket for the address's family, with TCP_NODELAY; -1 and errno.
int CLinux_tcp_socket(const uint8_t *address);
int CLinux_connect(int fd, const uint8_t *address, int length);
/// Binds with SO_REUSEADDR and listens; returns the port bound, or -1 and errno.
int CLinux_listen(int fd, const uint8_t *address, int length);
/// TCP_USER_TIMEOUT, and SO_LINGER with zero seconds; 0, or -1 and errno.
int CLinux_set_user_timeout(int fd, unsigned milliseconds);
int CLinux_reset_when_closed(int fd);
/// SO_ERROR: how a connection attempt ended, or the error that broke the connection.
int CLinux_socket_error(int fd);
/// The local or remote address of a socket; returns its length, or -1.
int CLinux_local_address(int fd, uint8_t address[CLINUX_ADDRESS_SIZE]);
int CLinux_remote_address(int fd, uint8_t address[CLINUX_ADDRESS_SIZE]);

/// A non-blocking, close-on-exec datagram socket of the family AF_UNIX; -1 and errno.
int CLinux_datagram_socket(void);
/// Sends one datagram to a socket's path, or to an abstract name when it begins with '@' (unix(7)); 0, or -1 and errno.
int CLinux_send_datagram(int fd, const char *path, const char *bytes, size_t length);

/// Listens at a local socket's path (unix(7)), made with `mode`; non-blocking, close-on-exec; -1 and errno, EADDRINUSE
/// where something is in the place.
int CLinux_local_listen(const char *path, unsigned mode);
/// Connects to a local socket; connecting, reading and writing give up after `milliseconds` (EAGAIN). -1 and errno.
int CLinux_local_connect(const char *path, unsigned milliseconds);
/// Who is at the other end of a local socket (SO_PEERCRED); 0, or -1 and errno.
int CLinux_peer_user(int fd, uid_t *user);
/// Locks a whole file for this process (fcntl(2), F_SETLK); 0, or -1 and EAGAIN or EACCES where another has it. The lock
/// goes with the process, and as soon as it closes any descriptor of the file.
int CLinux_lock(int fd);
/// Which process has such a lock: its pid as this one sees it, 0 when none has or there is no file, -1 and errno.
pid_t CLinux_lock_holder(const char *path);
/// poll(2) for input.
int CLinux_wait_readable(int fd, int milliseconds);

/// socketpair(2): AF_UNIX, SOCK_STREAM, close-on-exec; the first end does not block.
int CLinux_socketpair(int fds[2]);
/// Bytes in the regular files below `path` by fts(3): no symbolic link is followed and no other file system entered;
/// folders whose name is in `excluded` (NULL-terminated) are left out. Stops after `limit` entries. Returns how many it
/// saw, or -1 and errno when `path` itself cannot be read.
long CLinux_tree_size(const char *path, const char *const *excluded, long limit, uint64_t *bytes);
/// Lets this process's disk accesses wait for everybody else's (ioprio_set(2), idle class), or not any more.
void CLinux_idle_io(int on);

enum CLinux_rename_kind {
    CLINUX_RENAME_EXCHANGE,  ///< The two change places at once.
    CLINUX_RENAME_NEW,       ///< Fails with EEXIST where something is in the place.
};
/// renameat2(2): ENOSYS before Linux 3.15, EINVAL on file systems that cannot.
int CLinux_rename(const char *from, const char *to, enum CLinux_rename_kind kind);

/// syncfs(2): everything on the file system of `fd` is written.
int CLinux_sync_file_system(int fd);

/// inotify_init1(2), non-blocking and close-on-exec.
int CLinux_inotify_create(void);
/// Watches a file for writes (IN_MODIFY); returns the watch, or -1 and errno.
int CLinux_inotify_watch_writes(int fd, const char *path);
int CLinux_inotify_unwatch(int fd, int watch);

#define CLINUX_CONFINED_ROOT 1u        ///< `directory` is the process's root.
#define CLINUX_CONFINED_PRIVILEGES 2u  ///< No program that it starts can have more privileges.
#define CLINUX_CONFINED_CALLS 4u       ///< Dangerous system calls answer EPERM.
/// Confines this process to `directory` for the rest of its life: its root (chroot(2)) where it is root, no capability,
/// no other program, no network, no file over `file_bytes`, no more processor time than `cpu_seconds`. Open descriptors
/// stay. `measures` tells what took effect. 0, or -1 and errno.
int CLinux_confine(const char *directory, uint64_t file_bytes, unsigned cpu_seconds, unsigned *measures);

/* The name of this process in ps(1) and top(1), at most 15 bytes. */
void CLinux_process_name(const char *name);

/// fcntl(2) with F_DUPFD_CLOEXEC.
int CLinux_duplicate(int fd);
/// F_GETPIPE_SZ and F_SETPIPE_SZ of fcntl(2).
int CLinux_pipe_size(int fd);
int CLinux_set_pipe_size(int fd, int size);

/// Tells a file from every other, and from itself after a change.
struct CLinux_file {
    uint64_t device, inode, size;
    int64_t modified_ns, changed_ns;
};
/// stat(2), following links; 0, or -1 and errno.
int CLinux_identify(const char *path, struct CLinux_file *file);

/// What a child process is to be.
struct CLinux_spawn {
    const char *path;             ///< Absolute path of the program, argv[0] of the child.
    char *const *argv;            ///< NULL-terminated.
    char *const *envp;            ///< NULL-terminated.
    const char *directory;        ///< Working directory, or NULL to keep.
    const int *fds;               ///< fds[i] becomes descriptor i in the child; -1 leaves i closed.
    int fd_count;                 ///< How many of them; every other descriptor is closed.
    uint64_t nofile_soft;         ///< RLIMIT_NOFILE to restore.
    uint64_t nofile_hard;
    int new_group;                ///< Non-zero: setpgid(0, 0).
    int new_session;              ///< Non-zero: setsid(2), which makes a new group as well.
    const int *cgroups;           ///< Open `cgroup.procs` files of the cgroups that the child enters before it executes.
    int cgroup_count;
    int parent_death_signal;      ///< PR_SET_PDEATHSIG, or 0.
    int report;                   ///< A pipe's end that says how it went, without this process having to wait; or 0.
    const struct CLinux_file *identity;  ///< What `path` must still be, or NULL.
};
/// Starts a child with an empty signal mask, default dispositions and umask 022. Returns its pid, or -1 with
/// errno; `failed_step` then names the call that failed in the child ("execve", "chdir", …). With `report` the pid is
/// returned at once, and `CLinux_spawn_outcome` tells the rest.
pid_t CLinux_spawn_process(const struct CLinux_spawn *spec, const char **failed_step);
/// Reads the other end of `report` when it is readable: 0 when the program is executed, the errno of what failed with its
/// step, or -1 and errno (EAGAIN: not yet).
int CLinux_spawn_outcome(int fd, const char **failed_step);

/// Raises the soft RLIMIT_NOFILE to the hard one; the limits found are stored for children.
int CLinux_raise_nofile(uint64_t *soft, uint64_t *hard);

/// Does the kernel know of somebody who keeps its clock right (adjtimex(2))? 1, 0, or -1 and errno.
int CLinux_clock_is_kept(void);

/// malloc_trim(3): gives free memory back to the kernel.
void CLinux_malloc_trim(void);
/// Lets go of the resident pages of the program's file (and its libraries') that nothing has written to: they stay in the
/// page cache and come back by page faults, those that are needed.
void CLinux_release_program(void);

/// EPOLLIN, which is an enumeration constant.
extern const uint32_t CLinux_EPOLLIN;

#endif
