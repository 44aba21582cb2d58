/* Records of a CSV file, one after the other (RFC 4180: quotes, CRLF or LF). */
#ifndef LGT_DATA_CSV_RECORD_H
#define LGT_DATA_CSV_RECORD_H

#include "data/input.h"

typedef struct lgt_csv_reader lgt_csv_reader;

typedef struct lgt_csv_cell {
    const char *text; /* not ended by NUL; valid until the next record */
    size_t length;
} lgt_csv_cell;

/* Borrows the input. */
lgt_status lgt_csv_open(lgt_context *context, lgt_input *input, lgt_csv_reader **out, lgt_error *err);
void lgt_csv_close(lgt_csv_reader *reader);

/* Reads the next record; *n_cells is 0 at the end of the file. Errors, with the line: DATA, MEMORY (a limit). */
lgt_status lgt_csv_next(lgt_csv_reader *reader, int64_t *n_cells, lgt_error *err);
lgt_csv_cell lgt_csv_cell_at(const lgt_csv_reader *reader, int64_t index);
/* The line, from 1, where the record begins. */
int64_t lgt_csv_line(const lgt_csv_reader *reader);

#endif
