/* Elkeid Agent in Swift
 * SPDX-License-Identifier: Apache-2.0 */

/* ---- Time, waiting and descriptors: the system's calls in the form that is needed here ---- */

/* Nanoseconds on CLOCK_MONOTONIC. */
static int64_t monotonic_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static int64_t deadline_after(int milliseconds)
{
    return milliseconds < 0 ? NO_DEADLINE : monotonic_now() + (int64_t)milliseconds * 1000000;
}

/* For poll: rounded up, 0 when the deadline has passed. */
static int milliseconds_until(int64_t deadline)
{
    if (deadline == NO_DEADLINE) return -1;
    int64_t rest = deadline - monotonic_now();
    return rest <= 0 ? 0 : (int)((rest + 999999) / 1000000);
}

/* Waits for `changed` or the deadline. Returns false when the deadline has passed. */
static bool wait_for_change(pthread_cond_t *changed, pthread_mutex_t *mutex, int64_t deadline)
{
    if (deadline == NO_DEADLINE) {
        pthread_cond_wait(changed, mutex);
        return true;
    }
    struct timespec time = {(time_t)(deadline / 1000000000), (long)(deadline % 1000000000)};
    return pthread_cond_timedwait(changed, mutex, &time) != ETIMEDOUT;
}

static int init_monitor(pthread_mutex_t *mutex, pthread_cond_t *changed)
{
    pthread_condattr_t attributes;
    int status = pthread_mutex_init(mutex, NULL);
    if (status == 0) status = pthread_condattr_init(&attributes);
    if (status != 0) return status;
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    status = pthread_cond_init(changed, &attributes);
    pthread_condattr_destroy(&attributes);
    return status;
}

static bool is_open(int descriptor)
{
    return fcntl(descriptor, F_GETFL) >= 0 || errno != EBADF;
}

/* A pipe that keeps away from the low descriptors, which have a meaning in a plugin. */
static int make_pipe(int ends[2])
{
    int low[2];
    if (pipe2(low, O_CLOEXEC | O_NONBLOCK) != 0) return errno;
    for (int index = 0; index < 2; index++) ends[index] = fcntl(low[index], F_DUPFD_CLOEXEC, 10);
    int number = ends[0] < 0 || ends[1] < 0 ? errno : 0;
    close(low[0]);
    close(low[1]);
    return number;
}

/* As write, but without SIGPIPE: it is blocked in this thread meanwhile, and one that the write caused is consumed.
 * The process's own disposition stays as it is, and so does that of programs it starts. */
static ssize_t write_quietly(int descriptor, const void *bytes, size_t size)
{
    sigset_t pipe_signal, pending, previous;
    sigemptyset(&pipe_signal);
    sigaddset(&pipe_signal, SIGPIPE);
    sigpending(&pending);
    pthread_sigmask(SIG_BLOCK, &pipe_signal, &previous);
    ssize_t count = write(descriptor, bytes, size);
    int number = errno;
    /* A reader that goes away during a write ends it with a short count and the signal. */
    if (count < (ssize_t)size && !sigismember(&pending, SIGPIPE)) {
        const struct timespec no_wait = {0, 0};
        sigtimedwait(&pipe_signal, NULL, &no_wait);
    }
    pthread_sigmask(SIG_SETMASK, &previous, NULL);
    errno = number;
    return count;
}
