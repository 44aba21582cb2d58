/* Exact evaluation: classification, verification, retrieval. No score is binned and no threshold is taken from a grid.
 * Results are the same for any number of threads. */
#ifndef LOGITUDE_EVAL_H
#define LOGITUDE_EVAL_H

#include "comm.h"
#include "context.h"
#include "loss.h"
#include "types.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct lgt_classification {
    int64_t n_rows;
    double accuracy; /* share of rows whose top class is the label */
    double nll;      /* mean of lse - logit of the label, nats, of the plain logits */
    double ece;      /* expected calibration error of the top probability over 15 equal bins */
} lgt_classification;

/* From what lgt_head_predict returns with k >= 1 (only the first column of classes and logits is read; ld = k).
 * labels in [0, C). Errors: DATA (no rows). */
LGT_API lgt_status lgt_eval_classification(int64_t n_rows, const int64_t *labels, int64_t k, const int64_t *classes,
                                           const double *logits, const double *lse, const double *label_logits,
                                           lgt_classification *out, lgt_error *err);

/* All unordered pairs of rows, scored by the cosine of their embeddings; a pair is genuine if the labels are equal. */
typedef struct lgt_verification {
    int64_t n_genuine, n_impostor;
    double auc;           /* P(genuine score > impostor score) + P(equal) / 2 */
    double eer;           /* where false accepts equal false rejects on the ROC, linear between its points */
    double tar_at_far[2]; /* at FAR 1e-2 and 1e-3: the largest share of genuine pairs accepted by a threshold that
                             accepts at most that share of impostor pairs */
} lgt_verification;

#define LGT_FAR_LEVELS 2
LGT_API extern const double lgt_far_levels[LGT_FAR_LEVELS];

/* embeddings (N, D) float32, finite; a zero row has cosine 0 with everything. 2 N^2 D flops (the scores are made
 * twice); memory 8 bytes a genuine pair and up to 17 MiB a thread. Errors: DATA (no genuine or no impostor pair, a
 * value that is not finite with its row), USAGE (type), MEMORY. */
LGT_API lgt_status lgt_eval_verification(lgt_context *context, lgt_view embeddings, const int64_t *labels,
                                         lgt_verification *out, lgt_error *err);

/* The same by ranks that share the pairs, and watched. Each rank has all embeddings and labels, the same on all, and
 * gets the result, with the bits of one rank; comm NULL: alone. watch (may be NULL) counts n_all = n_genuine + 2
 * n_impostor pairs, by parts in which every thread has some work. Errors: also COMM (what one rank finds wrong all
 * return), INTERRUPTED (watch asked to stop), `out` being as it was. */
LGT_API lgt_status lgt_eval_verification_shared(lgt_context *context, const lgt_comm *comm, lgt_view embeddings,
                                                const int64_t *labels, lgt_pass_watch watch, void *user,
                                                lgt_verification *out, lgt_error *err);

/* Every row is a query against all others (itself left out), ranked by cosine, the lower row first among equals.
 * R = other rows of the query's label; queries with R = 0 are counted apart and enter no mean. */
typedef struct lgt_retrieval {
    int64_t n_queries, n_lone;
    double recall_at_1; /* share of queries with a match among the first 1 */
    double recall_at_5; /* ... among the first 5 */
    double map_at_r; /* mean over queries of (1/R) sum_{k<=R} [rank k matches] precision at k (Musgrave et al. 2020) */
} lgt_retrieval;

/* O(N^2 D) flops, O(N) memory a thread. Errors: as lgt_eval_verification; DATA when no query has a match. */
LGT_API lgt_status lgt_eval_retrieval(lgt_context *context, lgt_view embeddings, const int64_t *labels,
                                      lgt_retrieval *out, lgt_error *err);

/* The same by ranks that share the queries, and watched, as lgt_eval_verification_shared: n_all = N queries. */
LGT_API lgt_status lgt_eval_retrieval_shared(lgt_context *context, const lgt_comm *comm, lgt_view embeddings,
                                             const int64_t *labels, lgt_pass_watch watch, void *user,
                                             lgt_retrieval *out, lgt_error *err);

/* --- What pictures are drawn from --- */

/* Chooses min(n_rows, most) rows evenly at random by a fixed seed, in rising order, into rows; returns how many. */
LGT_API int64_t lgt_eval_sample(int64_t n_rows, int64_t most, uint64_t seed, int64_t *rows);

/* Where rows stand: the angle to the nearest centre of the own class, the class other than it whose direction is
 * nearest and the angle to that, and norms. Arrays of N, or NULL. */
typedef struct lgt_angles {
    double *target, *nearest; /* radians; NaN where a row or its centre has no direction */
    int64_t *nearest_class;
    double *x_norm, *w_norm; /* |x|, and |w| of the centre of the own class */
} lgt_angles;

/* x (N, D), w (C centres, D) float32, finite; labels in [0, C); n_classes >= 2, centres = lgt_loss_centres. The other
 * class is found by float32 cosines, the angles are measured in double. 2 N C D flops; O(N + C D) memory.
 * Errors: USAGE (shapes, types), DATA (label, NaN), MEMORY. */
LGT_API lgt_status lgt_eval_angles(lgt_context *context, lgt_view x, lgt_view w, const int64_t *labels,
                                   int64_t n_classes, int64_t centres, const lgt_angles *out, lgt_error *err);

/* The ROC of lgt_eval_verification at n given rates: tar[i] = the largest share of genuine pairs accepted by a
 * threshold that accepts at most the share far[i] of impostor pairs. Keeps all scores: 8 bytes for each of N^2/2 pairs,
 * N at most 20,000. Errors: as lgt_eval_verification, and USAGE (too many rows). */
LGT_API lgt_status lgt_eval_roc(lgt_context *context, lgt_view embeddings, const int64_t *labels, int n,
                                const double *far, double *tar, lgt_error *err);

/* The bins of the expected calibration error: rows by top probability, their mean probability and their accuracy (both
 * NaN in an empty bin). */
#define LGT_CALIBRATION_BINS 15
typedef struct lgt_calibration {
    int64_t rows[LGT_CALIBRATION_BINS];
    double confidence[LGT_CALIBRATION_BINS], accuracy[LGT_CALIBRATION_BINS];
} lgt_calibration;

/* Arguments and errors as lgt_eval_classification. */
LGT_API lgt_status lgt_eval_calibration(int64_t n_rows, const int64_t *labels, int64_t k, const int64_t *classes,
                                        const double *logits, const double *lse, lgt_calibration *out, lgt_error *err);

/* Rows of one label that were taken for one other class. */
typedef struct lgt_confusion {
    int64_t label, predicted, rows;
} lgt_confusion;

/* The most frequent confusions, by falling number of rows, then label, then class. Reads the first of k columns of
 * classes. O(N log N). Errors: USAGE, MEMORY. */
LGT_API lgt_status lgt_eval_confusions(lgt_context *context, int64_t n_rows, const int64_t *labels, int64_t k,
                                       const int64_t *classes, int64_t most, lgt_confusion *out, int64_t *count,
                                       lgt_error *err);

/* A plane through the embeddings: with D = 2 they themselves (shares NaN), else their first two principal components
 * about the mean (of their directions, with `directions`), each with its largest component positive, by power
 * iterations from a fixed start, and the share of the variance that each holds. out (N, 2) float64; D = 1 leaves zeros
 * in the second column. O(N D) flops an iteration, at most 600, and memory. Errors: USAGE, DATA (NaN), MEMORY. */
LGT_API lgt_status lgt_eval_map(lgt_context *context, lgt_view embeddings, int directions, lgt_mut out,
                                double shares[2], lgt_error *err);

#ifdef __cplusplus
}
#endif

#endif
