/* Tables in CSV. */
#ifndef LGT_DATA_CSV_H
#define LGT_DATA_CSV_H

#include "data/input.h"
#include "data/table.h"

/* Which column holds labels; ALONE: the only one, as in a file of labels. */
typedef enum lgt_csv_labels { LGT_CSV_NO_LABELS, LGT_CSV_LAST, LGT_CSV_NAMED, LGT_CSV_ALONE } lgt_csv_labels;

/* `name` is for LGT_CSV_NAMED: a number from 1, or a name that the header must have. On an error `out` is empty. */
lgt_status lgt_csv_read(lgt_context *context, lgt_input *input, lgt_csv_labels kind, const char *name, lgt_table *out,
                        lgt_error *err);

#endif
