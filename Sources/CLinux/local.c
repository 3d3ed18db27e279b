// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

// Local sockets with a name, and locks that tell who holds them.

#define _GNU_SOURCE
#include "CLinux.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

static int named(const char *path, struct sockaddr_un *address) {
    size_t size = strlen(path);
    if (size == 0 || size >= sizeof address->sun_path) {
        errno = ENAMETOOLONG;
        return -1;
    }
    memset(address, 0, sizeof *address);
    address->sun_family = AF_UNIX;
    memcpy(address->sun_path, path, size);
    return 0;
}

static int closed(int fd) {
    int error = errno;
    close(fd);
    errno = error;
    return -1;
}

int CLinux_local_listen(const char *path, unsigned mode) {
    struct sockaddr_un address;
    if (named(path, &address) != 0)
        return -1;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    // The file's mode comes from the socket's own (unix(7)): nobody else can connect at any moment.
    if (fchmod(fd, mode) != 0 || bind(fd, (struct sockaddr *)&address, sizeof address) != 0 ||
        chmod(path, mode) != 0 || listen(fd, 64) != 0)
        return closed(fd);
    return fd;
}

int CLinux_local_connect(const char *path, unsigned milliseconds) {
    struct sockaddr_un address;
    if (named(path, &address) != 0)
        return -1;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    // Also for connect(2), which waits for a place in the backlog as long as for sending.
    struct timeval limit = {milliseconds / 1000, milliseconds % 1000 * 1000};
    if (setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit) != 0 ||
        setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit) != 0 ||
        connect(fd, (struct sockaddr *)&address, sizeof address) != 0)
        return closed(fd);
    return fd;
}

int CLinux_peer_user(int fd, uid_t *user) {
    struct ucred peer;
    socklen_t size = sizeof peer;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0)
        return -1;
    *user = peer.uid;
    return 0;
}

int CLinux_lock(int fd) {
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    return fcntl(fd, F_SETLK, &lock);
}

pid_t CLinux_lock_holder(const char *path) {
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT ? 0 : -1;
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    int result = fcntl(fd, F_GETLK, &lock);
    closed(fd);
    if (result != 0)
        return -1;
    return lock.l_type == F_UNLCK ? 0 : lock.l_pid;
}

int CLinux_wait_readable(int fd, int milliseconds) {
    struct pollfd wanted = {fd, POLLIN, 0};
    return poll(&wanted, 1, milliseconds);
}
