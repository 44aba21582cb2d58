/* Small random head problems, and what engines make of them, all in double. */
#ifndef LGT_ANALYSIS_RANDOM_PROBLEM_H
#define LGT_ANALYSIS_RANDOM_PROBLEM_H

#include "logitude/head.h"

enum { LGT_MOST_ROWS = 5, LGT_MOST_DIM = 9, LGT_MOST_CLASSES = 9, LGT_MOST_CENTRES = 16 };
enum { LGT_MOST_X = LGT_MOST_ROWS * LGT_MOST_DIM, LGT_MOST_W = LGT_MOST_CLASSES * LGT_MOST_CENTRES * LGT_MOST_DIM };

/* Numbers by x, w and b: a point, a direction, a gradient. */
typedef struct lgt_triple {
    double x[LGT_MOST_X], w[LGT_MOST_W], b[LGT_MOST_CLASSES];
} lgt_triple;

typedef struct lgt_random_problem {
    lgt_context *context;
    lgt_head *head;
    lgt_plan_options options;
    int64_t n_rows, dim, n_classes;
    int64_t n_x, n_w, n_b; /* numbers of a triple; n_b 0 without a bias */
    lgt_triple at, along;  /* rows of `along` are as long as those of `at` */
    int64_t labels[LGT_MOST_ROWS];
    double sample_weights[LGT_MOST_ROWS], class_weights[LGT_MOST_CLASSES];
    /* What derivatives count as constants. */
    double qualities[LGT_MOST_ROWS], state[LGT_LOSS_MAX_STATE];
} lgt_random_problem;

/* Draws a problem for the loss: sizes, labels, weights, smoothing, z-loss, the state of a loss that has one. */
lgt_status lgt_random_problem_draw(lgt_context *context, const lgt_loss *loss, uint64_t seed, uint64_t index,
                                   lgt_random_problem *out, lgt_error *err);

/* A plan for the problem with its options as they stand. */
lgt_status lgt_random_problem_plan(lgt_random_problem *problem, lgt_engine engine, lgt_dtype dtype, lgt_plan **plan,
                                   lgt_error *err);

/* The loss, or the gradient, or the Hessian-vector product along `along`, by a plan of that type. float32 plans see
 * inputs rounded to float32. */
lgt_status lgt_random_problem_loss(const lgt_random_problem *problem, lgt_plan *plan, double *loss, lgt_error *err);
lgt_status lgt_random_problem_gradient(const lgt_random_problem *problem, lgt_plan *plan, lgt_dtype dtype,
                                       lgt_triple *out, lgt_error *err);
lgt_status lgt_random_problem_hvp(const lgt_random_problem *problem, lgt_plan *plan, lgt_dtype dtype, lgt_triple *out,
                                  lgt_error *err);

/* Rounds point and direction to float32. */
void lgt_random_problem_round(lgt_random_problem *problem);

#endif
