/* Accuracy, negative log likelihood and calibration of predictions.
 * ECE = sum_b |sum_{i in b} [class_i = label_i] - p_i| / N over 15 bins [b/15, (b+1)/15) of the top probability p, 1 in
 * the last (Guo et al., "On calibration of modern neural networks", ICML 2017). */
#include "logitude/eval.h"

#include <math.h>

#include "base/error.h"

#define N_BINS LGT_CALIBRATION_BINS

static int bin_of(double p) {
    int bin = p < 1 ? (int)(p * N_BINS) : N_BINS - 1;
    return bin < N_BINS ? bin : N_BINS - 1; /* p just below 1 */
}

lgt_status lgt_eval_classification(int64_t n_rows, const int64_t *labels, int64_t k, const int64_t *classes,
                                   const double *logits, const double *lse, const double *label_logits,
                                   lgt_classification *out, lgt_error *err) {
    double gap[N_BINS] = {0}, nll = 0, ece = 0;
    int64_t n_right = 0;
    if (!labels || !classes || !logits || !lse || !label_logits || !out || k < 1)
        return lgt_fail(err, LGT_ERR_USAGE,
                        "classification needs labels, classes, logits, lse, label_logits, a result and k >= 1, found "
                        "k = %lld or a NULL among them",
                        (long long)k);
    if (n_rows < 1) return lgt_fail(err, LGT_ERR_DATA, "found %lld rows, expected at least 1", (long long)n_rows);
    for (int64_t row = 0; row < n_rows; row++) {
        double p = exp(logits[row * k] - lse[row]), loss = lse[row] - label_logits[row];
        if (!isfinite(p) || !isfinite(loss))
            return lgt_fail(err, LGT_ERR_DATA, "row %lld has top logit %g, lse %g and label logit %g, expected finite",
                            (long long)row, logits[row * k], lse[row], label_logits[row]);
        int right = classes[row * k] == labels[row];
        gap[bin_of(p)] += right - p;
        n_right += right;
        nll += loss;
    }
    for (int bin = 0; bin < N_BINS; bin++) ece += fabs(gap[bin]);
    out->n_rows = n_rows;
    out->accuracy = (double)n_right / (double)n_rows;
    out->nll = nll / (double)n_rows;
    out->ece = ece / (double)n_rows;
    return lgt_succeed(err);
}

lgt_status lgt_eval_calibration(int64_t n_rows, const int64_t *labels, int64_t k, const int64_t *classes,
                                const double *logits, const double *lse, lgt_calibration *out, lgt_error *err) {
    lgt_calibration sums = {{0}, {0}, {0}};
    if (!labels || !classes || !logits || !lse || !out || k < 1)
        return lgt_fail(err, LGT_ERR_USAGE,
                        "calibration needs labels, classes, logits, lse, a result and k >= 1, found k = %lld or a NULL "
                        "among them",
                        (long long)k);
    if (n_rows < 1) return lgt_fail(err, LGT_ERR_DATA, "found %lld rows, expected at least 1", (long long)n_rows);
    for (int64_t row = 0; row < n_rows; row++) {
        double p = exp(logits[row * k] - lse[row]);
        if (!isfinite(p))
            return lgt_fail(err, LGT_ERR_DATA, "row %lld has top logit %g and lse %g, expected finite", (long long)row,
                            logits[row * k], lse[row]);
        int bin = bin_of(p);
        sums.rows[bin]++;
        sums.confidence[bin] += p;
        sums.accuracy[bin] += classes[row * k] == labels[row];
    }
    for (int bin = 0; bin < N_BINS; bin++) {
        double rows = sums.rows[bin] ? (double)sums.rows[bin] : NAN;
        sums.confidence[bin] /= rows;
        sums.accuracy[bin] /= rows;
    }
    *out = sums;
    return lgt_succeed(err);
}
