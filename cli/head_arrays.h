/* A head problem given as files: a loss and its arrays, read and checked as one. */
#ifndef LGT_CLI_HEAD_ARRAYS_H
#define LGT_CLI_HEAD_ARRAYS_H

#include "arrays.h"
#include "options.h"

/* Entries of option tables. */
#define CLI_OPTION_FILE(text, letters, place, mark, about)                                                             \
    { .name = text, .kind = CLI_INPUT, .metavar = letters, .marks = mark, .group = place, .help = about }
#define CLI_OPTION_WEIGHTS(place, mark)                                                                                \
    CLI_OPTION_FILE("weights", "W", place, mark, "weights (C, D), one class a row; with k sub-centres (C k, D)")
#define CLI_OPTION_BIAS(place) CLI_OPTION_FILE("bias", "B", place, 0, "bias (C), where the loss has one")
#define CLI_OPTION_DIRECTION_W(place)                                                                                  \
    CLI_OPTION_FILE("direction-w", "VW", place, 0, "direction of the weights, shaped as they are")
#define CLI_OPTION_DIRECTION_B(place) CLI_OPTION_FILE("direction-b", "VB", place, 0, "direction of the bias (C)")
#define CLI_OPTION_SOFT_TARGETS(place)                                                                                 \
    CLI_OPTION_FILE("soft-targets", "T", place, 0,                                                                     \
                    "targets (N, C), rows that sum to 1, in place of the labels, which then name ignored rows only")
#define CLI_OPTION_CLASS_MARGINS(place)                                                                                \
    CLI_OPTION_FILE("class-margins", "M", place, 0, "margin of every class (C), in place of the loss's")
#define CLI_OPTION_CLASS_SCALES(place)                                                                                 \
    CLI_OPTION_FILE("class-scales", "S", place, 0, "scale of every class (C), in place of the loss's")
#define CLI_OPTION_QUALITIES(place)                                                                                    \
    CLI_OPTION_FILE("qualities", "Q", place, 0, "what adaface's margin reads of every row (N), in place of its norm")

/* context, dtype and ignore_label are the caller's; arrays not given stay empty. */
typedef struct cli_head_arrays {
    lgt_context *context;
    lgt_dtype dtype; /* of x, w, b and soft; the others are f64, labels i64 */
    int64_t ignore_label;
    lgt_loss loss;
    int64_t n_rows, n_classes, rows_w, dim;
    lgt_array x, w, y, b, soft, class_margins, class_scales, qualities;
} cli_head_arrays;

/* --loss and --like; refuses a --bias where the loss has none. */
lgt_status cli_head_loss_open(const cli_args *args, lgt_loss *out, lgt_error *err);

/* --features, --weights, --labels and --bias, for the loss. To be freed in any case. */
lgt_status cli_head_arrays_read(const cli_args *args, cli_head_arrays *out, lgt_error *err);

/* Of verbs that have these: --soft-targets, --class-margins, --class-scales, --qualities. */
lgt_status cli_head_rules_read(const cli_args *args, cli_head_arrays *out, lgt_error *err);

/* --labels, each in [0, n_classes) or the ignored one; `why` is of their number. */
lgt_status cli_labels_read(const cli_args *args, cli_head_arrays *out, const char *why, lgt_error *err);

void cli_head_arrays_free(cli_head_arrays *arrays);

/* Views of the arrays. */
lgt_head_inputs cli_head_inputs(const cli_head_arrays *arrays);

#endif
