/* What curvature works on: a head's arrays or logits, read from files or made by a model from data; all in double. */
#ifndef LGT_CLI_CURVED_PROBLEM_H
#define LGT_CLI_CURVED_PROBLEM_H

#include "head_arrays.h"

/* In the order of --wrt. */
enum { CLI_BY_LOGITS, CLI_BY_FEATURES, CLI_BY_WEIGHTS, CLI_BY_BOTH };

/* Arrays are NULL where they are not given; those of files lie in `arrays`, those of a model in `wide`. */
typedef struct cli_curved_problem {
    cli_head_arrays arrays;
    lgt_array logits;
    double *wide[3];
    int64_t *model_labels;
    lgt_context *context;
    lgt_loss loss;
    int has_loss; /* 0: logits alone */
    int64_t n_rows, dim, n_classes, rows_w, step;
    const double *x, *w, *b; /* (N, D), (C k, D), (C) */
    const int64_t *y;        /* (N) */
    const double *z;         /* (N, C) by logits */
    double *made;            /* z where a head made it */
    double *v;               /* the direction: x, w and b one after the other as --wrt has them, or z */
    int64_t size;            /* of v */
} cli_curved_problem;

/* Reads --logits, or --loss and its arrays, or --model and --data, and the directions. To be closed in any case. */
lgt_status cli_curved_problem_open(const cli_args *args, cli_curved_problem *out, lgt_error *err);
void cli_curved_problem_close(cli_curved_problem *problem);

/* For a float64 plan. */
lgt_head_inputs cli_curved_inputs(const cli_curved_problem *problem);

#endif
