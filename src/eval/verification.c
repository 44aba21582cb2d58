/* Verification over all pairs: AUC, equal error rate and TAR at FAR from the exact ROC.
 *
 * The genuine scores are kept and sorted. The impostors stream past twice, and of each only its place among the genuine
 * scores (ranks.h) counts: an impostor's place says how many genuine scores it beats and ties. The first pass sums
 *     AUC = sum over impostors of (2 n_genuine - place) / (2 n_genuine n_impostor)
 * and a histogram of places, which says in which bin the ROC, walked from the highest threshold down, crosses a line:
 * FAR = 0.01, FAR = 0.001, FAR = FRR. The second pass counts the single places of those bins. */
#include "logitude/eval.h"

#include "base/error.h"
#include "base/memory.h"
#include "base/parallel.h"
#include "base/sizes.h"
#include "eval/groups.h"
#include "eval/ranks.h"
#include "eval/scores.h"

/* A tile: 56 KiB of scores and, at 128 dimensions, 30 KiB of rows against 120 KiB: within a second-level cache. */
#define TILE_ROWS    (5 * LGT_PANEL)
#define TILE_COLUMNS (20 * LGT_PANEL)

/* About the square root of the places of the largest problems that fit a machine, so that both passes' bins are few. */
#define COARSE_BINS ((int64_t)1 << 14)

const double lgt_far_levels[LGT_FAR_LEVELS] = {1e-2, 1e-3};

#define N_LINES (LGT_FAR_LEVELS + 1) /* the FAR levels, then FAR = FRR */

/* Counters of places first + (bin << shift) ... for impostors scored in [low, high]. */
typedef struct window {
    int64_t first;
    float low, high;
} window;

/* A sum beyond 64 bits, on a cache line of its own. */
typedef struct wide_sum {
    uint64_t high, low, unused[6];
} wide_sum;

typedef struct pairs pairs;
typedef void (*visitor)(pairs *p, int64_t row, int64_t column, int64_t count, const float *scores, int worker);

/* All pairs of one kind, row < column in order of labels. */
struct pairs {
    lgt_context *context;
    lgt_scores scores;
    lgt_groups groups;
    int64_t n_genuine, n_impostor;
    float *tiles; /* one a worker */
    int impostors;
    visitor visit;
    /* genuine: where the pairs of a row go */
    int64_t *slot;
    float *genuine;
    /* impostors: counts of places, (workers, windows, bins) */
    lgt_ranks ranks;
    window windows[N_LINES];
    int64_t n_windows, n_bins, *bins;
    int shift;
    wide_sum *wins; /* (workers) 2 |{genuine > impostor}| + |{genuine = impostor}|; complete after the first pass */
};

static void visit_block(void *argument, int64_t block, int worker) {
    pairs *p = argument;
    const int64_t *end = p->groups.end;
    int64_t n = p->scores.n_rows, top = block * TILE_ROWS, bottom = lgt_min64(top + TILE_ROWS, n);
    int64_t first = p->impostors ? end[top] : top, last = p->impostors ? n : end[bottom - 1];
    float *tile = p->tiles + worker * TILE_ROWS * TILE_COLUMNS;
    for (int64_t left = first - first % LGT_PANEL; left < last; left += TILE_COLUMNS) {
        int64_t right = lgt_min64(left + TILE_COLUMNS, last);
        lgt_scores_tile(&p->scores, top, bottom - top, left, right - left, tile, TILE_COLUMNS);
        for (int64_t row = top; row < bottom; row++) {
            int64_t from = lgt_max64(left, p->impostors ? end[row] : row + 1);
            int64_t to = p->impostors ? right : lgt_min64(right, end[row]);
            if (from < to) p->visit(p, row, from, to - from, tile + (row - top) * TILE_COLUMNS + from - left, worker);
        }
    }
}

static void visit_pairs(pairs *p, int impostors, visitor visit) {
    p->impostors = impostors;
    p->visit = visit;
    lgt_parallel_for(p->context, lgt_ceil_div(p->scores.n_rows, TILE_ROWS), visit_block, p);
}

static void keep_genuine(pairs *p, int64_t row, int64_t column, int64_t count, const float *scores, int worker) {
    float *out = p->genuine + p->slot[row] + column - row - 1;
    (void)worker;
    for (int64_t i = 0; i < count; i++) out[i] = scores[i];
}

static lgt_status rank_genuine(pairs *p, lgt_error *err) {
    int64_t next = 0;
    lgt_status status = LGT_NEW(p->context, &p->slot, p->scores.n_rows, err);
    if (!status) status = LGT_NEW(p->context, &p->genuine, p->n_genuine, err);
    if (status) return status;
    for (int64_t row = 0; row < p->scores.n_rows; row++) {
        p->slot[row] = next;
        next += p->groups.end[row] - row - 1;
    }
    visit_pairs(p, 0, keep_genuine);
    float *scores = p->genuine;
    p->genuine = NULL; /* the ranks own them from here on */
    return lgt_ranks_create(p->context, p->n_genuine, scores, &p->ranks, err);
}

static void count_places(pairs *p, int64_t row, int64_t column, int64_t count, const float *scores, int worker) {
    int64_t *bins = p->bins + worker * p->n_windows * p->n_bins;
    uint64_t wins = 0;
    (void)row, (void)column;
    for (int64_t w = 0; w < p->n_windows; w++, bins += p->n_bins) {
        const window *own = &p->windows[w];
        for (int64_t i = 0; i < count; i++) {
            if (scores[i] < own->low || scores[i] > own->high) continue;
            int64_t place = lgt_ranks_place(&p->ranks, scores[i]), offset = place - own->first;
            if (offset < 0 || offset >> p->shift >= p->n_bins) continue;
            bins[offset >> p->shift]++;
            wins += (uint64_t)(2 * p->n_genuine - place);
        }
    }
    wide_sum *sum = &p->wins[worker];
    sum->low += wins;
    sum->high += sum->low < wins;
}

/* Counts all impostors into the windows; the sums over the workers end in the first worker's bins. */
static lgt_status count_impostors(pairs *p, lgt_error *err) {
    int workers = lgt_context_threads(p->context);
    int64_t stride = p->n_windows * p->n_bins;
    lgt_release(p->context, p->bins);
    p->bins = NULL;
    lgt_status status = LGT_NEW_ZERO(p->context, &p->bins, workers * stride, err);
    if (status) return status;
    visit_pairs(p, 1, count_places);
    for (int64_t worker = 1; worker < workers; worker++)
        for (int64_t bin = 0; bin < stride; bin++) p->bins[bin] += p->bins[worker * stride + bin];
    return LGT_OK;
}

/* A vertex of the ROC: how many pairs of either kind a threshold accepts. */
typedef struct vertex {
    int64_t impostors, genuine;
} vertex;

static double excess(const pairs *p, vertex v) { /* FAR - FRR */
    return (double)v.impostors / (double)p->n_impostor + (double)v.genuine / (double)p->n_genuine - 1;
}

static int64_t most_impostors(const pairs *p, int line) {
    return (int64_t)(lgt_far_levels[line] * (double)p->n_impostor);
}

static int crossed(const pairs *p, int line, vertex v) {
    return line < LGT_FAR_LEVELS ? v.impostors > most_impostors(p, line) : excess(p, v) >= 0;
}

/* Walks down the bins from *before until the line is crossed; then *before and *after are the ends of that step and the
 * result is its bin. The lowest threshold accepts everything and has crossed every line. */
static int64_t walk(const pairs *p, int line, const int64_t *bins, int64_t first, vertex *before, vertex *after) {
    for (int64_t bin = p->n_bins - 1;; bin--) {
        after->impostors = before->impostors + bins[bin];
        after->genuine = lgt_ranks_at_least(&p->ranks, first + (bin << p->shift));
        if (crossed(p, line, *after) || bin == 0) return bin;
        *before = *after;
    }
}

static void count_coarsely(pairs *p) {
    int64_t n_places = 2 * p->n_genuine + 1;
    p->shift = 0;
    while (lgt_ceil_div(n_places, (int64_t)1 << p->shift) > COARSE_BINS) p->shift++;
    p->n_bins = lgt_ceil_div(n_places, (int64_t)1 << p->shift);
    p->n_windows = 1;
    p->windows[0].first = 0;
    lgt_ranks_bounds(&p->ranks, 0, n_places, &p->windows[0].low, &p->windows[0].high);
}

static double wins_of(const pairs *p) {
    wide_sum sum = {0};
    for (int worker = 0; worker < lgt_context_threads(p->context); worker++) {
        sum.low += p->wins[worker].low;
        sum.high += p->wins[worker].high + (sum.low < p->wins[worker].low);
    }
    return (double)sum.high * 0x1p64 + (double)sum.low;
}

static lgt_status measure(pairs *p, lgt_verification *out, lgt_error *err) {
    vertex before[N_LINES] = {{0, 0}}, after = {0, 0};
    count_coarsely(p);
    lgt_status status = count_impostors(p, err);
    if (status) return status;
    out->auc = wins_of(p) / (2 * (double)p->n_genuine * (double)p->n_impostor);
    p->n_windows = N_LINES;
    for (int line = 0; line < N_LINES; line++) {
        window *own = &p->windows[line];
        own->first = walk(p, line, p->bins, 0, &before[line], &after) << p->shift;
        lgt_ranks_bounds(&p->ranks, own->first, own->first + ((int64_t)1 << p->shift), &own->low, &own->high);
    }
    p->n_bins = (int64_t)1 << p->shift;
    p->shift = 0;
    status = count_impostors(p, err);
    if (status) return status;
    for (int line = 0; line < N_LINES; line++) {
        walk(p, line, p->bins + line * p->n_bins, p->windows[line].first, &before[line], &after);
        if (line < LGT_FAR_LEVELS) out->tar_at_far[line] = (double)before[line].genuine / (double)p->n_genuine;
    }
    /* `after` is the last line's, FAR = FRR: where the segment from before (excess < 0) to after (>= 0) is 0 */
    vertex v = before[LGT_FAR_LEVELS];
    double share = -excess(p, v) / (excess(p, after) - excess(p, v));
    out->eer = ((double)v.impostors + share * (double)(after.impostors - v.impostors)) / (double)p->n_impostor;
    return LGT_OK;
}

static lgt_status count_kinds(pairs *p, const int64_t *labels, lgt_error *err) {
    int64_t n = p->scores.n_rows, twice = 0;
    if (!lgt_count_mul(n, lgt_max64(n - 1, 0), &twice))
        return lgt_fail(err, LGT_ERR_MEMORY, "%lld rows have too many pairs to count", (long long)n);
    for (int64_t row = 0; row < n; row++) p->n_genuine += p->groups.end[row] - row - 1;
    p->n_impostor = twice / 2 - p->n_genuine;
    if (p->n_genuine == 0)
        return lgt_fail(err, LGT_ERR_DATA, "no two of the %lld rows have the same label: there is no genuine pair",
                        (long long)n);
    if (p->n_impostor == 0)
        return lgt_fail(err, LGT_ERR_DATA, "all %lld rows have label %lld: there is no impostor pair", (long long)n,
                        (long long)labels[0]);
    return LGT_OK;
}

lgt_status lgt_eval_verification(lgt_context *context, lgt_view embeddings, const int64_t *labels,
                                 lgt_verification *out, lgt_error *err) {
    pairs p = {.context = context};
    lgt_verification result = {0};
    if (!labels || !out) return lgt_fail(err, LGT_ERR_USAGE, "verification needs labels and a result, found NULL");
    int64_t workers = lgt_context_threads(context);
    lgt_status status = lgt_scores_check(embeddings, err);
    if (!status) status = lgt_groups_create(context, embeddings.rows, labels, &p.groups, err);
    if (!status) status = lgt_scores_create(context, embeddings, p.groups.order, &p.scores, err);
    if (!status) status = count_kinds(&p, labels, err);
    if (!status) status = LGT_NEW(context, &p.tiles, workers * TILE_ROWS * TILE_COLUMNS, err);
    if (!status) status = LGT_NEW_ZERO(context, &p.wins, workers, err);
    if (!status) status = rank_genuine(&p, err);
    if (!status) status = measure(&p, &result, err);
    result.n_genuine = p.n_genuine;
    result.n_impostor = p.n_impostor;
    if (!status) *out = result;
    lgt_release(context, p.bins);
    lgt_ranks_free(context, &p.ranks);
    lgt_release(context, p.genuine);
    lgt_release(context, p.slot);
    lgt_release(context, p.wins);
    lgt_release(context, p.tiles);
    lgt_scores_free(context, &p.scores);
    lgt_groups_free(context, &p.groups);
    return status ? status : lgt_succeed(err);
}
