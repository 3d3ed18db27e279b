// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0
//
// A plugin that knows how many records it has sent, for the tests of upgrades: one in 20 ms, or one in a millisecond if
// its DETAIL is "fast", until its task pipe ends. The number is in a file, of all processes that have been this plugin
// together, and right whenever they end.
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { type = 7001 };

// A frame of the length, the data type, the time and one field, "n"; less than what a pipe takes at once or not at all.
static size_t make_frame(unsigned char *frame, unsigned long number) {
    char text[24];
    const size_t length = (size_t)snprintf(text, sizeof text, "%lu", number);
    unsigned char *end = frame + 4;
    *end++ = 0x08; // data_type
    *end++ = (type & 0x7f) | 0x80;
    *end++ = type >> 7;
    *end++ = 0x10; // timestamp
    for (unsigned long now = (unsigned long)time(NULL); ; now >>= 7) {
        *end++ = (unsigned char)((now & 0x7f) | (now > 0x7f ? 0x80 : 0));
        if (now <= 0x7f)
            break;
    }
    *end++ = 0x1a; // data
    *end++ = (unsigned char)(length + 7);
    *end++ = 0x0a; // a field
    *end++ = (unsigned char)(length + 5);
    *end++ = 0x0a;
    *end++ = 1;
    *end++ = 'n';
    *end++ = 0x12;
    *end++ = (unsigned char)length;
    memcpy(end, text, length);
    end += length;
    const size_t size = (size_t)(end - frame);
    frame[0] = (unsigned char)(size - 4);
    frame[1] = frame[2] = frame[3] = 0;
    return size;
}

int main(void) {
    const char *detail = getenv("DETAIL");
    const int pause = detail != NULL && strcmp(detail, "fast") == 0 ? 1 : 20;
    char text[24] = {0};
    const int file = open("/root/counted", O_RDWR | O_CREAT, 0600);
    if (file < 0 || pread(file, text, sizeof text - 1, 0) < 0)
        return 1;
    unsigned long count = strtoul(text, NULL, 10);
    while (1) {
        struct pollfd tasks = {3, POLLIN, 0};
        if (poll(&tasks, 1, pause) > 0) {
            char task[4096];
            if (read(3, task, sizeof task) <= 0)
                return 0;
        }
        unsigned char frame[80];
        const size_t size = make_frame(frame, count + 1);
        if (write(4, frame, size) != (ssize_t)size) {
            if (errno == EINTR || errno == EAGAIN)
                continue;
            return 0;
        }
        count++;
        const int length = snprintf(text, sizeof text, "%020lu", count);
        if (pwrite(file, text, (size_t)length, 0) != length)
            return 1;
    }
}
