/* Elkeid Agent in Swift
 * SPDX-License-Identifier: Apache-2.0 */

/* ---- Logging ---- */

static void write_line(enum elkeid_level level, const char *source, const char *message)
{
    static const char *const names[] = {"DEBUG", "INFO", "WARN", "ERROR", "ERROR"};
    char head[300], stamp[32];
    struct tm parts;
    time_t now = time(NULL);
    gmtime_r(&now, &parts);
    strftime(stamp, sizeof stamp, "%Y-%m-%dT%H:%M:%SZ", &parts);
    snprintf(head, sizeof head, "%s %s %s ", stamp, names[level], source);
    struct text line = {NULL, 0, 0, false};
    append(&line, head, strlen(head));
    append(&line, message, strlen(message));
    append(&line, "\n", 1);
    /* There is no place left to report a failure to. */
    (void)!write_quietly(STDERR_FILENO, line.bytes, line.size);
    free(line.bytes);
}

/* The message in `room`, or if it is too long for it in memory of its own, to be freed; cut off when there is none. */
static char *format_message(char room[SHORT_MESSAGE_SIZE], const char *format, va_list values)
{
    va_list again;
    va_copy(again, values);
    room[0] = 0;
    int length = vsnprintf(room, SHORT_MESSAGE_SIZE, format, values);
    char *message = length >= SHORT_MESSAGE_SIZE ? malloc((size_t)length + 1) : NULL;
    if (message) vsnprintf(message, (size_t)length + 1, format, again);
    va_end(again);
    return message ? message : room;
}

static void send_log_record(elkeid_client *client, enum elkeid_level level, const char *source, const char *message)
{
    static const char *const names[] = {"debug", "info", "warn", "error", "error"};
    const elkeid_field fields[] = {elkeid_text("level", names[level]), elkeid_text("source", source),
                                   elkeid_text("msg", message)};
    int status = elkeid_send(client, LOG_DATA_TYPE, fields, ELKEID_COUNT(fields));
    if (status == ELKEID_OK) return;
    pthread_mutex_lock(&client->messages_mutex);
    bool first = !client->log_record_failed;
    client->log_record_failed = true;
    pthread_mutex_unlock(&client->messages_mutex);
    if (!first) return;
    char reason[ELKEID_MESSAGE_SIZE], text[ELKEID_MESSAGE_SIZE + 60];
    elkeid_error_message(client, status, reason, sizeof reason);
    snprintf(text, sizeof text, "log messages do not reach the server: %s", reason);
    write_line(ELKEID_WARNING, source, text);
}
