/* Elkeid Agent in Swift
 * SPDX-License-Identifier: Apache-2.0 */

/* ---- The record buffer and what is put into it; all with the pipe's mutex held ---- */

/* Makes room for `size` bytes behind `end`. Returns false when there is no memory. */
static bool reserve(struct record_pipe *pipe, size_t size)
{
    if (size <= pipe->capacity - pipe->end) return true;
    if (size > SIZE_MAX / 4 || pipe->capacity > SIZE_MAX / 4) return false;
    size_t capacity = pipe->capacity + pipe->capacity / 2;
    if (capacity < pipe->end + size) capacity = pipe->end + size;
    byte *grown = realloc(pipe->bytes, capacity);
    if (!grown) return false;
    pipe->bytes = grown;
    pipe->capacity = capacity;
    return true;
}

/* Starts again at the front of the empty buffer, and gives back what unusually large records made it grow. */
static void reset_buffer(struct record_pipe *pipe)
{
    pipe->start = pipe->end = 0;
    if (pipe->capacity == pipe->initial_capacity) return;
    byte *shrunk = realloc(pipe->bytes, pipe->initial_capacity);
    if (!shrunk) return; /* the larger one still serves */
    pipe->bytes = shrunk;
    pipe->capacity = pipe->initial_capacity;
}

/* The size of a frame, the 4 bytes of its length included. */
static size_t frame_size(const byte *frame)
{
    return LENGTH_SIZE + (frame[0] | (size_t)frame[1] << 8 | (size_t)frame[2] << 16 | (size_t)frame[3] << 24);
}

static void put_frame_size(struct record_pipe *pipe, size_t at, size_t size)
{
    for (int index = 0; index < LENGTH_SIZE; index++) pipe->bytes[at + (size_t)index] = (byte)(size >> (8 * index));
}

/* The first frame that is not written as a whole. */
static size_t first_unwritten_frame(const struct record_pipe *pipe)
{
    size_t at = 0;
    while (at < pipe->start) {
        size_t next = at + frame_size(pipe->bytes + at);
        if (next > pipe->start) break;
        at = next;
    }
    return at;
}

/* Moves what is not written to the front when the room behind it gets short. The capacity is such that at least as much
 * was written meanwhile as half of what is moved. */
static void compact(struct record_pipe *pipe)
{
    if (pipe->start == 0 || pipe->capacity - pipe->end >= SLACK) return;
    size_t from = first_unwritten_frame(pipe);
    memmove(pipe->bytes, pipe->bytes + from, pipe->end - from);
    pipe->start -= from;
    pipe->end -= from;
}

static int record_too_large(struct record_pipe *pipe, uint64_t size)
{
    return report(pipe->client, ELKEID_RECORD_TOO_LARGE,
                  "a record of %" PRIu64 " bytes was not sent, the limit is %zu: split it or shorten its values", size,
                  pipe->client->options.max_record_size);
}

static inline size_t put_decimal(char digits[21], bool negative, uint64_t magnitude)
{
    char reversed[20];
    size_t count = 0, size = 0;
    do reversed[count++] = (char)('0' + magnitude % 10);
    while (magnitude /= 10);
    if (negative) digits[size++] = '-';
    while (count > 0) digits[size++] = reversed[--count];
    return size;
}

static inline size_t put_signed_decimal(char digits[21], int64_t number)
{
    return put_decimal(digits, number < 0, number < 0 ? 0 - (uint64_t)number : (uint64_t)number);
}

/* The bytes of a field's value; those of a number are made in `digits`. */
static inline const void *field_value(const elkeid_field *field, char digits[21], size_t *size)
{
    switch (field->kind) {
    case ELKEID_FIELD_INT: *size = put_signed_decimal(digits, field->value.int64); return digits;
    case ELKEID_FIELD_UINT: *size = put_decimal(digits, false, field->value.uint64); return digits;
    case ELKEID_FIELD_BYTES:
    default: *size = field->size; return field->value.bytes;
    }
}

/* Encodes a record as a frame at the buffer's end. When it fails, `end` may be anywhere behind where it was. */
static int put_record(struct record_pipe *pipe, const elkeid_record *record, size_t limit)
{
    size_t start = pipe->end;
    if (!reserve(pipe, LENGTH_SIZE + 2 * (1 + MAX_VARINT_SIZE) + 1 + PAYLOAD_LENGTH_SIZE)) return ELKEID_SYSTEM;
    byte *at = pipe->bytes + start + LENGTH_SIZE;
    /* Zero is the default of proto3 and not written. */
    if (record->data_type != 0) {
        *at++ = 0x08;
        at = put_varint(at, (uint64_t)(int64_t)record->data_type);
    }
    if (record->timestamp != 0) {
        *at++ = 0x10;
        at = put_varint(at, (uint64_t)record->timestamp);
    }
    *at++ = 0x1A;
    at += PAYLOAD_LENGTH_SIZE;
    size_t payload_start = (size_t)(at - pipe->bytes);
    pipe->end = payload_start;

    uint64_t payload_size = 0;
    for (size_t index = 0; index < record->field_count; index++) {
        const elkeid_field *field = &record->fields[index];
        char digits[21];
        size_t size;
        const void *value = field_value(field, digits, &size);
        size_t entry = 2 + varint_size(field->key_size) + field->key_size + varint_size(size) + size;
        size_t whole = 1 + varint_size(entry) + entry;
        payload_size += whole;
        /* Only measured from here on. */
        if (payload_size > limit) continue;
        if (!reserve(pipe, whole)) return ELKEID_SYSTEM;
        at = pipe->bytes + pipe->end;
        *at++ = 0x0A;
        at = put_varint(at, entry);
        at = put_bytes(at, 0x0A, field->key, field->key_size);
        put_bytes(at, 0x12, value, size);
        pipe->end += whole;
    }

    size_t length_size = varint_size(payload_size);
    size_t head = payload_start - PAYLOAD_LENGTH_SIZE;
    uint64_t size = head - start - LENGTH_SIZE + length_size + payload_size;
    if (size > limit) return record_too_large(pipe, size);
    if (length_size != PAYLOAD_LENGTH_SIZE) {
        if (!reserve(pipe, MAX_VARINT_SIZE)) return ELKEID_SYSTEM;
        memmove(pipe->bytes + head + length_size, pipe->bytes + payload_start, (size_t)payload_size);
    }
    put_varint(pipe->bytes + head, payload_size);
    put_frame_size(pipe, start, (size_t)size);
    pipe->end = start + LENGTH_SIZE + (size_t)size;
    return ELKEID_OK;
}

static int put_raw(struct record_pipe *pipe, const void *record, size_t size, size_t limit)
{
    if (size > limit) return record_too_large(pipe, size);
    if (!reserve(pipe, LENGTH_SIZE + size)) return ELKEID_SYSTEM;
    put_frame_size(pipe, pipe->end, size);
    if (size > 0) memcpy(pipe->bytes + pipe->end + LENGTH_SIZE, record, size);
    pipe->end += LENGTH_SIZE + size;
    return ELKEID_OK;
}
