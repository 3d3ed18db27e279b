/* Elkeid Agent in Swift
 * SPDX-License-Identifier: Apache-2.0 */

/* ---- Writing; with the pipe's mutex held unless said otherwise ---- */

static bool drops(const struct record_pipe *pipe)
{
    return pipe->client->options.policy == ELKEID_DROP_NEWEST && !pipe->client->debug;
}

/* Writes up to the offset `limit`. With ELKEID_DROP_NEWEST as much as the pipe takes now: it is stalled then. */
static int write_buffer(struct record_pipe *pipe, size_t limit)
{
    while (pipe->start < limit) {
        ssize_t count = write_quietly(pipe->descriptor, pipe->bytes + pipe->start, limit - pipe->start);
        if (count >= 0) {
            pipe->start += (size_t)count;
            pipe->bytes_written += (uint64_t)count;
        } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
            if (drops(pipe)) {
                pipe->stalled = true;
                pthread_cond_broadcast(&pipe->changed);
                return ELKEID_OK;
            }
            struct pollfd entry = {pipe->descriptor, POLLOUT, 0};
            poll(&entry, 1, -1);
        } else if (errno != EINTR) {
            pipe->failure_errno = errno;
            pipe->failure = errno == EPIPE ? ELKEID_AGENT_GONE : system_error(pipe->client, "write", errno);
            reset_buffer(pipe);
            pthread_cond_broadcast(&pipe->changed);
            return pipe->failure;
        }
    }
    if (pipe->start == pipe->end) reset_buffer(pipe);
    return ELKEID_OK;
}

/* Waits until the stalled pipe has room, the client has been closed, or the deadline has passed; without the mutex. */
static void wait_for_room(struct record_pipe *pipe, int64_t deadline)
{
    pipe->waiting++;
    pthread_mutex_unlock(&pipe->mutex);
    struct pollfd entries[2] = {{pipe->descriptor, POLLOUT, 0}, {pipe->client->wake[0], POLLIN, 0}};
    poll(entries, 2, milliseconds_until(deadline));
    pthread_mutex_lock(&pipe->mutex);
    pipe->stalled = false;
    if (--pipe->waiting == 0) pthread_cond_broadcast(&pipe->changed);
}

/* Writes all that was taken so far. Returns ELKEID_TIMED_OUT when the deadline has passed, which needs
 * ELKEID_DROP_NEWEST. */
static int drain(struct record_pipe *pipe, int64_t deadline)
{
    uint64_t target = pipe->bytes_taken;
    while (true) {
        if (!pipe->stalled) write_buffer(pipe, pipe->end);
        if (pipe->failure != 0) {
            errno = pipe->failure_errno;
            return pipe->failure;
        }
        if (pipe->bytes_written >= target) return ELKEID_OK;
        if (pipe->closed) return ELKEID_CLOSED;
        if (milliseconds_until(deadline) == 0) return ELKEID_TIMED_OUT;
        wait_for_room(pipe, deadline);
    }
}

/* The thread that writes records at the latest one flush interval after they were sent, and goes on when a stalled pipe
 * has room again. */
static void *flush_until_closed(void *argument)
{
    struct record_pipe *pipe = argument;
    pthread_mutex_lock(&pipe->mutex);
    while (!pipe->closed && pipe->failure == 0) {
        if (pipe->start == pipe->end) {
            pipe->idle = true;
            pthread_cond_wait(&pipe->changed, &pipe->mutex);
            pipe->idle = false;
        } else if (pipe->stalled) {
            wait_for_room(pipe, NO_DEADLINE);
            /* The next call of the plugin reports a failure. */
            if (!pipe->closed) write_buffer(pipe, pipe->end);
        } else if (monotonic_now() < pipe->deadline) {
            wait_for_change(&pipe->changed, &pipe->mutex, pipe->deadline);
        } else {
            write_buffer(pipe, pipe->end);
        }
    }
    pthread_mutex_unlock(&pipe->mutex);
    return NULL;
}

/* Whether sending is possible. */
static int check_usable(const struct record_pipe *pipe)
{
    if (pipe->closing) return ELKEID_CLOSED;
    if (pipe->failure != 0) errno = pipe->failure_errno;
    return pipe->failure;
}

/* Whether the record that begins at the offset `start` may stay, behind what is not written. */
static bool fits(const struct record_pipe *pipe, size_t start)
{
    return start == pipe->start || pipe->end - pipe->start <= pipe->client->options.buffer_size;
}

/* Adds the record, or the encoded one if `record` is NULL, to a usable pipe. */
static int add(struct record_pipe *pipe, const elkeid_record *record, const void *raw, size_t raw_size,
               enum elkeid_priority priority)
{
    const elkeid_options *options = &pipe->client->options;
    size_t limit = options->max_record_size < UINT32_MAX ? options->max_record_size : UINT32_MAX;
    compact(pipe);
    size_t start = pipe->end;
    int status = record ? put_record(pipe, record, limit) : put_raw(pipe, raw, raw_size, limit);
    if (status == ELKEID_OK && pipe->client->debug) status = print_frame(pipe, start, priority);
    if (status != ELKEID_OK) {
        pipe->end = start;
        if (pipe->start == pipe->end) reset_buffer(pipe);
        return status == ELKEID_SYSTEM ? system_error(pipe->client, "malloc", ENOMEM) : status;
    }
    if (drops(pipe) && !fits(pipe, start)) {
        if (!pipe->stalled) status = write_buffer(pipe, start);
        if (status != ELKEID_OK) return status;
        if (!fits(pipe, start)) {
            pipe->end = start;
            pipe->dropped++;
            return ELKEID_DROPPED;
        }
    }
    pipe->bytes_taken += pipe->end - start;
    if (pipe->end - pipe->start >= options->buffer_size) {
        return pipe->stalled ? ELKEID_OK : write_buffer(pipe, pipe->end);
    }
    if (start == pipe->start) {
        pipe->deadline = deadline_after(options->flush_interval_ms);
        if (pipe->idle) pthread_cond_broadcast(&pipe->changed);
    }
    return ELKEID_OK;
}
