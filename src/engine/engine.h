/* What every engine is: a plan for a problem, and runs over batches. head/ checks everything before an engine sees it.
 */
#ifndef LGT_ENGINE_ENGINE_H
#define LGT_ENGINE_ENGINE_H

#include "engine/stripes.h"
#include "logitude/comm.h"
#include "logitude/head.h"

/* What a plan may hold unless its options say otherwise. */
#define LGT_WORKSPACE ((int64_t)64 << 20)

/* Partial sums of dx stay within this: a batch of more rows is cut into panels. */
#define LGT_PARTIAL_BYTES ((int64_t)16 << 20)

/* A head with the options of a plan, and what follows from them. */
typedef struct lgt_problem {
    lgt_context *context;
    lgt_loss loss;
    lgt_plan_options options;
    int64_t dim, n_classes;
    const lgt_comm *comm;             /* NULL: alone */
    int64_t stripe_begin, stripe_end; /* of the classes, here (stripes.h) */
    int64_t first_class, own_classes; /* the classes that these are */
    int64_t centres;                  /* rows of w a class has */
    int unit_x, unit_w; /* whether products are taken of directions: both in COS, w in COSW, none in DOT */
    int bends_crowd;
    double scale;      /* u_j = scale * product (+ b_j): s in COS, 1 elsewhere */
    double least_norm; /* shorter vectors have no direction (Eq. 14); 0 in DOT */
    int gradient;      /* LGT_GRADIENT_... of loss/definition.h */
} lgt_problem;

/* What stands in lgt_batch.target for a row without a class of its own. */
enum { LGT_TARGET_IGNORED = -1, LGT_TARGET_SOFT = -2 };

/* One run. Shapes, types and labels are right; values of x, w and the directions are not known to be finite. */
typedef struct lgt_batch {
    lgt_view x, w, b;            /* b.data may be NULL; w and b of the problem's own classes */
    lgt_view target_w, target_b; /* copies of what targets have in w and b of all ranks, or data NULL: they are here */
    lgt_direction target_along;  /* the same of the direction; its x is not read */
    const int64_t *target_slot;  /* (N) which copy is of the row's target */
    int64_t n_rows, step;
    int64_t n_classes;         /* that this run has */
    const int64_t *classes;    /* (n_classes) which ones, rising, or NULL: all */
    const double *offsets;     /* (n_classes) of their logits, or NULL */
    const int64_t *target;     /* (N) class of the row, or LGT_TARGET_... */
    const int64_t *position;   /* (N) its place among the classes of the run, or LGT_TARGET_... */
    const double *coefficient; /* (N) dJ/dL_i: 0 where ignored */
    lgt_view soft;             /* (N, C) targets of the soft rows */
    const double *margins;     /* (C) in place of the loss's margin, or NULL */
    const double *scales;      /* (C) in place of its scale, or NULL */
    const double *qualities;   /* (N) in place of |x|, or NULL */
    lgt_loss loss;             /* of the problem, with the state of this run */
    lgt_mut dx, dw, db;        /* data NULL: not wanted; dw and db of own classes */
    const char *const *names;  /* of these, for messages */
    lgt_row_sink sink;         /* in place of dw */
    int accumulate;
    const lgt_direction *along;          /* not NULL: dx, dw and db are those of the Hessian-vector product */
    double *loss_rows, *lse;             /* (N) written: L_i (0 where ignored), log sum exp */
    int64_t *top1;                       /* (N) written: largest plain logit, the lowest class of equals */
    int64_t n_zero_rows, n_zero_classes; /* written */
} lgt_batch;

typedef struct lgt_engine_vtable {
    const char *name;
    /* OK, or UNSUPPORTED with the reason: never a silent fallback. */
    lgt_status (*supports)(const lgt_problem *problem, lgt_error *err);
    /* Allocates all that runs need into *state (to be released by `release` also after an error), and adds it to
     * *bytes. */
    lgt_status (*plan)(const lgt_problem *problem, void **state, int64_t *bytes, lgt_error *err);
    lgt_status (*run)(const lgt_problem *problem, void *state, lgt_batch *batch, lgt_error *err);
    void (*release)(const lgt_problem *problem, void *state);
} lgt_engine_vtable;

extern const lgt_engine_vtable lgt_engine_reference;
extern const lgt_engine_vtable lgt_engine_cpu;

#endif
