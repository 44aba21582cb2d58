/* A head's matrix, bias and labels out of any file that has them: what `convert` reads. */
#ifndef LGT_CLI_HEAD_SOURCE_H
#define LGT_CLI_HEAD_SOURCE_H

#include <jansson.h>

#include "logitude/logitude.h"
#include "options.h"

enum { CLI_SOURCE_OWNED = 8 };

typedef struct cli_source_file {
    lgt_context *context;
    const char *path, *format; /* "model", "safetensors", "npz", "npy", "sklearn", "insightface", "liblinear" */
    int64_t n_files;
    lgt_tensors tensors; /* all there is in a file of several */
    lgt_tensors single;  /* what a .npy file has; of shards nothing */
    /* The head, after cli_head_find: arrays that borrow from the tensors, or from `owned`. */
    const char *weight_name;
    lgt_array weight, bias; /* (C, D), or (1, D) of two classes; (rows), data NULL: none */
    int64_t n_classes;
    int64_t *labels; /* (n_classes), or NULL: they are texts */
    json_t *names;   /* label names, or NULL: the labels */
    void *owned[CLI_SOURCE_OWNED];
    int n_owned;
} cli_source_file;

/* In place of a type: floats stay as they are, or all but those of 16 bits, which become f32. */
enum { CLI_KEEP = -1, CLI_NO_HALVES = -2 };

/* Reads a file by its content, or shards where the path holds {rank}. Floats become `dtype`. To be closed in any case.
 */
lgt_status cli_source_read(lgt_context *context, const char *path, int dtype, cli_source_file *out, lgt_error *err);
void cli_source_close(cli_source_file *source);

/* Finds the head, by the names given or by those that programs use; transposed: the matrix is (D, C). */
lgt_status cli_head_find(cli_source_file *source, const char *weight, const char *bias, int transposed, lgt_error *err);

/* Makes weight and bias such that the logits are x weight^T + bias for features x as the file's model takes them, in
 * double where anything is computed. Errors: USAGE where logits are not linear in them. */
lgt_status cli_head_linear(cli_source_file *source, lgt_error *err);

/* Of two classes: one row that is positive for the second (the difference), or two rows, the first of zeros. */
void cli_head_to_one_row(cli_source_file *source);
void cli_head_to_two_rows(cli_source_file *source);

/* Zeroed memory that lives as long as the source. */
void *cli_source_own(cli_source_file *source, int64_t count, size_t size);

/* The path with {rank} replaced, to be freed; whether it has one. */
char *cli_rank_path(const char *pattern, int64_t rank);
int cli_has_rank(const char *path);

#endif
