/* Elkeid Agent in Swift
 * SPDX-License-Identifier: Apache-2.0 */

/* ---- The client's life ---- */

static int refuse_descriptor(elkeid_client *client, int result, int descriptor)
{
    return report(client, result,
                  "descriptor %d is %s: this is an Elkeid plugin, to be started by elkeid-agent or elkeid-devcenter "
                  "--plugin (descriptor %d reads tasks, %d writes records), or with ELKEID_PLUGIN_DEBUG=1 in the "
                  "environment to try it by hand", descriptor,
                  result == ELKEID_DESCRIPTOR_NOT_OPEN ? "not open" : "not a pipe in the right direction",
                  client->options.task_descriptor, client->options.record_descriptor);
}

/* Refuses a descriptor that cannot be an end of one of the agent's pipes. Changes nothing. */
static int check_descriptor(elkeid_client *client, int descriptor, int access)
{
    struct stat status;
    int flags = fcntl(descriptor, F_GETFL);
    if (flags < 0 && errno == EBADF) return refuse_descriptor(client, ELKEID_DESCRIPTOR_NOT_OPEN, descriptor);
    if (flags < 0) return system_error(client, "fcntl", errno);
    if (fstat(descriptor, &status) != 0) return system_error(client, "fstat", errno);
    bool right_way = (flags & O_ACCMODE) == O_RDWR || (flags & O_ACCMODE) == access;
    bool is_pipe = S_ISFIFO(status.st_mode) || S_ISSOCK(status.st_mode);
    if (is_pipe && right_way) return ELKEID_OK;
    return refuse_descriptor(client, ELKEID_DESCRIPTOR_UNUSABLE, descriptor);
}

/* Decides between debug mode and the agent's descriptors. Changes nothing. */
static int choose_descriptors(elkeid_client *client)
{
    const elkeid_options *options = &client->options;
    const char *debug = getenv("ELKEID_PLUGIN_DEBUG");
    bool has_agent = is_open(options->task_descriptor) || is_open(options->record_descriptor);
    client->pipe_count = 1;
    client->debug = (debug && *debug) || (!has_agent && isatty(STDOUT_FILENO));
    if (client->debug) {
        client->tasks.descriptor = STDIN_FILENO;
        client->pipes[0].descriptor = STDOUT_FILENO;
        return ELKEID_OK;
    }
    client->tasks.descriptor = options->task_descriptor;
    client->pipes[0].descriptor = options->record_descriptor;
    client->pipes[1].descriptor = options->high_priority_descriptor;
    if (options->high_priority_descriptor >= 0) client->pipe_count = 2;
    int status = check_descriptor(client, client->tasks.descriptor, O_RDONLY);
    for (int index = 0; index < client->pipe_count && status == ELKEID_OK; index++) {
        status = check_descriptor(client, client->pipes[index].descriptor, O_WRONLY);
    }
    return status;
}

/* Makes the agent's descriptors the client's. */
static int take_descriptors(elkeid_client *client)
{
    fcntl(client->tasks.descriptor, F_SETFD, FD_CLOEXEC);
    for (int index = 0; index < client->pipe_count; index++) {
        int descriptor = client->pipes[index].descriptor;
        fcntl(descriptor, F_SETFD, FD_CLOEXEC);
        if (client->options.policy != ELKEID_DROP_NEWEST) continue;
        int flags = fcntl(descriptor, F_GETFL);
        if (fcntl(descriptor, F_SETFL, flags | O_NONBLOCK) != 0) return system_error(client, "fcntl", errno);
    }
    return ELKEID_OK;
}

/* Starts the flusher, which receives no signals. */
static int open_pipe(struct record_pipe *pipe)
{
    const elkeid_options *options = &pipe->client->options;
    pipe->initial_capacity = options->buffer_size + SLACK;
    /* See compact. */
    if (options->policy == ELKEID_DROP_NEWEST) pipe->initial_capacity += options->buffer_size / 2;
    pipe->bytes = malloc(pipe->initial_capacity);
    if (!pipe->bytes) return system_error(pipe->client, "malloc", ENOMEM);
    pipe->capacity = pipe->initial_capacity;
    sigset_t all, previous;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &previous);
    int number = pthread_create(&pipe->flusher, NULL, flush_until_closed, pipe);
    pthread_sigmask(SIG_SETMASK, &previous, NULL);
    pipe->has_flusher = number == 0;
    return number == 0 ? ELKEID_OK : system_error(pipe->client, "pthread_create", number);
}

static int open_client(elkeid_client *client)
{
    int status = choose_descriptors(client);
    if (status != ELKEID_OK) return status;
    int number = make_pipe(client->wake);
    if (number != 0) return system_error(client, "pipe2", number);
    if (!client->debug) status = take_descriptors(client);
    for (int index = 0; index < client->pipe_count && status == ELKEID_OK; index++) {
        status = open_pipe(&client->pipes[index]);
    }
    if (status != ELKEID_OK || !client->options.handle_sigterm) return status;
    int signal_count = client->debug ? 2 : 1;
    number = handle_signals(signal_count);
    if (number != 0) return system_error(client, "pipe2", number);
    client->signal_count = signal_count;
    return ELKEID_OK;
}

/* Writes what is buffered, and counts what is left then. */
static void finish(struct record_pipe *pipe, int64_t deadline)
{
    pthread_mutex_lock(&pipe->mutex);
    pipe->closing = true;
    if (pipe->failure == 0 && drain(pipe, deadline) == ELKEID_TIMED_OUT) {
        for (size_t at = first_unwritten_frame(pipe); at < pipe->end; at += frame_size(pipe->bytes + at)) {
            pipe->dropped++;
        }
    }
    pipe->closed = true;
    pthread_mutex_unlock(&pipe->mutex);
}

/* Ends the threads, without writing anything; the pipes are not used any more afterwards. */
static void stop(elkeid_client *client)
{
    for (int index = 0; index < 2; index++) {
        struct record_pipe *pipe = &client->pipes[index];
        pthread_mutex_lock(&pipe->mutex);
        pipe->closing = pipe->closed = true;
        pthread_cond_broadcast(&pipe->changed);
        pthread_mutex_unlock(&pipe->mutex);
    }
    pthread_mutex_lock(&client->tasks.mutex);
    client->tasks.closed = true;
    pthread_cond_broadcast(&client->tasks.changed);
    pthread_mutex_unlock(&client->tasks.mutex);
    if (client->wake[1] >= 0) (void)!write(client->wake[1], "", 1);

    pthread_mutex_lock(&client->tasks.mutex);
    while (client->tasks.busy) pthread_cond_wait(&client->tasks.changed, &client->tasks.mutex);
    pthread_mutex_unlock(&client->tasks.mutex);
    for (int index = 0; index < 2; index++) {
        struct record_pipe *pipe = &client->pipes[index];
        pthread_mutex_lock(&pipe->mutex);
        while (pipe->waiting > 0) pthread_cond_wait(&pipe->changed, &pipe->mutex);
        pthread_mutex_unlock(&pipe->mutex);
        if (pipe->has_flusher) pthread_join(pipe->flusher, NULL);
    }
    if (client->signal_count > 0) restore_signals(client->signal_count);
    client->closed = true;
}

static void release(elkeid_client *client)
{
    for (int index = 0; index < 2; index++) {
        free(client->pipes[index].bytes);
        pthread_mutex_destroy(&client->pipes[index].mutex);
        pthread_cond_destroy(&client->pipes[index].changed);
        if (client->wake[index] >= 0) close(client->wake[index]);
    }
    free(client->tasks.bytes);
    pthread_mutex_destroy(&client->tasks.mutex);
    pthread_cond_destroy(&client->tasks.changed);
    pthread_mutex_destroy(&client->close_mutex);
    pthread_mutex_destroy(&client->messages_mutex);
    free(client);
}
