/* Exact evaluation: classification, verification, retrieval. No score is binned and no threshold is taken from a grid.
 * Results are the same for any number of threads. */
#ifndef LOGITUDE_EVAL_H
#define LOGITUDE_EVAL_H

#include "context.h"
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

#ifdef __cplusplus
}
#endif

#endif
