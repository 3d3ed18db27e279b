/* Elkeid Agent in Swift
 * SPDX-License-Identifier: Apache-2.0
 *
 * Writing a plugin for the Elkeid agent in C: copy elkeid_plugin.h and elkeid_plugin.c into the program and link with
 * -pthread. C99 and POSIX on Linux, nothing else is needed; the header may be included from C++.
 *
 *     elkeid_client *client;
 *     char message[ELKEID_MESSAGE_SIZE];
 *     if (elkeid_open(&client, NULL, message, sizeof message) != ELKEID_OK) { fputs(message, stderr); return 1; }
 *     const elkeid_field fields[] = { elkeid_text("message", "hello"), elkeid_int("pid", getpid()) };
 *     elkeid_send(client, 7001, fields, ELKEID_COUNT(fields));
 *     elkeid_task *task;
 *     while (elkeid_receive(client, &task, ELKEID_FOREVER) == ELKEID_OK) { ...; elkeid_task_free(task); }
 *     elkeid_free(client);
 *
 * Results. Functions that return int return ELKEID_OK (0), an outcome that is no error (positive), or an error
 * (negative).
 *
 * Threads. Every function may be called from any thread at any time, also with the same client, except elkeid_free,
 * after which (and while it runs) nothing else may use the client. Do not call them from a signal handler. A process
 * that forks must use the client in one of the two processes only.
 *
 * Ownership. What is passed in stays the caller's and is not needed any more when the function returns. Given out are
 * the client (elkeid_free) and tasks (elkeid_task_free).
 *
 * Without an agent. When the program is started in a terminal, or with the environment variable ELKEID_PLUGIN_DEBUG=1,
 * records are printed on standard output as lines of JSON, and tasks are lines on standard input: "DATA_TYPE DATA".
 */
#ifndef ELKEID_PLUGIN_H
#define ELKEID_PLUGIN_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#ifdef __cplusplus
extern "C" {
#endif

/* One plugin's connection with the agent that started it. */
typedef struct elkeid_client elkeid_client;

/* ---- Results ---- */

enum elkeid_result {
    ELKEID_OK = 0,

    /* Outcomes that are no errors. */
    ELKEID_DROPPED = 1,   /* the record was dropped and counted; only with ELKEID_DROP_NEWEST */
    ELKEID_TIMED_OUT = 2, /* no task has arrived in time */
    ELKEID_END = 3,       /* the agent has ended or wants the plugin to end: flush, close and exit */

    /* Errors. */
    ELKEID_DESCRIPTOR_NOT_OPEN = -1, /* the program was not started by an agent */
    ELKEID_DESCRIPTOR_UNUSABLE = -2, /* a descriptor is no pipe or socket in the right direction */
    ELKEID_AGENT_GONE = -3,          /* the agent does not read records any more; so for every later send */
    ELKEID_CLOSED = -4,              /* the client has been closed */
    ELKEID_INCOMPLETE_TASK = -5,     /* the agent ended inside a task; next comes ELKEID_END */
    ELKEID_TASK_TOO_LARGE = -6,      /* a task is over max_task_size; so for every later receive */
    ELKEID_MALFORMED_TASK = -7,      /* one task was skipped; the next receive goes on behind it */
    ELKEID_RECORD_TOO_LARGE = -8,    /* the record is over max_record_size and was not sent; others can be */
    ELKEID_SYSTEM = -9               /* a system call failed; its number is in errno */
};

/* Room for any message of the library. */
#define ELKEID_MESSAGE_SIZE 256

/* One line of text for a result; a constant. */
const char *elkeid_error_text(int result);

/* The same with the details (sizes, limits, the system's text) of the client's latest error of this kind. Writes at
 * most `size` bytes including the final NUL. */
void elkeid_error_message(elkeid_client *client, int result, char *message, size_t size);

/* ---- Opening and closing ---- */

/* What happens to a record when the buffer is full and the agent does not read. */
enum elkeid_policy {
    ELKEID_BLOCK,      /* sending waits: nothing is lost, the plugin is slowed down to what the agent takes */
    ELKEID_DROP_NEWEST /* the new record is dropped and counted: sending never waits for the agent */
};

enum elkeid_level {
    ELKEID_DEBUG,
    ELKEID_INFO,
    ELKEID_WARNING,
    ELKEID_ERROR,
    ELKEID_NOTHING /* as a threshold: no line, no record */
};

typedef struct elkeid_options {
    int task_descriptor;          /* tasks are read here: 3 */
    int record_descriptor;        /* records are written here: 4 */
    int high_priority_descriptor; /* 5 if the environment variable ELKEID_PLUGIN_HIGH_PRIORITY_PIPE is set and not
                                     empty, else -1: high-priority records take record_descriptor */
    enum elkeid_policy policy;    /* ELKEID_BLOCK */
    size_t buffer_size;           /* bytes per pipe after which records are written: 512 KiB */
    size_t max_record_size;       /* bytes of an encoded record: 8 MiB. The agent stops a plugin that sends more. */
    size_t max_task_size;         /* bytes of an encoded task: 1 MiB */
    int flush_interval_ms;        /* records are written at the latest this long after they were sent: 200.
                                     Negative: only when the buffer is full, by elkeid_flush and elkeid_close. */
    int close_timeout_ms;         /* closing waits this long for the agent with ELKEID_DROP_NEWEST: 2000 */
    int handle_sigterm;           /* 1: the first SIGTERM (in debug mode also SIGINT) makes elkeid_receive return
                                     ELKEID_END, the second one kills. 0: no handler is installed. */
    enum elkeid_level line_level;   /* log messages from this level on go to standard error: ELKEID_INFO */
    enum elkeid_level record_level; /* log messages from this level on are sent as records: ELKEID_ERROR */
} elkeid_options;

/* Sets all options to the values named above. */
void elkeid_options_init(elkeid_options *options);

/* Takes over the agent's pipes and marks them close-on-exec. The client owns them from here on; they stay the caller's,
 * unchanged, when one of them is refused.
 *
 * `options` may be NULL for the defaults. On failure *client is NULL and `message` (which may be NULL if its size is 0)
 * gets one line that says what is wrong and what to do.
 * Errors: ELKEID_DESCRIPTOR_NOT_OPEN, ELKEID_DESCRIPTOR_UNUSABLE, ELKEID_SYSTEM. */
int elkeid_open(elkeid_client **client, const elkeid_options *options, char *message, size_t size);

/* Writes what is buffered and closes the pipes, which tells the agent that no more will come. Waits for the agent: with
 * ELKEID_BLOCK as long as it takes, with ELKEID_DROP_NEWEST at most close_timeout_ms; what is left then counts as
 * dropped. Records that could not be written are lost without an error: call elkeid_flush before to know.
 * A receive that waits in another thread returns ELKEID_CLOSED, and so does every later call with the client.
 * A second call does nothing. */
void elkeid_close(elkeid_client *client);

/* Closes the client if it is open, and releases it. NULL is allowed. */
void elkeid_free(elkeid_client *client);

/* ---- Records ---- */

enum elkeid_priority {
    ELKEID_NORMAL,
    ELKEID_HIGH /* through a pipe of its own if the agent offers one; there is no order between the two */
};

enum elkeid_field_kind { ELKEID_FIELD_BYTES, ELKEID_FIELD_INT, ELKEID_FIELD_UINT };

/* One field of a record; made with elkeid_text, elkeid_bytes, elkeid_int or elkeid_uint. It points at the key and the
 * value, which must last until the record was sent. A key that occurs twice is legal; readers keep the last value. */
typedef struct elkeid_field {
    const char *key;
    size_t key_size;
    union {
        const void *bytes;
        int64_t int64;
        uint64_t uint64;
    } value;
    size_t size; /* of value.bytes */
    enum elkeid_field_kind kind;
} elkeid_field;

/* A field whose value is these bytes, UTF-8 or not. `value` may be NULL if the size is 0. */
static inline elkeid_field elkeid_bytes(const char *key, const void *value, size_t size)
{
    elkeid_field field;
    field.key = key;
    field.key_size = strlen(key);
    field.value.bytes = value;
    field.size = size;
    field.kind = ELKEID_FIELD_BYTES;
    return field;
}

/* A text field. NULL is sent as an empty text. */
static inline elkeid_field elkeid_text(const char *key, const char *value)
{
    return elkeid_bytes(key, value, value ? strlen(value) : 0);
}

/* A number in decimal digits, which is how the server expects all numbers. */
static inline elkeid_field elkeid_int(const char *key, int64_t value)
{
    elkeid_field field = elkeid_bytes(key, NULL, 0);
    field.value.int64 = value;
    field.kind = ELKEID_FIELD_INT;
    return field;
}

/* As elkeid_int, for numbers over INT64_MAX. */
static inline elkeid_field elkeid_uint(const char *key, uint64_t value)
{
    elkeid_field field = elkeid_bytes(key, NULL, 0);
    field.value.uint64 = value;
    field.kind = ELKEID_FIELD_UINT;
    return field;
}

/* The number of elements of an array. */
#define ELKEID_COUNT(array) (sizeof(array) / sizeof((array)[0]))

typedef struct elkeid_record {
    int32_t data_type;          /* the kind of record, as agreed with the server */
    int64_t timestamp;          /* seconds since 1970: elkeid_now(), or when it happened */
    const elkeid_field *fields; /* sent in this order; may be NULL if there are none */
    size_t field_count;
} elkeid_record;

/* The time of day in seconds since 1970. */
int64_t elkeid_now(void);

/* Sends a record of now with normal priority: the same as elkeid_send_record with the other values as usual. */
int elkeid_send(elkeid_client *client, int32_t data_type, const elkeid_field *fields, size_t field_count);

/* Sends a record. It is encoded straight into the buffer, and written when the buffer is full, at the latest
 * flush_interval_ms later, and by elkeid_flush and elkeid_close.
 * Returns ELKEID_OK, ELKEID_DROPPED, ELKEID_AGENT_GONE (also when an earlier write in the background found out),
 * ELKEID_RECORD_TOO_LARGE, ELKEID_CLOSED or ELKEID_SYSTEM. */
int elkeid_send_record(elkeid_client *client, const elkeid_record *record, enum elkeid_priority priority);

/* Sends records one behind the other: none of another thread gets between them on the same pipe.
 * Returns as elkeid_send_record; ELKEID_DROPPED if at least one was dropped. An error ends it: the records before it
 * are sent, those behind it are not. *sent (`sent` may be NULL) is how many were sent; with ELKEID_OK and
 * ELKEID_DROPPED the others were dropped. */
int elkeid_send_many(elkeid_client *client, const elkeid_record *records, size_t count, enum elkeid_priority priority,
                     size_t *sent);

/* Sends a record that is already encoded: the bytes of a Record message without the length before it, which the library
 * adds. They are not checked. Returns as elkeid_send_record. */
int elkeid_send_raw(elkeid_client *client, const void *record, size_t size, enum elkeid_priority priority);

/* Writes everything sent before, on both pipes, and waits until they have taken it, with both policies.
 * Returns ELKEID_OK, ELKEID_AGENT_GONE, ELKEID_CLOSED or ELKEID_SYSTEM. */
int elkeid_flush(elkeid_client *client);

/* The number of records dropped so far. Never waits. */
uint64_t elkeid_dropped(elkeid_client *client);

/* ---- Tasks ---- */

/* A command from the server for this plugin. The texts are valid UTF-8 and end with a NUL that the sizes do not count;
 * a NUL within them is possible. */
typedef struct elkeid_task {
    int32_t data_type;       /* what to do; which numbers a plugin answers to is its own matter */
    const char *object_name; /* the name of the plugin that is meant */
    size_t object_name_size;
    const char *data; /* the parameters, usually JSON */
    size_t data_size;
    const char *token; /* identifies the task; a result record must repeat it in its field "token" */
    size_t token_size;
} elkeid_task;

/* As a timeout: wait as long as it takes. */
#define ELKEID_FOREVER (-1)

/* Waits for the next task, for at most `timeout_ms` milliseconds; 0 does not wait, a negative number waits as long as
 * it takes. A task that has arrived in part is kept for the next call.
 * Returns ELKEID_OK and a task in *task, which is the caller's to free; otherwise *task is NULL: ELKEID_TIMED_OUT,
 * ELKEID_END, ELKEID_MALFORMED_TASK, ELKEID_INCOMPLETE_TASK, ELKEID_TASK_TOO_LARGE, ELKEID_CLOSED or ELKEID_SYSTEM. */
int elkeid_receive(elkeid_client *client, elkeid_task **task, int timeout_ms);

/* Releases a task. NULL is allowed. */
void elkeid_task_free(elkeid_task *task);

/* ---- Logging ---- */

#if defined(__GNUC__)
#define ELKEID_PRINTF(text, values) __attribute__((__format__(__printf__, text, values)))
#else
#define ELKEID_PRINTF(text, values)
#endif

/* Logs one message, as printf: as a line on standard error and as a record of type 1011, each from the level on that
 * the options name. With `client` NULL (before elkeid_open) only as a line, from ELKEID_INFO on. A record that cannot
 * be sent is no error; the first time, a line on standard error says so. Keeps errno. */
void elkeid_log(elkeid_client *client, enum elkeid_level level, const char *file, int line, const char *format, ...)
    ELKEID_PRINTF(5, 6);

#define elkeid_debug(client, ...) elkeid_log((client), ELKEID_DEBUG, __FILE__, __LINE__, __VA_ARGS__)
#define elkeid_info(client, ...) elkeid_log((client), ELKEID_INFO, __FILE__, __LINE__, __VA_ARGS__)
#define elkeid_warning(client, ...) elkeid_log((client), ELKEID_WARNING, __FILE__, __LINE__, __VA_ARGS__)
#define elkeid_error(client, ...) elkeid_log((client), ELKEID_ERROR, __FILE__, __LINE__, __VA_ARGS__)

#ifdef __cplusplus
}
#endif

#endif
