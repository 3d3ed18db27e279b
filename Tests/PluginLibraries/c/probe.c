/* Elkeid Agent in Swift
 * SPDX-License-Identifier: Apache-2.0
 *
 * A plugin that is driven by lines on standard input, for the tests that all plugin libraries share.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* getline, nanosleep */
#endif

#include "elkeid_plugin.h"

#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static elkeid_client *client;
static FILE *commands;
static FILE *results;

static const char *kind(int error)
{
    switch (error) {
    case ELKEID_DESCRIPTOR_NOT_OPEN: return "descriptor-not-open";
    case ELKEID_DESCRIPTOR_UNUSABLE: return "descriptor-unusable";
    case ELKEID_AGENT_GONE: return "agent-gone";
    case ELKEID_CLOSED: return "closed";
    case ELKEID_INCOMPLETE_TASK: return "incomplete-task";
    case ELKEID_TASK_TOO_LARGE: return "task-too-large";
    case ELKEID_MALFORMED_TASK: return "malformed-task";
    case ELKEID_RECORD_TOO_LARGE: return "record-too-large";
    default: return "system";
    }
}

static void fail(const char *what)
{
    fprintf(stderr, "probe: %s\n", what);
    exit(2);
}

/* The next line without its newline, or NULL at the end; valid until the next call. */
static char *next_line(void)
{
    static char *line;
    static size_t capacity;
    ssize_t size = getline(&line, &capacity, commands);
    if (size < 0) return NULL;
    if (size > 0 && line[size - 1] == '\n') line[size - 1] = 0;
    return line;
}

/* The next word of the line, or NULL. */
static char *next_word(char **rest)
{
    char *word = strsep(rest, " ");
    while (word && !*word) word = strsep(rest, " ");
    return word;
}

static long long next_number(char **rest)
{
    char *word = next_word(rest), *end;
    if (!word) fail("a number is missing");
    long long number = strtoll(word, &end, 10);
    if (*end) fail("a number is malformed");
    return number;
}

static enum elkeid_priority next_priority(char **rest)
{
    char *word = next_word(rest);
    return word && strcmp(word, "high") == 0 ? ELKEID_HIGH : ELKEID_NORMAL;
}

static int hex_digit(char digit)
{
    const char *digits = "0123456789abcdef", *found = digit ? strchr(digits, digit) : NULL;
    if (!found) fail("hex is malformed");
    return (int)(found - digits);
}

/* The bytes of a word in hex, to be freed. */
static char *from_hex(const char *hex, size_t *size)
{
    if (!hex) fail("hex is missing");
    size_t count = strcmp(hex, "-") == 0 ? 0 : strlen(hex) / 2;
    char *bytes = malloc(count + 1);
    if (!bytes) fail("no memory");
    for (size_t index = 0; index < count; index++) {
        bytes[index] = (char)(16 * hex_digit(hex[2 * index]) + hex_digit(hex[2 * index + 1]));
    }
    *size = count;
    return bytes;
}

static void print_hex(const char *bytes, size_t size)
{
    fputs(size == 0 ? " -" : " ", results);
    for (size_t index = 0; index < size; index++) fprintf(results, "%02x", (unsigned char)bytes[index]);
}

static void print_sent(int status)
{
    if (status < 0) fprintf(results, "error %s\n", kind(status));
    else fputs(status == ELKEID_DROPPED ? "dropped\n" : "sent\n", results);
}

static void print_counts(int error, size_t sent, size_t dropped)
{
    if (error < 0) fprintf(results, "error %s\n", kind(error));
    else fprintf(results, "sent %zu dropped %zu\n", sent, dropped);
}

static void print_status(int status)
{
    if (status < 0) fprintf(results, "error %s\n", kind(status));
    else fputs("ok\n", results);
}

static void run_record(char *rest)
{
    elkeid_record record = {0, 0, NULL, 0};
    record.data_type = (int32_t)next_number(&rest);
    record.timestamp = next_number(&rest);
    enum elkeid_priority priority = next_priority(&rest);
    elkeid_field *fields = NULL;
    char *line;
    while ((line = next_line()) && strcmp(line, "send") != 0) {
        next_word(&line);
        fields = realloc(fields, (record.field_count + 1) * sizeof *fields);
        if (!fields) fail("no memory");
        size_t key_size, size;
        char *key = from_hex(next_word(&line), &key_size);
        char *value = from_hex(next_word(&line), &size);
        elkeid_field field = elkeid_bytes("", value, size);
        field.key = key;
        field.key_size = key_size;
        fields[record.field_count++] = field;
    }
    record.fields = fields;
    print_sent(elkeid_send_record(client, &record, priority));
    for (size_t index = 0; index < record.field_count; index++) {
        free((void *)(uintptr_t)fields[index].key);
        free((void *)(uintptr_t)fields[index].value.bytes);
    }
    free(fields);
}

static void run_repeat(char *rest)
{
    long long count = next_number(&rest);
    int32_t data_type = (int32_t)next_number(&rest);
    size_t size = (size_t)next_number(&rest), sent = 0, dropped = 0;
    enum elkeid_priority priority = next_priority(&rest);
    char *pad = malloc(size + 1);
    if (!pad) fail("no memory");
    memset(pad, 'x', size);
    int status = ELKEID_OK;
    for (long long index = 0; index < count && status >= 0; index++) {
        const elkeid_field fields[] = {elkeid_int("n", index), elkeid_bytes("pad", pad, size)};
        const elkeid_record record = {data_type, 1, fields, ELKEID_COUNT(fields)};
        status = elkeid_send_record(client, &record, priority);
        sent += status == ELKEID_OK;
        dropped += status == ELKEID_DROPPED;
    }
    free(pad);
    print_counts(status, sent, dropped);
}

static void run_many(char *rest)
{
    size_t count = (size_t)next_number(&rest), sent = 0;
    int32_t data_type = (int32_t)next_number(&rest);
    elkeid_field *fields = malloc((count + 1) * sizeof *fields);
    elkeid_record *records = malloc((count + 1) * sizeof *records);
    if (!fields || !records) fail("no memory");
    for (size_t index = 0; index < count; index++) {
        fields[index] = elkeid_uint("n", index);
        const elkeid_record record = {data_type, 1, &fields[index], 1};
        records[index] = record;
    }
    int status = elkeid_send_many(client, records, count, ELKEID_NORMAL, &sent);
    print_counts(status, sent, count - sent);
    free(records);
    free(fields);
}

struct sender {
    pthread_t thread;
    int32_t data_type;
    long long number, count;
    int error;
    size_t sent, dropped;
};

static void *send_from_thread(void *argument)
{
    struct sender *sender = argument;
    for (long long index = 0; index < sender->count && sender->error == 0; index++) {
        const elkeid_field fields[] = {elkeid_int("thread", sender->number), elkeid_int("n", index)};
        const elkeid_record record = {sender->data_type, 1, fields, ELKEID_COUNT(fields)};
        int status = elkeid_send_record(client, &record, ELKEID_NORMAL);
        sender->sent += status == ELKEID_OK;
        sender->dropped += status == ELKEID_DROPPED;
        if (status < 0) sender->error = status;
    }
    return NULL;
}

static void run_threads(char *rest)
{
    long long thread_count = next_number(&rest), count = next_number(&rest);
    int32_t data_type = (int32_t)next_number(&rest);
    struct sender *senders = calloc((size_t)thread_count + 1, sizeof *senders);
    if (!senders) fail("no memory");
    for (long long index = 0; index < thread_count; index++) {
        senders[index].number = index;
        senders[index].count = count;
        senders[index].data_type = data_type;
        if (pthread_create(&senders[index].thread, NULL, send_from_thread, &senders[index]) != 0) fail("no thread");
    }
    size_t sent = 0, dropped = 0;
    int error = 0;
    for (long long index = 0; index < thread_count; index++) {
        pthread_join(senders[index].thread, NULL);
        sent += senders[index].sent;
        dropped += senders[index].dropped;
        if (senders[index].error != 0) error = senders[index].error;
    }
    print_counts(error, sent, dropped);
    free(senders);
}

/* Returns what elkeid_receive returned. */
static int run_receive(int timeout)
{
    elkeid_task *task;
    int status = elkeid_receive(client, &task, timeout);
    if (status == ELKEID_OK) {
        fprintf(results, "task %" PRId32, task->data_type);
        print_hex(task->object_name, task->object_name_size);
        print_hex(task->data, task->data_size);
        print_hex(task->token, task->token_size);
        fputs("\n", results);
    } else if (status < 0) {
        fprintf(results, "error %s\n", kind(status));
    } else {
        fputs(status == ELKEID_END ? "end\n" : "timeout\n", results);
    }
    elkeid_task_free(task);
    return status;
}

static void run_log(char *rest)
{
    char *level = next_word(&rest);
    const char *text = rest ? rest : "";
    if (!level) fail("a level is missing");
    if (strcmp(level, "debug") == 0) elkeid_debug(client, "%s", text);
    else if (strcmp(level, "info") == 0) elkeid_info(client, "%s", text);
    else if (strncmp(level, "warn", 4) == 0) elkeid_warning(client, "%s", text);
    else if (strcmp(level, "error") == 0) elkeid_error(client, "%s", text);
    else fail("unknown level");
    fputs("ok\n", results);
}

static void run_sleep(long long milliseconds)
{
    struct timespec rest = {(time_t)(milliseconds / 1000), (long)(milliseconds % 1000 * 1000000)};
    while (nanosleep(&rest, &rest) != 0) continue;
    fputs("ok\n", results);
}

static void run(char *line)
{
    char *command = next_word(&line);
    if (!command) return;
    if (strcmp(command, "record") == 0) {
        run_record(line);
    } else if (strcmp(command, "repeat") == 0) {
        run_repeat(line);
    } else if (strcmp(command, "many") == 0) {
        run_many(line);
    } else if (strcmp(command, "threads") == 0) {
        run_threads(line);
    } else if (strcmp(command, "raw") == 0) {
        size_t size;
        char *bytes = from_hex(next_word(&line), &size);
        print_sent(elkeid_send_raw(client, bytes, size, next_priority(&line)));
        free(bytes);
    } else if (strcmp(command, "flush") == 0) {
        print_status(elkeid_flush(client));
    } else if (strcmp(command, "close") == 0) {
        elkeid_close(client);
        fputs("ok\n", results);
    } else if (strcmp(command, "receive") == 0) {
        run_receive(line && *line ? (int)next_number(&line) : ELKEID_FOREVER);
    } else if (strcmp(command, "receive-all") == 0) {
        int status;
        do status = run_receive(ELKEID_FOREVER);
        while (status == ELKEID_OK || status == ELKEID_MALFORMED_TASK || status == ELKEID_INCOMPLETE_TASK);
    } else if (strcmp(command, "dropped") == 0) {
        fprintf(results, "%" PRIu64 "\n", elkeid_dropped(client));
    } else if (strcmp(command, "log") == 0) {
        run_log(line);
    } else if (strcmp(command, "sleep") == 0) {
        run_sleep(next_number(&line));
    } else {
        fail("unknown command");
    }
}

static void set_option(elkeid_options *options, char *text)
{
    char *name = strsep(&text, "=");
    if (!text) fail("an option has no value");
    if (strcmp(name, "policy") == 0) {
        options->policy = strcmp(text, "drop") == 0 ? ELKEID_DROP_NEWEST : ELKEID_BLOCK;
    } else if (strcmp(name, "buffer") == 0) {
        options->buffer_size = strtoul(text, NULL, 10);
    } else if (strcmp(name, "flush") == 0) {
        options->flush_interval_ms = atoi(text);
    } else if (strcmp(name, "record-limit") == 0) {
        options->max_record_size = strtoul(text, NULL, 10);
    } else if (strcmp(name, "task-limit") == 0) {
        options->max_task_size = strtoul(text, NULL, 10);
    } else if (strcmp(name, "close-timeout") == 0) {
        options->close_timeout_ms = atoi(text);
    } else if (strcmp(name, "sigterm") == 0) {
        options->handle_sigterm = strcmp(text, "on") == 0;
    } else if (strcmp(name, "fds") == 0) {
        options->high_priority_descriptor = -1;
        sscanf(text, "%d,%d,%d", &options->task_descriptor, &options->record_descriptor,
               &options->high_priority_descriptor);
    } else if (strcmp(name, "commands") == 0) {
        /* Away from the agent's descriptors, which the library looks at. */
        int low = open(text, O_RDONLY | O_CLOEXEC), file = fcntl(low, F_DUPFD_CLOEXEC, 100);
        close(low);
        commands = fdopen(file, "r");
        if (!commands) fail("the file of commands cannot be opened");
        results = stderr;
    } else {
        fail("unknown option");
    }
}

int main(int count, char **arguments)
{
    elkeid_options options;
    elkeid_options_init(&options);
    commands = stdin;
    results = stdout;
    /* A command may have many answers. */
    setvbuf(stdout, NULL, _IOLBF, BUFSIZ);
    for (int index = 1; index < count; index++) set_option(&options, arguments[index]);
    char message[ELKEID_MESSAGE_SIZE];
    int status = elkeid_open(&client, &options, message, sizeof message);
    if (status != ELKEID_OK) {
        fprintf(results, "error %s\n", kind(status));
        fprintf(stderr, "%s\n", message);
        return 1;
    }
    char *line;
    fputs("ready\n", results);
    while ((line = next_line()) && strcmp(line, "exit") != 0) run(line);
    return 0;
}
