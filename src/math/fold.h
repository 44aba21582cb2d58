/* The cosine continued beyond pi so that it keeps falling: F(phi) = (-1)^k cos(phi) - 2k, k = floor(phi/pi), phi >= 0.
 * F is continuous, and so is its slope, which is 0 at every multiple of pi (Eq. 12). There the curvature is that from
 * below: a target angle reaches m pi and does not pass it. */
#ifndef LGT_MATH_FOLD_H
#define LGT_MATH_FOLD_H

typedef struct lgt_fold {
    double value, slope, curvature; /* F, F', F'' */
} lgt_fold;

lgt_fold lgt_fold_at(double phi);

#endif
