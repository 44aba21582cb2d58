/* Retrieval: every row ranks all others by cosine; recall@1, recall@5 and MAP@R (Musgrave, Belongie, Lim, "A metric
 * learning reality check", ECCV 2020): the mean over queries of (1/R) sum_{k <= R} [rank k matches] precision at k. */
#include "logitude/eval.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/parallel.h"
#include "base/sizes.h"
#include "comm/call.h"
#include "eval/groups.h"
#include "eval/scores.h"

/* A task: rows whose scores against all rows one worker holds; divides LGT_PANEL. */
#define QUERIES 24

/* Bins that a query's scores are selected by before they are sorted. */
#define N_BINS 1024

/* Tasks after which ranks wait for each other: who is merely slower is not taken for lost. */
#define ROUND_TASKS 128

/* Tasks a thread after which a watch is called. */
#define WATCHED_TASKS 16

/* Recall looks at the first 1 and 5, whatever R is. */
#define FIRST_RANKS 5

/* What a query found. */
typedef struct answer {
    int64_t n_matches; /* R: other rows of its label */
    int64_t first;     /* the rank of the first match within max(R, 5), counted from 1; 0: none */
    double precision;  /* its term of MAP@R */
} answer;

typedef struct ranking {
    const lgt_comm *comm; /* NULL: alone */
    int64_t *offsets;     /* (ranks + 1) */
    lgt_pass_watch watch; /* NULL: none */
    void *user;
    lgt_scores scores;
    const int64_t *labels;
    answer *answers;
    int64_t ld;
    int64_t first_task; /* of those under way */
    float *rows;        /* (workers, QUERIES, ld) */
    uint64_t *keys;     /* (workers, n) */
} ranking;

/* Rising keys are falling scores and, among equal scores, rising rows. */
static uint64_t key_of(float score, int64_t row) {
    uint32_t bits;
    memcpy(&bits, &score, sizeof bits);
    bits ^= bits >> 31 ? 0 : UINT32_MAX >> 1;
    return (uint64_t)bits << 32 | (uint64_t)row;
}

static int compare_keys(const void *left, const void *right) {
    const uint64_t *a = left, *b = right;
    return (*a > *b) - (*a < *b);
}

/* Equal-width bins of [-1, 1]; monotone in the score, which may exceed 1 by rounding. */
static int bin_of(float score) {
    int bin = (int)((score + 1) * (N_BINS / 2));
    return bin < 0 ? 0 : bin < N_BINS ? bin : N_BINS - 1;
}

/* The first `depth` or more rows in order of rank, the query left out: the rows of the highest bins that together hold
 * as many are sorted. Returns how many; depth < n. */
static int64_t rank_rows(const float *score, int64_t n, int64_t query, int64_t depth, uint64_t *keys) {
    int64_t counts[N_BINS] = {0}, n_above = 0, n_keys = 0;
    int cut = N_BINS;
    for (int64_t row = 0; row < n; row++) counts[bin_of(score[row])]++;
    counts[bin_of(score[query])]--;
    while (n_above < depth) n_above += counts[--cut];
    for (int64_t row = 0; row < n; row++)
        if (bin_of(score[row]) >= cut && row != query) keys[n_keys++] = key_of(score[row], row);
    qsort(keys, (size_t)n_keys, sizeof *keys, compare_keys);
    return n_keys;
}

static void answer_query(const ranking *r, int64_t query, const float *score, uint64_t *keys) {
    answer *a = &r->answers[query];
    int64_t n = r->scores.n_rows, depth = lgt_min64(lgt_max64(a->n_matches, FIRST_RANKS), n - 1), hits = 0;
    if (a->n_matches == 0) return;
    rank_rows(score, n, query, depth, keys);
    for (int64_t rank = 1; rank <= depth; rank++) {
        if (r->labels[keys[rank - 1] & UINT32_MAX] != r->labels[query]) continue;
        if (hits++ == 0) a->first = rank;
        if (rank <= a->n_matches) a->precision += (double)hits / (double)rank;
    }
    a->precision /= (double)a->n_matches;
}

static void answer_block(void *argument, int64_t block, int worker) {
    const ranking *r = argument;
    int64_t n = r->scores.n_rows, top = (r->first_task + block) * QUERIES, bottom = lgt_min64(top + QUERIES, n);
    float *rows = r->rows + worker * QUERIES * r->ld;
    for (int64_t left = 0; left < n; left += LGT_PANEL)
        lgt_scores_tile(&r->scores, top, bottom - top, left, rows + left, r->ld);
    for (int64_t query = top; query < bottom; query++)
        answer_query(r, query, rows + (query - top) * r->ld, r->keys + worker * n);
}

/* In the order of the rows, so that the sums do not depend on the threads. */
static lgt_status summarise(int64_t n, const answer *answers, lgt_retrieval *out, lgt_error *err) {
    int64_t n_at_1 = 0, n_at_5 = 0;
    double precision = 0;
    lgt_retrieval result = {0};
    for (int64_t row = 0; row < n; row++) {
        const answer *a = &answers[row];
        if (a->n_matches > 0)
            result.n_queries++;
        else
            result.n_lone++;
        n_at_1 += a->first == 1;
        n_at_5 += a->first >= 1 && a->first <= FIRST_RANKS;
        precision += a->precision;
    }
    if (result.n_queries == 0)
        return lgt_fail(err, LGT_ERR_DATA, "no two of the %lld rows have the same label: no query has a match",
                        (long long)n);
    result.recall_at_1 = (double)n_at_1 / (double)result.n_queries;
    result.recall_at_5 = (double)n_at_5 / (double)result.n_queries;
    result.map_at_r = precision / (double)result.n_queries;
    *out = result;
    return lgt_succeed(err);
}

/* R of every row. */
static lgt_status count_matches(lgt_context *context, int64_t n, const int64_t *labels, answer *answers,
                                lgt_error *err) {
    lgt_groups groups;
    lgt_status status = lgt_groups_create(context, n, labels, &groups, err);
    if (status) return status;
    for (int64_t first = 0; first < n; first = groups.end[first])
        for (int64_t p = first; p < groups.end[first]; p++)
            answers[groups.order[p]].n_matches = groups.end[first] - first - 1;
    lgt_groups_free(context, &groups);
    return LGT_OK;
}

/* Everything that can be wrong with one rank is found here. */
static lgt_status prepare(ranking *r, lgt_context *context, lgt_view embeddings, const lgt_retrieval *out,
                          lgt_error *err) {
    int64_t n = embeddings.rows, workers = lgt_context_threads(context);
    if (!r->labels || !out) return lgt_fail(err, LGT_ERR_USAGE, "retrieval needs labels and a result, found NULL");
    if (n > UINT32_MAX)
        return lgt_fail(err, LGT_ERR_MEMORY, "retrieval ranks at most %lld rows, found %lld", (long long)UINT32_MAX,
                        (long long)n);
    lgt_status status = lgt_scores_check(embeddings, err);
    if (status) return status;
    r->ld = lgt_round_up(n, LGT_PANEL);
    status = LGT_NEW_ZERO(context, &r->answers, n, err);
    if (!status) status = count_matches(context, n, r->labels, r->answers, err);
    if (!status) status = lgt_scores_create(context, embeddings, NULL, &r->scores, err);
    if (!status) status = LGT_NEW(context, &r->rows, workers * QUERIES * r->ld, err);
    if (!status) status = LGT_NEW(context, &r->keys, workers * n, err);
    if (!status) status = LGT_NEW(context, &r->offsets, r->comm ? r->comm->size + 1 : 0, err);
    return status;
}

/* Tasks of a round: all where nobody waits and nobody watches. */
static int64_t count_round_tasks(const ranking *r, const lgt_context *context, int64_t tasks) {
    if (r->comm) return ROUND_TASKS;
    return r->watch ? WATCHED_TASKS * (int64_t)lgt_context_threads(context) : lgt_max64(tasks, 1);
}

static lgt_status hand_answers(ranking *r, int64_t tasks, lgt_error *err) {
    const lgt_comm *comm = r->comm;
    int64_t n = r->scores.n_rows;
    if (!comm) return LGT_OK;
    for (int rank = 0; rank <= comm->size; rank++)
        r->offsets[rank] = lgt_min64(lgt_comm_cut(tasks, comm->size, rank) * QUERIES, n) * (int64_t)sizeof *r->answers;
    return comm->gather(comm->user, r->answers, r->offsets, err);
}

/* Each rank answers contiguous queries, and hands its answers to all. */
static lgt_status answer_queries(ranking *r, lgt_context *context, lgt_error *err) {
    const lgt_comm *comm = r->comm;
    int size = comm ? comm->size : 1, rank = comm ? comm->rank : 0;
    int64_t n = r->scores.n_rows, tasks = lgt_ceil_div(n, QUERIES), most = count_round_tasks(r, context, tasks);
    int64_t last = lgt_comm_cut(tasks, size, rank + 1), rounds = lgt_ceil_div(tasks, size * most);
    lgt_status status = LGT_OK;
    r->first_task = lgt_comm_cut(tasks, size, rank);
    for (int64_t round = 0; round < rounds && !status; round++) {
        int64_t count = lgt_min64(most, last - r->first_task), n_done = lgt_min64(round * size * most * QUERIES, n);
        if (r->watch && r->watch(r->user, n_done, n))
            return lgt_fail(err, LGT_ERR_INTERRUPTED, "stopped after %lld of %lld queries", (long long)n_done,
                            (long long)n);
        lgt_parallel_for(context, count, answer_block, r);
        r->first_task += count;
        if (comm) status = comm->barrier(comm->user, err);
    }
    return status ? status : hand_answers(r, tasks, err);
}

lgt_status lgt_eval_retrieval_shared(lgt_context *context, const lgt_comm *comm, lgt_view embeddings,
                                     const int64_t *labels, lgt_pass_watch watch, void *user, lgt_retrieval *out,
                                     lgt_error *err) {
    ranking r = {.comm = comm && comm->size > 1 ? comm : NULL, .watch = watch, .user = user, .labels = labels};
    lgt_status status = lgt_comm_agree(r.comm, prepare(&r, context, embeddings, out, err), err);
    if (!status) status = answer_queries(&r, context, err);
    if (!status) status = summarise(embeddings.rows, r.answers, out, err);
    lgt_release(context, r.offsets);
    lgt_release(context, r.keys);
    lgt_release(context, r.rows);
    lgt_scores_free(context, &r.scores);
    lgt_release(context, r.answers);
    return status;
}

lgt_status lgt_eval_retrieval(lgt_context *context, lgt_view embeddings, const int64_t *labels, lgt_retrieval *out,
                              lgt_error *err) {
    return lgt_eval_retrieval_shared(context, NULL, embeddings, labels, NULL, NULL, out, err);
}
