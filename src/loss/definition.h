/* What one loss file provides: its description, and how it bends the target logit. */
#ifndef LGT_LOSS_DEFINITION_H
#define LGT_LOSS_DEFINITION_H

#include "logitude/loss.h"

typedef struct lgt_loss_definition {
    lgt_loss_info info; /* first: a lgt_loss points here */
    /* Eq. 5 for the parameter values p (in the order of info.params) and the schedule's value now; *out arrives as
     * zeros. NULL: the target logit is plain. */
    void (*bend)(const double *p, double scheduled, const lgt_pair *pair, lgt_bend *out);
} lgt_loss_definition;

/* How the target's gradient is taken; the last parameter of every loss (docs/maths.md, section "Gradient modes"). */
enum { LGT_GRADIENT_EXACT, LGT_GRADIENT_DETACHED, LGT_GRADIENT_UNIT };
extern const char *const lgt_gradient_words[];

#define LGT_PARAM_SCALE(text)                                                                                          \
    { "s", LGT_PARAM_REAL, text, 1e-6, 1e6, NULL, "scale of the cosines: logits lie in [-s, s]" }
#define LGT_PARAM_GRADIENT                                                                                             \
    {                                                                                                                  \
        "gradient", LGT_PARAM_CHOICE, "exact", 0, 0, lgt_gradient_words,                                               \
            "exact: the derivative of this loss; detached: the margin counts as a constant; unit: coefficients of "    \
            "w and x scaled to norm 1"                                                                                 \
    }
#define LGT_COUNT(array) ((int)(sizeof(array) / sizeof *(array)))

/* The definition behind a loss. */
const lgt_loss_definition *lgt_loss_definition_of(const lgt_loss *loss);

#endif
