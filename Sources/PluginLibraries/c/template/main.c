/* Elkeid Agent in Swift
 * SPDX-License-Identifier: Apache-2.0
 *
 * PLUGIN_NAME: a plugin for the Elkeid agent. The library is described in elkeid_plugin.h.
 */
#define _POSIX_C_SOURCE 200809L /* for clock_gettime, which strict C99 does not have */

#include "elkeid_plugin.h"

#include <inttypes.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

enum {
    RECORD_TYPE = 7000, /* agree your own numbers with whoever runs the server */
    TASK_TYPE = 7001,
    ANSWER_TYPE = 5100, /* what servers take as the answer to any task */
    INTERVAL_MS = 10000
};

static int64_t milliseconds_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static int send_record(elkeid_client *client)
{
    const elkeid_field fields[] = {elkeid_int("pid", getpid())};
    return elkeid_send(client, RECORD_TYPE, fields, ELKEID_COUNT(fields));
}

/* The server knows by the token which task this answers. */
static int answer(elkeid_client *client, const elkeid_task *task)
{
    char reason[40];
    const char *status = "succeed";
    elkeid_field msg = elkeid_bytes("msg", task->data, task->data_size);
    if (task->data_type != TASK_TYPE) {
        status = "failed";
        snprintf(reason, sizeof reason, "unknown data type %" PRId32, task->data_type);
        msg = elkeid_text("msg", reason);
    }
    const elkeid_field fields[] = {elkeid_bytes("token", task->token, task->token_size),
                                   elkeid_text("status", status), msg};
    return elkeid_send(client, ANSWER_TYPE, fields, ELKEID_COUNT(fields));
}

/* The time is looked at first, so that many tasks do not hold up a record. Returns ELKEID_END or an error. */
static int run(elkeid_client *client)
{
    int64_t next = milliseconds_now();
    int status = ELKEID_OK;
    while (status >= 0) {
        int64_t now = milliseconds_now();
        if (now >= next) {
            status = send_record(client);
            next += INTERVAL_MS;
            if (next <= now) next = now + INTERVAL_MS; /* what a pause has left out is not made up for */
            continue;
        }
        elkeid_task *task;
        int received = elkeid_receive(client, &task, (int)(next - now));
        if (received == ELKEID_END) return ELKEID_END;
        if (received == ELKEID_OK) {
            status = answer(client, task);
            elkeid_task_free(task);
        } else if (received == ELKEID_MALFORMED_TASK || received == ELKEID_INCOMPLETE_TASK) {
            char message[ELKEID_MESSAGE_SIZE]; /* the next task can be received, or the end */
            elkeid_error_message(client, received, message, sizeof message);
            elkeid_warning(client, "%s", message);
        } else if (received < 0) {
            status = received;
        }
    }
    return status;
}

int main(void)
{
    elkeid_client *client;
    char message[ELKEID_MESSAGE_SIZE];
    if (elkeid_open(&client, NULL, message, sizeof message) != ELKEID_OK) {
        fprintf(stderr, "PLUGIN_NAME: %s\n", message);
        return 1;
    }
    int status = run(client);
    if (status == ELKEID_END) status = elkeid_flush(client); /* says whether the last records were taken */
    int failed = status < 0 && status != ELKEID_AGENT_GONE;
    if (failed) {
        elkeid_error_message(client, status, message, sizeof message);
        elkeid_error(client, "PLUGIN_NAME ends: %s", message);
    }
    elkeid_free(client);
    return failed;
}
