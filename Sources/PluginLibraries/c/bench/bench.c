/* Elkeid Agent in Swift
 * SPDX-License-Identifier: Apache-2.0
 *
 * What sending a record costs: bench N sends N records of 30 fields through a pipe that a thread reads to nowhere, and
 * prints a line of JSON.
 *
 * With -DBENCH_PROTOBUF_C, record.pb-c.c (protoc-c of record.proto) and -lprotobuf-c a second line says what the same
 * costs with protobuf-c.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include "elkeid_plugin.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#ifdef BENCH_PROTOBUF_C
#include "record.pb-c.h"
#endif

enum { FIELDS = 30, DATA_TYPE = 7001, TIMESTAMP = 1700000000, BUFFER_SIZE = 512 << 10 };

static char keys[FIELDS][20];
static char values[FIELDS][16];
static uint64_t bytes_read;

static void fail(const char *what)
{
    fprintf(stderr, "bench: %s\n", what);
    exit(1);
}

static void *read_to_nowhere(void *argument)
{
    static char buffer[64 << 10];
    ssize_t count;
    while ((count = read(*(int *)argument, buffer, sizeof buffer)) > 0) bytes_read += (uint64_t)count;
    return NULL;
}

static double seconds(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void fill_table(void)
{
    for (int index = 0; index < FIELDS; index++) {
        snprintf(keys[index], sizeof keys[index], "field_%d", index);
        if (index % 6 == 0) {
            snprintf(values[index], sizeof values[index], "%d", index * 1234567);
        } else {
            memset(values[index], 'v', (size_t)(1 + index * 7 % 14));
        }
    }
}

/* Sends `count` records into the descriptor and closes it. */
static void send_with_library(int descriptor, long count)
{
    int tasks[2];
    char message[ELKEID_MESSAGE_SIZE];
    elkeid_client *client;
    elkeid_options options;
    if (pipe(tasks) != 0) fail("no pipe");
    elkeid_options_init(&options);
    options.task_descriptor = tasks[0];
    options.record_descriptor = descriptor;
    options.high_priority_descriptor = -1;
    if (elkeid_open(&client, &options, message, sizeof message) != ELKEID_OK) fail(message);
    for (long number = 0; number < count; number++) {
        elkeid_field fields[FIELDS];
        for (int index = 0; index < FIELDS; index++) {
            fields[index] = index % 6 == 0 ? elkeid_int(keys[index], index * 1234567)
                                           : elkeid_text(keys[index], values[index]);
        }
        const elkeid_record record = {DATA_TYPE, TIMESTAMP, fields, FIELDS};
        if (elkeid_send_record(client, &record, ELKEID_NORMAL) != ELKEID_OK) fail("a record was not sent");
    }
    if (elkeid_flush(client) != ELKEID_OK) fail("the last records were not written");
    elkeid_free(client);
    close(tasks[1]);
}

#ifdef BENCH_PROTOBUF_C
static void write_whole(int descriptor, const unsigned char *bytes, size_t size)
{
    while (size > 0) {
        ssize_t count = write(descriptor, bytes, size);
        if (count < 0) fail("a write failed");
        bytes += count;
        size -= (size_t)count;
    }
}

static void send_with_protobuf(int descriptor, long count)
{
    static unsigned char buffer[BUFFER_SIZE];
    size_t used = 0;
    for (long number = 0; number < count; number++) {
        Payload__FieldsEntry entries[FIELDS];
        Payload__FieldsEntry *pointers[FIELDS];
        char digits[FIELDS][24];
        for (int index = 0; index < FIELDS; index++) {
            payload__fields_entry__init(&entries[index]);
            pointers[index] = &entries[index];
            entries[index].key = keys[index];
            entries[index].value = values[index];
            if (index % 6 != 0) continue;
            snprintf(digits[index], sizeof digits[index], "%d", index * 1234567);
            entries[index].value = digits[index];
        }
        Payload payload = PAYLOAD__INIT;
        payload.n_fields = FIELDS;
        payload.fields = pointers;
        Record record = RECORD__INIT;
        record.data_type = DATA_TYPE;
        record.timestamp = TIMESTAMP;
        record.data = &payload;
        size_t size = record__get_packed_size(&record);
        if (used + 4 + size > BUFFER_SIZE) {
            write_whole(descriptor, buffer, used);
            used = 0;
        }
        for (int index = 0; index < 4; index++) buffer[used++] = (unsigned char)(size >> (8 * index));
        used += record__pack(&record, buffer + used);
    }
    write_whole(descriptor, buffer, used);
    close(descriptor);
}
#endif

static void measure(const char *library, long count, void (*send)(int, long))
{
    int ends[2];
    pthread_t reader;
    if (pipe(ends) != 0) fail("no pipe");
    bytes_read = 0;
    if (pthread_create(&reader, NULL, read_to_nowhere, &ends[0]) != 0) fail("no thread");
    double start = seconds(CLOCK_MONOTONIC), cpu_start = seconds(CLOCK_THREAD_CPUTIME_ID);
    send(ends[1], count);
    double cpu = seconds(CLOCK_THREAD_CPUTIME_ID) - cpu_start;
    pthread_join(reader, NULL);
    double elapsed = seconds(CLOCK_MONOTONIC) - start;
    close(ends[0]);
    printf("{\"library\":\"%s\",\"records\":%ld,\"seconds\":%.6f,\"ns_per_record\":%.1f,\"bytes_per_record\":%.1f,"
           "\"cpu_ns_per_record\":%.1f}\n",
           library, count, elapsed, elapsed * 1e9 / (double)count, (double)bytes_read / (double)count,
           cpu * 1e9 / (double)count);
}

int main(int argument_count, char **arguments)
{
    long count = argument_count == 2 ? atol(arguments[1]) : 0;
    if (count <= 0) {
        fprintf(stderr, "usage: bench N (the number of records)\n");
        return 2;
    }
    fill_table();
    measure("c", count, send_with_library);
#ifdef BENCH_PROTOBUF_C
    measure("protobuf-c", count, send_with_protobuf);
#endif
    return 0;
}
