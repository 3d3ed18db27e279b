// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

// A plugin for tests, without any library, that does one thing wrong: the environment variable DETAIL names it, see the
// list. Without DETAIL it does everything right: a record every 100 ms, an answer to each task, an orderly end.
#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

enum fault {
    NONE,
    ENDS_AT_ONCE,
    TALKS,             // to standard output
    BUSY,              // uses the processor while there is nothing to do
    WAKES,             // a thousand times a second
    SINGLE_WRITES,     // two hundred records a second, a write each
    DIES_OF_TASK,      // of an unknown type
    FIRST_OF_READ,     // forgets what a read brings behind the first frame
    WHOLE_READ,        // takes each read for whole frames
    NEVER_FLUSHES,     // before the end
    LATE,              // flushes after 1.5 s
    IGNORES_END,       // of file
    SPINS,             // behind the end of file
    TORN,              // last frame
    FAILS_AT_END,      // exit code 3
    LEAVES_CHILD,      // in its group
    IGNORES_TERM,
    SIGPIPE_KILLS,
    DIES_STALLED,      // when a write would block
    GROWS_STALLED,     // without bound when a write would block
    TEARS_STALLED,     // leaves out the rest of a frame that was begun
    UNKNOWN_FIELDS,    // end it
    CRASHES,           // on what it cannot decode
    ALLOCATES,         // what a length announces
    TAKES_FIVE,        // writes to descriptor 5 without being offered it
    MALFORMED,         // records
    HUGE,              // length announced
    MILLISECONDS,      // as timestamp
};

static const char *const names[] = {
    "none", "ends-at-once", "talks", "busy", "wakes", "single-writes", "dies-of-task", "first-of-read", "whole-read",
    "never-flushes", "late", "ignores-end", "spins", "torn", "fails-at-end", "leaves-child", "ignores-term",
    "sigpipe-kills", "dies-stalled", "grows-stalled", "tears-stalled", "unknown-fields", "crashes", "allocates",
    "takes-five", "malformed", "huge", "milliseconds",
};

static enum fault fault;
// The default type of a record, and the one task that is known.
enum { RECORD = 7300, ECHO = 7301 };

static uint8_t kept[1 << 16];
static size_t kept_size;

static int64_t now_ms(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (int64_t)time.tv_sec * 1000 + time.tv_nsec / 1000000;
}

static size_t put_varint(uint8_t *to, uint64_t value) {
    size_t size = 0;
    for (; value >= 0x80; value >>= 7)
        to[size++] = (uint8_t)(value | 0x80);
    to[size++] = (uint8_t)value;
    return size;
}

static size_t put_bytes(uint8_t *to, uint8_t tag, const uint8_t *bytes, size_t count) {
    to[0] = tag;
    size_t size = 1 + put_varint(to + 1, count);
    memcpy(to + size, bytes, count);
    return size + count;
}

// Takes memory for good, in a way that no compiler leaves out.
static void take_memory(size_t size) {
    volatile char *memory = malloc(size);
    for (size_t at = 0; memory && at < size; at += 4096)
        memory[at] = 1;
}

// Writes whole frames, however long that takes.
static void write_all(int fd, const uint8_t *bytes, size_t count) {
    while (count > 0) {
        struct pollfd room = {.fd = fd, .events = POLLOUT};
        if ((fault == DIES_STALLED || fault == GROWS_STALLED || fault == TEARS_STALLED) && poll(&room, 1, 0) == 0) {
            if (fault == DIES_STALLED)
                exit(4);
            if (fault == TEARS_STALLED) {
                poll(&room, 1, -1);
                // The rest of the frame never comes; what follows is read as its rest.
                if (write(fd, bytes, count / 2) < 0)
                    exit(1);
                return;
            }
            // Held where nobody ever frees it.
            take_memory(4 << 20);
            poll(NULL, 0, 20);
            if (poll(&room, 1, 0) == 0)
                continue;
        }
        ssize_t written = write(fd, bytes, count);
        if (written < 0 && errno == EINTR)
            continue;
        if (written < 0)
            exit(errno == EPIPE ? 0 : 1);
        bytes += written;
        count -= (size_t)written;
    }
}

static void flush(void) {
    write_all(4, kept, kept_size);
    kept_size = 0;
}

static size_t make_record(uint8_t *frame, int type, const char *token, size_t token_size) {
    uint8_t entry[1200], payload[1300], record[1400];
    const char *key = token ? "token" : "pad";
    static const char pad[600];
    size_t size = put_bytes(entry, 0x0a, (const uint8_t *)key, strlen(key));
    size += put_bytes(entry + size, 0x12, (const uint8_t *)(token ? token : pad), token ? token_size : sizeof pad);
    size_t payload_size = put_bytes(payload, 0x0a, entry, size);
    size = 0;
    record[size++] = 0x08;
    size += put_varint(record + size, (uint64_t)type);
    record[size++] = 0x10;
    size += put_varint(record + size, (uint64_t)time(NULL) * (fault == MILLISECONDS ? 1000 : 1));
    size += put_bytes(record + size, fault == MALFORMED ? 0x1b : 0x1a, payload, payload_size);
    uint32_t length = fault == HUGE ? 64u << 20 : (uint32_t)size;
    for (int i = 0; i < 4; i++)
        frame[i] = (uint8_t)(length >> (8 * i));
    memcpy(frame + 4, record, size);
    return size + 4;
}

static void send_record(int type, const char *token, size_t token_size) {
    uint8_t frame[1500];
    size_t size = make_record(frame, type, token, token_size);
    if (fault == TAKES_FIVE && write(5, frame, size) >= 0)
        return;
    if (kept_size + size > sizeof kept)
        flush();
    memcpy(kept + kept_size, frame, size);
    kept_size += size;
    if (fault != NEVER_FLUSHES && fault != LATE)
        flush();
}

static int get_varint(const uint8_t *bytes, size_t size, size_t *at, uint64_t *value) {
    *value = 0;
    for (int shift = 0; shift < 70; shift += 7) {
        if (*at >= size)
            return -1;
        uint8_t byte = bytes[(*at)++];
        if (shift < 64)
            *value |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80)
            return 0;
    }
    return -1;
}

// Answers a task; -1 when it is none.
static int handle_task(const uint8_t *bytes, size_t size) {
    uint64_t type = 0, tag, value;
    const char *token = "";
    size_t token_size = 0;
    for (size_t at = 0; at < size;) {
        if (get_varint(bytes, size, &at, &tag))
            return -1;
        uint64_t field = tag >> 3;
        if (field > 4 && fault == UNKNOWN_FIELDS)
            exit(5);
        switch (tag & 7) {
        case 0:
            if (get_varint(bytes, size, &at, &value))
                return -1;
            if (field == 1)
                type = value;
            break;
        case 1: at += 8; break;
        case 5: at += 4; break;
        case 2:
            if (get_varint(bytes, size, &at, &value) || value > size - at)
                return -1;
            if (field == 4) {
                token = (const char *)bytes + at;
                token_size = value < 500 ? value : 500;
            }
            at += value;
            break;
        default: return -1;
        }
    }
    if (type != ECHO && fault == DIES_OF_TASK)
        exit(6);
    send_record(type == ECHO ? ECHO : 5100, token, token_size);
    return 0;
}

static uint8_t input[1 << 20];
static size_t input_size;

// Uses up the frames that are there.
static void handle_input(void) {
    size_t at = 0;
    while (input_size - at >= 4) {
        const uint8_t *head = input + at;
        uint32_t length = head[0] | (uint32_t)head[1] << 8 | (uint32_t)head[2] << 16 | (uint32_t)head[3] << 24;
        if (length > sizeof input - 4) {
            if (fault == ALLOCATES) {
                // A part of it does: the machine that tests need not have it all.
                take_memory(256 << 20);
                poll(NULL, 0, 1500);
            }
            exit(7);
        }
        if (input_size - at < 4 + (size_t)length)
            break;
        if (handle_task(head + 4, length) != 0 && fault == CRASHES)
            abort();
        at += 4 + (size_t)length;
        if (fault == FIRST_OF_READ) {
            at = input_size;
            break;
        }
    }
    if (fault == WHOLE_READ)
        at = input_size;
    memmove(input, input + at, input_size - at);
    input_size -= at;
}

static _Noreturn void end(void) {
    flush();
    uint8_t frame[1500];
    size_t size = make_record(frame, RECORD, NULL, 0);
    write_all(4, frame, fault == TORN ? size / 2 : size);
    exit(fault == FAILS_AT_END ? 3 : 0);
}

int main(void) {
    const char *detail = getenv("DETAIL");
    for (size_t i = 0; detail && i < sizeof names / sizeof *names; i++)
        if (strcmp(detail, names[i]) == 0)
            fault = (enum fault)i;
    if (fault == ENDS_AT_ONCE) {
        fprintf(stderr, "this plugin has no configuration\n");
        return 9;
    }
    // Crashing is the point of some faults: no core is wanted.
    struct rlimit none = {0, 0};
    setrlimit(RLIMIT_CORE, &none);
    if (fault != SIGPIPE_KILLS)
        signal(SIGPIPE, SIG_IGN);
    if (fault == IGNORES_TERM)
        signal(SIGTERM, SIG_IGN);
    if (fault == LEAVES_CHILD && fork() == 0) {
        poll(NULL, 0, 60000);
        return 0;
    }
    const int interval = fault == SINGLE_WRITES ? 5 : 100;
    int64_t next_record = now_ms(), next_flush = now_ms();
    int has_ended = 0;
    for (;;) {
        int64_t now = now_ms();
        if (now >= next_record) {
            send_record(RECORD, NULL, 0);
            if (fault == TALKS) {
                puts("a record was sent");
                fflush(stdout);
            }
            next_record = now + interval;
        }
        if (fault == LATE && now >= next_flush) {
            flush();
            next_flush = now + 1500;
        }
        int wait = (int)(next_record - now);
        if (fault == BUSY || (has_ended && fault == SPINS))
            wait = 0;
        if (fault == WAKES)
            wait = 1;
        struct pollfd tasks = {.fd = has_ended ? -1 : 3, .events = POLLIN};
        if (poll(&tasks, 1, wait) <= 0)
            continue;
        ssize_t count = read(3, input + input_size, sizeof input - input_size);
        if (count < 0)
            return 1;
        if (count == 0) {
            has_ended = 1;
            if (fault != IGNORES_END && fault != SPINS && fault != SIGPIPE_KILLS)
                end();
            // They are to last until they are found out, not until descriptor 4 fails.
            next_record = fault == SIGPIPE_KILLS ? now : now + 3600 * 1000;
            continue;
        }
        input_size += (size_t)count;
        handle_input();
    }
}
