// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

// c-ares 1.15 or later, and what is easier to say in C.
#ifndef ELKEID_CARES_SHIM_H
#define ELKEID_CARES_SHIM_H

#include <ares.h>
#include <netdb.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/time.h>

// Macros in some versions, an enumeration in others.
static const int CAres_SUCCESS = ARES_SUCCESS;
static const int CAres_ENODATA = ARES_ENODATA;
static const int CAres_ESERVFAIL = ARES_ESERVFAIL;
static const int CAres_ENOTFOUND = ARES_ENOTFOUND;
static const int CAres_ECONNREFUSED = ARES_ECONNREFUSED;
static const int CAres_ETIMEOUT = ARES_ETIMEOUT;
static const int CAres_EDESTRUCTION = ARES_EDESTRUCTION;
static const int CAres_ECANCELLED = ARES_ECANCELLED;

/// ares_init_options(3): a channel that reports its sockets to `state`; `resolv_conf` may be NULL for the system's.
static inline int CAres_open(ares_channel *channel, ares_sock_state_cb state, void *data, int timeout_ms, int tries,
                             const char *resolv_conf) {
    struct ares_options options = {0};
    int mask = ARES_OPT_SOCK_STATE_CB | ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES;
    options.sock_state_cb = state;
    options.sock_state_cb_data = data;
    options.timeout = timeout_ms;
    options.tries = tries;
    if (resolv_conf != NULL) {
        options.resolvconf_path = (char *)resolv_conf;
        mask |= ARES_OPT_RESOLVCONF;
    }
    return ares_init_options(channel, &options, mask);
}

/// ares_getaddrinfo(3) for TCP, both families, with the port in the results.
static inline void CAres_lookup(ares_channel channel, const char *name, unsigned port, ares_addrinfo_callback callback,
                                void *data) {
    struct ares_addrinfo_hints hints = {0};
    hints.ai_family = AF_UNSPEC;
    hints.ai_socktype = SOCK_STREAM;
    hints.ai_flags = ARES_AI_NUMERICSERV;
    char service[8];
    snprintf(service, sizeof service, "%u", port);
    ares_getaddrinfo(channel, name, service, &hints, callback, data);
}

/// Milliseconds until c-ares wants to be called though no socket is ready, rounded up; -1 for never.
static inline long CAres_wait(ares_channel channel) {
    struct timeval time;
    if (ares_timeout(channel, NULL, &time) == NULL)
        return -1;
    return time.tv_sec * 1000 + (time.tv_usec + 999) / 1000;
}

static inline void CAres_process(ares_channel channel, int readable, int writable) {
    ares_process_fd(channel, readable < 0 ? ARES_SOCKET_BAD : readable, writable < 0 ? ARES_SOCKET_BAD : writable);
}

#endif
