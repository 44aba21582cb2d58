/* A loss of the caller's own: the definition that every loss of the list is made of, and a way to use one beside them.
 *
 * A definition is data and pure functions, kept by the caller, unchanged, for as long as a lgt_loss made of it is in
 * use; nothing is registered. Heads, plans (gradients and Hessian-vector products, both engines), lgt_gradcheck_run,
 * lgt_lint_run and lgt_explain_run take such a loss as any other. lgt_loss_parse and a model file, which know losses by
 * name, do not: lgt_trainer_create refuses it. */
#ifndef LOGITUDE_CUSTOM_LOSS_H
#define LOGITUDE_CUSTOM_LOSS_H

#include "loss.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Of the used rows of a batch: how many, mean and sum of squared deviations of their qualities, mean target cosine. */
typedef struct lgt_batch_moments {
    int64_t n;
    double quality_mean, quality_square, cosine_mean;
} lgt_batch_moments;

/* The functions are called from many threads at once and see the loss through their arguments alone: p, the values of
 * the parameters in the order of info.params (a CHOICE by its index), and `scheduled`, what the parameter of the kind
 * SCHEDULE or WARMUP is at this step (lambda, or the factor of a margin that warms up); 0 when there is none. */
typedef struct lgt_loss_definition {
    lgt_loss_info info; /* first: a lgt_loss points here */
    int clamp; /* the index of a parameter "clamp", by which the target cosine is clipped before `bend`; 0: none */
    /* Eq. 5: how the target logit differs from the plain one, with every derivative; *out arrives as zeros. NULL: it
     * does not. */
    void (*bend)(const double *p, double scheduled, const lgt_pair *pair, lgt_bend *out);
    /* The same for the logits of the other classes, in the space COS. NULL: they are plain. */
    void (*crowd)(const double *p, double scheduled, const lgt_pair *pair, lgt_crowd_bend *out);
    /* Whether `bend` is zero everywhere for these values. NULL: it never is. */
    int (*vanishes)(const double *p);
    /* Whether values that are each within their bounds go together; else a status that is not OK, with the reason in
     * err (which may be NULL). NULL: they always do. */
    lgt_status (*check)(const double *p, lgt_error *err);
    /* What a batch tells the state: p's STATE parameters move by the batch's qualities and target cosines (n used
     * rows each). NULL: no state. */
    void (*move)(double *p, const lgt_batch_moments *batch);
} lgt_loss_definition;

/* How the target's gradient is taken: a parameter of every loss (docs/maths.md, section "Gradient modes"). */
LGT_API extern const char *const lgt_gradient_words[];

/* The parameters that every loss of its space has: the scale in COS, the gradient mode everywhere. */
#define LGT_PARAM_SCALE(text)                                                                                          \
    { "s", LGT_PARAM_REAL, text, 1e-6, 1e6, NULL, "scale of the cosines: logits lie in [-s, s]", LGT_ROLE_SCALE }
#define LGT_PARAM_GRADIENT                                                                                             \
    {                                                                                                                  \
        "gradient", LGT_PARAM_CHOICE, "exact", 0, 0, lgt_gradient_words,                                               \
            "exact: the derivative of this loss; detached: the margin counts as a constant; unit: coefficients of "    \
            "w and x scaled to norm 1",                                                                                \
            LGT_ROLE_FIXED                                                                                             \
    }

/* A loss by a definition of the caller's and settings `key=value,...` (NULL or "": the defaults). A definition must
 * have
 * - a name of its own, of a-z, 0-9 and '-', and no text that is NULL (title, equation, citation, and help and default
 * of every parameter; they may be empty, defaults apart);
 * - LGT_PARAM_GRADIENT among its parameters, and LGT_PARAM_SCALE in the space COS, there alone;
 * - at most LGT_LOSS_MAX_PARAMS parameters of different keys, none of them "k"; at most one of SCHEDULE or WARMUP, and
 *   one of the role MARGIN;
 * - STATE parameters (at most LGT_LOSS_MAX_STATE, one behind the other) where it has `move`, and there alone;
 * - has_bias in the space DOT alone, `crowd` and `clamp` in COS alone;
 * - a specification that fits into LGT_LOSS_SPEC_SIZE.
 * Errors: USAGE (what the definition lacks; settings, as lgt_loss_parse); what `check` returns. */
LGT_API lgt_status lgt_loss_custom(const lgt_loss_definition *definition, const char *settings, lgt_loss *out,
                                   lgt_error *err);

#ifdef __cplusplus
}
#endif

#endif
