/* Alignment: pulling features towards reliable neighbours of their own class, beside the head (docs/alignment.md).
 *
 * Three terms, each a loss of the features with its exact gradient: `pga` aligns directions of one layer (Eq. 140), `k`
 * and `z` align graphs and smoothed features between layers (Eq. 146, 148). All arrays are plain; nothing here knows an
 * encoder or a trainer. Work is done in double whatever the type of the features, with the same bits for any number of
 * threads. Neighbours, weights beta and targets are constants to every derivative. */
#ifndef LOGITUDE_ALIGN_H
#define LOGITUDE_ALIGN_H

#include "comm.h"
#include "head.h"

#ifdef __cplusplus
extern "C" {
#endif

/* --- Specifications: pga|k|z[:key=value,...], terms joined by '+' --- */

typedef enum lgt_align_kind { LGT_ALIGN_PGA = 0, LGT_ALIGN_K = 1, LGT_ALIGN_Z = 2 } lgt_align_kind;

typedef struct lgt_align_info {
    const char *name, *title, *equation;
    lgt_align_kind kind;
    const lgt_param_info *params; /* REAL, INTEGER and CHOICE */
    int n_params;
} lgt_align_info;

#define LGT_ALIGN_MAX_PARAMS 20
#define LGT_ALIGN_MAX_TERMS  3   /* each kind at most once */
#define LGT_ALIGN_SPEC_SIZE  640 /* holds every formatted list of terms */

/* One term; a CHOICE holds the index of its word. */
typedef struct lgt_align {
    const lgt_align_info *info;
    double values[LGT_ALIGN_MAX_PARAMS];
} lgt_align;

typedef struct lgt_align_terms {
    lgt_align terms[LGT_ALIGN_MAX_TERMS];
    int n_terms;
} lgt_align_terms;

/* The terms of this build; NULL when index is outside [0, lgt_align_count()). */
LGT_API int lgt_align_count(void);
LGT_API const lgt_align_info *lgt_align_at(int index);

/* Reads terms. Errors: USAGE, naming what was found, what was expected and the nearest name. */
LGT_API lgt_status lgt_align_parse(const char *spec, lgt_align_terms *out, lgt_error *err);
/* Writes every parameter; returns the length. lgt_align_parse reads it back to the same values. */
LGT_API size_t lgt_align_format(const lgt_align_terms *terms, char *out, size_t size);
/* The term of a kind, or NULL. */
LGT_API const lgt_align *lgt_align_of(const lgt_align_terms *terms, lgt_align_kind kind);
/* A parameter's value; NaN for a key that the term does not have. */
LGT_API double lgt_align_value(const lgt_align *term, const char *key);

/* --- The memory bank: what is remembered of samples, by id --- */

/* Keeps of every sample a unit direction (D), the moving average of its reliability, and its label; with D = 0 no
 * direction. At most `capacity` samples: a new one beyond that takes the place of the sample whose last update is the
 * longest ago. */
typedef struct lgt_align_bank lgt_align_bank;

/* Memory: about 4 D + 80 bytes a sample of the capacity. Errors: USAGE (dim below 0, capacity below 1), MEMORY. */
LGT_API lgt_status lgt_align_bank_create(lgt_context *context, int64_t dim, int64_t capacity, lgt_align_bank **out,
                                         lgt_error *err);
/* A bank that the ranks of a communicator share, NULL or one rank: one of its own. Ids, labels, reliabilities and the
 * order of updates are the same on all ranks, which make the same calls with the same values; each keeps the directions
 * of every P-th sample, and what others need is sent to them. Everything has the bits of a bank alone, for any number
 * of ranks. comm must outlive the bank. Collective are runs and finds of direction alignment with it, and
 * lgt_align_bank_gather. Memory: about 4 D / P + 80 bytes a sample of the capacity. */
LGT_API lgt_status lgt_align_bank_create_shared(lgt_context *context, int64_t dim, int64_t capacity,
                                                const lgt_comm *comm, lgt_align_bank **out, lgt_error *err);
LGT_API void lgt_align_bank_free(lgt_align_bank *bank);
LGT_API int64_t lgt_align_bank_dim(const lgt_align_bank *bank);
LGT_API int64_t lgt_align_bank_count(const lgt_align_bank *bank);

/* Moves a sample: direction <- unit(momentum direction + (1 - momentum) unit) and, unless score is NaN, reliability <-
 * score_momentum reliability + (1 - score_momentum) score. A sample that is new, or whose label has changed, starts
 * with `unit` and a reliability of 0.5 before that. With D = 0 `unit` may be NULL. */
LGT_API void lgt_align_bank_update(lgt_align_bank *bank, int64_t id, int64_t label, const double *unit, double score,
                                   double momentum, double score_momentum);
/* The reliability of a sample under that label; 0.5 where the bank does not have it. */
LGT_API double lgt_align_bank_score(const lgt_align_bank *bank, int64_t id, int64_t label);
/* Its direction (D), or NULL: the bank does not have the sample, another rank has its direction, or D = 0. */
LGT_API const float *lgt_align_bank_direction(const lgt_align_bank *bank, int64_t id, int64_t label);

/* All samples, the longest untouched first: ids (n), labels (n), scores (n), directions (n, D), NULL where D = 0.
 * Importing them into an empty bank of the same capacity gives a bank that behaves the same to the bit. A shared bank
 * has zeros for the directions of other ranks: gather it first. */
LGT_API void lgt_align_bank_export(const lgt_align_bank *bank, int64_t *ids, int64_t *labels, double *scores,
                                   float *directions);
/* Copies a shared bank, all directions included, into `whole`, a bank alone of the same dim and capacity; NULL on ranks
 * that want none, which then hold 1,024 directions at most at once. Collective. Errors: USAGE, MEMORY, COMM; `whole` is
 * then empty. */
LGT_API lgt_status lgt_align_bank_gather(const lgt_align_bank *bank, lgt_align_bank *whole, lgt_error *err);
/* Replaces what the bank holds; a shared one takes the same whole arrays on all ranks. Errors: USAGE (an array is
 * NULL), DATA (more than its capacity, an id twice, a score outside [0, 1], a direction that is not of length 1 to
 * 1e-3); the bank is then empty.
 */
LGT_API lgt_status lgt_align_bank_import(lgt_align_bank *bank, int64_t count, const int64_t *ids, const int64_t *labels,
                                         const double *scores, const float *directions, lgt_error *err);

/* --- Conflict with the head (Eq. 81, 82, 149) --- */

#define LGT_CONFLICT_BINS 20

/* One row: d = -P_x dJ/dx of the head, e = -dL/dx of the alignment, theta_a the angle between d and P_x t_a. */
typedef struct lgt_conflict_row {
    double inner, cosine;              /* <d, e> and its cosine; NaN where either is zero */
    double largest, smallest;          /* theta_a, radians; NaN where none is defined */
    double head, pull;                 /* |d|, |e| (before a resolve) */
    int64_t n_neighbours, n_undefined; /* neighbours, and those whose angle is undefined: P_x t_a or d is zero, or its
                                        * square is below what double holds (lengths under 1e-154) */
    int compared;                      /* both forces are there */
    int sufficient;                    /* every angle at most 90 degrees (Eq. 81) */
    int exact;                         /* inner >= 0 (Eq. 82) */
    int printed;                       /* the smallest angle at most 90 degrees: what the notes printed as sufficient */
} lgt_conflict_row;

/* Sums over rows. */
typedef struct lgt_conflict {
    int64_t n_rows, n_compared;
    int64_t n_neighbours, n_undefined;                                    /* edges, and those without an angle */
    int64_t n_conflicts;                                                  /* compared rows with inner < 0 */
    int64_t n_sufficient, n_sufficient_wrong, n_printed, n_printed_wrong; /* met, and met in spite of a conflict */
    double cosine_sum;
    int64_t histogram[LGT_CONFLICT_BINS]; /* of the cosines of compared rows, evenly over [-1, 1] */
} lgt_conflict;

LGT_API void lgt_conflict_add(lgt_conflict *total, const lgt_conflict *more);

/* --- Direction alignment --- */

typedef struct lgt_align_plan lgt_align_plan;

/* Everything a run of a `pga` term needs, for batches of at most max_rows. Memory: 16 max_rows D bytes and about 100
 * bytes a neighbour; targets=memory 12 max_rows D more, and k times that with neighbours=memory. Errors: USAGE (another
 * kind of term, sizes), MEMORY. */
LGT_API lgt_status lgt_align_plan_create(lgt_context *context, const lgt_align *term, int64_t dim, int64_t max_rows,
                                         lgt_align_plan **out, lgt_error *err);
LGT_API void lgt_align_plan_free(lgt_align_plan *plan);

typedef struct lgt_align_inputs {
    lgt_view x;            /* (N, D) float32 or float64, N <= max_rows */
    const int64_t *labels; /* (N) any numbers; equal ones are a class, the head's ignored label too */
    const int64_t *ids;    /* (N) sample ids, all different; needed with a bank */
    lgt_align_bank *bank;  /* reliabilities and directions; NULL: every reliability is 0.5, no targets=memory */
    int frozen;            /* 1: the bank is not moved */
    lgt_view below;        /* (N, D) the layer below, targets=layer only */
    lgt_view head;         /* (N, D) dJ/dx of a head, in x's type: conflicts are told and resolved; data NULL: not */
} lgt_align_inputs;

typedef struct lgt_align_outputs {
    lgt_mut dx;             /* (N, D) weight dL/dx, in x's type; may be the head's own array */
    int accumulate;         /* 1: adds to dx */
    lgt_conflict_row *rows; /* (N) or NULL */
    /* The rest is filled by every run. */
    double loss;           /* weight L (Eq. 140) */
    int64_t n_edges;       /* neighbours in all */
    int64_t n_aligned;     /* rows that have one */
    int64_t n_zero_rows;   /* rows too short to have a direction: below 1e-20 (float32), 1e-200 (float64) */
    lgt_conflict conflict; /* with a head: totals of this run */
} lgt_align_outputs;

/* Finds neighbours, computes loss and gradient, then moves the bank. 2 flops for each dimension of each pair of equal
 * labels; allocates nothing.
 *
 * With a shared bank it is collective: all ranks give the same inputs and get the same outputs. neighbours=memory is
 * searched by each rank among its own samples; it then sends its own nearest, 16 N k bytes, and at its first run makes
 * room for those of all, 16 max_rows k P bytes. Directions that are targets, of N D (neighbours=memory: N k D) 4 bytes,
 * come from who has them. Errors: USAGE (shapes, types, what the term needs and was not given), DATA (a value that is
 * not finite, naming its row); with a shared bank COMM and MEMORY, those of one rank being all ranks'. */
LGT_API lgt_status lgt_align_run(lgt_align_plan *plan, const lgt_align_inputs *in, lgt_align_outputs *out,
                                 lgt_error *err);

/* The two halves of a run, so that derivatives can be checked with everything else held fixed: find chooses neighbours,
 * weights and targets and moves nothing; pull takes loss, gradient and conflicts at in->x by them. */
LGT_API lgt_status lgt_align_find(lgt_align_plan *plan, const lgt_align_inputs *in, lgt_error *err);
LGT_API lgt_status lgt_align_pull(lgt_align_plan *plan, const lgt_align_inputs *in, lgt_align_outputs *out,
                                  lgt_error *err);

/* A neighbour as the last find left it. */
typedef struct lgt_align_edge {
    int64_t row;          /* of the batch; -1: it comes from the bank */
    int64_t id;           /* its sample id; -1 without ids */
    double cosine;        /* with the row it belongs to */
    double reliability;   /* product of both reliabilities */
    double beta;          /* its weight */
    const double *target; /* t_a (D) */
} lgt_align_edge;

/* The neighbours of a row, *count of them. */
LGT_API const lgt_align_edge *lgt_align_neighbours(const lgt_align_plan *plan, int64_t row, int64_t *count);

/* The head's gradient by the features (plan: float32 or float64), then lgt_align_run with it. in->x, labels and head
 * are taken from `head`; out->dx is optional. Errors: those of both runs, MEMORY. */
LGT_API lgt_status lgt_conflict_run(lgt_plan *head_plan, const lgt_head_inputs *head, lgt_align_plan *plan,
                                    const lgt_align_inputs *in, lgt_align_outputs *out, lgt_error *err);

/* --- Alignment between layers --- */

#define LGT_ALIGN_MAX_LAYERS 64

typedef struct lgt_align_layers lgt_align_layers;

/* Everything a run of a `k` or `z` term needs over n_layers >= 2 layers of widths dims, the deepest last. Memory: 48
 * max_rows^2 bytes a layer and 16 max_rows D. Errors: USAGE (another kind of term; z: widths that differ), MEMORY. */
LGT_API lgt_status lgt_align_layers_create(lgt_context *context, const lgt_align *term, int n_layers,
                                           const int64_t *dims, int64_t max_rows, lgt_align_layers **out,
                                           lgt_error *err);
LGT_API void lgt_align_layers_free(lgt_align_layers *layers);

typedef struct lgt_align_layers_inputs {
    const lgt_view *x;            /* (n_layers) of (N, D_l), float32 or float64 */
    const int64_t *labels;        /* (N) */
    const int64_t *ids;           /* (N) sample ids, all different; needed with banks */
    lgt_align_bank *const *banks; /* k: (n_layers) of dim 0, each with the reliabilities of its layer, which weigh the
                                     pairs where another follows it; the others are left alone. NULL, or NULL for a
                                     layer: the scores of this batch */
    double *smoothed; /* k with toward=upper over the same N rows at every run: for every layer max_rows^2 numbers, the
                         first N^2 of which are the moving average of its K, which is followed in K's place; NaN before
                         the first run. NULL: K itself */
    int frozen;       /* 1: edges, weights, banks and what layers follow stay as the last run left them */
} lgt_align_layers_inputs;

typedef struct lgt_align_layers_outputs {
    lgt_mut *dx;    /* (n_layers) of (N, D_l), in the type of x; data NULL: not wanted */
    int accumulate; /* 1: adds to every dx */
    double loss;    /* weight L; filled by every run */
    int64_t n_edges;
} lgt_align_layers_outputs;

/* Loss and gradients (Eq. 146 to 148), stop-gradients honoured; then moves the banks. O(N^2) memory traffic and 2 flops
 * for each dimension of each edge. Allocates nothing. Errors: USAGE (shapes, types), DATA (a value that is not finite).
 */
LGT_API lgt_status lgt_align_layers_run(lgt_align_layers *layers, const lgt_align_layers_inputs *in,
                                        lgt_align_layers_outputs *out, lgt_error *err);

#ifdef __cplusplus
}
#endif

#endif
