/* A field is a key, number * 8 + kind, and its value: a varint (kind 0, seven bits a byte, the lowest first), or a
 * length and that many bytes (kind 2). https://protobuf.dev/programming-guides/encoding/ */
#include "data/protobuf.h"

#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "data/growth.h"

enum { VARINT = 0, BYTES = 2, LONGEST = 10 };

/* Readers take messages of less than 2 GiB. */
static const size_t most = INT32_MAX;

static unsigned char *grow(lgt_message *m, size_t length) {
    if (m->status) return NULL;
    if (length > most - m->length)
        m->status = lgt_fail(m->err, LGT_ERR_UNSUPPORTED, "a message of %zu bytes and more, expected less than 2 GiB",
                             m->length + length);
    else
        m->status = lgt_grow(m->context, &m->bytes, m->length, &m->room, m->length + length, m->err);
    if (m->status) return NULL;
    m->length += length;
    return m->bytes + m->length - length;
}

static void put_varint(lgt_message *m, uint64_t value) {
    unsigned char bytes[LONGEST];
    size_t n = 0;
    for (; value > 127; value >>= 7) bytes[n++] = (unsigned char)(value & 127) | 128;
    bytes[n++] = (unsigned char)value;
    unsigned char *to = grow(m, n);
    if (to) memcpy(to, bytes, n);
}

void lgt_message_integer(lgt_message *message, int field, int64_t value) {
    put_varint(message, (uint64_t)field << 3 | VARINT);
    put_varint(message, (uint64_t)value);
}

void lgt_message_bytes(lgt_message *message, int field, const void *bytes, size_t length) {
    put_varint(message, (uint64_t)field << 3 | BYTES);
    put_varint(message, length);
    unsigned char *to = grow(message, length);
    if (to && length) memcpy(to, bytes, length);
}

void lgt_message_text(lgt_message *message, int field, const char *text) {
    lgt_message_bytes(message, field, text, strlen(text));
}

void lgt_message_within(lgt_message *message, int field, lgt_message *inner) {
    if (inner->status && !message->status) message->status = inner->status;
    lgt_message_bytes(message, field, inner->bytes, inner->length);
    lgt_message_free(inner);
}

void lgt_message_free(lgt_message *message) {
    lgt_release(message->context, message->bytes);
    message->bytes = NULL;
    message->length = message->room = 0;
}
