/* A head's matrix, bias and labels out of any file that has them: what `convert` reads. */
#ifndef LGT_CLI_HEAD_SOURCE_H
#define LGT_CLI_HEAD_SOURCE_H

#include <jansson.h>

#include "logitude/logitude.h"
#include "options.h"

enum { CLI_SOURCE_OWNED = 16 };

typedef struct cli_source_file {
    lgt_context *context;
    const char *path, *format; /* "model", "safetensors", "npz", "npy", "sklearn", "insightface", "liblinear" */
    int64_t n_files;
    int dtype;           /* that floats get */
    lgt_tensors tensors; /* all there is in a file of several */
    lgt_tensors single;  /* what a .npy file has; of shards nothing */
    /* The head, after cli_head_find: arrays that borrow from the tensors, or from `owned`. */
    const char *weight_name;
    lgt_array weight, bias; /* (C, D), or (1, D) of two classes; (rows), data NULL: none */
    int64_t n_classes;
    /* After cli_head_labels. */
    int64_t *labels; /* (n_classes), or NULL: they are texts */
    json_t *names;   /* label names, or NULL: the labels */
    void *owned[CLI_SOURCE_OWNED];
    int n_owned;
} cli_source_file;

/* In place of a type: floats stay as they are, or all but those of 16 bits, which become f32. */
enum { CLI_KEEP = -1, CLI_NO_HALVES = -2 };

/* Reads a file by its content, or shards where the path holds {rank}. Floats become `dtype`: those of one array at
 * once, those of several by cli_source_convert or cli_head_find. To be closed in any case. */
lgt_status cli_source_read(lgt_context *context, const char *path, int dtype, cli_source_file *out, lgt_error *err);
void cli_source_close(cli_source_file *source);

/* Gives all floats their type. */
lgt_status cli_source_convert(cli_source_file *source, lgt_error *err);

/* Finds the head, by the names given or by those that programs use; transposed: the matrix is (D, C). */
lgt_status cli_head_find(cli_source_file *source, const char *weight, const char *bias, int transposed, lgt_error *err);

/* Finds the labels of source->n_classes classes, 0 .. C-1 where the file tells none. Errors: DATA also for one that is
 * given twice. */
lgt_status cli_head_labels(cli_source_file *source, lgt_error *err);

/* Whether tensors of this name have labels. */
int cli_names_labels(const char *name);

/* Makes weight and bias such that the logits are x weight^T + bias for features x as the file's model takes them, in
 * double where anything is computed. Errors: USAGE where logits are not linear in them. */
lgt_status cli_head_linear(cli_source_file *source, lgt_error *err);

/* Of two classes: one row that is positive for the second (the difference), or two rows, the first of zeros. */
void cli_head_to_one_row(cli_source_file *source);
void cli_head_to_two_rows(cli_source_file *source);

/* Weight and bias, f32 or f64, become f32. Errors: DATA naming the first element that is beyond it. */
lgt_status cli_head_round(cli_source_file *source, lgt_error *err);

/* Zeroed memory that lives as long as the source. */
void *cli_source_own(cli_source_file *source, int64_t count, size_t size);

#endif
