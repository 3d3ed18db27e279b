// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

#define _GNU_SOURCE
#include "CLinux.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

_Static_assert(sizeof(struct sockaddr_in6) == CLINUX_ADDRESS_SIZE, "room for every address family used");

int CLinux_parse_address(const char *host, uint16_t port, uint8_t address[CLINUX_ADDRESS_SIZE]) {
    memset(address, 0, CLINUX_ADDRESS_SIZE);
    struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons(port)};
    if (inet_pton(AF_INET, host, &v4.sin_addr) == 1) {
        memcpy(address, &v4, sizeof v4);
        return sizeof v4;
    }
    char copy[INET6_ADDRSTRLEN + IF_NAMESIZE];
    if (strlen(host) >= sizeof copy)
        return 0;
    strcpy(copy, host);
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
    char *scope = strchr(copy, '%');
    if (scope != NULL) {
        *scope++ = '\0';
        v6.sin6_scope_id = if_nametoindex(scope);
        if (v6.sin6_scope_id == 0) {
            char *end = NULL;
            unsigned long number = *scope >= '0' && *scope <= '9' ? strtoul(scope, &end, 10) : 0;
            if (number == 0 || number > UINT32_MAX || *end != '\0')
                return 0;
            v6.sin6_scope_id = (uint32_t)number;
        }
    }
    if (inet_pton(AF_INET6, copy, &v6.sin6_addr) != 1)
        return 0;
    memcpy(address, &v6, sizeof v6);
    return sizeof v6;
}

int CLinux_format_address(const uint8_t *address, char *text, int size) {
    char host[INET6_ADDRSTRLEN];
    sa_family_t family;
    memcpy(&family, address, sizeof family);
    if (family == AF_INET) {
        struct sockaddr_in v4;
        memcpy(&v4, address, sizeof v4);
        inet_ntop(AF_INET, &v4.sin_addr, host, sizeof host);
        snprintf(text, (size_t)size, "%s:%u", host, ntohs(v4.sin_port));
        return 0;
    }
    if (family == AF_INET6) {
        struct sockaddr_in6 v6;
        memcpy(&v6, address, sizeof v6);
        inet_ntop(AF_INET6, &v6.sin6_addr, host, sizeof host);
        snprintf(text, (size_t)size, "[%s]:%u", host, ntohs(v6.sin6_port));
        return 0;
    }
    errno = EAFNOSUPPORT;
    return -1;
}

int CLinux_tcp_socket(const uint8_t *address) {
    sa_family_t family;
    memcpy(&family, address, sizeof family);
    int fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    // Writes are gathered before they reach the socket: waiting for more would only add delay.
    int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    return fd;
}

int CLinux_connect(int fd, const uint8_t *address, int length) {
    struct sockaddr_storage storage = {0};
    memcpy(&storage, address, (size_t)length);
    return connect(fd, (struct sockaddr *)&storage, (socklen_t)length);
}

int CLinux_listen(int fd, const uint8_t *address, int length) {
    struct sockaddr_storage storage = {0};
    memcpy(&storage, address, (size_t)length);
    int on = 1;
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0 ||
        bind(fd, (struct sockaddr *)&storage, (socklen_t)length) != 0 || listen(fd, 1024) != 0)
        return -1;
    socklen_t size = sizeof storage;
    if (getsockname(fd, (struct sockaddr *)&storage, &size) != 0)
        return -1;
    return ntohs(storage.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&storage)->sin6_port
                                               : ((struct sockaddr_in *)&storage)->sin_port);
}

int CLinux_socket_error(int fd) {
    int error = 0;
    socklen_t size = sizeof error;
    return getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) == 0 ? error : errno;
}

static int store(const struct sockaddr_storage *storage, socklen_t size, uint8_t address[CLINUX_ADDRESS_SIZE]) {
    if (size > CLINUX_ADDRESS_SIZE) {
        errno = EAFNOSUPPORT;
        return -1;
    }
    memset(address, 0, CLINUX_ADDRESS_SIZE);
    memcpy(address, storage, size);
    return (int)size;
}

int CLinux_local_address(int fd, uint8_t address[CLINUX_ADDRESS_SIZE]) {
    struct sockaddr_storage storage;
    socklen_t size = sizeof storage;
    return getsockname(fd, (struct sockaddr *)&storage, &size) == 0 ? store(&storage, size, address) : -1;
}

int CLinux_remote_address(int fd, uint8_t address[CLINUX_ADDRESS_SIZE]) {
    struct sockaddr_storage storage;
    socklen_t size = sizeof storage;
    return getpeername(fd, (struct sockaddr *)&storage, &size) == 0 ? store(&storage, size, address) : -1;
}

int CLinux_datagram_socket(void) { return socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0); }

int CLinux_send_datagram(int fd, const char *path, const char *bytes, size_t length) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    size_t size = strlen(path);
    if (size == 0 || size >= sizeof address.sun_path) {
        errno = ENAMETOOLONG;
        return -1;
    }
    memcpy(address.sun_path, path, size);
    if (path[0] == '@')
        address.sun_path[0] = '\0';
    // An abstract name has no terminator: every byte of the length counts.
    socklen_t total = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + size + (path[0] == '@' ? 0 : 1));
    ssize_t sent = sendto(fd, bytes, length, MSG_NOSIGNAL, (struct sockaddr *)&address, total);
    return sent < 0 ? -1 : 0;
}

int CLinux_set_user_timeout(int fd, unsigned milliseconds) {
    return setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &milliseconds, sizeof milliseconds);
}

int CLinux_reset_when_closed(int fd) {
    struct linger linger = {.l_onoff = 1, .l_linger = 0};
    return setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
}

int CLinux_socketpair(int fds[2]) {
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) != 0)
        return -1;
    return fcntl(fds[0], F_SETFL, O_NONBLOCK);
}
