/* Elkeid Agent in Swift
 * SPDX-License-Identifier: Apache-2.0 */

/* ---- Tasks ---- */

/* Puts a text behind the others in a task's block of memory, with a NUL. */
static const char *put_text(char **at, const struct reader *text, size_t *size)
{
    char *copied = *at;
    *size = rest_size(text);
    if (*size > 0) memcpy(copied, text->at, *size);
    copied[*size] = 0;
    *at += *size + 1;
    return copied;
}

/* texts: object name, data, token. The task is one block of memory. */
static int make_task(elkeid_client *client, int32_t data_type, const struct reader texts[3], elkeid_task **task)
{
    size_t size = rest_size(&texts[0]) + rest_size(&texts[1]) + rest_size(&texts[2]);
    elkeid_task *made = malloc(sizeof *made + size + 3);
    if (!made) return system_error(client, "malloc", ENOMEM);
    char *at = (char *)(made + 1);
    made->data_type = data_type;
    made->object_name = put_text(&at, &texts[0], &made->object_name_size);
    made->data = put_text(&at, &texts[1], &made->data_size);
    made->token = put_text(&at, &texts[2], &made->token_size);
    *task = made;
    return ELKEID_OK;
}

/* Fields may come in any order; the last of a repeated one counts; unknown ones are ignored. */
static bool read_task(struct reader *reader, int32_t *data_type, struct reader texts[3])
{
    while (reader->at < reader->end) {
        uint64_t value;
        if (!read_tag(reader)) return false;
        if (reader->field > 4) {
            if (!skip_field(reader)) return false;
        } else if (reader->wire_type != (reader->field == 1 ? 0 : 2)) {
            return refuse(reader, "has the wrong wire type");
        } else if (reader->field == 1) {
            if (!read_varint(reader, &value)) return false;
            *data_type = (int32_t)(uint32_t)value;
        } else {
            struct reader *text = &texts[reader->field - 2];
            if (!read_bytes(reader, text)) return false;
            if (!is_utf8(text->at, text->end)) return refuse(reader, "is not valid UTF-8");
        }
    }
    return true;
}

static int malformed_task(elkeid_client *client, const char *what, const char *reason)
{
    return report(client, ELKEID_MALFORMED_TASK, "a task was skipped: %s %s", what, reason);
}

static int decode_task(elkeid_client *client, struct reader reader, elkeid_task **task)
{
    struct reader texts[3] = {reader_of(NULL, 0), reader_of(NULL, 0), reader_of(NULL, 0)};
    int32_t data_type = 0;
    if (read_task(&reader, &data_type, texts)) return make_task(client, data_type, texts, task);
    char field[30];
    snprintf(field, sizeof field, "field %" PRIu64, reader.field);
    return malformed_task(client, reader.field > 0 ? field : "a tag", reader.error);
}

/* A line typed in debug mode: DATA_TYPE DATA. */
static int parse_line(elkeid_client *client, struct reader line, elkeid_task **task)
{
    bool negative = line.at < line.end && *line.at == '-';
    const byte *digits = line.at += negative;
    int64_t number = 0;
    for (; line.at < line.end && *line.at >= '0' && *line.at <= '9' && number <= INT32_MAX; line.at++) {
        number = 10 * number + (*line.at - '0');
    }
    if (negative) number = -number;
    if (line.at == digits || number < INT32_MIN || number > INT32_MAX || (line.at < line.end && *line.at != ' ')) {
        return malformed_task(client, "a line is DATA_TYPE, a space and DATA in UTF-8,", "such as: 7001 {\"a\":1}");
    }
    if (line.at < line.end) line.at++;
    if (!is_utf8(line.at, line.end)) return malformed_task(client, "the data", "is not valid UTF-8");
    char token[40];
    int size = snprintf(token, sizeof token, "debug-%lu", client->tasks.typed + 1);
    const struct reader texts[3] = {reader_of(NULL, 0), line, reader_of(token, (size_t)size)};
    int status = make_task(client, (int32_t)number, texts, task);
    if (status == ELKEID_OK) client->tasks.typed++;
    return status;
}
