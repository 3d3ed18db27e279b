/* Elkeid Agent in Swift
 * SPDX-License-Identifier: Apache-2.0 */

/* ---- Receiving; with `busy` set ---- */

static int task_too_large(elkeid_client *client, size_t size)
{
    client->tasks.failed = true;
    return report(client, ELKEID_TASK_TOO_LARGE,
                  "the agent announced a task of %zu bytes, the limit is %zu: raise max_task_size, or restart the "
                  "plugin if the task pipe is out of step", size, client->options.max_task_size);
}

/* The task of the next line that was typed. Returns ELKEID_TIMED_OUT when it has not arrived as a whole. */
static int next_line(elkeid_client *client, elkeid_task **task)
{
    struct task_pipe *tasks = &client->tasks;
    /* Empty lines are ignored. */
    while (tasks->start < tasks->end && tasks->bytes[tasks->start] == '\n') tasks->start++;
    size_t arrived = tasks->end - tasks->start;
    const byte *first = tasks->bytes + tasks->start;
    const byte *newline = arrived > 0 ? memchr(first, '\n', arrived) : NULL;
    size_t size = newline ? (size_t)(newline - first) : arrived;
    if (size > client->options.max_task_size) return task_too_large(client, size);
    if (!newline) return ELKEID_TIMED_OUT;
    tasks->start += size + 1;
    return parse_line(client, reader_of(first, size), task);
}

/* The task of the next frame. Returns ELKEID_TIMED_OUT when it has not arrived as a whole. */
static int next_frame(elkeid_client *client, elkeid_task **task)
{
    struct task_pipe *tasks = &client->tasks;
    size_t arrived = tasks->end - tasks->start;
    const byte *first = tasks->bytes + tasks->start;
    tasks->expected = LENGTH_SIZE;
    if (arrived < LENGTH_SIZE) return ELKEID_TIMED_OUT;
    tasks->expected = frame_size(first);
    size_t size = tasks->expected - LENGTH_SIZE;
    if (size > client->options.max_task_size) return task_too_large(client, size);
    if (arrived < tasks->expected) return ELKEID_TIMED_OUT;
    tasks->start += tasks->expected;
    return decode_task(client, reader_of(first + LENGTH_SIZE, size), task);
}

/* Reads what has arrived, with room for the frame that has begun. */
static int read_more(elkeid_client *client)
{
    struct task_pipe *tasks = &client->tasks;
    size_t arrived = tasks->end - tasks->start;
    if (arrived > 0 && tasks->start > 0) memmove(tasks->bytes, tasks->bytes + tasks->start, arrived);
    tasks->start = 0;
    tasks->end = arrived;
    /* One byte more is kept for the newline that the last line may lack. */
    size_t needed = (arrived + READ_SIZE > tasks->expected ? arrived + READ_SIZE : tasks->expected) + 1;
    if (tasks->capacity < needed || tasks->capacity > 4 * needed) {
        byte *bytes = realloc(tasks->bytes, needed);
        if (!bytes) return system_error(client, "malloc", ENOMEM);
        tasks->bytes = bytes;
        tasks->capacity = needed;
    }
    ssize_t count = read(tasks->descriptor, tasks->bytes + arrived, needed - arrived - 1);
    if (count < 0 && errno != EINTR && errno != EAGAIN) return system_error(client, "read", errno);
    if (count > 0) tasks->end += (size_t)count;
    if (count != 0) return ELKEID_OK;
    tasks->ended = true;
    if (arrived == 0) return ELKEID_OK;
    if (client->debug) {
        tasks->bytes[tasks->end++] = '\n';
        return ELKEID_OK;
    }
    tasks->start = tasks->end;
    return report(client, ELKEID_INCOMPLETE_TASK,
                  "the task pipe ended inside a task, after %zu of %zu bytes: the agent has ended suddenly", arrived,
                  tasks->expected);
}

/* Waits until the task pipe can be read. Returns what ends the waiting otherwise. */
static int wait_for_tasks(elkeid_client *client, int64_t deadline)
{
    struct pollfd entries[3] = {{client->wake[0], POLLIN, 0},
                                {client->signal_count > 0 ? termination.pipe[0] : -1, POLLIN, 0},
                                {client->tasks.descriptor, POLLIN, 0}};
    while (true) {
        int count = poll(entries, 3, milliseconds_until(deadline));
        if (count < 0 && errno != EINTR) return system_error(client, "poll", errno);
        if (count > 0 && entries[0].revents) return ELKEID_CLOSED;
        if (count > 0 && entries[1].revents) return ELKEID_END;
        if (count > 0) return ELKEID_OK;
        if (milliseconds_until(deadline) == 0) return ELKEID_TIMED_OUT;
    }
}

static int receive(elkeid_client *client, elkeid_task **task, int64_t deadline)
{
    /* Being closed or terminated comes before what has arrived. */
    int status = wait_for_tasks(client, 0);
    if (status == ELKEID_TIMED_OUT) status = ELKEID_OK;
    while (status == ELKEID_OK) {
        if (client->tasks.failed) return ELKEID_TASK_TOO_LARGE;
        status = client->debug ? next_line(client, task) : next_frame(client, task);
        if (status != ELKEID_TIMED_OUT) return status;
        if (client->tasks.ended) return ELKEID_END;
        status = wait_for_tasks(client, deadline);
        if (status == ELKEID_OK) status = read_more(client);
    }
    return status;
}
