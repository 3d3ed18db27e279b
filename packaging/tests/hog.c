// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0
//
// A plugin that goes wrong, for the tests of the service. After its first task it takes memory, 1 MiB in 10 ms, until
// it is killed. It ends when its task pipe does; under the name "stubborn" it does not, nor does it heed SIGTERM. It
// never sends a record.
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

static void eat(void) {
    const size_t bite = 1 << 20;
    const struct timespec pause = {0, 10 * 1000 * 1000};
    // An end all the same, in case that nothing limits it: a test must not take the host's memory.
    for (int bites = 0; bites < 512; bites++) {
        char *memory = mmap(NULL, bite, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (memory == MAP_FAILED)
            _exit(3);
        memset(memory, 0xa5, bite);
        nanosleep(&pause, NULL);
    }
    _exit(4);
}

int main(int count, char **arguments) {
    const char *slash = count > 0 ? strrchr(arguments[0], '/') : NULL;
    int stubborn = slash != NULL && strcmp(slash, "/stubborn") == 0;
    if (stubborn)
        signal(SIGTERM, SIG_IGN);
    char task[4096];
    // The agent writes a task's frame in one piece into an empty pipe; what is in it does not matter.
    ssize_t size = read(3, task, sizeof task);
    if (size > 0 && !stubborn)
        eat();
    while (stubborn)
        pause();
    return 0;
}
