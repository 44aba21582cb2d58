/* Protocol buffers (the wire format of version 2 and 3), written only: fields of a message, one after the other. */
#ifndef LGT_DATA_PROTOBUF_H
#define LGT_DATA_PROTOBUF_H

#include <stddef.h>
#include <stdint.h>

#include "logitude/context.h"

/* A message under construction. The first failure stays: status tells at the end whether all fields are in. */
typedef struct lgt_message {
    lgt_context *context;
    unsigned char *bytes;
    size_t length, room;
    lgt_status status;
    lgt_error *err;
} lgt_message;

void lgt_message_integer(lgt_message *message, int field, int64_t value);
void lgt_message_text(lgt_message *message, int field, const char *text);
void lgt_message_bytes(lgt_message *message, int field, const void *bytes, size_t length);
/* Puts a message into a field of another, and frees it. */
void lgt_message_within(lgt_message *message, int field, lgt_message *inner);
void lgt_message_free(lgt_message *message);

#endif
