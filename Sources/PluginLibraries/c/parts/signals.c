/* Elkeid Agent in Swift
 * SPDX-License-Identifier: Apache-2.0 */

/* ---- SIGTERM, and in debug mode SIGINT ---- */

/* What the process has for the signals; the handler needs it without a client. */
static struct {
    pthread_mutex_t mutex;
    bool has_pipe;
    int pipe[2]; /* a byte in it says that a signal has come */
    pid_t process;
    int users[2];
    struct sigaction previous[2];
} termination = {.mutex = PTHREAD_MUTEX_INITIALIZER};

static const int termination_signals[2] = {SIGTERM, SIGINT};

/* The default disposition is restored before this runs (SA_RESETHAND): the second signal kills. */
static void note_termination(int number)
{
    int saved = errno;
    /* A child that has not called exec yet shares the pipe, but the signal is its own. */
    if (getpid() != termination.process) raise(number);
    else if (write(termination.pipe[1], "", 1) < 0) _exit(128 + number);
    errno = saved;
}

/* Installs the handler for the first `count` signals, once for all clients. */
static int handle_signals(int count)
{
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_handler = note_termination;
    action.sa_flags = SA_RESTART | (int)SA_RESETHAND;
    pthread_mutex_lock(&termination.mutex);
    int number = termination.has_pipe ? 0 : make_pipe(termination.pipe);
    termination.has_pipe = number == 0;
    termination.process = getpid();
    for (int index = 0; index < count && number == 0; index++) {
        if (termination.users[index]++ == 0) {
            sigaction(termination_signals[index], &action, &termination.previous[index]);
        }
    }
    pthread_mutex_unlock(&termination.mutex);
    return number;
}

/* Puts back what was there before, unless a signal has come or the program has put something else there. */
static void restore_signals(int count)
{
    pthread_mutex_lock(&termination.mutex);
    for (int index = 0; index < count; index++) {
        struct sigaction current;
        if (--termination.users[index] > 0) continue;
        sigaction(termination_signals[index], NULL, &current);
        if (current.sa_handler != note_termination) continue;
        sigaction(termination_signals[index], &termination.previous[index], NULL);
    }
    pthread_mutex_unlock(&termination.mutex);
}
