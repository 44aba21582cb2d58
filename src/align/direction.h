/* The inside of a plan of direction alignment. */
#ifndef LGT_ALIGN_DIRECTION_H
#define LGT_ALIGN_DIRECTION_H

#include "align/align_terms.h"
#include "align/neighbours.h"

struct lgt_align_plan {
    lgt_context *context;
    lgt_align term;
    int64_t dim, max_rows;
    int phi, beta, targets, resolve;
    double tau, lose, weight;
    lgt_finder *finder;
    lgt_unit_rows found, here, below; /* at the last find, at a pull by itself, of the layer below */
    int from_bank;                    /* neighbours=memory */
    int64_t *places;        /* targets=memory, of each row, or edge from the bank: what to fetch, then where */
    float *fetched;         /* (n, dim) of them, and */
    double *remembered;     /* the same in double */
    double *loss_rows;      /* (max_rows) */
    lgt_conflict_row *rows; /* (max_rows) */
    double *work;           /* a worker: four vectors */
};

enum { LGT_ALIGN_VECTORS = 4 };

/* What one row's pull is made of. */
typedef struct lgt_pull {
    const double *unit; /* x^ */
    double length;
    const lgt_align_edge *edges;
    int64_t n_edges;
    double share; /* weight / N */
} lgt_pull;

/* Compares the gradient with the head's `head` (D; overwritten), and resolves it. angles: largest and smallest too;
 * scratch holds two vectors. */
void lgt_conflict_judge(const lgt_align_plan *plan, const lgt_pull *pull, double *head, double *gradient, int angles,
                        double *scratch, lgt_conflict_row *out);

void lgt_conflict_count(lgt_conflict *total, const lgt_conflict_row *row);

#endif
