/* Elkeid Agent in Swift
 * SPDX-License-Identifier: Apache-2.0 */

/* ---- Debug mode: records as lines of JSON ---- */

struct text {
    char *bytes;
    size_t size, capacity;
    bool failed; /* there was no memory */
};

static void append(struct text *text, const void *bytes, size_t size)
{
    if (size > text->capacity - text->size) {
        size_t capacity = 2 * text->capacity + size + 256;
        char *grown = text->failed ? NULL : realloc(text->bytes, capacity);
        if (!grown) {
            text->failed = true;
            return;
        }
        text->bytes = grown;
        text->capacity = capacity;
    }
    memcpy(text->bytes + text->size, bytes, size);
    text->size += size;
}

static void append_format(struct text *text, const char *format, ...) ELKEID_PRINTF(2, 3);

/* For short texts. */
static void append_format(struct text *text, const char *format, ...)
{
    char buffer[100];
    va_list values;
    va_start(values, format);
    int size = vsnprintf(buffer, sizeof buffer, format, values);
    va_end(values);
    append(text, buffer, (size_t)size);
}

static void append_json_string(struct text *text, const struct reader *content)
{
    static const char escaped[] = "\"\\\n\r\t\b\f", names[] = "\"\\nrtbf";
    append(text, "\"", 1);
    for (const byte *at = content->at; at < content->end;) {
        bool valid;
        size_t size = character_size(at, content->end, &valid);
        const char *found = *at ? strchr(escaped, *at) : NULL;
        if (!valid) {
            append(text, "\xEF\xBF\xBD", 3);
        } else if (found) {
            append_format(text, "\\%c", names[found - escaped]);
        } else if (*at < 0x20) {
            append_format(text, "\\u%04x", *at);
        } else {
            append(text, at, size);
        }
        at += size;
    }
    append(text, "\"", 1);
}

/* Appends `"key":"value"` for a map entry, if `text` is not NULL. Returns false when the entry is malformed. */
static bool scan_entry(struct reader entry, struct text *text, bool first)
{
    struct reader key = reader_of(NULL, 0), value = key;
    while (entry.at < entry.end) {
        if (!read_tag(&entry)) return false;
        if (entry.field > 2) {
            if (!skip_field(&entry)) return false;
        } else if (entry.wire_type != 2 || !read_bytes(&entry, entry.field == 1 ? &key : &value)) {
            return false;
        }
    }
    if (!text) return true;
    if (!first) append(text, ",", 1);
    append_json_string(text, &key);
    append(text, ":", 1);
    append_json_string(text, &value);
    return true;
}

/* The same for all entries of a payload. */
static bool scan_payload(struct reader payload, struct text *text, bool *first)
{
    while (payload.at < payload.end) {
        struct reader entry;
        if (!read_tag(&payload)) return false;
        if (payload.field > 1) {
            if (!skip_field(&payload)) return false;
            continue;
        }
        if (payload.wire_type != 2 || !read_bytes(&payload, &entry) || !scan_entry(entry, text, *first)) return false;
        *first = false;
    }
    return true;
}

/* Reads a Record message, and appends its fields if `text` is not NULL. Returns false when it is malformed. */
static bool scan_record(struct reader record, int32_t *data_type, int64_t *timestamp, struct text *text)
{
    bool first = true;
    while (record.at < record.end) {
        uint64_t value;
        struct reader payload;
        if (!read_tag(&record)) return false;
        if (record.field > 3) {
            if (!skip_field(&record)) return false;
        } else if (record.wire_type != (record.field == 3 ? 2 : 0)) {
            return false;
        } else if (record.field == 3) {
            if (!read_bytes(&record, &payload) || !scan_payload(payload, text, &first)) return false;
        } else {
            if (!read_varint(&record, &value)) return false;
            if (record.field == 1) *data_type = (int32_t)(uint32_t)value;
            else *timestamp = (int64_t)value;
        }
    }
    return true;
}

/* Puts a line in the place of the frame that begins at `start`. */
static int print_frame(struct record_pipe *pipe, size_t start, enum elkeid_priority priority)
{
    size_t content = start + LENGTH_SIZE;
    struct reader record = reader_of(pipe->bytes + content, pipe->end - content);
    struct text text = {NULL, 0, 0, false};
    int32_t data_type = 0;
    int64_t timestamp = 0;
    if (scan_record(record, &data_type, &timestamp, NULL)) {
        append_format(&text, "{\"data_type\":%" PRId32 ",\"timestamp\":%" PRId64 "%s,\"fields\":{", data_type,
                      timestamp, priority == ELKEID_HIGH ? ",\"priority\":\"high\"" : "");
        scan_record(record, &data_type, &timestamp, &text);
        append(&text, "}}\n", 3);
    } else {
        append_format(&text, "{\"malformed\":\"");
        for (const byte *at = record.at; at < record.end; at++) append_format(&text, "%02x", *at);
        append(&text, "\"}\n", 3);
    }
    pipe->end = start;
    bool fits = !text.failed && reserve(pipe, text.size);
    if (fits) {
        memcpy(pipe->bytes + start, text.bytes, text.size);
        pipe->end += text.size;
    }
    free(text.bytes);
    return fits ? ELKEID_OK : ELKEID_SYSTEM;
}
