/* Stable log-sum-exp pieces: nothing here overflows, underflows to a wrong answer, or subtracts equal numbers. */
#ifndef LGT_MATH_LSE_H
#define LGT_MATH_LSE_H

/* sum exp(z_j) held as sum * exp(max); the empty sum is {-inf, 0}. */
typedef struct lgt_lse {
    double max, sum;
} lgt_lse;

lgt_lse lgt_lse_empty(void);

/* Two sums in one; a term z is the sum {z, 1}. The result depends on the order in the last bits only. */
lgt_lse lgt_lse_merge(lgt_lse a, lgt_lse b);

/* log of the sum (Eq. 7); -inf for the empty one. */
double lgt_lse_value(lgt_lse a);

/* log(1 + exp(d)), also for d = -inf (0) and large d (d). */
double lgt_softplus(double d);

/* 1 / (1 + exp(-d)). */
double lgt_sigmoid(double d);

#endif
