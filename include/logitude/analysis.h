/* Analysis: gradient checks, defects of target logits, schedules and scales for a training. */
#ifndef LOGITUDE_ANALYSIS_H
#define LOGITUDE_ANALYSIS_H

#include "head.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Largest errors over random problems, each relative to the largest entry of the gradient it belongs to. */
typedef struct lgt_gradcheck {
    int64_t n_problems;
    double dx, dw, db; /* analytic gradient against central differences of the loss; db is 0 without a bias */
    double hvp;        /* analytic Hessian-vector product against central differences of the gradient */
    double engine_dx, engine_dw, engine_db, engine_hvp; /* the checked engine against the reference engine */
    double tolerance, engine_tolerance; /* what counts as passing, for the differences and for the engines */
    double engine_hvp_tolerance;        /* and for second derivatives by the engines */
    int passed;
} lgt_gradcheck;

/* Checks a loss with gradient=exact on n_problems random problems (sizes, labels, weights, smoothing and z-loss all
 * drawn from seed): reference gradients against five-point central differences with a step of 2e-4 of the
 * entry's scale, then `engine` in `dtype` against the reference.
 * Errors: USAGE (a loss whose gradient mode is not exact has nothing to be compared with), MEMORY. */
LGT_API lgt_status lgt_gradcheck_run(lgt_context *context, const lgt_loss *loss, lgt_engine engine, lgt_dtype dtype,
                                     int64_t n_problems, uint64_t seed, lgt_gradcheck *out, lgt_error *err);

/* --- Defects of the target logit z_y(theta) over [0, pi] --- */

/* Most entries of each list; further ones are not kept. L-Softmax with m = 64 has 63 dead points. */
#define LGT_LINT_MOST 128

/* The logit is not continuous: behind theta it is larger by size. */
typedef struct lgt_lint_jump {
    double theta, size;
} lgt_lint_jump;

/* The force -dz_y/dtheta is not continuous where the logit is or is not: before and behind theta. No defect by itself.
 */
typedef struct lgt_lint_kink {
    double theta, before, after;
} lgt_lint_kink;

/* The logit rises with the angle, by `rise` from one end to the other: the force pushes away from the class. */
typedef struct lgt_lint_rise {
    double from, to, rise;
} lgt_lint_rise;

/* The force is below 1 % of the plain head's from `from` to `to`; it is least at `at`, `force` times the plain head's.
 */
typedef struct lgt_lint_dead {
    double at, from, to, force;
} lgt_lint_dead;

/* Another class's logit is not continuous in its own cosine: beyond `cosine` it is larger by size, for a target at
 * theta. No defect by itself. */
typedef struct lgt_lint_crowd_jump {
    double theta, cosine, size;
} lgt_lint_crowd_jump;

typedef struct lgt_lint {
    double scale; /* of the plain logit scale * cos(theta): s, |x| |w| or |x| */
    lgt_lint_jump jumps[LGT_LINT_MOST];
    lgt_lint_kink kinks[LGT_LINT_MOST];
    lgt_lint_rise rises[LGT_LINT_MOST];
    lgt_lint_dead dead[LGT_LINT_MOST];
    lgt_lint_crowd_jump crowd_jumps[2]; /* the largest downwards and upwards */
    int n_jumps, n_kinks, n_rises, n_dead, n_crowd_jumps;
    double largest_force, largest_theta; /* the force of the largest modulus, signed, and its angle */
    int n_defects;                       /* n_jumps + n_rises + n_dead */
} lgt_lint;

/* A feature norm that stands for many: 1, or one inside the range of a loss whose margin reads the norm. */
LGT_API double lgt_lint_norm(const lgt_loss *loss);

/* Examines the target logit at a global step for |x| = r and |w| = q, by its values and derivatives alone: a grid of
 * 16384 angles, then bisection to neighbouring doubles. Jumps count from 1e-9 of the scale, rising slopes likewise,
 * kinks from 1e-6. The sides of a kink are told apart: a force that fades towards a kink behind which it is alive is no
 * dead zone, a force that is 0 on an interval is. The ends 0 and pi, where the plain force vanishes too, are no dead
 * zones. Errors: USAGE (step < 0; r or q outside (0, 1e100]). */
LGT_API lgt_status lgt_lint_run(const lgt_loss *loss, int64_t step, double r, double q, lgt_lint *out, lgt_error *err);

/* Logit and force of the loss and of its plain head at n >= 2 angles evenly over [0, pi]. Each array takes n numbers or
 * is NULL. Errors: those of lgt_lint_run, and USAGE (n < 2). */
typedef struct lgt_lint_curve {
    double *theta, *logit, *force, *plain_logit, *plain_force;
} lgt_lint_curve;
LGT_API lgt_status lgt_lint_draw(const lgt_loss *loss, int64_t step, double r, double q, int64_t n,
                                 const lgt_lint_curve *out, lgt_error *err);

/* --- Schedules and scales for a training of n_steps --- */

/* What is wrong with a schedule. */
enum {
    LGT_SCHEDULE_DEAD = 1, /* at the first step over 5 % of random directions feel under 10 % of the plain force */
    LGT_SCHEDULE_FAST = 2, /* the margin's share by lambda grows by over 5e-4 in one step; warm-ups are not judged */
    LGT_SCHEDULE_LATE = 4, /* its own end is not reached */
    LGT_SCHEDULE_WEAK = 8  /* lambda ends above 1.5 times the target */
};

/* A schedule of lambda (the margin's share is 1/(1 + lambda)) or of a margin's factor (the share itself) over a
 * training, for features in dim dimensions that start in random directions, theta ~ N(90 degrees, 1/sqrt(dim)). Forces
 * are means over these, in units of the plain head's. */
typedef struct lgt_schedule_review {
    double first, last;             /* lambda or factor at the first and the last step */
    double arrives;                 /* share of the steps before lambda is at the target (factor: at 1); NaN: never */
    double start_force, end_force;  /* at the first and the last step */
    double start_logit;             /* at 90 degrees at the first step, over |x| |w|, |x| or s; the plain head's is 0 */
    double dead_starts;             /* share of random directions below 10 % of the plain force at the first step */
    double dead_share;              /* share of the steps at which the mean force is below 10 % */
    double fastest, fastest_factor; /* the margin's share gained in the fastest step, and what that step multiplies
                                     * lambda by (NaN for a factor) */
    int warnings;
} lgt_schedule_review;

/* Whether a loss has a lambda or a factor to schedule. */
LGT_API int lgt_schedule_is_lambda(const lgt_loss *loss);
LGT_API int lgt_schedule_is_factor(const lgt_loss *loss);

/* Reviews the loss's schedule; target is the lambda wanted at the end, 0 counting as 0.01 (99 % of the margin).
 * Errors: USAGE (nothing to schedule; n_steps or dim < 1; target outside [0, 1e9]). */
LGT_API lgt_status lgt_schedule_review_run(const lgt_loss *loss, int64_t n_steps, int64_t dim, double target,
                                           lgt_schedule_review *out, lgt_error *err);

/* Proposes two schedules. Lambda: geometric (the same factor every step) and power (exponent 1, 4 to a target below 1:
 * the margin's share grows more evenly), from 100 (m^2 - 1), where no force differs from the plain head's by 1 %, to
 * the target at half of the steps. Warm-up: linear and exponential, from 1/8 to 1/4 of the steps. *count is 0 where
 * lambda would mix in a multiple m <= 1, else 2. Errors: those of lgt_schedule_review_run, and USAGE (fewer than 8
 * steps). */
LGT_API lgt_status lgt_schedule_propose(const lgt_loss *loss, int64_t n_steps, double target, lgt_loss out[2],
                                        int *count, lgt_error *err);

/* A scale s of the cosines against the number of classes C. With unit vectors the best arrangement of the classes is a
 * simplex, every other cosine -1/(C-1), so that no probability exceeds 1/(1 + (C-1) exp(-s C/(C-1))) (Eq. 42). */
typedef struct lgt_scale_review {
    double scale;
    double most_probability, least_loss; /* of the plain head with this scale */
    double needed;                       /* least scale whose bound is the wanted probability */
    double needed_with_margin;           /* the same with the margin in place; NaN: no scale will do */
    double suggested;                    /* twice that */
    double satisfied;         /* largest angle at which a sample has the probability while all others are at 90
                               * degrees; NaN: none */
    int too_small, too_large; /* below needed_with_margin; above 8 times that */
} lgt_scale_review;

/* Errors: USAGE (a loss without a scale; step < 0; n_classes < 2; probability outside (1/n_classes, 1)). */
LGT_API lgt_status lgt_scale_review_run(const lgt_loss *loss, int64_t step, int64_t n_classes, double probability,
                                        lgt_scale_review *out, lgt_error *err);

#ifdef __cplusplus
}
#endif

#endif
