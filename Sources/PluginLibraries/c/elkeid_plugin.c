/* Elkeid Agent in Swift
 * SPDX-License-Identifier: Apache-2.0
 *
 * The implementation of elkeid_plugin.h.
 *
 * Wire: a frame is its length (4 bytes, little-endian) and that many bytes of protobuf: to the agent
 * Record{1: int32 data_type, 2: int64 timestamp, 3: Payload{1: map<string, string> fields}}, from the agent
 * Task{1: int32 data_type, 2: string object_name, 3: string data, 4: string token}.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* pipe2 */
#endif

#include "elkeid_plugin.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

typedef unsigned char byte;

enum {
    READ_SIZE = 64 << 10,     /* bytes asked from the task pipe at a time: what a pipe holds by default */
    SLACK = 64 << 10,         /* room for the record that crosses the buffer's size; larger ones make it grow */
    LENGTH_SIZE = 4,          /* of a frame */
    MAX_VARINT_SIZE = 10,     /* Protocol Buffers encoding, "Base 128 varints" */
    PAYLOAD_LENGTH_SIZE = 2,  /* kept free: right for 128 to 16,383 bytes, other payloads are moved when finished */
    SHORT_MESSAGE_SIZE = 512, /* shorter log messages need no memory of their own */
    ERROR_COUNT = 1 - ELKEID_SYSTEM,
    LOG_DATA_TYPE = 1011
};

#define NO_DEADLINE INT64_MAX

/* The writing end of one pipe. `bytes[start..end)` is not written yet; a frame begins at bytes[0]:
 *
 *     frame | frame | ... | frame under construction | room
 */
struct record_pipe {
    struct elkeid_client *client;
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    int descriptor;
    byte *bytes;
    size_t capacity, initial_capacity, start, end;
    uint64_t bytes_taken, bytes_written; /* in total */
    uint64_t dropped;                    /* records; only with ELKEID_DROP_NEWEST */
    int64_t deadline;                    /* when the oldest buffered record must be written */
    int failure, failure_errno;          /* once writing failed, every later call fails alike */
    int waiting;                         /* threads that wait for room, without the mutex */
    bool stalled;                        /* the pipe took nothing; only with ELKEID_DROP_NEWEST */
    bool idle;                           /* the flusher sleeps without a deadline */
    bool closing, closed;
    bool has_flusher;
    pthread_t flusher;
};

struct task_pipe {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    bool busy, closed;
    /* The rest belongs to the thread that set `busy`. */
    int descriptor;
    byte *bytes;
    size_t capacity, start, end; /* bytes[start..end) has arrived and is not used up */
    size_t expected;             /* of the frame that has begun: all its bytes */
    bool ended, failed;
    unsigned long typed; /* tasks typed in debug mode so far */
};

struct elkeid_client {
    elkeid_options options;
    bool debug;
    int signal_count; /* of termination_signals: those that are handled */
    struct record_pipe pipes[2];
    int pipe_count;
    struct task_pipe tasks;
    int wake[2]; /* a byte in it tells all waiting threads that the client has been closed */
    pthread_mutex_t close_mutex;
    bool closed;
    pthread_mutex_t messages_mutex;
    char messages[ERROR_COUNT][ELKEID_MESSAGE_SIZE]; /* of the latest error -index, or empty */
    bool log_record_failed;
};

/* ---- Results ---- */

const char *elkeid_error_text(int result)
{
    switch (result) {
    case ELKEID_OK: return "success";
    case ELKEID_DROPPED: return "a record was dropped because the buffer is full and the agent does not read";
    case ELKEID_TIMED_OUT: return "no task has arrived in time";
    case ELKEID_END: return "the agent has ended or wants the plugin to end: flush, close and exit";
    case ELKEID_DESCRIPTOR_NOT_OPEN:
        return "a descriptor of the agent is not open: this is an Elkeid plugin, to be started by elkeid-agent or "
               "elkeid-devcenter --plugin, or with ELKEID_PLUGIN_DEBUG=1 in the environment to try it by hand";
    case ELKEID_DESCRIPTOR_UNUSABLE:
        return "a descriptor of the agent is not a pipe in the right direction: this is an Elkeid plugin, to be started "
               "by elkeid-agent or elkeid-devcenter --plugin, or with ELKEID_PLUGIN_DEBUG=1 in the environment to try "
               "it by hand";
    case ELKEID_AGENT_GONE: return "the agent has closed the record pipe: end the plugin";
    case ELKEID_CLOSED: return "the plugin client has been closed: make no calls after elkeid_close";
    case ELKEID_INCOMPLETE_TASK: return "the task pipe ended inside a task: the agent has ended suddenly";
    case ELKEID_TASK_TOO_LARGE:
        return "the agent announced a task over the limit: raise max_task_size, or restart the plugin if the task pipe "
               "is out of step";
    case ELKEID_MALFORMED_TASK: return "a task was skipped because it is not valid";
    case ELKEID_RECORD_TOO_LARGE:
        return "a record was not sent because it is over max_record_size: split it or shorten its values";
    case ELKEID_SYSTEM: return "a system call failed: errno says why";
    default: return "unknown result: pass what a function of elkeid_plugin.h returned";
    }
}

void elkeid_error_message(elkeid_client *client, int result, char *message, size_t size)
{
    const char *text = elkeid_error_text(result);
    pthread_mutex_lock(&client->messages_mutex);
    if (result < 0 && result > -ERROR_COUNT && *client->messages[-result]) text = client->messages[-result];
    snprintf(message, size, "%s", text);
    pthread_mutex_unlock(&client->messages_mutex);
}

static int report(elkeid_client *client, int result, const char *format, ...) ELKEID_PRINTF(3, 4);

/* Keeps the message of an error, and returns the error. */
static int report(elkeid_client *client, int result, const char *format, ...)
{
    va_list values;
    va_start(values, format);
    pthread_mutex_lock(&client->messages_mutex);
    vsnprintf(client->messages[-result], ELKEID_MESSAGE_SIZE, format, values);
    pthread_mutex_unlock(&client->messages_mutex);
    va_end(values);
    return result;
}

static int system_error(elkeid_client *client, const char *call, int number)
{
    report(client, ELKEID_SYSTEM, "%s failed: %s (errno %d)", call, strerror(number), number);
    errno = number;
    return ELKEID_SYSTEM;
}

/* What the functions below are made of; each part builds on those before it. */
#include "parts/system.c"
#include "parts/signals.c"
#include "parts/protobuf.c"
#include "parts/buffer.c"
#include "parts/json.c"
#include "parts/writing.c"
#include "parts/task.c"
#include "parts/receiving.c"
#include "parts/life.c"
#include "parts/log.c"

/* ---- Opening and closing ---- */

void elkeid_options_init(elkeid_options *options)
{
    const char *high_priority = getenv("ELKEID_PLUGIN_HIGH_PRIORITY_PIPE");
    memset(options, 0, sizeof *options);
    options->task_descriptor = 3;
    options->record_descriptor = 4;
    options->high_priority_descriptor = high_priority && *high_priority ? 5 : -1;
    options->policy = ELKEID_BLOCK;
    options->buffer_size = 512 << 10;
    options->max_record_size = 8 << 20;
    options->max_task_size = 1 << 20;
    options->flush_interval_ms = 200;
    options->close_timeout_ms = 2000;
    options->handle_sigterm = 1;
    options->line_level = ELKEID_INFO;
    options->record_level = ELKEID_ERROR;
}

int elkeid_open(elkeid_client **opened, const elkeid_options *options, char *message, size_t size)
{
    *opened = NULL;
    elkeid_client *client = calloc(1, sizeof *client);
    if (!client) {
        snprintf(message, size, "no memory for the plugin client: free some, or raise the limit of the control group");
        errno = ENOMEM;
        return ELKEID_SYSTEM;
    }
    client->wake[0] = client->wake[1] = -1;
    elkeid_options_init(&client->options);
    if (options) client->options = *options;
    pthread_mutex_init(&client->close_mutex, NULL);
    pthread_mutex_init(&client->messages_mutex, NULL);
    init_monitor(&client->tasks.mutex, &client->tasks.changed);
    for (int index = 0; index < 2; index++) {
        client->pipes[index].client = client;
        init_monitor(&client->pipes[index].mutex, &client->pipes[index].changed);
    }
    int status = open_client(client);
    if (status != ELKEID_OK) {
        int number = errno;
        elkeid_error_message(client, status, message, size);
        stop(client);
        release(client);
        errno = number;
        return status;
    }
    if (client->debug && isatty(STDERR_FILENO)) {
        static const char line[] = "elkeid plugin: debug mode: records are printed as JSON lines; type DATA_TYPE DATA "
                                   "for a task, Ctrl-D to end\n";
        (void)!write_quietly(STDERR_FILENO, line, sizeof line - 1);
    }
    *opened = client;
    return ELKEID_OK;
}

void elkeid_close(elkeid_client *client)
{
    pthread_mutex_lock(&client->close_mutex);
    if (!client->closed) {
        bool bounded = client->options.policy == ELKEID_DROP_NEWEST;
        int64_t deadline = bounded ? deadline_after(client->options.close_timeout_ms) : NO_DEADLINE;
        for (int index = client->pipe_count - 1; index >= 0; index--) finish(&client->pipes[index], deadline);
        stop(client);
        for (int index = 0; index < client->pipe_count && !client->debug; index++) {
            close(client->pipes[index].descriptor);
        }
        if (!client->debug) close(client->tasks.descriptor);
    }
    pthread_mutex_unlock(&client->close_mutex);
}

void elkeid_free(elkeid_client *client)
{
    if (!client) return;
    elkeid_close(client);
    release(client);
}

/* ---- Records ---- */

int64_t elkeid_now(void)
{
    return (int64_t)time(NULL);
}

static struct record_pipe *pipe_for(elkeid_client *client, enum elkeid_priority priority)
{
    return &client->pipes[priority == ELKEID_HIGH && client->pipe_count > 1 ? 1 : 0];
}

int elkeid_send(elkeid_client *client, int32_t data_type, const elkeid_field *fields, size_t field_count)
{
    const elkeid_record record = {data_type, elkeid_now(), fields, field_count};
    return elkeid_send_record(client, &record, ELKEID_NORMAL);
}

int elkeid_send_record(elkeid_client *client, const elkeid_record *record, enum elkeid_priority priority)
{
    return elkeid_send_many(client, record, 1, priority, NULL);
}

int elkeid_send_many(elkeid_client *client, const elkeid_record *records, size_t count, enum elkeid_priority priority,
                     size_t *sent)
{
    struct record_pipe *pipe = pipe_for(client, priority);
    size_t taken = 0;
    pthread_mutex_lock(&pipe->mutex);
    int status = check_usable(pipe), outcome = ELKEID_OK;
    for (size_t index = 0; index < count && status >= 0; index++) {
        status = add(pipe, &records[index], NULL, 0, priority);
        if (status == ELKEID_OK) taken++;
        if (status == ELKEID_DROPPED) outcome = ELKEID_DROPPED;
    }
    pthread_mutex_unlock(&pipe->mutex);
    if (sent) *sent = taken;
    return status < 0 ? status : outcome;
}

int elkeid_send_raw(elkeid_client *client, const void *record, size_t size, enum elkeid_priority priority)
{
    struct record_pipe *pipe = pipe_for(client, priority);
    pthread_mutex_lock(&pipe->mutex);
    int status = check_usable(pipe);
    if (status == ELKEID_OK) status = add(pipe, NULL, record, size, priority);
    pthread_mutex_unlock(&pipe->mutex);
    return status;
}

int elkeid_flush(elkeid_client *client)
{
    int status = ELKEID_OK;
    for (int index = client->pipe_count - 1; index >= 0 && status == ELKEID_OK; index--) {
        struct record_pipe *pipe = &client->pipes[index];
        pthread_mutex_lock(&pipe->mutex);
        status = check_usable(pipe);
        if (status == ELKEID_OK) status = drain(pipe, NO_DEADLINE);
        pthread_mutex_unlock(&pipe->mutex);
    }
    return status;
}

uint64_t elkeid_dropped(elkeid_client *client)
{
    uint64_t sum = 0;
    /* With ELKEID_BLOCK the mutex can be held for as long as the agent does not read. */
    if (client->options.policy == ELKEID_BLOCK) return 0;
    for (int index = 0; index < client->pipe_count; index++) {
        pthread_mutex_lock(&client->pipes[index].mutex);
        sum += client->pipes[index].dropped;
        pthread_mutex_unlock(&client->pipes[index].mutex);
    }
    return sum;
}

/* ---- Tasks ---- */

int elkeid_receive(elkeid_client *client, elkeid_task **task, int timeout_ms)
{
    struct task_pipe *tasks = &client->tasks;
    int64_t deadline = deadline_after(timeout_ms);
    bool in_time = true;
    *task = NULL;
    pthread_mutex_lock(&tasks->mutex);
    while (tasks->busy && !tasks->closed && in_time) {
        in_time = wait_for_change(&tasks->changed, &tasks->mutex, deadline);
    }
    int status = tasks->closed ? ELKEID_CLOSED : tasks->busy ? ELKEID_TIMED_OUT : ELKEID_OK;
    if (status == ELKEID_OK) {
        tasks->busy = true;
        pthread_mutex_unlock(&tasks->mutex);
        status = receive(client, task, deadline);
        pthread_mutex_lock(&tasks->mutex);
        tasks->busy = false;
        pthread_cond_broadcast(&tasks->changed);
    }
    pthread_mutex_unlock(&tasks->mutex);
    return status;
}

void elkeid_task_free(elkeid_task *task)
{
    free(task);
}

/* ---- Log ---- */

void elkeid_log(elkeid_client *client, enum elkeid_level level, const char *file, int line, const char *format, ...)
{
    enum elkeid_level line_level = client ? client->options.line_level : ELKEID_INFO;
    enum elkeid_level record_level = client ? client->options.record_level : ELKEID_NOTHING;
    if (level < line_level && level < record_level) return;
    int number = errno;
    char room[SHORT_MESSAGE_SIZE], source[200];
    va_list values;
    va_start(values, format);
    char *message = format_message(room, format, values);
    va_end(values);
    const char *name = strrchr(file, '/');
    snprintf(source, sizeof source, "%s:%d", name ? name + 1 : file, line);
    if (level >= line_level) write_line(level, source, message);
    if (level >= record_level) send_log_record(client, level, source, message);
    if (message != room) free(message);
    errno = number;
}
