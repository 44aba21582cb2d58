/* Heads and plans: loss and gradients of a classification head over N samples and C classes.
 *
 * Notation (docs/maths.md): x (N, D) features, w (C, D) one class per row (a loss with k centres a class: (C k, D)), b
 * (C) bias, y (N) labels in [0, C). L_i is the loss of row i in nats (Eq. 6), a_i = sample_weight_i *
 * class_weight_{y_i} its weight (with soft targets sample_weight_i * sum_j t_ij class_weight_j), J = sum a_i L_i / sum
 * a_i over the rows that are used (mean) or sum a_i L_i (sum). */
#ifndef LOGITUDE_HEAD_H
#define LOGITUDE_HEAD_H

#include "comm.h"
#include "context.h"
#include "loss.h"
#include "types.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct lgt_head lgt_head;
typedef struct lgt_plan lgt_plan;

/* A head: a loss over n_classes classes of dim-dimensional features. Immutable; may be shared between plans.
 * Errors: USAGE (a dimension below 1), MEMORY. */
LGT_API lgt_status lgt_head_create(lgt_context *context, const lgt_loss *loss, int64_t dim, int64_t n_classes,
                                   lgt_head **out, lgt_error *err);

/* Frees a head after its plans; NULL is allowed. */
LGT_API void lgt_head_free(lgt_head *head);

typedef enum lgt_engine {
    LGT_ENGINE_CPU = 0,      /* streams over class tiles, threads, float32 or float64; never holds N x C */
    LGT_ENGINE_REFERENCE = 1 /* plain loops in double: the oracle; C x D doubles, one thread */
} lgt_engine;

typedef enum lgt_reduction {
    LGT_REDUCTION_MEAN = 0,
    LGT_REDUCTION_SUM = 1,
    LGT_REDUCTION_NONE = 2 /* row i enters with the upstream gradient given for it: J = sum upstream_i a_i L_i */
} lgt_reduction;

/* How the cpu engine multiplies float32 matrices. Sums, exponentials, dx and dw are float32 or better in all of them.
 */
typedef enum lgt_precision {
    LGT_PRECISION_FULL = 0, /* in the type of the plan */
    LGT_PRECISION_BF16X3 =
        1,                 /* each number as the sum of two bfloat16, three products of those: errors of about 1e-5 */
    LGT_PRECISION_BF16 = 2 /* numbers rounded to bfloat16: errors of about 1e-2 */
} lgt_precision;

/* How sums over the classes are made that several ranks share (docs/scaling.md); alone both are the same. */
typedef enum lgt_reduce {
    LGT_REDUCE_EXACT = 0, /* stripe by stripe in one order: the same bits for any number of ranks */
    LGT_REDUCE_FAST = 1   /* each rank's, then over the ranks: less traffic and memory; the same on all ranks, but right
                             only to rounding, with other bits for another number of them */
} lgt_reduce;

/* "Nothing is ignored": a label that no data carry. */
#define LGT_NO_IGNORE INT64_MIN

typedef struct lgt_plan_options {
    size_t struct_size;
    lgt_engine engine;
    lgt_dtype dtype;  /* of x, w, b, dx, dw, db: LGT_F32 (default) or LGT_F64 */
    int64_t max_rows; /* the most rows a run may have; default 1 */
    lgt_reduction reduction;
    double label_smoothing;  /* e in [0, 1): target (1-e) [j=y] + e/C; the margin stays on y (Eq. 10) */
    double z_loss;           /* zeta in [0, 1e6]: adds zeta lse^2 to every L_i (Eq. 11) */
    int64_t ignore_label;    /* rows with this label count for nothing; default LGT_NO_IGNORE */
    int loss_only;           /* 1: the plan never computes gradients, and reserves no memory for them */
    int second_order;        /* 1: the plan serves lgt_plan_hvp, and reserves memory for it */
    lgt_precision precision; /* other than FULL: LGT_F32 and the cpu engine, without second_order */
    int64_t workspace;       /* most bytes the plan may hold on two threads: what its work leaves free keeps weights or
                                logits, which are else kept in dw, if it has room, or computed twice; default 0: 64 MiB,
                                or as much as the work needs if that is more. In BF16 results depend on what is kept, to
                                rounding */
    int64_t max_classes;     /* most classes of a run that lists them (in->classes), and if fewer than C every run does;
                                default 0: no run does. Goes with neither label_smoothing nor second_order */
    int sinks;               /* 1: runs may hand rows of dw to a sink; a batch is then never cut into panels */
    const lgt_comm *comm; /* the ranks that share the classes, each with those of lgt_head_shard (docs/scaling.md); must
                             outlive the plan. Default NULL: this one has all. The cpu engine only */
    lgt_reduce reduce;    /* over those ranks, and the same on all of them; default EXACT */
} lgt_plan_options;

LGT_API void lgt_plan_options_init(lgt_plan_options *options);

/* The classes [*first, *first + *count) of a rank of `size`: whole stripes, of which there are at most sixteen, in
 * rising order; ranks beyond them have none. Where plans have a communicator, w, b, dw and db and the directions and
 * products of these hold the rank's own classes alone, and sinks count rows from its first; all else is that of all
 * classes, the same on every rank, and so is what a run gives for rows. Errors: USAGE. */
LGT_API lgt_status lgt_head_shard(const lgt_head *head, int size, int rank, int64_t *first, int64_t *count,
                                  lgt_error *err);

/* Allocates everything a run needs. options NULL: the defaults. Errors: USAGE (an option out of range), UNSUPPORTED
 * (options that do not go together, or that the engine does not serve), MEMORY. */
LGT_API lgt_status lgt_plan_create(const lgt_head *head, const lgt_plan_options *options, lgt_plan **out,
                                   lgt_error *err);
LGT_API void lgt_plan_free(lgt_plan *plan);

/* Bytes the plan holds beside inputs and outputs. */
LGT_API int64_t lgt_plan_bytes(const lgt_plan *plan);

/* What a run reads. Nothing is written; arrays may not overlap the outputs. */
typedef struct lgt_head_inputs {
    lgt_view x;                   /* (N, D), N <= max_rows; N = 0 is allowed */
    lgt_view w;                   /* (C, D) */
    lgt_view b;                   /* (1, C), or data NULL: no bias; only where the loss has one */
    const int64_t *labels;        /* (N), each in [0, C) or the ignored label */
    const double *sample_weights; /* (N) finite and >= 0, or NULL: all 1 */
    const double *class_weights;  /* (C) finite and >= 0, or NULL: all 1 */
    const double *upstream;       /* (N) finite; reduction NONE only, where it is needed for gradients */
    int64_t step;                 /* global step, for schedules of the loss */
    lgt_view soft_targets; /* (N, C) rows of probabilities in the plan's type, or data NULL; softmax and normalized
                              only. Labels are then optional: they name ignored rows and count n_correct */
    const double *class_margins; /* (C) in place of the loss's margin for rows of the class, or NULL (Eq. 33) */
    const double *class_scales;  /* (C) in place of the scale s for the logits of the class, or NULL (Eq. 34) */
    const double *qualities;     /* (N) what an adaptive margin reads, or NULL: |x_i| (Eq. 28) */
    const double *state;         /* what the last run left in out->state, or NULL: the loss's own parameters */
    int frozen;                  /* 1: the state is used as it is, not moved by this batch (evaluation) */
    const int64_t *classes;      /* (n_listed) rising: the only classes there are in this run, or NULL: all. Every label
                                    is among them; w, b and what is by class are still those of all C */
    int64_t n_listed;            /* 1 to the plan's max_classes */
    const double *offsets; /* (n_listed) finite: added to the logits of the listed classes, 0 for a class that is a
                              label; log(1/rate) makes up for negatives drawn at that rate. NULL: none */
} lgt_head_inputs;

/* Takes rows of dw instead of an array (Eq. 9): `row` of w, `gradient` (D) in the plan's type, its last word. Called
 * from several threads at once, once for every row of w or, with listed classes, of theirs. The run does not read this
 * row of w again: `take` may change it in place, which is how an optimizer steps without dw ever existing. */
typedef struct lgt_row_sink {
    void (*take)(void *user, int64_t row, const void *gradient);
    void *user;
} lgt_row_sink;

/* What a run writes. Arrays that are NULL are not wanted. */
typedef struct lgt_head_outputs {
    lgt_mut dx;        /* (N, D) dJ/dx */
    lgt_mut dw;        /* (C, D) dJ/dw; with listed classes (n_listed, D), as they are listed */
    lgt_mut db;        /* (1, C) or (1, n_listed) dJ/db; only with a bias */
    lgt_row_sink sink; /* in place of dw; take NULL: not wanted */
    int accumulate;    /* 1: add to dx, dw and db instead of overwriting them */
    double *loss_rows; /* (N) L_i, not weighted; 0 for an ignored row */
    double *lse;       /* (N) log sum exp of the logits, the target's bent */
    int64_t *top1;     /* (N) the class of the largest plain logit, the lowest of equals */
    /* The rest is filled by every run. */
    double loss;            /* J; 0 when no row is used */
    double weight;          /* sum of a_i over the used rows */
    int64_t n_used;         /* rows that are not ignored */
    int64_t n_correct;      /* used rows whose label is top1 */
    int64_t n_zero_rows;    /* cosine spaces: rows of x that are zero or too short to have a direction (Eq. 14) */
    int64_t n_zero_classes; /* the same for rows of w */
    double state[LGT_LOSS_MAX_STATE]; /* of the loss, moved by this batch first: what this run used (Eq. 28, 30) */
} lgt_head_outputs;

/* Loss and gradients in one pass over the classes: 2 N C D flops for the loss alone, 6 N C D with gradients, and 2 N C
 * D more for logits that neither the workspace nor dw has room to keep (dw: where it is not added to and N <= D, of the
 * first panel); reads w twice. Until the run ends dw may hold anything. Allocates nothing. The same bits for any number
 * of threads. One run at a time per plan. Errors: USAGE (shapes, types), DATA (a label out of range, NaN or infinity in
 * the inputs, naming a bad row), NONFINITE (logits or gradients beyond the type's range, naming the place; sums of
 * weights or losses beyond double's). After an error the outputs are unspecified. */
LGT_API lgt_status lgt_plan_run(lgt_plan *plan, const lgt_head_inputs *in, lgt_head_outputs *out, lgt_error *err);

/* A direction in which J is differentiated twice; data NULL stands for zeros. */
typedef struct lgt_direction {
    lgt_view x, w, b; /* as the inputs of these names */
} lgt_direction;

/* A Hessian-vector product; arrays that are NULL are not wanted. */
typedef struct lgt_hvp {
    lgt_mut x, w, b; /* as dx, dw, db */
    int accumulate;
} lgt_hvp;

/* The Hessian of J over (X, W, b) times a direction (Eq. 35 to 38): exact, the loss's own curvature and that of the
 * sphere included, streamed like the gradient. What a loss counts as a constant (qualities, state, the choice of the
 * nearest centre and of hard negatives) is constant here. 20 N C D flops. Allocates nothing.
 * Errors: as lgt_plan_run, and USAGE (a plan without second_order), UNSUPPORTED (gradient=detached and unit: these
 * gradients are no gradient of a function, and have no Hessian). */
LGT_API lgt_status lgt_plan_hvp(lgt_plan *plan, const lgt_head_inputs *in, const lgt_direction *along, lgt_hvp *out,
                                lgt_error *err);

/* What prediction returns; arrays that are NULL are not wanted. */
typedef struct lgt_predictions {
    int64_t k;            /* classes to return a row, in [1, C] */
    int64_t *classes;     /* (N, k) by falling logit, the lower class first among equals */
    double *logits;       /* (N, k) plain logits (no margin) */
    double *lse;          /* (N) log sum exp of the plain logits: probability = exp(logit - lse) */
    double *label_logits; /* (N) plain logit of labels[i]; needs labels, each in [0, C) */
} lgt_predictions;

/* Plain logits' top-k for float32 features x (N, D), weights w (C, D), bias b (1, C) or none. Streams over class tiles;
 * 2 N C D flops; O(N k) memory and one tile a thread. Errors: as lgt_plan_run, and MEMORY. */
LGT_API lgt_status lgt_head_predict(const lgt_head *head, lgt_view x, lgt_view w, lgt_view b, const int64_t *labels,
                                    lgt_predictions *out, lgt_error *err);

/* The same over the ranks of a communicator, each of which has its own classes' w and b (lgt_head_shard) and the same
 * x: all get the same predictions, to the bit those of one rank. Collective. A rank receives 16 N 16 + 16 N k P bytes.
 * comm NULL: alone. Errors: those of lgt_head_predict, of any rank; COMM. */
LGT_API lgt_status lgt_head_predict_shared(const lgt_head *head, const lgt_comm *comm, lgt_view x, lgt_view w,
                                           lgt_view b, const int64_t *labels, lgt_predictions *out, lgt_error *err);

#ifdef __cplusplus
}
#endif

#endif
