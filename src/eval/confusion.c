/* The most frequent confusions of predictions, by sorting the wrong ones. */
#include <stdlib.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/sizes.h"
#include "logitude/eval.h"

static int by_pair(const void *left, const void *right) {
    const lgt_confusion *a = left, *b = right;
    if (a->label != b->label) return a->label < b->label ? -1 : 1;
    return (a->predicted > b->predicted) - (a->predicted < b->predicted);
}

static int by_rows(const void *left, const void *right) {
    const lgt_confusion *a = left, *b = right;
    if (a->rows != b->rows) return a->rows > b->rows ? -1 : 1;
    return by_pair(a, b);
}

/* Equal pairs become one with their number of rows. */
static int64_t merge(lgt_confusion *all, int64_t n) {
    int64_t count = 0;
    for (int64_t i = 0; i < n; i++) {
        if (count > 0 && by_pair(&all[count - 1], &all[i]) == 0)
            all[count - 1].rows++;
        else
            all[count++] = all[i];
    }
    return count;
}

lgt_status lgt_eval_confusions(lgt_context *context, int64_t n_rows, const int64_t *labels, int64_t k,
                               const int64_t *classes, int64_t most, lgt_confusion *out, int64_t *count,
                               lgt_error *err) {
    lgt_confusion *all = NULL;
    int64_t n = 0;
    if (n_rows < 0 || (n_rows > 0 && (!labels || !classes)) || k < 1 || most < 0 || (most > 0 && !out) || !count)
        return lgt_fail(
            err, LGT_ERR_USAGE,
            "confusions need labels, classes, k >= 1, most >= 0 and a result, found k = %lld, most = %lld or a NULL",
            (long long)k, (long long)most);
    lgt_status status = LGT_NEW(context, &all, n_rows, err);
    if (status) return status;
    for (int64_t row = 0; row < n_rows; row++)
        if (classes[row * k] != labels[row]) all[n++] = (lgt_confusion){labels[row], classes[row * k], 1};
    qsort(all, (size_t)n, sizeof *all, by_pair);
    n = merge(all, n);
    qsort(all, (size_t)n, sizeof *all, by_rows);
    *count = lgt_min64(n, most);
    for (int64_t i = 0; i < *count; i++) out[i] = all[i];
    lgt_release(context, all);
    return lgt_succeed(err);
}
