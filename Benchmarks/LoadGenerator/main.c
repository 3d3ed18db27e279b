// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

// A plugin that writes records as it is told, at a cost that does not hide the agent's: whole buffers made in advance.
//
// It connects to the port named in the file "control" of its folder (or in its first argument) on loopback, and obeys
// lines there:
//
//   write SIZE RECORDS BURST INTERVAL STAMPED
//       RECORDS records of SIZE bytes, BURST of them in one write(2) every INTERVAL nanoseconds (0: flat out). When
//       STAMPED is 1 each record's timestamp is the microsecond of CLOCK_MONOTONIC at which its burst was due.
//       Answered by "done RECORDS BYTES".
//
// It ends with the connection, or when the agent closes its task pipe (descriptor 3).

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
    TASKS = 3,
    RECORDS = 4,
    PREFIX = 4,
    // Behind tag, data type and tag: a varint of seven bytes.
    STAMP_AT = PREFIX + 3,
    STAMP = 7,
    LARGEST = 8 << 20,
    FLAT_OUT_WRITE = 64 << 10,
};

static void fail(const char *what) {
    fprintf(stderr, "load-generator: %s: %s\n", what, strerror(errno));
    exit(1);
}

static uint64_t now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

// In microseconds, a varint padded to seven bytes.
static void put_stamp(unsigned char *record, uint64_t nanoseconds) {
    uint64_t value = nanoseconds / 1000;
    for (int i = 0; i < STAMP; i++) {
        record[STAMP_AT + i] = (unsigned char)((value & 0x7f) | (i < STAMP - 1 ? 0x80 : 0));
        value >>= 7;
    }
}

static size_t put_varint(unsigned char *out, size_t value) {
    size_t count = 0;
    for (; value >= 0x80; value >>= 7) out[count++] = (unsigned char)(value | 0x80);
    out[count++] = (unsigned char)value;
    return count;
}

static size_t varint_size(size_t value) {
    size_t count = 1;
    for (; value >= 0x80; value >>= 7) count++;
    return count;
}

// Words as they are in what a host says of its processes: compressible, and not the same in each record.
static void put_text(unsigned char *out, size_t count, uint32_t *seed) {
    static const char *const words[] = {
        "/usr/bin/", "pid=", "ppid=", "sshd", "bash", " -c ", "uid=0 ", "tty=pts/", "exe=", "argv=", "socket:", "192.168.",
        "/proc/self/", "container", "-1 ", "systemd", "user.slice/", ";", "root", "python3 ",
    };
    size_t at = 0;
    while (at < count) {
        *seed = *seed * 1664525u + 1013904223u;
        char number[16];
        const char *word = words[(*seed >> 24) % (sizeof words / sizeof *words)];
        size_t length = strlen(word);
        if ((*seed >> 20 & 3) == 0) {
            length = (size_t)snprintf(number, sizeof number, "%x ", *seed >> 8);
            word = number;
        }
        if (length > count - at) length = count - at;
        memcpy(out + at, word, length);
        at += length;
    }
}

// One frame with a record of `size` bytes: data type 59, timestamp, and one entry in the payload's map.
static size_t put_record(unsigned char *out, size_t size, uint32_t *seed) {
    unsigned char *start = out;
    for (int i = 0; i < PREFIX; i++) *out++ = (unsigned char)(size >> 8 * i);
    *out++ = 0x08, *out++ = 59, *out++ = 0x10;
    put_stamp(start, 0);
    out += STAMP;
    size_t head = (size_t)(out - start) - PREFIX;
    // From the outside in: what is left for the value when every length takes the bytes that the largest would.
    size_t payload = size - head - 1 - varint_size(size);
    size_t entry = payload - 1 - varint_size(payload);
    size_t value = entry - 3 - 1 - varint_size(entry);
    // Lengths that end up one byte shorter leave a byte: the value takes it while the sum still fits.
    for (;; value++) {
        size_t e = 3 + 1 + varint_size(value + 1) + value + 1;
        size_t p = 1 + varint_size(e) + e;
        if (head + 1 + varint_size(p) + p > size) break;
    }
    entry = 3 + 1 + varint_size(value) + value;
    payload = 1 + varint_size(entry) + entry;
    *out++ = 0x1a, out += put_varint(out, payload);
    *out++ = 0x0a, out += put_varint(out, entry);
    *out++ = 0x0a, *out++ = 1, *out++ = 'm';
    *out++ = 0x12, out += put_varint(out, value);
    put_text(out, value, seed);
    out += value;
    size_t length = (size_t)(out - start) - PREFIX;
    for (int i = 0; i < PREFIX; i++) start[i] = (unsigned char)(length >> 8 * i);
    return PREFIX + length;
}

static void write_all(const unsigned char *bytes, size_t count) {
    while (count > 0) {
        ssize_t written = write(RECORDS, bytes, count);
        if (written < 0 && errno == EINTR) continue;
        if (written < 0) fail("write");
        bytes += written;
        count -= (size_t)written;
    }
}

static void sleep_until(uint64_t time) {
    struct timespec spec = {.tv_sec = (time_t)(time / 1000000000u), .tv_nsec = (long)(time % 1000000000u)};
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &spec, NULL) == EINTR) {}
}

// Different records, so that what a compressor makes of them says something.
enum { VARIETY = 64 };

static void write_records(int control, size_t size, uint64_t records, size_t burst, uint64_t interval, int stamped) {
    static unsigned char *buffer;
    static size_t *starts;
    if (burst == 0) burst = FLAT_OUT_WRITE / (size + PREFIX) > 0 ? FLAT_OUT_WRITE / (size + PREFIX) : 1;
    size_t slots = burst < VARIETY && size < FLAT_OUT_WRITE ? VARIETY / burst * burst : burst;
    buffer = realloc(buffer, slots * (size + PREFIX));
    starts = realloc(starts, (slots + 1) * sizeof *starts);
    if (!buffer || !starts) fail("memory");
    uint32_t seed = 1;
    size_t end = 0;
    for (size_t i = 0; i < slots; i++) {
        starts[i] = end;
        end += put_record(buffer + end, size, &seed);
    }
    starts[slots] = end;
    uint64_t due = now(), bytes = 0, left = records;
    size_t slot = 0;
    while (left > 0) {
        size_t count = left < burst ? (size_t)left : burst;
        if (interval > 0) sleep_until(due);
        if (stamped) {
            uint64_t stamp = interval > 0 ? due : now();
            for (size_t i = 0; i < count; i++) put_stamp(buffer + starts[slot + i], stamp);
        }
        write_all(buffer + starts[slot], starts[slot + count] - starts[slot]);
        bytes += starts[slot + count] - starts[slot];
        left -= count;
        due += interval;
        slot = slot + count + burst <= slots ? slot + count : 0;
    }
    if (dprintf(control, "done %llu %llu\n", (unsigned long long)records, (unsigned long long)bytes) < 0) fail("control");
}

static int connect_control(const char *argument) {
    char text[16] = "";
    if (argument) {
        snprintf(text, sizeof text, "%s", argument);
    } else {
        FILE *file = fopen("control", "re");
        if (!file || !fgets(text, sizeof text, file)) fail("control");
        fclose(file);
    }
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(text))};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof address) != 0) fail("connect");
    return fd;
}

int main(int count, char **arguments) {
    signal(SIGPIPE, SIG_IGN);
    // Only an agent gives a task pipe; what it says is not for us, its end is.
    int has_tasks = count == 1 && fcntl(TASKS, F_GETFD) >= 0;
    int fd = connect_control(count > 1 ? arguments[1] : NULL);
    FILE *control = fdopen(fd, "r");
    if (!control) fail("fdopen");
    for (;;) {
        struct pollfd set[2] = {{.fd = fd, .events = POLLIN}, {.fd = has_tasks ? TASKS : -1, .events = POLLIN}};
        if (poll(set, 2, -1) < 0 && errno != EINTR) fail("poll");
        char dropped[4096];
        if (set[1].revents && read(TASKS, dropped, sizeof dropped) <= 0) return 0;
        if (!set[0].revents) continue;
        char line[128];
        unsigned long long size, records, burst, interval;
        int stamped;
        if (!fgets(line, sizeof line, control)) return 0;
        if (sscanf(line, "write %llu %llu %llu %llu %d", &size, &records, &burst, &interval, &stamped) != 5 ||
            size < 64 || size > LARGEST || burst > 1000000) {
            fprintf(stderr, "load-generator: a line that makes no sense: %s", line);
            return 2;
        }
        write_records(fd, (size_t)size, records, (size_t)burst, interval, stamped);
    }
}
