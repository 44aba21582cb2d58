/* The ROC over all pairs of a few thousand rows: both kinds of scores are kept and sorted. */
#include "base/error.h"
#include "base/memory.h"
#include "base/sizes.h"
#include "eval/groups.h"
#include "eval/ranks.h"
#include "eval/scores.h"
#include "logitude/eval.h"

enum { MOST_ROWS = 20000 };

typedef struct kind {
    int64_t n;
    float *scores, *spare; /* sorted into spare */
} kind;

typedef struct roc {
    lgt_scores scores;
    lgt_groups groups;
    kind genuine, impostor;
    float *tile;
} roc;

static lgt_status make_kind(lgt_context *context, int64_t n, kind *out, lgt_error *err) {
    lgt_status status = LGT_NEW(context, &out->scores, n, err);
    return status ? status : LGT_NEW(context, &out->spare, n, err);
}

static void keep(roc *r, int64_t row, int64_t left, int64_t right, const float *scores) {
    for (int64_t column = lgt_max64(left, row + 1); column < right; column++) {
        kind *k = column < r->groups.end[row] ? &r->genuine : &r->impostor;
        k->scores[k->n++] = scores[column - left];
    }
}

static void collect(roc *r) {
    int64_t n = r->scores.n_rows;
    for (int64_t top = 0; top < n; top += LGT_PANEL)
        for (int64_t left = top; left < n; left += LGT_PANEL) {
            int64_t bottom = lgt_min64(top + LGT_PANEL, n), right = lgt_min64(left + LGT_PANEL, n);
            lgt_scores_tile(&r->scores, top, bottom - top, left, r->tile, LGT_PANEL);
            for (int64_t row = top; row < bottom; row++) keep(r, row, left, right, r->tile + (row - top) * LGT_PANEL);
        }
}

/* How many of the sorted scores are greater than value. */
static int64_t above(const kind *k, float value) {
    int64_t low = 0, high = k->n;
    while (low < high) {
        int64_t middle = low + (high - low) / 2;
        if (k->spare[middle] > value)
            high = middle;
        else
            low = middle + 1;
    }
    return k->n - low;
}

/* The threshold lies above the impostor that would be one too many. */
static double tar_at(const roc *r, double far) {
    int64_t most = (int64_t)(far * (double)r->impostor.n);
    if (most >= r->impostor.n) return 1;
    return (double)above(&r->genuine, r->impostor.spare[r->impostor.n - 1 - most]) / (double)r->genuine.n;
}

static lgt_status count_pairs(lgt_context *context, roc *r, int64_t n, lgt_error *err) {
    int64_t genuine = 0;
    for (int64_t row = 0; row < n; row++) genuine += r->groups.end[row] - row - 1;
    int64_t impostor = n * (n - 1) / 2 - genuine;
    if (genuine == 0 || impostor == 0)
        return lgt_fail(err, LGT_ERR_DATA, "%lld genuine and %lld impostor pairs, expected some of each",
                        (long long)genuine, (long long)impostor);
    lgt_status status = make_kind(context, genuine, &r->genuine, err);
    return status ? status : make_kind(context, impostor, &r->impostor, err);
}

lgt_status lgt_eval_roc(lgt_context *context, lgt_view embeddings, const int64_t *labels, int n, const double *far,
                        double *tar, lgt_error *err) {
    roc r = {.tile = NULL};
    if (!labels || n < 0 || (n > 0 && (!far || !tar)))
        return lgt_fail(err, LGT_ERR_USAGE, "a ROC needs labels, rates and a result, found NULL or %d rates", n);
    if (embeddings.rows > MOST_ROWS)
        return lgt_fail(err, LGT_ERR_USAGE, "%lld rows, expected at most %d", (long long)embeddings.rows, MOST_ROWS);
    for (int i = 0; i < n; i++)
        if (!(far[i] >= 0 && far[i] <= 1))
            return lgt_fail(err, LGT_ERR_USAGE, "rate %d is %g, expected 0 to 1", i, far[i]);
    lgt_status status = lgt_scores_check(embeddings, err);
    if (!status) status = lgt_groups_create(context, embeddings.rows, labels, &r.groups, err);
    if (!status) status = count_pairs(context, &r, embeddings.rows, err);
    if (!status) status = lgt_scores_create(context, embeddings, r.groups.order, &r.scores, err);
    if (!status) status = LGT_NEW(context, &r.tile, LGT_PANEL * LGT_PANEL, err);
    if (!status) {
        collect(&r);
        lgt_ranks_sort(r.genuine.n, r.genuine.scores, r.genuine.spare);
        lgt_ranks_sort(r.impostor.n, r.impostor.scores, r.impostor.spare);
        for (int i = 0; i < n; i++) tar[i] = tar_at(&r, far[i]);
    }
    lgt_release(context, r.tile);
    lgt_scores_free(context, &r.scores);
    lgt_release(context, r.impostor.spare);
    lgt_release(context, r.impostor.scores);
    lgt_release(context, r.genuine.spare);
    lgt_release(context, r.genuine.scores);
    lgt_groups_free(context, &r.groups);
    return status ? status : lgt_succeed(err);
}
