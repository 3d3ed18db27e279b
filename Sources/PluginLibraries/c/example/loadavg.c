/* Elkeid Agent in Swift
 * SPDX-License-Identifier: Apache-2.0
 *
 * loadavg: a complete plugin. Every second it sends the load averages of the host (data type 7200), and it answers two
 * tasks: 7201 echoes its data, 7202 changes the interval.
 *
 * Try it in a terminal: `./loadavg` prints its records as lines of JSON; type `7201 hello` or `7202 5000`; Ctrl-D ends
 * it.
 */
#define _POSIX_C_SOURCE 200809L

#include "elkeid_plugin.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum {
    DATA_TYPE_LOAD = 7200,
    DATA_TYPE_ECHO = 7201,
    DATA_TYPE_INTERVAL = 7202,
    DATA_TYPE_SUMMARY = 7203,
    DATA_TYPE_TASK_RESULT = 5100 /* what the server takes as the result of any task */
};

static int64_t milliseconds_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Reads /proc/loadavg, for example "0.10 0.20 0.30 1/234 5678", and sends it as a record. */
static int send_load(elkeid_client *client)
{
    char load_1[32], load_5[32], load_15[32], running[32], total[32];
    FILE *file = fopen("/proc/loadavg", "re");
    int found = 0;
    if (file) {
        found = fscanf(file, "%31s %31s %31s %31[0-9]/%31s", load_1, load_5, load_15, running, total);
        fclose(file);
    }
    if (found != 5) {
        elkeid_error(client, "/proc/loadavg cannot be read, no record was sent: %s", strerror(errno));
        return ELKEID_OK;
    }
    /* All values are text on the wire. A field only points at its value, so an array of them costs next to nothing. */
    const elkeid_field fields[] = {
        elkeid_text("load_1", load_1),   elkeid_text("load_5", load_5), elkeid_text("load_15", load_15),
        elkeid_text("running", running), elkeid_text("total", total),
    };
    return elkeid_send(client, DATA_TYPE_LOAD, fields, ELKEID_COUNT(fields));
}

/* Answers a task. The server finds the task by the token, and takes any status but "succeed" as a failure. */
static int send_result(elkeid_client *client, const elkeid_task *task, int32_t data_type, const char *status,
                       const char *message)
{
    const elkeid_field fields[] = {
        elkeid_bytes("token", task->token, task->token_size),
        elkeid_text("status", status),
        elkeid_text("msg", message),
    };
    return elkeid_send(client, data_type, fields, ELKEID_COUNT(fields));
}

/* The echo goes through the high-priority pipe, which an agent may offer for what must not wait behind other
 * records. */
static int send_echo(elkeid_client *client, const elkeid_task *task)
{
    const elkeid_field fields[] = {
        elkeid_bytes("token", task->token, task->token_size),
        elkeid_text("status", "succeed"),
        elkeid_bytes("msg", task->data, task->data_size),
        elkeid_text("language", "c"),
    };
    const elkeid_record record = {DATA_TYPE_ECHO, elkeid_now(), fields, ELKEID_COUNT(fields)};
    return elkeid_send_record(client, &record, ELKEID_HIGH);
}

/* Does what a task asks for, and sends its result. */
static int handle_task(elkeid_client *client, const elkeid_task *task, int64_t *interval)
{
    char message[100];
    switch (task->data_type) {
    case DATA_TYPE_ECHO: return send_echo(client, task);
    case DATA_TYPE_INTERVAL: {
        char *end;
        long wanted = strtol(task->data, &end, 10);
        /* Only digits: no sign, no blank, nothing behind the number. */
        if (task->data_size == 0 || strspn(task->data, "0123456789") != task->data_size) {
            return send_result(client, task, DATA_TYPE_INTERVAL, "failed", "the interval is not a number");
        }
        if (wanted < 100 || wanted > 3600000) {
            return send_result(client, task, DATA_TYPE_INTERVAL, "failed", "the interval is not in 100...3600000 ms");
        }
        *interval = wanted;
        snprintf(message, sizeof message, "interval is %ld ms", wanted);
        return send_result(client, task, DATA_TYPE_INTERVAL, "succeed", message);
    }
    default:
        snprintf(message, sizeof message, "unknown data type %" PRId32, task->data_type);
        return send_result(client, task, DATA_TYPE_TASK_RESULT, "failed", message);
    }
}

int main(void)
{
    elkeid_client *client;
    char message[ELKEID_MESSAGE_SIZE];
    if (elkeid_open(&client, NULL, message, sizeof message) != ELKEID_OK) {
        fprintf(stderr, "loadavg: %s\n", message);
        return 1;
    }

    int64_t interval = 1000, next = milliseconds_now();
    uint64_t sent = 0;
    int status = ELKEID_OK;
    /* One loop: wait for a task until the next record is due. Results below 0 are errors. */
    while (status >= 0) {
        int64_t now = milliseconds_now();
        if (now >= next) {
            status = send_load(client);
            if (status == ELKEID_OK) sent++;
            next = now + interval;
            continue;
        }
        elkeid_task *task;
        int received = elkeid_receive(client, &task, (int)(next - now));
        if (received == ELKEID_END) break;
        if (received == ELKEID_OK) {
            int64_t previous = interval;
            status = handle_task(client, task, &interval);
            /* A new interval counts at once. */
            if (interval != previous) next = milliseconds_now() + interval;
            elkeid_task_free(task);
        } else if (received < 0) {
            elkeid_error_message(client, received, message, sizeof message);
            elkeid_error(client, "receiving a task: %s", message);
            /* After one malformed task the next can be received, and after an incomplete one comes the end. */
            if (received != ELKEID_MALFORMED_TASK && received != ELKEID_INCOMPLETE_TASK) status = received;
        }
    }

    /* The last words, also when SIGTERM has ended the loop: sending works until elkeid_close. */
    if (status >= 0) {
        const elkeid_field fields[] = {elkeid_uint("sent", sent)};
        status = elkeid_send(client, DATA_TYPE_SUMMARY, fields, ELKEID_COUNT(fields));
        if (status >= 0) status = elkeid_flush(client);
    }
    /* An agent that has gone is a normal end. */
    if (status < 0 && status != ELKEID_AGENT_GONE) {
        elkeid_error_message(client, status, message, sizeof message);
        fprintf(stderr, "loadavg: %s\n", message);
    }
    elkeid_free(client);
    return status < 0 && status != ELKEID_AGENT_GONE ? 1 : 0;
}
