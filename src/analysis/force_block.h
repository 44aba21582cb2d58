/* A block of rows before all classes: two passes over W that keep, of every row, what its numbers are made of. */
#ifndef LGT_ANALYSIS_FORCE_BLOCK_H
#define LGT_ANALYSIS_FORCE_BLOCK_H

#include "engine/engine.h"
#include "engine/row.h"
#include "engine/target.h"
#include "kernel/kernels.h"

/* Rows a block holds at most. W is read, and made directions of, once a pass for all of them: with 64 rows that is
 * about a fifth of the work, and a thread's block takes 0.9 MiB at D = 256. */
enum { LGT_FORCE_ROWS = 64 };

/* What is the same for all rows. */
typedef struct lgt_force_field {
    const lgt_problem *problem;
    lgt_problem exact, detached; /* the same in these gradient modes */
    const lgt_batch *batch;
    const lgt_kernels_f64 *kernels;
    const double *bias; /* (C) */
    double norm;        /* an upper bound of |W|_2, of directions where products are taken of these */
    double centred;     /* the same of W less its mean row; NaN where the coefficients' sum is not known to be 0 */
    int64_t n_pushers;
    int64_t ld; /* of vectors of D: padded for the kernels */
} lgt_force_field;

typedef enum lgt_force_verdict {
    LGT_FORCE_OK = 0,
    LGT_FORCE_IGNORED,
    LGT_FORCE_BAD_X,   /* row i of x is not finite */
    LGT_FORCE_OVERFLOW /* its logits leave the range of double */
} lgt_force_verdict;

typedef struct lgt_pusher {
    double push; /* |g dz_j/dx| */
    int64_t class;
} lgt_pusher;

/* The coefficients H_j = dL_i/d product_j of all classes (Eq. 104). */
typedef struct lgt_force_coefficients {
    double up, down, length; /* sums of those above and below 0, and the length of all */
    double steepest;         /* the largest |dz_j/d product| */
    double targets;          /* sum of the soft targets, which may round; 0 where there are none */
} lgt_force_coefficients;

/* One row before all classes. Vectors of D lie in the block. */
typedef struct lgt_force_sums {
    lgt_force_verdict verdict; /* but for OK, only x is valid, and of a bad row nothing */
    int64_t i, y;              /* row of x; its class, or LGT_TARGET_... */
    lgt_ray x;
    lgt_target target; /* in the loss's mode; `row` of the class, -1 without one */
    lgt_crowd crowd;   /* of all classes but y */
    lgt_row row;
    int64_t nearest, nearest_row; /* the class but y of the smallest angle and its row of w; -1: none has one */
    double nearest_cosine;
    lgt_force_coefficients coefficients;
    double push;                    /* sum of the pushes of all classes */
    lgt_pusher *pushers;            /* (n_pushers) the hardest first, the lower class first among equals; -1 behind */
    double *attraction, *repulsion; /* sums of g dz_j/dx: of soft targets both, else the repulsion alone */
} lgt_force_sums;

/* Scratch of one thread; its size does not grow with the classes. */
typedef struct lgt_force_block {
    const lgt_force_field *field;
    int64_t n_rows;
    lgt_force_sums rows[LGT_FORCE_ROWS];
    /* The tile of classes at hand: rows of w, LGT_TILE at most. */
    int64_t first, n_classes, n_tile;
    double norms[LGT_TILE];
    double *w_value;                      /* (ld) */
    double *w, *w_turned;                 /* (LGT_TILE, ld), (ld, LGT_TILE) directions */
    double *x_values, *x;                 /* (ROWS, ld) the rows and their directions */
    double *cosines;                      /* (ROWS, LGT_TILE) */
    double *to_repulsion, *to_attraction; /* (ROWS, LGT_TILE) coefficients of the directions */
    double *repulsion, *attraction;       /* (ROWS, ld) */
    lgt_pusher *pushers;                  /* (ROWS, n_pushers) */
} lgt_force_block;

/* Numbers that lgt_force_block_place takes: of zeros, and aligned. ld: a multiple of LGT_TILE_PAD. Returns 0 when they
 * cannot be counted. */
int lgt_force_block_size(int64_t ld, int64_t *n_numbers);

/* Lays the block's arrays into `numbers`; pushers (LGT_FORCE_ROWS, n_pushers). */
void lgt_force_block_place(lgt_force_block *block, int64_t ld, double *numbers, lgt_pusher *pushers);

/* Measures rows `first` to `first + n_rows` of the list `rows`, NULL: of x itself; 1 <= n_rows <= LGT_FORCE_ROWS. What
 * a row gets does not depend on the others in its block. */
void lgt_force_block_measure(lgt_force_block *block, const lgt_force_field *field, const int64_t *rows, int64_t first,
                             int64_t n_rows);

#endif
