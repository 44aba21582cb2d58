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

/* About the square root of the places of the largest problems that fit a machine, so that both passes' bins are few. */
#define COARSE_BINS ((int64_t)1 << 14)

/* Impostors a worker sorts at a time: enough to share the walk through the genuine scores, 16 MiB with their places. */
#define BATCH ((int64_t)1 << 20)

const double lgt_far_levels[LGT_FAR_LEVELS] = {1e-2, 1e-3};

#define N_LINES (LGT_FAR_LEVELS + 1) /* the FAR levels, then FAR = FRR */

/* The places first ... first + (n_bins << shift) - 1, counted in bins; their scores lie in [low, high]. */
typedef struct window {
    int64_t first;
    float low, high;
} window;

/* What one worker collects. */
typedef struct collector {
    float *tile;          /* one panel against another */
    int64_t count;        /* impostors in the batch */
    float *batch, *spare; /* (BATCH) each */
    int64_t *places;      /* (BATCH) */
    int64_t *bins;        /* (windows, bins) */
    uint64_t high, low;   /* sum of 2 |{genuine > impostor}| + |{genuine = impostor}|; complete after the first pass */
} collector;

typedef struct pairs pairs;
typedef void (*visitor)(pairs *p, int64_t row, int64_t column, int64_t count, const float *scores, int worker);

/* All pairs of one kind, row < column in order of labels. */
struct pairs {
    lgt_context *context;
    lgt_scores scores;
    lgt_groups groups;
    int64_t n_genuine, n_impostor;
    int impostors;
    visitor visit;
    /* genuine: all scores, and where those of a row go */
    int64_t *slot;
    float *genuine;
    /* impostors */
    lgt_ranks *ranks; /* of the genuine scores */
    window windows[N_LINES];
    int64_t n_windows, n_bins;
    int shift;
    collector *collectors; /* (workers) */
};

static void visit_block(void *argument, int64_t block, int worker) {
    pairs *p = argument;
    const int64_t *end = p->groups.end;
    int64_t n = p->scores.n_rows, top = block * LGT_PANEL, bottom = lgt_min64(top + LGT_PANEL, n);
    int64_t first = p->impostors ? end[top] : top, last = p->impostors ? n : end[bottom - 1];
    float *tile = p->collectors[worker].tile;
    for (int64_t left = first - first % LGT_PANEL; left < last; left += LGT_PANEL) {
        int64_t right = lgt_min64(left + LGT_PANEL, last);
        lgt_scores_tile(&p->scores, top, bottom - top, left, tile, LGT_PANEL);
        for (int64_t row = top; row < bottom; row++) {
            int64_t from = lgt_max64(left, p->impostors ? end[row] : row + 1);
            int64_t to = p->impostors ? right : lgt_min64(right, end[row]);
            if (from < to) p->visit(p, row, from, to - from, tile + (row - top) * LGT_PANEL + from - left, worker);
        }
    }
}

static void visit_pairs(pairs *p, int impostors, visitor visit) {
    p->impostors = impostors;
    p->visit = visit;
    lgt_parallel_for(p->context, lgt_ceil_div(p->scores.n_rows, LGT_PANEL), visit_block, p);
}

static void keep_genuine(pairs *p, int64_t row, int64_t column, int64_t count, const float *scores, int worker) {
    float *out = p->genuine + p->slot[row] + column - row - 1;
    (void)worker;
    for (int64_t i = 0; i < count; i++) out[i] = scores[i];
}

static lgt_status rank_genuine(pairs *p, lgt_error *err) {
    int64_t next = 0;
    float *spare = NULL;
    lgt_status status = LGT_NEW(p->context, &p->slot, p->scores.n_rows, err);
    if (!status) status = LGT_NEW(p->context, &p->genuine, p->n_genuine, err);
    if (!status) status = LGT_NEW(p->context, &p->ranks, 1, err);
    if (!status) status = LGT_NEW(p->context, &spare, p->n_genuine, err);
    if (status) return status;
    for (int64_t row = 0; row < p->scores.n_rows; row++) {
        p->slot[row] = next;
        next += p->groups.end[row] - row - 1;
    }
    visit_pairs(p, 0, keep_genuine);
    lgt_ranks_sort(p->n_genuine, p->genuine, spare);
    lgt_release(p->context, p->genuine);
    p->genuine = spare;
    lgt_ranks_init(p->ranks, p->n_genuine, p->genuine);
    return LGT_OK;
}

/* Empties the batch of a worker into its bins. */
static void count_batch(void *argument, int64_t index, int worker) {
    const pairs *p = argument;
    collector *own = &p->collectors[index];
    (void)worker;
    lgt_ranks_places(p->ranks, own->count, own->batch, own->spare, own->places);
    for (int64_t i = 0; i < own->count; i++) {
        uint64_t wins = (uint64_t)(2 * p->n_genuine - own->places[i]);
        own->low += wins;
        own->high += own->low < wins;
        for (int64_t w = 0; w < p->n_windows; w++) {
            int64_t offset = own->places[i] - p->windows[w].first;
            if (offset >= 0 && offset >> p->shift < p->n_bins) own->bins[w * p->n_bins + (offset >> p->shift)]++;
        }
    }
    own->count = 0;
}

static void keep_impostors(pairs *p, int64_t row, int64_t column, int64_t count, const float *scores, int worker) {
    collector *own = &p->collectors[worker];
    (void)row, (void)column;
    if (own->count + count > BATCH) count_batch(p, worker, worker);
    for (int64_t i = 0; i < count; i++) {
        int wanted = 0;
        for (int64_t w = 0; w < p->n_windows; w++)
            wanted |= scores[i] >= p->windows[w].low && scores[i] <= p->windows[w].high;
        own->batch[own->count] = scores[i];
        own->count += wanted;
    }
}

/* Counts all impostors into the windows; the sums over the workers end in the first worker's bins. */
static lgt_status count_impostors(pairs *p, lgt_error *err) {
    int64_t workers = lgt_context_threads(p->context), n_bins = p->n_windows * p->n_bins;
    for (int64_t worker = 0; worker < workers; worker++) {
        collector *own = &p->collectors[worker];
        lgt_release(p->context, own->bins);
        own->bins = NULL;
        lgt_status status = LGT_NEW_ZERO(p->context, &own->bins, n_bins, err);
        if (status) return status;
    }
    visit_pairs(p, 1, keep_impostors);
    lgt_parallel_for(p->context, workers, count_batch, p);
    for (int64_t worker = 1; worker < workers; worker++)
        for (int64_t bin = 0; bin < n_bins; bin++) p->collectors[0].bins[bin] += p->collectors[worker].bins[bin];
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
        after->genuine = lgt_ranks_at_least(p->ranks, first + (bin << p->shift));
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
    lgt_ranks_bounds(p->ranks, 0, n_places, &p->windows[0].low, &p->windows[0].high);
}

static double auc_of(const pairs *p) {
    uint64_t high = 0, low = 0;
    for (int worker = 0; worker < lgt_context_threads(p->context); worker++) {
        low += p->collectors[worker].low;
        high += p->collectors[worker].high + (low < p->collectors[worker].low);
    }
    return ((double)high * 0x1p64 + (double)low) / (2 * (double)p->n_genuine * (double)p->n_impostor);
}

static lgt_status measure(pairs *p, lgt_verification *out, lgt_error *err) {
    vertex before[N_LINES] = {{0, 0}}, after = {0, 0};
    count_coarsely(p);
    lgt_status status = count_impostors(p, err);
    if (status) return status;
    out->auc = auc_of(p);
    p->n_windows = N_LINES;
    for (int line = 0; line < N_LINES; line++) {
        window *own = &p->windows[line];
        own->first = walk(p, line, p->collectors[0].bins, 0, &before[line], &after) << p->shift;
        lgt_ranks_bounds(p->ranks, own->first, own->first + ((int64_t)1 << p->shift), &own->low, &own->high);
    }
    p->n_bins = (int64_t)1 << p->shift;
    p->shift = 0;
    status = count_impostors(p, err);
    if (status) return status;
    for (int line = 0; line < N_LINES; line++) {
        walk(p, line, p->collectors[0].bins + line * p->n_bins, p->windows[line].first, &before[line], &after);
        if (line < LGT_FAR_LEVELS) out->tar_at_far[line] = (double)before[line].genuine / (double)p->n_genuine;
    }
    /* `after` is the last line's, FAR = FRR: where the segment from before (excess < 0) to after (>= 0) is 0 */
    vertex v = before[LGT_FAR_LEVELS];
    double share = -excess(p, v) / (excess(p, after) - excess(p, v));
    out->eer = ((double)v.impostors + share * (double)(after.impostors - v.impostors)) / (double)p->n_impostor;
    return LGT_OK;
}

static lgt_status count_kinds(pairs *p, int64_t n, const int64_t *labels, lgt_error *err) {
    int64_t twice = 0;
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

static lgt_status make_collectors(pairs *p, lgt_error *err) {
    int64_t workers = lgt_context_threads(p->context);
    int64_t size = lgt_max64(LGT_PANEL, lgt_min64(BATCH, p->n_impostor));
    lgt_status status = LGT_NEW_ZERO(p->context, &p->collectors, workers, err);
    for (int64_t worker = 0; worker < workers && !status; worker++) {
        collector *own = &p->collectors[worker];
        status = LGT_NEW(p->context, &own->tile, LGT_PANEL * LGT_PANEL, err);
        if (!status) status = LGT_NEW(p->context, &own->batch, size + 1, err);
        if (!status) status = LGT_NEW(p->context, &own->spare, size, err);
        if (!status) status = LGT_NEW(p->context, &own->places, size, err);
    }
    return status;
}

static void free_collectors(pairs *p) {
    for (int worker = 0; p->collectors && worker < lgt_context_threads(p->context); worker++) {
        collector *own = &p->collectors[worker];
        lgt_release(p->context, own->bins);
        lgt_release(p->context, own->places);
        lgt_release(p->context, own->spare);
        lgt_release(p->context, own->batch);
        lgt_release(p->context, own->tile);
    }
    lgt_release(p->context, p->collectors);
}

lgt_status lgt_eval_verification(lgt_context *context, lgt_view embeddings, const int64_t *labels,
                                 lgt_verification *out, lgt_error *err) {
    pairs p = {.context = context};
    lgt_verification result = {0};
    if (!labels || !out) return lgt_fail(err, LGT_ERR_USAGE, "verification needs labels and a result, found NULL");
    lgt_status status = lgt_scores_check(embeddings, err);
    if (!status) status = lgt_groups_create(context, embeddings.rows, labels, &p.groups, err);
    if (!status) status = count_kinds(&p, embeddings.rows, labels, err);
    if (!status) status = lgt_scores_create(context, embeddings, p.groups.order, &p.scores, err);
    if (!status) status = make_collectors(&p, err);
    if (!status) status = rank_genuine(&p, err);
    if (!status) status = measure(&p, &result, err);
    result.n_genuine = p.n_genuine;
    result.n_impostor = p.n_impostor;
    if (!status) *out = result;
    lgt_release(context, p.ranks);
    lgt_release(context, p.genuine);
    lgt_release(context, p.slot);
    free_collectors(&p);
    lgt_scores_free(context, &p.scores);
    lgt_groups_free(context, &p.groups);
    return status ? status : lgt_succeed(err);
}
