// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0
//
// Runs a program as on Linux 3.10, as far as system calls go: those that came later answer ENOSYS, timerfd_create(2)
// does not know the clocks that it learned later, and uname(2) says 3.10.0. All of its children have that, too.
//
// usage: old-kernel PROGRAM ARGUMENT...
//        old-kernel --probe         what some calls answer to this process, a line "NAME ANSWER" for each

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <sched.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

// The last call of 3.10 is finit_module(2), of 3.8; the next one, sched_setattr(2), is of 3.14 (syscalls(2)).
#define LAST_CALL SYS_finit_module
#if defined(__x86_64__)
#define ARCHITECTURE AUDIT_ARCH_X86_64
_Static_assert(SYS_finit_module == 313 && SYS_sched_setattr == 314, "the table of x86-64");
#elif defined(__aarch64__)
#define ARCHITECTURE AUDIT_ARCH_AARCH64
_Static_assert(SYS_finit_module == 273 && SYS_sched_setattr == 274, "the table that newer architectures share");
#else
#error "it is not known which system call was the last of Linux 3.10"
#endif

static void fail(const char *what) {
    fprintf(stderr, "old-kernel: %s: %s\n", what, strerror(errno));
    exit(126);
}

// Returns the descriptor at which uname(2) is answered.
static int install_filter(void) {
    struct sock_filter program[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ARCHITECTURE, 1, 0),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JGT | BPF_K, LAST_CALL, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_uname, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_timerfd_create, 1, 0),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
        // The lower half of its first argument: CLOCK_BOOTTIME came with 3.15.
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[0])),
        BPF_JUMP(BPF_JMP | BPF_JGT | BPF_K, CLOCK_MONOTONIC, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EINVAL),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog filter = {sizeof program / sizeof *program, program};
    const unsigned flags = SECCOMP_FILTER_FLAG_NEW_LISTENER;
    int listener = (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &filter);
    // Whoever is not root has to give up new privileges first.
    if (listener < 0 && errno == EACCES && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0)
        listener = (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &filter);
    return listener;
}

// Answers uname(2) until the last process that asks has ended. The program must not have this process for a child, nor
// must whoever waits for the end of its output wait for this process.
static void answer(int listener) {
    struct seccomp_notif_sizes sizes;
    struct utsname name;
    if (syscall(SYS_seccomp, SECCOMP_GET_NOTIF_SIZES, 0, &sizes) != 0 || uname(&name) != 0)
        _exit(1);
    strcpy(name.release, "3.10.0");
    struct seccomp_notif *question = malloc(sizes.seccomp_notif);
    struct seccomp_notif_resp *reply = malloc(sizes.seccomp_notif_resp);
    struct pollfd wanted = {listener, POLLIN, 0};
    while (question != NULL && reply != NULL && poll(&wanted, 1, -1) > 0 && (wanted.revents & POLLIN) != 0) {
        memset(question, 0, sizes.seccomp_notif);
        memset(reply, 0, sizes.seccomp_notif_resp);
        if (ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, question) != 0)
            continue;  // who asked is gone
        struct iovec from = {&name, sizeof name};
        struct iovec to = {(void *)(uintptr_t)question->data.args[0], sizeof name};
        reply->id = question->id;
        if (process_vm_writev((pid_t)question->pid, &from, 1, &to, 1, 0) != (ssize_t)sizeof name)
            reply->error = -EFAULT;
        ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, reply);
    }
    _exit(0);
}

// The one who answers is not under the filter himself: he is there before it, and takes the descriptor over.
static void start_answering(int channel, pid_t target) {
    if (fork() != 0)
        _exit(0);
    setsid();
    int nothing = open("/dev/null", O_RDWR);
    for (int fd = 0; fd < 3; fd++)
        dup2(nothing, fd);
    int number, listener;
    if (read(channel, &number, sizeof number) != (ssize_t)sizeof number)
        _exit(1);
    int process = (int)syscall(SYS_pidfd_open, target, 0);
    listener = (int)syscall(SYS_pidfd_getfd, process, number, 0);
    if (listener < 0 || write(channel, &listener, sizeof listener) < 0)
        _exit(1);
    // The other end must go with the program, as must what it inherits from whoever started it.
    syscall(SYS_close_range, 3, (unsigned)listener - 1, 0);
    syscall(SYS_close_range, (unsigned)listener + 1, ~0u, 0);
    answer(listener);
}

static void go_back_in_time(void) {
    // OpenSSL notes there, for all processes until the next boot, that the kernel's random numbers can be trusted.
    if (geteuid() == 0 && unshare(CLONE_NEWIPC) != 0)
        fail("unshare");
    int channel[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, channel) != 0)
        fail("socketpair");
    pid_t target = getpid(), child = fork();
    if (child < 0)
        fail("fork");
    if (child == 0) {
        close(channel[0]);
        start_answering(channel[1], target);
    }
    close(channel[1]);
    waitpid(child, NULL, 0);
    int listener = install_filter(), taken;
    if (listener < 0)
        fail("seccomp");
    if (write(channel[0], &listener, sizeof listener) < 0 ||
        read(channel[0], &taken, sizeof taken) != (ssize_t)sizeof taken) {
        errno = EPIPE;
        fail("nobody would answer uname");
    }
    close(listener);
    close(channel[0]);
}

static void report(const char *name, long result) {
    printf("%s %s\n", name, result >= 0 ? "works" : strerrorname_np(errno));
}

static int probe(void) {
    char bytes[8];
    struct utsname name;
    report("getrandom", syscall(SYS_getrandom, bytes, sizeof bytes, 0));
    report("memfd_create", syscall(SYS_memfd_create, "probe", 0));
    report("pidfd_open", syscall(SYS_pidfd_open, getpid(), 0));
    report("sched_setattr", syscall(SYS_sched_setattr, 0, NULL, 0));
    report("getcpu", syscall(SYS_getcpu, NULL, NULL, NULL));
    report("timerfd_create(CLOCK_MONOTONIC)", syscall(SYS_timerfd_create, CLOCK_MONOTONIC, 0));
    report("timerfd_create(CLOCK_BOOTTIME)", syscall(SYS_timerfd_create, CLOCK_BOOTTIME, 0));
    uname(&name);
    printf("uname %s\n", name.release);
    return 0;
}

int main(int argc, char **argv) {
    if (argc == 2 && strcmp(argv[1], "--probe") == 0)
        return probe();
    if (argc < 2 || argv[1][0] == '-') {
        fprintf(stderr, "usage: old-kernel PROGRAM ARGUMENT... | --probe\n");
        return 2;
    }
    go_back_in_time();
    execvp(argv[1], argv + 1);
    fail(argv[1]);
}
