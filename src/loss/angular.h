/* The angular margin and its tails, shared by the losses that widen the target angle (Eq. 8). */
#ifndef LGT_LOSS_ANGULAR_H
#define LGT_LOSS_ANGULAR_H

#include "loss/definition.h"

/* The words of the parameter `tail`, and the parameter with its default. */
extern const char *const lgt_tail_words[];
#define LGT_PARAM_TAIL                                                                                                 \
    {                                                                                                                  \
        "tail", LGT_PARAM_CHOICE, "continuous", 0, 0, lgt_tail_words,                                                  \
            "where theta + m > pi: continuous s(c-1+cos m); cosface s(c - m sin m), jumps; fold s(-cos(theta+m)-2); "  \
            "none; clip -s, no force; easy: margin only where c > 0",                                                  \
            LGT_ROLE_FIXED                                                                                             \
    }

/* Derivatives of the bend by the margin, for margins that depend on the norm. */
typedef struct lgt_margin_slopes {
    double first, second, with_theta;
} lgt_margin_slopes;

/* The bend of z_y = s cos(theta + m) with a tail, -pi < m < pi: fills value, d_theta and d_theta_theta of *out. */
lgt_margin_slopes lgt_angular_bend(double s, double m, int tail, const lgt_pair *pair, lgt_bend *out);

#endif
