// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

#define _GNU_SOURCE
#include "CLinux.h"

#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static int is_excluded(const char *name, const char *const *excluded) {
    for (; *excluded != NULL; excluded++)
        if (strcmp(name, *excluded) == 0)
            return 1;
    return 0;
}

long CLinux_tree_size(const char *path, const char *const *excluded, long limit, uint64_t *bytes) {
    char *const roots[] = {(char *)path, NULL};
    FTS *tree = fts_open(roots, FTS_PHYSICAL | FTS_XDEV | FTS_NOCHDIR, NULL);
    if (tree == NULL)
        return -1;
    long count = 0;
    int error = 0;
    *bytes = 0;
    for (FTSENT *entry; count < limit && (entry = fts_read(tree)) != NULL; count++) {
        if (entry->fts_info == FTS_F)
            *bytes += (uint64_t)entry->fts_statp->st_size;
        else if (entry->fts_info == FTS_D && entry->fts_level > 0 && is_excluded(entry->fts_name, excluded))
            fts_set(tree, entry, FTS_SKIP);
        else if (entry->fts_level == 0 && (entry->fts_info == FTS_NS || entry->fts_info == FTS_DNR))
            error = entry->fts_errno;
    }
    fts_close(tree);
    errno = error;
    return error == 0 ? count : -1;
}

#define IOPRIO_CLASS_SHIFT 13
#define IOPRIO_CLASS_BE 2
#define IOPRIO_CLASS_IDLE 3
#define IOPRIO_WHO_PROCESS 1

void CLinux_idle_io(int on) {
    int priority = on ? IOPRIO_CLASS_IDLE << IOPRIO_CLASS_SHIFT : IOPRIO_CLASS_BE << IOPRIO_CLASS_SHIFT | 4;
    syscall(SYS_ioprio_set, IOPRIO_WHO_PROCESS, 0, priority);
    setpriority(PRIO_PROCESS, 0, on ? 10 : 0);
}

#ifndef RENAME_NOREPLACE
#define RENAME_NOREPLACE (1 << 0)
#endif
#ifndef RENAME_EXCHANGE
#define RENAME_EXCHANGE (1 << 1)
#endif

int CLinux_rename(const char *from, const char *to, enum CLinux_rename_kind kind) {
    unsigned flags = kind == CLINUX_RENAME_EXCHANGE ? RENAME_EXCHANGE : RENAME_NOREPLACE;
    return (int)syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, flags);
}

int CLinux_sync_file_system(int fd) { return syncfs(fd); }

int CLinux_inotify_create(void) { return inotify_init1(IN_NONBLOCK | IN_CLOEXEC); }

int CLinux_inotify_watch_writes(int fd, const char *path) { return inotify_add_watch(fd, path, IN_MODIFY); }

int CLinux_inotify_unwatch(int fd, int watch) { return inotify_rm_watch(fd, watch); }
