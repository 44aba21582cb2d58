/* Exact search: rows are sorted by label, and products of blocks of rows with tiles of candidates of the same label
 * give all cosines, of which each row keeps the k largest positive ones, the lower row or id first among equals. The
 * ranks of a shared bank each search what is their own, and merge. */
#include "align/neighbours.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/parallel.h"
#include "base/sizes.h"
#include "kernel/kernels.h"
#include "math/lse.h"

enum { QUERIES = 32, CANDIDATES = 64 }; /* rows of a block, and of a tile: a multiple of LGT_LANES */

typedef struct labelled {
    int64_t label, row;
} labelled;

/* Rows of one label, in the sorted order, and its candidates. */
typedef struct group {
    int64_t begin, end;
    int64_t first, last;  /* from the bank: places in `candidates` */
    int64_t n_candidates; /* of all ranks */
} group;

typedef struct block {
    int64_t group, begin;
} block;

/* A candidate: a row, or a slot of the bank. */
typedef struct near {
    double cosine;
    int64_t who;
} near;

struct lgt_finder {
    lgt_context *context;
    lgt_neighbour_options options;
    int64_t dim, max_rows, n_rows, n_groups, n_blocks;
    const lgt_unit_rows *rows;
    const int64_t *labels, *ids;
    const lgt_align_bank *bank;
    labelled *sorted;
    group *groups;
    block *blocks;
    int64_t *candidates; /* (capacity) own slots of the bank by group */
    lgt_id_map group_of; /* from_bank: label to group */
    int64_t *positive;   /* (max_rows, 2) the sum of positive cosines in units of its group, and how many there are */
    double *scores;      /* (max_rows) what becomes of them */
    int64_t *n_top;      /* (max_rows) */
    near *top;           /* (max_rows, k) the nearest first */
    near *lists;         /* (n_ranks, max_rows, k) of all ranks */
    int n_ranks;
    int64_t *starts, *cursors; /* (max_rows + 1) */
    lgt_align_edge *edges;
    double *work; /* a worker: a block of rows, a tile, their product */
};

lgt_neighbour_options lgt_neighbour_options_of(const lgt_align *term) {
    return (lgt_neighbour_options){.k = (int64_t)lgt_align_value(term, "k"),
                                   .symmetric = lgt_align_value(term, "symmetric") > 0,
                                   .full_rows = lgt_align_value(term, "full_rows") > 0};
}

/* --- Memory --- */

static int64_t work_size(const lgt_finder *f) {
    return f->dim * (QUERIES + CANDIDATES) + QUERIES * CANDIDATES;
}

lgt_status lgt_finder_create(lgt_context *context, const lgt_neighbour_options *options, int64_t dim, int64_t max_rows,
                             lgt_finder **out, lgt_error *err) {
    lgt_finder *f = NULL;
    int64_t n_top = 0, n_edges = 0, n_positive = 0, work = 0;
    lgt_status status = LGT_NEW_ZERO(context, &f, 1, err);
    if (status) return status;
    *f = (lgt_finder){.context = context, .options = *options, .dim = dim, .max_rows = max_rows};
    if (!lgt_count_mul(max_rows, options->k, &n_top) || !lgt_count_mul(n_top, 2, &n_edges) ||
        !lgt_count_mul(max_rows, 2, &n_positive) || dim > INT32_MAX ||
        !lgt_count_mul(lgt_round_up(work_size(f), LGT_LANES), lgt_context_threads(context), &work))
        status = lgt_fail(err, LGT_ERR_MEMORY, "%lld neighbours of %lld rows overflow", (long long)options->k,
                          (long long)max_rows);
    if (!status) status = LGT_NEW(context, &f->sorted, max_rows, err);
    if (!status) status = LGT_NEW(context, &f->groups, max_rows, err);
    if (!status) status = LGT_NEW(context, &f->blocks, max_rows, err);
    if (!status && options->from_bank) status = LGT_NEW(context, &f->candidates, options->capacity, err);
    if (!status && options->from_bank) status = lgt_id_map_create(context, max_rows, &f->group_of, err);
    if (!status) status = LGT_NEW(context, &f->positive, n_positive, err);
    if (!status) status = LGT_NEW(context, &f->scores, max_rows, err);
    if (!status) status = LGT_NEW(context, &f->n_top, max_rows, err);
    if (!status) status = LGT_NEW(context, &f->top, n_top, err);
    if (!status) status = LGT_NEW_ZERO(context, &f->starts, max_rows + 1, err);
    if (!status) status = LGT_NEW(context, &f->cursors, max_rows + 1, err);
    if (!status) status = LGT_NEW(context, &f->edges, n_edges, err);
    if (!status) status = LGT_NEW(context, &f->work, work, err);
    if (status) {
        lgt_finder_free(f);
        return status;
    }
    *out = f;
    return LGT_OK;
}

void lgt_finder_free(lgt_finder *finder) {
    if (!finder) return;
    lgt_context *context = finder->context;
    void *const owned[] = {finder->lists,  finder->work,   finder->edges,  finder->cursors,  finder->starts,
                           finder->top,    finder->n_top,  finder->scores, finder->positive, finder->candidates,
                           finder->blocks, finder->groups, finder->sorted};
    for (size_t i = 0; i < sizeof owned / sizeof *owned; i++) lgt_release(context, owned[i]);
    lgt_id_map_free(context, &finder->group_of);
    lgt_release(context, finder);
}

lgt_status lgt_finder_prepare(lgt_finder *finder, const lgt_align_bank *bank, lgt_error *err) {
    lgt_finder *f = finder;
    int64_t count = 0;
    if (!f->options.from_bank || bank->size <= lgt_max64(f->n_ranks, 1)) return LGT_OK;
    if (!lgt_count_mul(f->max_rows * f->options.k, bank->size, &count))
        return lgt_fail(err, LGT_ERR_MEMORY, "%lld neighbours of %lld rows over %d ranks overflow",
                        (long long)f->options.k, (long long)f->max_rows, bank->size);
    lgt_release(f->context, f->lists);
    f->lists = NULL;
    f->n_ranks = 0;
    lgt_status status = LGT_NEW(f->context, &f->lists, count, err);
    if (!status) f->n_ranks = bank->size;
    return status;
}

/* --- Groups --- */

static int compare(const void *a, const void *b) {
    const labelled *l = a, *r = b;
    if (l->label != r->label) return l->label < r->label ? -1 : 1;
    return l->row < r->row ? -1 : l->row > r->row;
}

static void group_rows(lgt_finder *f) {
    int64_t n = 0;
    for (int64_t i = 0; i < f->n_rows; i++) {
        f->n_top[i] = f->positive[2 * i] = f->positive[2 * i + 1] = 0;
        f->scores[i] = NAN;
        if (f->rows->lengths[i] > 0) f->sorted[n++] = (labelled){f->labels[i], i};
    }
    if (n > 0) qsort(f->sorted, (size_t)n, sizeof *f->sorted, compare);
    f->n_groups = f->n_blocks = 0;
    for (int64_t begin = 0, end; begin < n; begin = end) {
        for (end = begin; end < n && f->sorted[end].label == f->sorted[begin].label; end++) continue;
        for (int64_t at = begin; at < end; at += QUERIES) f->blocks[f->n_blocks++] = (block){f->n_groups, at};
        f->groups[f->n_groups++] = (group){begin, end, 0, 0, end - begin};
    }
}

/* Sorts the bank's samples under their groups: the own ones, while those of all ranks are counted. */
static void group_bank(lgt_finder *f) {
    int64_t total = 0;
    for (int64_t g = 0; g < f->n_groups; g++) f->groups[g].n_candidates = 0;
    lgt_id_map_clear(&f->group_of);
    for (int64_t g = 0; g < f->n_groups; g++) lgt_id_map_add(&f->group_of, f->sorted[f->groups[g].begin].label, g);
    for (int pass = 0; pass < 2; pass++) {
        for (int64_t slot = f->bank->oldest; slot >= 0; slot = f->bank->slots[slot].newer) {
            int64_t g = lgt_id_map_find(&f->group_of, f->bank->slots[slot].label);
            if (g < 0) continue;
            f->groups[g].n_candidates += pass == 0;
            if (!lgt_bank_own(f->bank, slot)) continue;
            if (pass == 1) f->candidates[f->groups[g].last] = slot;
            f->groups[g].last++;
        }
        for (int64_t g = 0; g < f->n_groups && pass == 0; g++) {
            f->groups[g].first = total;
            total += f->groups[g].last;
            f->groups[g].last = f->groups[g].first;
        }
    }
}

/* --- Search --- */

/* Of equals the lower row or id, so that it does not matter in which order they come. */
static int precedes(const lgt_finder *f, near a, near b) {
    if (a.cosine != b.cosine) return a.cosine > b.cosine;
    return f->options.from_bank ? f->bank->slots[a.who].id < f->bank->slots[b.who].id : a.who < b.who;
}

static void insert(lgt_finder *f, int64_t row, near candidate) {
    int64_t k = f->options.k, n = f->n_top[row], at = n;
    near *top = f->top + row * k;
    if (n == k && !precedes(f, candidate, top[k - 1])) return;
    if (n < k) f->n_top[row]++;
    if (at == k) at--;
    for (; at > 0 && precedes(f, candidate, top[at - 1]); at--) top[at] = top[at - 1];
    top[at] = candidate;
}

/* Sums of cosines are integers of this unit, 1 over a power of two: 2^62 holds n of them, at least 32 bits of each, and
 * they have the same bits in any order. */
static double parts_of(int64_t n) {
    double parts = 0x1p62;
    for (int64_t most = 1; most < n; most *= 2) parts /= 2;
    return parts;
}

static int is_itself(const lgt_finder *f, int64_t row, int64_t candidate) {
    if (!f->options.from_bank) return candidate == row;
    return f->ids && f->bank->slots[candidate].id == f->ids[row];
}

static int64_t candidate_at(const lgt_finder *f, int64_t place) {
    return f->options.from_bank ? f->candidates[place] : f->sorted[place].row;
}

/* Column j of the tile (dim, CANDIDATES) = the candidate's direction. */
static void pack(const lgt_finder *f, int64_t candidate, int64_t j, double *tile) {
    const double *unit = f->rows->units + candidate * f->dim;
    const float *remembered = f->options.from_bank ? lgt_bank_own(f->bank, candidate) : NULL;
    for (int64_t k = 0; k < f->dim; k++) tile[k * CANDIDATES + j] = remembered ? (double)remembered[k] : unit[k];
}

/* Counts a candidate whose cosine is positive, and keeps it if it is among the nearest. */
static void offer(lgt_finder *f, int64_t row, double cosine, int64_t candidate, double parts) {
    double c = fmin(cosine, 1); /* of two unit vectors, but for rounding */
    if (!(c > 0) || is_itself(f, row, candidate)) return;
    f->positive[2 * row] += (int64_t)(c * parts);
    f->positive[2 * row + 1]++;
    insert(f, row, (near){c, candidate});
}

static void search_block(void *argument, int64_t index, int worker) {
    lgt_finder *f = argument;
    const lgt_kernels_f64 *kernels = lgt_kernels_f64_of(lgt_context_isa(f->context));
    const group *g = &f->groups[f->blocks[index].group];
    int64_t begin = f->blocks[index].begin, n = lgt_min64(QUERIES, g->end - begin);
    int64_t first = f->options.from_bank ? g->first : g->begin, last = f->options.from_bank ? g->last : g->end;
    double *tile = f->work + worker * lgt_round_up(work_size(f), LGT_LANES), *cosines = tile + f->dim * CANDIDATES;
    double *queries = cosines + QUERIES * CANDIDATES, parts = parts_of(g->n_candidates);
    for (int64_t i = 0; i < n; i++)
        memcpy(queries + i * f->dim, f->rows->units + f->sorted[begin + i].row * f->dim,
               (size_t)f->dim * sizeof *queries);
    for (int64_t at = first; at < last; at += CANDIDATES) {
        int64_t width = lgt_min64(CANDIDATES, last - at);
        if (width < CANDIDATES) memset(tile, 0, (size_t)(f->dim * CANDIDATES) * sizeof *tile);
        for (int64_t j = 0; j < width; j++) pack(f, candidate_at(f, at + j), j, tile);
        kernels->product(n, lgt_round_up(width, LGT_LANES), f->dim, queries, f->dim, 1, tile, CANDIDATES, cosines,
                         CANDIDATES, 0);
        for (int64_t i = 0; i < n; i++)
            for (int64_t j = 0; j < width; j++)
                offer(f, f->sorted[begin + i].row, cosines[i * CANDIDATES + j], candidate_at(f, at + j), parts);
    }
}

/* --- Several ranks --- */

/* A list ends at a slot of -1; one that was damaged on its way ends it too. */
static void merge_rows(void *argument, int64_t index, int worker) {
    lgt_finder *f = argument;
    int64_t begin = index * LGT_ALIGN_ROWS, end = lgt_min64(begin + LGT_ALIGN_ROWS, f->n_rows), k = f->options.k;
    (void)worker;
    for (int64_t i = begin; i < end; i++) {
        f->n_top[i] = 0;
        for (int64_t r = 0; r < f->bank->size; r++) {
            const near *list = f->lists + (r * f->n_rows + i) * k;
            for (int64_t a = 0; a < k && list[a].who >= 0 && list[a].who < f->bank->count; a++) insert(f, i, list[a]);
        }
    }
}

/* What each rank has found among its own samples becomes what all have found. */
static lgt_status merge(lgt_finder *f, lgt_error *err) {
    const lgt_comm *comm = f->bank->comm;
    int64_t k = f->options.k, n = f->n_rows * k;
    for (int64_t i = 0; i < f->n_rows; i++)
        for (int64_t a = f->n_top[i]; a < k; a++) f->top[i * k + a] = (near){0, -1};
    memcpy(f->lists + comm->rank * n, f->top, (size_t)n * sizeof *f->top);
    for (int r = 0; r <= comm->size; r++) f->bank->offsets[r] = r * n * (int64_t)sizeof *f->top;
    lgt_status status = comm->gather(comm->user, f->lists, f->bank->offsets, err);
    if (!status) status = comm->sum(comm->user, f->positive, 2 * f->n_rows, LGT_I64, err);
    if (!status) lgt_parallel_for(f->context, lgt_ceil_div(f->n_rows, LGT_ALIGN_ROWS), merge_rows, f);
    return status;
}

static void take_scores(lgt_finder *f) {
    for (const group *g = f->groups; g < f->groups + f->n_groups; g++)
        for (int64_t at = g->begin; at < g->end; at++) {
            int64_t row = f->sorted[at].row, sum = f->positive[2 * row], n = f->positive[2 * row + 1];
            if (n > 0) f->scores[row] = lgt_sigmoid((double)sum / parts_of(g->n_candidates) / (double)n);
        }
}

/* --- Edges --- */

static int is_alive(const lgt_finder *f, int64_t row) {
    return f->n_top[row] > 0 && !(f->options.full_rows && f->n_top[row] < f->options.k);
}

static double score_of(const lgt_finder *f, int64_t row) {
    return f->bank && f->ids ? lgt_align_bank_score(f->bank, f->ids[row], f->labels[row]) : LGT_SCORE_START;
}

/* The edge from row to its neighbour number `at`; 0 when it is not to be. */
static int make_edge(const lgt_finder *f, int64_t row, int64_t at, lgt_align_edge *out) {
    near chosen = f->top[row * f->options.k + at];
    int64_t other = chosen.who;
    const lgt_bank_slot *slot = f->options.from_bank ? &f->bank->slots[other] : NULL;
    *out = (lgt_align_edge){.row = slot ? -1 : other, .cosine = chosen.cosine};
    out->id = slot ? slot->id : f->ids ? f->ids[other] : -1;
    out->reliability = score_of(f, row) * (slot ? slot->score : score_of(f, other));
    return is_alive(f, row) && (slot || is_alive(f, other)) && out->reliability >= f->options.min_reliability;
}

static int is_neighbour(const lgt_finder *f, int64_t row, int64_t other) {
    for (int64_t a = 0; a < f->n_top[row]; a++)
        if (f->top[row * f->options.k + a].who == other) return 1;
    return 0;
}

/* Calls for every edge, those that a row chose first and then, where wanted, the reverse of those that it was chosen
 * by; `place` NULL only counts. */
static void walk_edges(lgt_finder *f, int64_t *counts, lgt_align_edge *place) {
    lgt_align_edge edge;
    int reverses = f->options.symmetric && !f->options.from_bank;
    for (int reverse = 0; reverse <= reverses; reverse++)
        for (int64_t i = 0; i < f->n_rows; i++)
            for (int64_t a = 0; a < f->n_top[i]; a++) {
                if (!make_edge(f, i, a, &edge)) continue;
                int64_t owner = i;
                if (reverse) {
                    if (is_neighbour(f, edge.row, i)) continue;
                    owner = edge.row;
                    edge.row = i;
                    edge.id = f->ids ? f->ids[i] : -1;
                }
                if (place) place[counts[owner]] = edge;
                counts[owner]++;
            }
}

static void build_edges(lgt_finder *f) {
    int64_t total = 0;
    for (int64_t i = 0; i < f->n_rows; i++) f->cursors[i] = 0;
    walk_edges(f, f->cursors, NULL);
    for (int64_t i = 0; i < f->n_rows; i++) {
        int64_t count = f->cursors[i];
        f->starts[i] = f->cursors[i] = total;
        total += count;
    }
    f->starts[f->n_rows] = total;
    walk_edges(f, f->cursors, f->edges);
}

lgt_status lgt_finder_run(lgt_finder *finder, const lgt_unit_rows *rows, const int64_t *labels, const int64_t *ids,
                          const lgt_align_bank *bank, lgt_error *err) {
    lgt_finder *f = finder;
    lgt_status status = LGT_OK;
    f->n_rows = rows->n_rows;
    f->rows = rows;
    f->labels = labels;
    f->ids = ids;
    f->bank = bank;
    group_rows(f);
    if (f->options.from_bank) group_bank(f);
    lgt_parallel_for(f->context, f->n_blocks, search_block, f);
    if (f->options.from_bank && bank->comm) status = merge(f, err);
    if (status) return status;
    take_scores(f);
    build_edges(f);
    return LGT_OK;
}

lgt_align_edge *lgt_finder_edges(const lgt_finder *finder, int64_t row, int64_t *count) {
    *count = finder->starts[row + 1] - finder->starts[row];
    return finder->edges + finder->starts[row];
}

int64_t lgt_finder_count(const lgt_finder *finder) {
    return finder->starts[finder->n_rows];
}

double lgt_finder_score(const lgt_finder *finder, int64_t row) {
    return finder->scores[row];
}
