/* Parameters as specifications write them, key=value,...: read against a table of lgt_param_info. Losses and alignment
 * terms are both read here. */
#ifndef LGT_LOSS_PARAMETERS_H
#define LGT_LOSS_PARAMETERS_H

#include <stddef.h>

#include "logitude/loss.h"

/* --- Pieces of text --- */

/* The text at[0..length), not ended by NUL; at == NULL: there is none. */
typedef struct lgt_piece {
    const char *at;
    size_t length;
} lgt_piece;

/* The whole of a text, which may be NULL. */
lgt_piece lgt_piece_of(const char *text);

int lgt_piece_is(lgt_piece piece, const char *word);

/* Splits off the part before the first `mark`; *rest is what follows it, at == NULL where there is no mark. */
lgt_piece lgt_piece_split(lgt_piece piece, char mark, lgt_piece *rest);

/* For messages alone: the head of the piece, ended by NUL. */
enum { LGT_WORD_MAX = 63 };
void lgt_piece_quote(lgt_piece piece, char out[LGT_WORD_MAX + 1]);

/* The word nearest to what was typed, for "did you mean": begin with {typed, "", INT_MAX}. */
typedef struct lgt_nearest {
    const char *typed, *word;
    int distance;
} lgt_nearest;

void lgt_nearest_try(lgt_nearest *nearest, const char *word);

/* --- Parameters --- */

/* The parameters that something has, and its name in messages. */
typedef struct lgt_param_table {
    const char *name;
    const lgt_param_info *params;
    int n_params;
} lgt_param_table;

/* Reads one value into `target`. */
typedef lgt_status (*lgt_param_reader)(void *target, int index, lgt_piece text, lgt_error *err);

/* Every parameter's default. */
lgt_status lgt_params_default(const lgt_param_table *table, lgt_param_reader read, void *target, lgt_error *err);

/* Pairs key=value,... (at == NULL: none). Errors: USAGE (no pair; an unknown key, with the nearest or all; a key given
 * twice); those of `read`. */
lgt_status lgt_params_read(const lgt_param_table *table, lgt_piece pairs, lgt_param_reader read, void *target,
                           lgt_error *err);

/* The value of a REAL, INTEGER or CHOICE. Errors: USAGE, with the bounds or the words. */
lgt_status lgt_param_read(const lgt_param_table *table, int index, lgt_piece text, double *out, lgt_error *err);

/* USAGE: a value that is not what was expected. */
lgt_status lgt_param_refuse(const lgt_param_table *table, int index, lgt_piece text, const char *expected,
                            lgt_error *err);

/* A number, or a CHOICE's word, as it is read back. Returns its length, or size when it was cut. */
size_t lgt_param_format(const lgt_param_info *param, double value, char *out, size_t size);

#endif
