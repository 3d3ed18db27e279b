// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0
//
// Stands in for the original agent where only its files, processes and exits matter: in its working directory, which
// is /etc/elkeid, it keeps machine-id and a log, starts the plugins that lie in plugin/, and upgrades itself with a
// package that lies in tmp/, by the package manager as its child. It connects to nobody.

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define PID_FILE "/var/run/elkeid-agent.pid"

static volatile sig_atomic_t stopping;
static pid_t plugins[16];
static int plugin_count;

static void stop(int number) {
    (void)number;
    stopping = 1;
}

static void say(const char *text) {
    FILE *log = fopen("log/elkeid-agent.log", "a");
    if (!log) return;
    fprintf(log, "%d %s\n", (int)getpid(), text);
    fclose(log);
}

static int read_line(const char *path, char *line, int size) {
    FILE *file = fopen(path, "r");
    if (!file) return 0;
    int found = fgets(line, size, file) != NULL;
    fclose(file);
    if (!found) return 0;
    line[strcspn(line, "\n")] = 0;
    return line[0] != 0;
}

// The host's own id, or the one kept from an earlier start, or a random one.
static void keep_id(void) {
    char line[128], id[128];
    if (read_line("/etc/machine-id", line, sizeof line) && strlen(line) == 32)
        snprintf(id, sizeof id, "%.8s-%.4s-%.4s-%.4s-%.12s", line, line + 8, line + 12, line + 16, line + 20);
    else if (!read_line("machine-id", id, sizeof id) && !read_line("/proc/sys/kernel/random/uuid", id, sizeof id))
        exit(1);
    int file = open("machine-id", O_WRONLY | O_CREAT | O_TRUNC, 0600);
    if (file < 0 || write(file, id, strlen(id)) < 0) exit(1);
    close(file);
}

// The same pid file as the original's: without a lock, and whoever has the number counts.
static void be_the_only_one(void) {
    const char *type = getenv("service_type");
    if (!type || strcmp(type, "sysvinit") != 0) return;
    char line[32];
    if (read_line(PID_FILE, line, sizeof line) && atoi(line) > 0 && kill(atoi(line), 0) == 0) exit(0);
    FILE *file = fopen(PID_FILE, "w");
    if (!file) exit(1);
    fprintf(file, "%d\n", (int)getpid());
    fclose(file);
}

static void start_plugins(void) {
    DIR *folder = opendir("plugin");
    struct dirent *entry;
    while (folder && plugin_count < 16 && (entry = readdir(folder))) {
        char place[300], program[600];
        snprintf(place, sizeof place, "plugin/%s", entry->d_name);
        snprintf(program, sizeof program, "%s/%s", place, entry->d_name);
        struct stat status;
        if (entry->d_name[0] == '.' || stat(program, &status) != 0 || !S_ISREG(status.st_mode)) continue;
        pid_t child = fork();
        if (child == 0) {
            setpgid(0, 0);
            signal(SIGTERM, SIG_DFL);
            if (chdir(place) == 0) execl(entry->d_name, entry->d_name, (char *)NULL);
            _exit(127);
        }
        if (child > 0) plugins[plugin_count++] = child;
        say("plugin has been loaded");
    }
    if (folder) closedir(folder);
}

// What the package manager says is lost with the original; here it helps to understand a test that failed.
static int run(const char *program, const char *option, const char *package) {
    int status;
    pid_t child = fork();
    if (child == 0) {
        int output = open("/root/upgrade.log", O_WRONLY | O_CREAT | O_TRUNC, 0600);
        dup2(output, 1);
        dup2(output, 2);
        signal(SIGTERM, SIG_DFL);
        execlp(program, program, option, package, (char *)NULL);
        _exit(127);
    }
    while (waitpid(child, &status, 0) < 0 && !stopping) continue;
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

int main(void) {
    umask(022);
    struct sigaction action = {.sa_handler = stop};
    sigaction(SIGTERM, &action, NULL);
    mkdir("log", 0755);
    mkdir("plugin", 0755);
    be_the_only_one();
    keep_id();
    say("agent runs");
    start_plugins();
    while (!stopping) {
        int tried = 0, done = 0;
        if (access("tmp/upgrade.deb", F_OK) == 0) tried = 1, done = run("dpkg", "-i", "tmp/upgrade.deb");
        if (access("tmp/upgrade.rpm", F_OK) == 0) tried = 1, done = run("rpm", "-Uvh", "tmp/upgrade.rpm");
        if (done) break;
        if (tried) {
            say("upgrade failed");
            unlink("tmp/upgrade.deb");
            unlink("tmp/upgrade.rpm");
        }
        usleep(50000);
    }
    // Whoever supervises it starts the new program.
    say("agent ends");
    while (plugin_count > 0) kill(-plugins[--plugin_count], SIGTERM);
    return 0;
}
