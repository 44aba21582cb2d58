/* What one loss file provides: its description, and how it bends the target logit. */
#ifndef LGT_LOSS_DEFINITION_H
#define LGT_LOSS_DEFINITION_H

#include "logitude/loss.h"

/* Of the used rows of a batch: how many, mean and sum of squared deviations of their qualities, mean target cosine. */
typedef struct lgt_batch_moments {
    int64_t n;
    double quality_mean, quality_square, cosine_mean;
} lgt_batch_moments;

typedef struct lgt_loss_definition {
    lgt_loss_info info; /* first: a lgt_loss points here */
    int clamp;          /* the index of the parameter LGT_PARAM_CLAMP; 0: none, since no loss begins with it */
    /* Eq. 5 for the parameter values p (in the order of info.params) and the schedule's value now (lambda, or the
     * factor of a margin that warms up); *out arrives as zeros. NULL: the target logit is plain. */
    void (*bend)(const double *p, double scheduled, const lgt_pair *pair, lgt_bend *out);
    /* The same for the logits of the other classes. NULL: they are plain. */
    void (*crowd)(const double *p, double scheduled, const lgt_pair *pair, lgt_crowd_bend *out);
    /* Whether `bend` is zero everywhere for these values. NULL: it never is. */
    int (*vanishes)(const double *p);
    /* Whether values that are each within their bounds go together; USAGE with the reason. NULL: they always do. */
    lgt_status (*check)(const double *p, lgt_error *err);
    /* What a batch tells the state: p's STATE parameters move by the batch's qualities and target cosines (n used
     * rows each). NULL: no state. */
    void (*move)(double *p, const lgt_batch_moments *batch);
} lgt_loss_definition;

/* How the target's gradient is taken; the last parameter of every loss (docs/maths.md, section "Gradient modes"). */
enum { LGT_GRADIENT_EXACT, LGT_GRADIENT_DETACHED, LGT_GRADIENT_UNIT };
extern const char *const lgt_gradient_words[];

#define LGT_PARAM_SCALE(text)                                                                                          \
    { "s", LGT_PARAM_REAL, text, 1e-6, 1e6, NULL, "scale of the cosines: logits lie in [-s, s]", LGT_ROLE_SCALE }
#define LGT_PARAM_GRADIENT                                                                                             \
    {                                                                                                                  \
        "gradient", LGT_PARAM_CHOICE, "exact", 0, 0, lgt_gradient_words,                                               \
            "exact: the derivative of this loss; detached: the margin counts as a constant; unit: coefficients of "    \
            "w and x scaled to norm 1",                                                                                \
            LGT_ROLE_FIXED                                                                                             \
    }
/* For losses whose peers clamp the cosine before an arc cosine; lgt_loss_bend does it for all of them. */
#define LGT_PARAM_CLAMP                                                                                                \
    {                                                                                                                  \
        "clamp", LGT_PARAM_REAL, "0", 0, 0.1, NULL,                                                                    \
            "clips the target cosine to [clamp - 1, 1 - clamp] before the margin: a dead zone at either end, as "      \
            "other systems have it; 0: none",                                                                          \
            LGT_ROLE_FIXED                                                                                             \
    }
/* The weight of the plain logit. */
#define LGT_PARAM_LAMBDA(text)                                                                                         \
    {                                                                                                                  \
        "lambda", LGT_PARAM_SCHEDULE, text, 0, 0, NULL,                                                                \
            "weight of the plain logit: a constant, geometric/START/SCALE/MIN or power/BASE/GAMMA/POWER/MIN",          \
            LGT_ROLE_FIXED                                                                                             \
    }
/* The margin's growth: `scheduled` is the factor f, from 0 to 1. */
#define LGT_PARAM_WARM_UP                                                                                              \
    {                                                                                                                  \
        "warmup", LGT_PARAM_WARMUP, "none", 0, 0, NULL,                                                                \
            "growth of the margin: none, or linear/START/END or exponential/START/END, from no margin at step START "  \
            "to the whole at step END",                                                                                \
            LGT_ROLE_FIXED                                                                                             \
    }
/* How far a batch moves the state. */
#define LGT_PARAM_EMA                                                                                                  \
    {                                                                                                                  \
        "ema", LGT_PARAM_REAL, "0.01", 0, 1, NULL, "share of a batch's own statistic in the moving average; 0: fixed", \
            LGT_ROLE_FIXED                                                                                             \
    }
#define LGT_COUNT(array) ((int)(sizeof(array) / sizeof *(array)))

/* Reads `NAME[:key=value,...]` with `settings` (key=value,...; NULL: none) in the place of the defaults they name. */
lgt_status lgt_loss_read(const char *spec, const char *settings, lgt_loss *out, lgt_error *err);

/* The definition behind a loss. */
const lgt_loss_definition *lgt_loss_definition_of(const lgt_loss *loss);

#endif
