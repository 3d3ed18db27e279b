/* Elkeid Agent in Swift
 * SPDX-License-Identifier: Apache-2.0
 *
 * PLUGIN_NAME: a plugin for the Elkeid agent. Every 10 seconds it sends a record, and it answers every task.
 *
 * The library is described in elkeid_plugin.h.
 */
#define _POSIX_C_SOURCE 200809L

#include "elkeid_plugin.h"

#include <stdio.h>
#include <time.h>

enum {
    DATA_TYPE_ALIVE = 7000,      /* choose numbers that no other plugin of your server uses */
    DATA_TYPE_TASK_RESULT = 5100 /* what the server takes as the result of any task */
};

/* Sends the task's data back. The server finds the task by its token. */
static int answer(elkeid_client *client, const elkeid_task *task)
{
    const elkeid_field fields[] = {
        elkeid_bytes("token", task->token, task->token_size),
        elkeid_text("status", "succeed"),
        elkeid_bytes("msg", task->data, task->data_size),
    };
    return elkeid_send(client, DATA_TYPE_TASK_RESULT, fields, ELKEID_COUNT(fields));
}

int main(void)
{
    elkeid_client *client;
    char message[ELKEID_MESSAGE_SIZE];
    if (elkeid_open(&client, NULL, message, sizeof message) != ELKEID_OK) {
        fprintf(stderr, "PLUGIN_NAME: %s\n", message);
        return 1;
    }

    struct timespec now, next;
    clock_gettime(CLOCK_MONOTONIC, &next);
    uint64_t count = 0;
    int status = ELKEID_OK;
    while (status >= 0) {
        clock_gettime(CLOCK_MONOTONIC, &now);
        long rest = (long)(next.tv_sec - now.tv_sec) * 1000 + (next.tv_nsec - now.tv_nsec) / 1000000;
        if (rest <= 0) {
            const elkeid_field fields[] = {elkeid_text("message", "alive"), elkeid_uint("count", ++count)};
            status = elkeid_send(client, DATA_TYPE_ALIVE, fields, ELKEID_COUNT(fields));
            next = now;
            next.tv_sec += 10;
            continue;
        }
        elkeid_task *task;
        int received = elkeid_receive(client, &task, (int)rest);
        if (received == ELKEID_END) break;
        if (received == ELKEID_OK) {
            status = answer(client, task);
            elkeid_task_free(task);
        } else if (received < 0) {
            elkeid_error_message(client, received, message, sizeof message);
            elkeid_error(client, "receiving a task: %s", message);
            /* After these the next call goes on. */
            if (received != ELKEID_MALFORMED_TASK && received != ELKEID_INCOMPLETE_TASK) status = received;
        }
    }
    elkeid_free(client); /* writes what is buffered */
    return status < 0 && status != ELKEID_AGENT_GONE ? 1 : 0;
}
