// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

#define _GNU_SOURCE
#include "CLinux.h"

#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <sched.h>
#include <malloc.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/timex.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef SYS_close_range
#define SYS_close_range 436
#endif

int CLinux_reap(pid_t pid, int *code, int *by_signal) {
    siginfo_t info;
    info.si_pid = 0;
    int result;
    do {
        result = waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG);
    } while (result != 0 && errno == EINTR);
    if (result != 0)
        return -1;
    if (info.si_pid == 0)
        return 0;
    *code = info.si_status;
    *by_signal = info.si_code != CLD_EXITED;
    return 1;
}

int CLinux_raise_nofile(uint64_t *soft, uint64_t *hard) {
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return -1;
    *soft = limit.rlim_cur;
    *hard = limit.rlim_max;
    limit.rlim_cur = limit.rlim_max;
    return setrlimit(RLIMIT_NOFILE, &limit);
}

// Runs in the child, which shares the parent's memory until it executes: only system calls
// and its own stack may be touched.
struct outcome {
    int error;
    const char *step;
};

// Closes what /proc says is open: before Linux 5.9 the numbers up to the limit may be half a million, during which the
// parent stands still. getdents64(2) by itself, since the C library's folders allocate.
static int close_listed(int first) {
    struct entry {
        uint64_t inode;
        int64_t offset;
        unsigned short length;
        unsigned char type;
        char name[];
    };
    int folder = open("/proc/self/fd", O_RDONLY | O_DIRECTORY);
    if (folder < 0)
        return -1;
    _Alignas(8) char buffer[2048];
    long count;
    while ((count = syscall(SYS_getdents64, folder, buffer, sizeof buffer)) > 0) {
        for (long at = 0; at < count;) {
            const struct entry *entry = (const struct entry *)(buffer + at);
            at += entry->length;
            int fd = 0;
            for (const char *digit = entry->name; *digit >= '0' && *digit <= '9'; digit++)
                fd = fd * 10 + (*digit - '0');
            if (fd >= first && fd != folder && entry->name[0] != '.')
                close(fd);
        }
    }
    close(folder);
    return count == 0 ? 0 : -1;
}

static void close_from(int first) {
    if (syscall(SYS_close_range, (unsigned)first, ~0u, 0) == 0 || close_listed(first) == 0)
        return;
    struct rlimit limit;
    int last = getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < 1048576 ? (int)limit.rlim_cur : 1048576;
    for (int fd = first; fd < last; fd++)
        close(fd);
}

static int64_t nanoseconds(struct timespec time) { return time.tv_sec * INT64_C(1000000000) + time.tv_nsec; }

int CLinux_identify(const char *path, struct CLinux_file *file) {
    struct stat status;
    if (stat(path, &status) != 0)
        return -1;
    *file = (struct CLinux_file){(uint64_t)status.st_dev, (uint64_t)status.st_ino, (uint64_t)status.st_size,
                                 nanoseconds(status.st_mtim), nanoseconds(status.st_ctim)};
    return 0;
}

static int is_still(const char *path, const struct CLinux_file *wanted) {
    struct CLinux_file found;
    if (CLinux_identify(path, &found) != 0)
        return 0;
    errno = ESTALE;
    return found.device == wanted->device && found.inode == wanted->inode && found.size == wanted->size &&
           found.modified_ns == wanted->modified_ns && found.changed_ns == wanted->changed_ns;
}

static void run_child(const struct CLinux_spawn *spec, volatile struct outcome *outcome) {
    int report = spec->report;
#define FAIL(name)                                                                                                     \
    do {                                                                                                               \
        outcome->error = errno;                                                                                        \
        outcome->step = name;                                                                                          \
        if (report > 0 && write(report, (const void *)outcome, sizeof *outcome) < 0)                                  \
            _exit(126);                                                                                                \
        _exit(127);                                                                                                    \
    } while (0)
    // The kernel's own call: the C library's leaves out the signals it keeps for itself, which may be ignored too.
    // Its structure, whatever the architecture, is all zero for the default action, no flags and no mask.
    const unsigned char default_action[64] = {0};
    for (int signal = 1; signal < NSIG; signal++)
        syscall(SYS_rt_sigaction, signal, default_action, NULL, (size_t)8);  // EINVAL for SIGKILL and SIGSTOP
    if (spec->parent_death_signal != 0 && prctl(PR_SET_PDEATHSIG, spec->parent_death_signal) != 0)
        FAIL("prctl");
    if (spec->new_session ? setsid() < 0 : spec->new_group && setpgid(0, 0) != 0)
        FAIL("setpgid");
    // "0" is whoever writes it (cgroups(7)).
    for (int i = 0; i < spec->cgroup_count; i++)
        if (write(spec->cgroups[i], "0", 1) != 1)
            FAIL("entering its cgroup");
    umask(022);
    if (spec->directory != NULL && chdir(spec->directory) != 0)
        FAIL("chdir");
    // Every source is first moved above all targets, so that no dup2 overwrites one still needed.
    if (report > 0 && (report = fcntl(report, F_DUPFD_CLOEXEC, spec->fd_count)) < 0)
        FAIL("fcntl(F_DUPFD_CLOEXEC)");
    int moved[16];
    if (spec->fd_count > 16) {
        errno = EINVAL;
        FAIL("descriptor count");
    }
    for (int i = 0; i < spec->fd_count; i++) {
        moved[i] = -1;
        if (spec->fds[i] >= 0 && (moved[i] = fcntl(spec->fds[i], F_DUPFD, spec->fd_count)) < 0)
            FAIL("fcntl(F_DUPFD)");
    }
    for (int i = 0; i < spec->fd_count; i++) {
        if (moved[i] < 0)
            close(i);
        else if (dup2(moved[i], i) < 0)
            FAIL("dup2");
    }
    if (report > 0 && report != spec->fd_count) {
        if (dup3(report, spec->fd_count, O_CLOEXEC) < 0)
            FAIL("dup3");
        report = spec->fd_count;
    }
    close_from(spec->fd_count + (report > 0));
    // Only now: with the lower limit, descriptors beyond it could neither be moved nor be found to be closed.
    struct rlimit limit = {spec->nofile_soft, spec->nofile_hard};
    if (spec->nofile_hard != 0 && setrlimit(RLIMIT_NOFILE, &limit) != 0)
        FAIL("setrlimit");
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    if (spec->identity != NULL && !is_still(spec->path, spec->identity))
        FAIL("it is not the file that was checked");
    execve(spec->path, spec->argv, spec->envp);
    FAIL("execve");
#undef FAIL
}

pid_t CLinux_spawn_process(const struct CLinux_spawn *spec, const char **failed_step) {
    struct outcome outcome = {0, NULL};
    sigset_t all, before;
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, &before);
    // vfork: the child borrows this stack until execve, so starting a plugin copies no page tables. But this process
    // stands still as long, and entering a cgroup takes ten milliseconds and more (the kernel waits for all processors).
    pid_t pid = spec->report > 0 ? fork() : vfork();
    if (pid == 0)
        run_child(spec, &outcome);
    int error = errno;
    sigprocmask(SIG_SETMASK, &before, NULL);
    if (pid < 0) {
        *failed_step = "fork";
        errno = error;
        return -1;
    }
    if (spec->report <= 0 && outcome.error != 0) {
        int status;
        while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
        }
        *failed_step = outcome.step;
        errno = outcome.error;
        return -1;
    }
    return pid;
}

int CLinux_clock_is_kept(void) {
    struct timex state = {0};
    int result = adjtimex(&state);
    return result < 0 ? -1 : result != TIME_ERROR && (state.status & STA_UNSYNC) == 0;
}

int CLinux_spawn_outcome(int fd, const char **failed_step) {
    struct outcome outcome;
    ssize_t count;
    do {
        count = read(fd, &outcome, sizeof outcome);
    } while (count < 0 && errno == EINTR);
    if (count < 0)
        return -1;
    if (count != (ssize_t)sizeof outcome)
        return 0;
    // The text is a constant of this program, which the child was a copy of.
    *failed_step = outcome.step;
    return outcome.error;
}

void CLinux_malloc_trim(void) { malloc_trim(0); }

// proc_pid_pagemap(5): 64 bits a page; it is there, and it is still the file's. A page that was written to is our own.
// Before Linux 3.5 bit 61 is 0, and nothing is released. There must be one thread: what another writes between the question
// and the answer would be lost.
static const uint64_t page_of_file = UINT64_C(1) << 63 | UINT64_C(1) << 61;

static void release_run(int pagemap, uintptr_t start, uintptr_t end, uintptr_t page) {
    uint64_t entries[512];
    while (start < end) {
        size_t count = (end - start) / page;
        if (count > sizeof entries / sizeof *entries)
            count = sizeof entries / sizeof *entries;
        ssize_t got = pread(pagemap, entries, count * sizeof *entries, (off_t)(start / page * sizeof *entries));
        if (got < (ssize_t)sizeof *entries)
            return;
        count = (size_t)got / sizeof *entries;
        for (size_t first = 0, next; first < count; first = next + 1) {
            for (next = first; next < count && (entries[next] & page_of_file) == page_of_file; next++) {
            }
            if (next > first)
                (void)madvise((void *)(start + first * page), (next - first) * page, MADV_DONTNEED);
        }
        start += count * page;
    }
}

static int release_object(struct dl_phdr_info *object, size_t size, void *pagemap) {
    (void)size;
    const uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    for (int i = 0; i < object->dlpi_phnum; i++) {
        const ElfW(Phdr) *segment = &object->dlpi_phdr[i];
        if (segment->p_type != PT_LOAD)
            continue;
        uintptr_t start = (uintptr_t)object->dlpi_addr + segment->p_vaddr;
        uintptr_t end = (start + segment->p_filesz) & ~(page - 1);
        release_run(*(int *)pagemap, (start + page - 1) & ~(page - 1), end, page);
    }
    return 0;
}

void CLinux_release_program(void) {
    int pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
    if (pagemap < 0)
        return;
    dl_iterate_phdr(release_object, &pagemap);
    close(pagemap);
}

void CLinux_process_name(const char *name) { (void)prctl(PR_SET_NAME, name); }
