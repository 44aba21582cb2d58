/* What the loss files share beyond the public definition: parameters, and reading of specifications. */
#ifndef LGT_LOSS_DEFINITION_H
#define LGT_LOSS_DEFINITION_H

#include "logitude/custom_loss.h"

enum { LGT_GRADIENT_EXACT, LGT_GRADIENT_DETACHED, LGT_GRADIENT_UNIT };

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

/* A loss of this definition by `settings` and then `pairs` (key=value,...; NULL: none), over its defaults. */
lgt_status lgt_loss_settle(const lgt_loss_definition *definition, const char *settings, const char *pairs,
                           lgt_loss *out, lgt_error *err);

/* Whether the loss is of the list, and so known to every reader of specifications. */
int lgt_loss_is_listed(const lgt_loss *loss);

/* The definition behind a loss. */
const lgt_loss_definition *lgt_loss_definition_of(const lgt_loss *loss);

#endif
