/* Elkeid Agent in Swift
 * SPDX-License-Identifier: Apache-2.0 */

/* ---- Protobuf ---- */

static inline size_t varint_size(uint64_t value)
{
    size_t size = 1;
    if (value < 0x80) return 1;
    while (value >>= 7) size++;
    return size;
}

static inline byte *put_varint(byte *at, uint64_t value)
{
    if (value < 0x80) {
        *at++ = (byte)value;
        return at;
    }
    for (; value >= 0x80; value >>= 7) *at++ = (byte)(value | 0x80);
    *at++ = (byte)value;
    return at;
}

/* As memcpy; most keys and values are short, and for them a call costs more than the copy: the two parts overlap. */
static inline void copy(byte *to, const byte *from, size_t size)
{
    byte head[16], tail[16];
    if (size >= 16 && size <= 32) {
        memcpy(head, from, 16);
        memcpy(tail, from + size - 16, 16);
        memcpy(to, head, 16);
        memcpy(to + size - 16, tail, 16);
    } else if (size >= 8 && size < 16) {
        memcpy(head, from, 8);
        memcpy(tail, from + size - 8, 8);
        memcpy(to, head, 8);
        memcpy(to + size - 8, tail, 8);
    } else if (size >= 4 && size < 8) {
        memcpy(head, from, 4);
        memcpy(tail, from + size - 4, 4);
        memcpy(to, head, 4);
        memcpy(to + size - 4, tail, 4);
    } else if (size > 32) {
        memcpy(to, from, size);
    } else if (size > 0) {
        to[0] = from[0];
        to[size / 2] = from[size / 2];
        to[size - 1] = from[size - 1];
    }
}

/* A length-delimited field; its tag is one byte. */
static inline byte *put_bytes(byte *at, byte tag, const void *bytes, size_t size)
{
    *at++ = tag;
    at = put_varint(at, size);
    copy(at, bytes, size);
    return at + size;
}

/* Reads fields, checking every bound. */
struct reader {
    const byte *at, *end;
    uint64_t field; /* of the latest tag; 0 while a tag is read */
    unsigned wire_type;
    const char *error; /* why the last call returned false: what is wrong with the field, or the tag */
};

static struct reader reader_of(const void *bytes, size_t size)
{
    struct reader reader = {.at = bytes, .end = bytes};
    if (size > 0) reader.end += size;
    return reader;
}

static size_t rest_size(const struct reader *reader)
{
    return (size_t)(reader->end - reader->at);
}

static bool refuse(struct reader *reader, const char *reason)
{
    reader->error = reason;
    return false;
}

static bool read_varint(struct reader *reader, uint64_t *value)
{
    *value = 0;
    for (unsigned index = 0; index < MAX_VARINT_SIZE; index++) {
        if (reader->at == reader->end) return refuse(reader, "reaches past the end");
        byte next = *reader->at++;
        /* The tenth byte has room for one bit; what is beyond it is dropped, as protobuf libraries do. */
        *value |= (uint64_t)(next & 0x7F) << (7 * index);
        if (next < 0x80) return true;
    }
    return refuse(reader, "has a varint of more than 10 bytes");
}

static bool read_tag(struct reader *reader)
{
    uint64_t tag;
    reader->field = 0;
    if (!read_varint(reader, &tag)) return false;
    if (tag >> 3 < 1 || tag >> 3 >= 1 << 29) return refuse(reader, "has an invalid field number");
    reader->field = tag >> 3;
    reader->wire_type = (unsigned)(tag & 7);
    return true;
}

/* The content of a length-delimited field. */
static bool read_bytes(struct reader *reader, struct reader *content)
{
    uint64_t size;
    if (!read_varint(reader, &size)) return false;
    if (size > rest_size(reader)) return refuse(reader, "reaches past the end");
    *content = reader_of(reader->at, (size_t)size);
    reader->at += size;
    return true;
}

/* Passes over a field that this version does not know. */
static bool skip_field(struct reader *reader)
{
    uint64_t value;
    struct reader content;
    size_t size = reader->wire_type == 1 ? 8 : 4;
    switch (reader->wire_type) {
    case 0: return read_varint(reader, &value);
    case 2: return read_bytes(reader, &content);
    case 1:
    case 5:
        if (size > rest_size(reader)) return refuse(reader, "reaches past the end");
        reader->at += size;
        return true;
    /* Groups (3, 4) are not in proto3, 6 and 7 do not exist. */
    default: return refuse(reader, "has an invalid wire type");
    }
}

/* The size of the character at `at`, or of the longest part of one that is there (at least 1), which is what one
 * U+FFFD stands for. */
static size_t character_size(const byte *at, const byte *end, bool *valid)
{
    byte lead = *at;
    byte low = 0x80, high = 0xBF; /* of the second byte: excludes overlong forms, surrogates, and over U+10FFFF */
    size_t size;
    *valid = lead < 0x80;
    if (lead < 0xC2 || lead > 0xF4) return 1;
    size = lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
    if (lead == 0xE0) low = 0xA0;
    if (lead == 0xED) high = 0x9F;
    if (lead == 0xF0) low = 0x90;
    if (lead == 0xF4) high = 0x8F;
    for (size_t index = 1; index < size; index++) {
        if (at + index == end || at[index] < low || at[index] > high) return index;
        low = 0x80;
        high = 0xBF;
    }
    *valid = true;
    return size;
}

static bool is_utf8(const byte *at, const byte *end)
{
    bool valid = true;
    while (valid && at < end) at += character_size(at, end, &valid);
    return valid;
}
