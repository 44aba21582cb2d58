/* Records of a CSV file, one after the other (RFC 4180: quotes, CRLF or LF), as a machine of five states. */
#include "data/csv_record.h"

#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "data/growth.h"

enum { CHUNK = 1 << 16, RECORD_LIMIT = 16 << 20, CELL_LIMIT = 1 << 20, FIRST_ROOM = 4096 };
/* A real table of numbers packs to a tenth; far beyond that a few bytes would fill the memory. */
enum { PACKING_LIMIT = 200, PACKING_FREE = 1 << 20 };

typedef enum state { CELL_BEGIN, PLAIN, QUOTED, QUOTE_END, CARRIAGE } state;

struct lgt_csv_reader {
    lgt_context *context;
    lgt_input *input;
    char *chunk;
    size_t chunk_at, chunk_length;
    char *text; /* the cells of the record, joined */
    size_t text_length, text_room;
    size_t *ends;     /* where each cell ends in text */
    size_t ends_room; /* bytes */
    int64_t n_cells;
    int64_t line, record_line; /* of the next byte | of the record's first */
    int begun;                 /* the byte order mark has been looked for */
};

lgt_status lgt_csv_open(lgt_context *context, lgt_input *input, lgt_csv_reader **out, lgt_error *err) {
    lgt_csv_reader *reader = NULL;
    lgt_status status = LGT_NEW_ZERO(context, &reader, 1, err);
    if (status) return status;
    reader->context = context;
    reader->input = input;
    reader->line = reader->record_line = 1;
    status = lgt_alloc(context, CHUNK, 1, &reader->chunk, err);
    if (!status) status = lgt_grow(context, &reader->text, 0, &reader->text_room, FIRST_ROOM, err);
    if (!status) status = lgt_grow(context, &reader->ends, 0, &reader->ends_room, FIRST_ROOM, err);
    if (status) {
        lgt_csv_close(reader);
        return status;
    }
    *out = reader;
    return LGT_OK;
}

void lgt_csv_close(lgt_csv_reader *reader) {
    if (!reader) return;
    lgt_release(reader->context, reader->ends);
    lgt_release(reader->context, reader->text);
    lgt_release(reader->context, reader->chunk);
    lgt_release(reader->context, reader);
}

int64_t lgt_csv_line(const lgt_csv_reader *reader) {
    return reader->record_line;
}

lgt_csv_cell lgt_csv_cell_at(const lgt_csv_reader *reader, int64_t index) {
    size_t begin = index ? reader->ends[index - 1] : 0;
    return (lgt_csv_cell){reader->text + begin, reader->ends[index] - begin};
}

static lgt_status fail(const lgt_csv_reader *reader, lgt_status status, const char *what, lgt_error *err) {
    return lgt_fail(err, status, "%s:%lld: %s", lgt_input_path(reader->input), (long long)reader->line, what);
}

static lgt_status next_chunk(lgt_csv_reader *reader, lgt_error *err) {
    const lgt_input *input = reader->input;
    reader->chunk_at = 0;
    lgt_status status = lgt_input_read(reader->input, reader->chunk, CHUNK, &reader->chunk_length, err);
    if (status) return status;
    if (lgt_input_is_packed(input) &&
        (lgt_input_given(input) - PACKING_FREE) / PACKING_LIMIT > lgt_input_file_size(input))
        return fail(reader, LGT_ERR_MEMORY, "unpacks to more than 200 times its size: unpack it with gzip first", err);
    if (reader->begun) return LGT_OK;
    reader->begun = 1;
    if (reader->chunk_length >= 2 &&
        (memcmp(reader->chunk, "\xFF\xFE", 2) == 0 || !memcmp(reader->chunk, "\xFE\xFF", 2)))
        return fail(reader, LGT_ERR_DATA, "the text is UTF-16, expected UTF-8", err);
    if (reader->chunk_length >= 3 && memcmp(reader->chunk, "\xEF\xBB\xBF", 3) == 0) reader->chunk_at = 3;
    return LGT_OK;
}

static lgt_status add_byte(lgt_csv_reader *reader, char byte, lgt_error *err) {
    if (reader->text_length == RECORD_LIMIT)
        return fail(reader, LGT_ERR_MEMORY, "the record is longer than 16 MiB, the limit", err);
    if (reader->text_length == reader->text_room) {
        size_t used = reader->text_length;
        lgt_status status = lgt_grow(reader->context, &reader->text, used, &reader->text_room, used + 1, err);
        if (status) return status;
    }
    reader->text[reader->text_length++] = byte;
    return LGT_OK;
}

static lgt_status end_cell(lgt_csv_reader *reader, lgt_error *err) {
    if (reader->n_cells == CELL_LIMIT)
        return fail(reader, LGT_ERR_MEMORY, "the record has more than 1048576 cells, the limit", err);
    size_t used = (size_t)reader->n_cells * sizeof *reader->ends;
    lgt_status status =
        lgt_grow(reader->context, &reader->ends, used, &reader->ends_room, used + sizeof *reader->ends, err);
    if (!status) reader->ends[reader->n_cells++] = reader->text_length;
    return status;
}

/* One byte outside quotes. */
static lgt_status step_plain(lgt_csv_reader *reader, char byte, state *at, lgt_error *err) {
    switch (byte) {
    case ',':
        *at = CELL_BEGIN;
        return end_cell(reader, err);
    case '\r':
        *at = CARRIAGE;
        return LGT_OK;
    case '\0':
        return fail(reader, LGT_ERR_DATA, "a NUL byte, expected text", err);
    case '"':
        if (*at == CELL_BEGIN)
            *at = QUOTED;
        else
            return fail(reader, LGT_ERR_DATA, "a quote within a cell, expected one around the whole cell", err);
        return LGT_OK;
    default:
        if (*at == QUOTE_END)
            return fail(reader, LGT_ERR_DATA, "text behind a closing quote, expected a comma or the end of the line",
                        err);
        *at = PLAIN;
        return add_byte(reader, byte, err);
    }
}

/* One byte of the record; *done when it was the last. */
static lgt_status step(lgt_csv_reader *reader, char byte, state *at, int *done, lgt_error *err) {
    if (*at == QUOTED) {
        if (byte == '\0') return fail(reader, LGT_ERR_DATA, "a NUL byte, expected text", err);
        if (byte == '\n') reader->line++;
        if (byte != '"') return add_byte(reader, byte, err);
        *at = QUOTE_END;
        return LGT_OK;
    }
    if (byte == '\n') {
        *done = 1;
        lgt_status status = end_cell(reader, err);
        reader->line++;
        return status;
    }
    if (*at == CARRIAGE) return fail(reader, LGT_ERR_DATA, "a carriage return without a line feed behind it", err);
    if (*at == QUOTE_END && byte == '"') { /* two quotes stand for one */
        *at = QUOTED;
        return add_byte(reader, byte, err);
    }
    return step_plain(reader, byte, at, err);
}

lgt_status lgt_csv_next(lgt_csv_reader *reader, int64_t *n_cells, lgt_error *err) {
    state at = CELL_BEGIN;
    int done = 0;
    lgt_status status = LGT_OK;
    reader->text_length = 0;
    reader->n_cells = 0;
    reader->record_line = reader->line;
    while (!status && !done) {
        if (reader->chunk_at == reader->chunk_length) status = next_chunk(reader, err);
        if (status || reader->chunk_at == reader->chunk_length) break;
        status = step(reader, reader->chunk[reader->chunk_at++], &at, &done, err);
    }
    if (!status && !done && (at != CELL_BEGIN || reader->n_cells)) { /* the last line may lack its end */
        if (at == QUOTED) return fail(reader, LGT_ERR_DATA, "the file ends within quotes", err);
        if (at == CARRIAGE) return fail(reader, LGT_ERR_DATA, "a carriage return without a line feed behind it", err);
        status = end_cell(reader, err);
    }
    *n_cells = reader->n_cells;
    return status;
}
