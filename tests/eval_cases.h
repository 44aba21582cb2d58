/* Random embeddings for the tests of evaluation, with and without ties that every arithmetic agrees on. */
#ifndef LGT_TESTS_EVAL_CASES_H
#define LGT_TESTS_EVAL_CASES_H

#include <stdlib.h>

#include "base/philox.h"
#include "eval/scores.h"
#include "support.h"

/* GAUSS: normal numbers around a mean of the class. LATTICE: four dimensions of +1 or -1: unit rows of +-1/2, so that
 * every cosine is exactly -1, -1/2, 0, 1/2 or 1. HOLES: the same, one row in four zero. ZERO: nothing but zero rows. */
typedef enum eval_kind { GAUSS, LATTICE, HOLES, ZERO } eval_kind;

typedef struct eval_case {
    const char *name;
    int64_t n_rows, dim, n_classes;
    eval_kind kind;
    uint64_t seed;
} eval_case;

typedef struct eval_set {
    float *x;        /* (n_rows, dim) */
    int64_t *labels; /* (n_rows) */
    float *scores;   /* (n_rows, n_rows) */
} eval_set;

static inline float eval_value(const eval_case *c, int64_t row, int64_t k, int64_t label) {
    lgt_rng noise = {c->seed, 1}, mean = {c->seed, 2}, hole = {c->seed, 3};
    uint64_t i = (uint64_t)(row * c->dim + k);
    if (c->kind == ZERO || (c->kind == HOLES && lgt_rng_below(&hole, (uint64_t)row, 4) == 0)) return 0;
    if (c->kind != GAUSS) return lgt_rng_bits(&noise, i) & 1 ? 1 : -1;
    return (float)(lgt_rng_normal(&noise, i) + 0.5 * lgt_rng_normal(&mean, (uint64_t)(label * c->dim + k)));
}

/* The library's own scores, which test_scores checks, so that an oracle sees the same roundings. */
static inline void eval_fill_scores(lgt_context *context, const eval_case *c, eval_set *set) {
    lgt_scores scores;
    lgt_error err;
    float tile[LGT_PANEL * LGT_PANEL];
    assert_ok(lgt_scores_create(context, lgt_view_of(set->x, c->n_rows, c->dim, LGT_F32), NULL, &scores, &err), err);
    for (int64_t top = 0; top < c->n_rows; top += LGT_PANEL)
        for (int64_t left = 0; left < c->n_rows; left += LGT_PANEL) {
            lgt_scores_tile(&scores, top, LGT_PANEL, left, tile, LGT_PANEL);
            for (int64_t i = top; i < top + LGT_PANEL && i < c->n_rows; i++)
                for (int64_t j = left; j < left + LGT_PANEL && j < c->n_rows; j++)
                    set->scores[i * c->n_rows + j] = tile[(i - top) * LGT_PANEL + j - left];
        }
    lgt_scores_free(context, &scores);
}

static inline eval_set eval_set_of(lgt_context *context, const eval_case *c) {
    size_t n = (size_t)c->n_rows, dim = (size_t)c->dim;
    eval_set set = {malloc(n * dim * sizeof(float)), malloc(n * sizeof(int64_t)), malloc(n * n * sizeof(float))};
    print_message("%s: %lld rows, %lld classes, seed %llu\n", c->name, (long long)c->n_rows, (long long)c->n_classes,
                  (unsigned long long)c->seed);
    assert_non_null(set.x);
    assert_non_null(set.labels);
    assert_non_null(set.scores);
    test_labels(set.labels, c->n_rows, c->n_classes, c->seed);
    for (int64_t row = 0; row < c->n_rows; row++)
        for (int64_t k = 0; k < c->dim; k++) set.x[row * c->dim + k] = eval_value(c, row, k, set.labels[row]);
    eval_fill_scores(context, c, &set);
    return set;
}

static inline void eval_set_free(eval_set *set) {
    free(set->scores);
    free(set->labels);
    free(set->x);
}

/* The same rows in another order, all scaled by a power of two of either sign of the exponent. */
static inline eval_set eval_shuffled(const eval_case *c, const eval_set *set, float scale) {
    size_t n = (size_t)c->n_rows;
    eval_set out = {malloc(n * (size_t)c->dim * sizeof(float)), malloc(n * sizeof(int64_t)), NULL};
    int64_t *order = malloc(n * sizeof(int64_t));
    lgt_rng rng = {c->seed, 4};
    assert_non_null(out.x);
    assert_non_null(out.labels);
    assert_non_null(order);
    lgt_rng_permutation(&rng, c->n_rows, order);
    for (int64_t row = 0; row < c->n_rows; row++) {
        out.labels[row] = set->labels[order[row]];
        for (int64_t k = 0; k < c->dim; k++) out.x[row * c->dim + k] = scale * set->x[order[row] * c->dim + k];
    }
    free(order);
    return out;
}

#endif
