/* Minimising a smooth function of a vector of doubles: L-BFGS and Newton-CG, which know nothing of heads. */
#ifndef LGT_TRAIN_DESCENT_H
#define LGT_TRAIN_DESCENT_H

#include "logitude/context.h"

#include <stdint.h>

/* Where a descent stands. */
typedef struct lgt_descent {
    double *v, *g; /* (size) the iterate and its gradient */
    double value, norm, largest;
    double first_norm;                         /* at the start */
    int64_t iterations, evaluations, products; /* done */
    int converged;                             /* norm <= tolerance max(1, first_norm) */
    int stopped;                               /* watch asked for it */
    int64_t watched;                           /* how often watch was called */
} lgt_descent;

/* A function f of `size` numbers; `user` goes to all calls. */
typedef struct lgt_smooth {
    lgt_context *context;
    int64_t size;
    void *user;
    /* f(v) and its gradient. A value that is not finite says that v is out of bounds: steps become shorter. */
    lgt_status (*evaluate)(void *user, const double *v, double *value, double *gradient, lgt_error *err);
    /* out = H(v) d; only Newton-CG calls it. */
    lgt_status (*product)(void *user, const double *v, const double *d, double *out, lgt_error *err);
    /* out = P in, P symmetric, positive definite and fixed, near the inverse Hessian; NULL: the identity. out != in. */
    void (*precondition)(void *user, const double *in, double *out);
    /* From now on f is computed more exactly: returns 1, or 0 when it is as exact as can be; NULL: 0. */
    int (*refine)(void *user);
    /* At the start and after every iteration; 1: stop. NULL: never. */
    int (*watch)(void *user, const lgt_descent *at);
    double noise; /* of a value, relative, before refine; doubles' own afterwards */
} lgt_smooth;

typedef struct lgt_descent_limits {
    double tolerance;
    int64_t max_iterations;
} lgt_descent_limits;

/* From d->v to a point where |gradient| <= tolerance max(1, |gradient at the start|), or until the limit, a stop, or
 * the end of what the function's accuracy allows: d tells. v and g are the caller's. The function's errors are passed
 * on; NONFINITE when it is not finite at the start; MEMORY. */
lgt_status lgt_lbfgs(lgt_smooth *f, const lgt_descent_limits *limits, lgt_descent *d, lgt_error *err);
lgt_status lgt_newton_cg(lgt_smooth *f, const lgt_descent_limits *limits, lgt_descent *d, lgt_error *err);

/* --- What both share --- */

/* Evaluates at d->v. Errors: NONFINITE when that is not finite. */
lgt_status lgt_descent_evaluate(lgt_smooth *f, lgt_descent *d, lgt_error *err);
/* Takes v, g (copied) and value as the place of the descent. */
void lgt_descent_move(const lgt_smooth *f, lgt_descent *d, const double *v, const double *g, double value);
/* Refines f where that is possible and evaluates it again; *refined tells. */
lgt_status lgt_descent_refine(lgt_smooth *f, lgt_descent *d, int *refined, lgt_error *err);
/* Whether the descent is at its end: watch, limit, gradient small also after refining. */
lgt_status lgt_descent_check(lgt_smooth *f, const lgt_descent_limits *limits, lgt_descent *d, int *at_end,
                             lgt_error *err);
/* out = P in. */
void lgt_descent_precondition(const lgt_smooth *f, const double *in, double *out);

#endif
