/* Verification over all pairs: AUC, equal error rate and TAR at FAR from the exact ROC.
 *
 * The genuine scores are kept and sorted. The impostors stream past twice, and of each only its place among the genuine
 * scores (ranks.h) counts: an impostor's place says how many genuine scores it beats and ties. The first pass sums
 *     AUC = sum over impostors of (2 n_genuine - place) / (2 n_genuine n_impostor)
 * and a histogram of places, which says in which bin the ROC, walked from the highest threshold down, crosses a line:
 * FAR = 0.01, FAR = 0.001, FAR = FRR. The second pass counts the single places of those bins.
 *
 * Ranks share either kind of pairs by rows, about as many pairs each. The genuine scores are gathered, and every rank
 * sorts them; of the impostors counts are summed, which are whole numbers: no result knows who has counted. */
#include "logitude/eval.h"

#include "base/error.h"
#include "base/memory.h"
#include "base/parallel.h"
#include "base/sizes.h"
#include "comm/call.h"
#include "eval/groups.h"
#include "eval/ranks.h"
#include "eval/scores.h"

/* About the square root of the places of the largest problems that fit a machine, so that both passes' bins are few. */
#define COARSE_BINS ((int64_t)1 << 14)

/* Impostors a worker sorts at a time: enough to share the walk through the genuine scores, 16 MiB with their places. */
#define BATCH ((int64_t)1 << 20)

/* Blocks of rows a rank, about, after which ranks wait for each other: who is merely slower is not taken for lost. */
#define ROUND_BLOCKS 32

/* Blocks of rows a thread, about, after which a watch is called: the threads that are through wait for the last. */
#define WATCHED_BLOCKS 8

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
    const lgt_comm *comm; /* NULL: alone */
    int64_t *offsets;     /* (ranks + 1) */
    lgt_pass_watch watch; /* NULL: none */
    void *user;
    int64_t n_passed; /* pairs of the passes before */
    lgt_scores scores;
    lgt_groups groups;
    int64_t n_genuine, n_impostor;
    int impostors;
    visitor visit;
    int64_t first_block; /* of those under way */
    /* genuine: all scores, and where those of a row go */
    int64_t *slot;
    float *unsorted, *genuine;
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
    int64_t n = p->scores.n_rows, top = (p->first_block + block) * LGT_PANEL, bottom = lgt_min64(top + LGT_PANEL, n);
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

/* Pairs of the kind in rows before this one. */
static int64_t pairs_before(const pairs *p, int64_t row) {
    int64_t n = p->scores.n_rows, genuine = row < n ? p->slot[row] : p->n_genuine;
    return p->impostors ? row * (2 * n - 1 - row) / 2 - genuine : genuine;
}

/* Where part `index` begins when the pairs of the kind are cut into almost equal parts of whole blocks. */
static int64_t cut_blocks(const pairs *p, int parts, int index) {
    int64_t low = 0, high = lgt_ceil_div(p->scores.n_rows, LGT_PANEL);
    if (index == parts) return high;
    int64_t wanted = lgt_comm_cut(p->impostors ? p->n_impostor : p->n_genuine, parts, index);
    while (low < high) {
        int64_t middle = low + (high - low) / 2;
        if (pairs_before(p, middle * LGT_PANEL) < wanted)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* Of every rank as many parts follow one another as there are rounds. */
static int count_rounds(const pairs *p) {
    int64_t blocks = lgt_ceil_div(p->scores.n_rows, LGT_PANEL), size = p->comm ? p->comm->size : 1;
    int64_t own = p->comm ? ROUND_BLOCKS : WATCHED_BLOCKS * (int64_t)lgt_context_threads(p->context);
    return p->comm || p->watch ? (int)lgt_max64(1, lgt_min64(blocks / (size * own), INT32_MAX / size)) : 1;
}

/* Of ranks that have about as many pairs each, all are as far. */
static lgt_status tell_watch(const pairs *p, int64_t n_done, lgt_error *err) {
    int64_t n_all = p->n_genuine + 2 * p->n_impostor;
    if (!p->watch || !p->watch(p->user, n_done, n_all)) return LGT_OK;
    return lgt_fail(err, LGT_ERR_INTERRUPTED, "stopped after %lld of %lld pairs", (long long)n_done, (long long)n_all);
}

static lgt_status visit_pairs(pairs *p, int impostors, visitor visit, lgt_error *err) {
    int rounds = count_rounds(p), rank = p->comm ? p->comm->rank : 0, parts = (p->comm ? p->comm->size : 1) * rounds;
    int64_t n_pairs = impostors ? p->n_impostor : p->n_genuine;
    lgt_status status = LGT_OK;
    p->impostors = impostors;
    p->visit = visit;
    for (int part = rank * rounds; part < (rank + 1) * rounds && !status; part++) {
        status = tell_watch(p, p->n_passed + lgt_comm_cut(n_pairs, rounds, part - rank * rounds), err);
        if (status) return status;
        p->first_block = cut_blocks(p, parts, part);
        lgt_parallel_for(p->context, cut_blocks(p, parts, part + 1) - p->first_block, visit_block, p);
        if (p->comm) status = p->comm->barrier(p->comm->user, err);
    }
    p->n_passed += n_pairs;
    return status;
}

static void keep_genuine(pairs *p, int64_t row, int64_t column, int64_t count, const float *scores, int worker) {
    float *out = p->unsorted + p->slot[row] + column - row - 1;
    (void)worker;
    for (int64_t i = 0; i < count; i++) out[i] = scores[i];
}

static lgt_status make_genuine(pairs *p, lgt_error *err) {
    int64_t next = 0;
    lgt_status status = LGT_NEW(p->context, &p->slot, p->scores.n_rows, err);
    if (!status) status = LGT_NEW(p->context, &p->unsorted, p->n_genuine, err);
    if (!status) status = LGT_NEW(p->context, &p->genuine, p->n_genuine, err);
    if (!status) status = LGT_NEW(p->context, &p->ranks, 1, err);
    if (!status) status = LGT_NEW(p->context, &p->offsets, p->comm ? p->comm->size + 1 : 0, err);
    for (int64_t row = 0; row < p->scores.n_rows && !status; row++) {
        p->slot[row] = next;
        next += p->groups.end[row] - row - 1;
    }
    return status;
}

static lgt_status gather_genuine(const pairs *p, lgt_error *err) {
    const lgt_comm *comm = p->comm;
    int rounds = count_rounds(p);
    if (!comm) return LGT_OK;
    for (int rank = 0; rank <= comm->size; rank++) {
        int64_t row = cut_blocks(p, comm->size * rounds, rank * rounds) * LGT_PANEL;
        p->offsets[rank] = pairs_before(p, lgt_min64(row, p->scores.n_rows)) * (int64_t)sizeof *p->unsorted;
    }
    return comm->gather(comm->user, p->unsorted, p->offsets, err);
}

static lgt_status rank_genuine(pairs *p, lgt_error *err) {
    lgt_status status = visit_pairs(p, 0, keep_genuine, err);
    if (!status) status = gather_genuine(p, err);
    if (status) return status;
    lgt_ranks_sort(p->n_genuine, p->unsorted, p->genuine);
    lgt_release(p->context, p->unsorted);
    p->unsorted = NULL;
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

static lgt_status make_bins(pairs *p, lgt_error *err) {
    lgt_status status = LGT_OK;
    for (int worker = 0; worker < lgt_context_threads(p->context) && !status; worker++) {
        collector *own = &p->collectors[worker];
        lgt_release(p->context, own->bins);
        own->bins = NULL;
        status = LGT_NEW_ZERO(p->context, &own->bins, p->n_windows * p->n_bins, err);
    }
    return status;
}

/* Counts all impostors into the windows; the sums over workers and ranks end in the first worker's bins. */
static lgt_status count_impostors(pairs *p, lgt_error *err) {
    const lgt_comm *comm = p->comm;
    int64_t workers = lgt_context_threads(p->context), n_bins = p->n_windows * p->n_bins;
    lgt_status status = lgt_comm_agree(comm, make_bins(p, err), err);
    if (!status) status = visit_pairs(p, 1, keep_impostors, err);
    if (status) return status;
    lgt_parallel_for(p->context, workers, count_batch, p);
    for (int64_t worker = 1; worker < workers; worker++)
        for (int64_t bin = 0; bin < n_bins; bin++) p->collectors[0].bins[bin] += p->collectors[worker].bins[bin];
    return comm ? comm->sum(comm->user, p->collectors[0].bins, n_bins, LGT_I64, err) : LGT_OK;
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

static lgt_status find_auc(const pairs *p, double *auc, lgt_error *err) {
    const lgt_comm *comm = p->comm;
    uint64_t high = 0, low = 0;
    for (int worker = 0; worker < lgt_context_threads(p->context); worker++) {
        low += p->collectors[worker].low;
        high += p->collectors[worker].high + (low < p->collectors[worker].low);
    }
    if (comm) { /* in pieces whose sums over ranks fit */
        int64_t pieces[3] = {(int64_t)high, (int64_t)(low >> 32), (int64_t)(low & UINT32_MAX)};
        lgt_status status = comm->sum(comm->user, pieces, 3, LGT_I64, err);
        if (status) return status;
        uint64_t middle = (uint64_t)pieces[1] + ((uint64_t)pieces[2] >> 32);
        high = (uint64_t)pieces[0] + (middle >> 32);
        low = middle << 32 | ((uint64_t)pieces[2] & UINT32_MAX);
    }
    *auc = ((double)high * 0x1p64 + (double)low) / (2 * (double)p->n_genuine * (double)p->n_impostor);
    return LGT_OK;
}

static lgt_status measure(pairs *p, lgt_verification *out, lgt_error *err) {
    vertex before[N_LINES] = {{0, 0}}, after = {0, 0};
    count_coarsely(p);
    lgt_status status = count_impostors(p, err);
    if (!status) status = find_auc(p, &out->auc, err);
    if (status) return status;
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

/* Everything that can be wrong with one rank is found here, but for memory of bins. */
static lgt_status prepare(pairs *p, lgt_view embeddings, const int64_t *labels, const lgt_verification *out,
                          lgt_error *err) {
    if (!labels || !out) return lgt_fail(err, LGT_ERR_USAGE, "verification needs labels and a result, found NULL");
    lgt_status status = lgt_scores_check(embeddings, err);
    if (!status) status = lgt_groups_create(p->context, embeddings.rows, labels, &p->groups, err);
    if (!status) status = count_kinds(p, embeddings.rows, labels, err);
    if (!status) status = lgt_scores_create(p->context, embeddings, p->groups.order, &p->scores, err);
    if (!status) status = make_collectors(p, err);
    if (!status) status = make_genuine(p, err);
    return status;
}

lgt_status lgt_eval_verification_shared(lgt_context *context, const lgt_comm *comm, lgt_view embeddings,
                                        const int64_t *labels, lgt_pass_watch watch, void *user, lgt_verification *out,
                                        lgt_error *err) {
    pairs p = {.context = context, .comm = comm && comm->size > 1 ? comm : NULL, .watch = watch, .user = user};
    lgt_verification result = {0};
    lgt_status status = lgt_comm_agree(p.comm, prepare(&p, embeddings, labels, out, err), err);
    if (!status) status = rank_genuine(&p, err);
    if (!status) status = measure(&p, &result, err);
    result.n_genuine = p.n_genuine;
    result.n_impostor = p.n_impostor;
    if (!status) *out = result;
    lgt_release(context, p.offsets);
    lgt_release(context, p.ranks);
    lgt_release(context, p.genuine);
    lgt_release(context, p.unsorted);
    lgt_release(context, p.slot);
    free_collectors(&p);
    lgt_scores_free(context, &p.scores);
    lgt_groups_free(context, &p.groups);
    return status ? status : lgt_succeed(err);
}

lgt_status lgt_eval_verification(lgt_context *context, lgt_view embeddings, const int64_t *labels,
                                 lgt_verification *out, lgt_error *err) {
    return lgt_eval_verification_shared(context, NULL, embeddings, labels, NULL, NULL, out, err);
}
