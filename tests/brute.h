/* The whole objective a second time, naively: N x C arrays, complex numbers, other formulas than the library's. */
#ifndef LGT_TESTS_BRUTE_H
#define LGT_TESTS_BRUTE_H

#include "heads.h"

/* Everything a run gives: J and its gradients by complex steps in every coordinate (N C D (N + C) flops). Branches are
 * taken, and what a loss counts as constant is evaluated, at the real point. gradient=detached freezes the margin at
 * its value; unit scales the target's own gradient (Eq. 19). */
test_result brute_run(const test_head *head);

/* dJ along a direction, by one complex step; gradient=exact only. */
double brute_slope(const test_head *head, const test_vectors *along);

/* How near a problem is to where the formula itself loses digits or is no longer smooth. */
typedef struct brute_condition {
    double sine;  /* the least sin(theta_y): directions of tangents lose digits as eps / sine */
    double logit; /* the largest |z_ij| or sum of its terms' sizes: exponents lose digits as eps |z| */
    double jump;  /* the least distance, of angles, cosines or shares of norms, to where the gradient jumps */
    double kink;  /* the same to where the second derivative jumps; at most `jump` */
} brute_condition;

brute_condition brute_condition_of(const test_head *head);

#endif
