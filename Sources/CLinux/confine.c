// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

#define _GNU_SOURCE
#include "CLinux.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#if defined(__x86_64__)
#define NATIVE_ARCHITECTURE AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define NATIVE_ARCHITECTURE AUDIT_ARCH_AARCH64
#endif

// What a program that unpacks files into its folder has no use for: other programs, the network, other processes,
// devices, and everything that configures the kernel.
static const int forbidden[] = {
    SYS_execve,      SYS_execveat,     SYS_clone,       SYS_socket,        SYS_socketpair, SYS_connect,
    SYS_bind,        SYS_listen,       SYS_accept,      SYS_accept4,       SYS_ptrace,     SYS_process_vm_readv,
    SYS_mount,       SYS_umount2,      SYS_pivot_root,  SYS_chroot,        SYS_unshare,    SYS_setns,
    SYS_init_module, SYS_finit_module, SYS_kexec_load,  SYS_delete_module, SYS_bpf,        SYS_perf_event_open,
    SYS_mknodat,     SYS_kill,         SYS_tkill,       SYS_keyctl,        SYS_add_key,    SYS_request_key,
    SYS_setuid,      SYS_setgid,       SYS_setgroups,   SYS_capset,        SYS_reboot,     SYS_swapon,
    SYS_settimeofday, SYS_clock_settime, SYS_sethostname, SYS_open_by_handle_at, SYS_process_vm_writev,
    SYS_tgkill,      SYS_rt_sigqueueinfo, SYS_rt_tgsigqueueinfo, SYS_prlimit64, SYS_io_setup, SYS_fanotify_init,
#ifdef SYS_fork
    SYS_fork,        SYS_vfork,        SYS_mknod,       SYS_iopl,          SYS_ioperm,
#endif
#ifdef SYS_clone3
    SYS_clone3,
#endif
#ifdef SYS_io_uring_setup
    SYS_io_uring_setup, SYS_io_uring_enter, SYS_io_uring_register,
#endif
#ifdef SYS_pidfd_send_signal
    SYS_pidfd_send_signal,
#endif
#ifdef SYS_pidfd_open
    SYS_pidfd_open,
#endif
#ifdef SYS_pidfd_getfd
    SYS_pidfd_getfd,
#endif
#ifdef SYS_userfaultfd
    SYS_userfaultfd,
#endif
};
#define FORBIDDEN_COUNT (sizeof forbidden / sizeof forbidden[0])

// seccomp(2): the forbidden calls answer EPERM, so that an error is reported and not a death; those of another architecture's numbering end the process.
static int forbid_system_calls(void) {
    struct sock_filter program[7 + 2 * FORBIDDEN_COUNT + 1];
    size_t n = 0;
    program[n++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch));
    program[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, NATIVE_ARCHITECTURE, 1, 0);
    program[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL);
    program[n++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
    // x86-64 has every call a second time, with this bit set (x32).
    program[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, 0x40000000u, 0, 1);
    program[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM);
    for (size_t i = 0; i < FORBIDDEN_COUNT; i++) {
        program[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)forbidden[i], 0, 1);
        program[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM);
    }
    program[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    struct sock_fprog filter = {(unsigned short)n, program};
    return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter);
}

static int drop_capabilities(void) {
    struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct none[2] = {{0, 0, 0}, {0, 0, 0}};
    return (int)syscall(SYS_capset, &header, none);
}

static int limit(int resource, rlim_t value) {
    struct rlimit both = {value, value};
    return setrlimit(resource, &both);
}

int CLinux_confine(const char *directory, uint64_t file_bytes, unsigned cpu_seconds, unsigned *measures) {
    *measures = 0;
    if (chdir(directory) != 0)
        return -1;
    if (limit(RLIMIT_FSIZE, file_bytes) != 0 || limit(RLIMIT_CPU, cpu_seconds) != 0 || limit(RLIMIT_CORE, 0) != 0)
        return -1;
    // Only root may do these two; whoever is not root has less to lose.
    if (chroot(".") == 0) {
        *measures |= CLINUX_CONFINED_ROOT;
        if (chdir("/") != 0)
            return -1;
    } else if (errno != EPERM) {
        return -1;
    }
    if (drop_capabilities() != 0)
        return -1;
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0)
        *measures |= CLINUX_CONFINED_PRIVILEGES;
    // Missing where the kernel was built without it, and before Linux 3.19 on arm64.
    if (forbid_system_calls() == 0)
        *measures |= CLINUX_CONFINED_CALLS;
    return 0;
}
