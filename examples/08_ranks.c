/* A head of 1,000 classes shared by four ranks, here threads of one process: every rank gets the dx that a rank alone
 * computes, to the bit, and dw of its own classes (docs/scaling.md). */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <logitude/logitude.h>

enum { RANKS = 4, ROWS = 32, DIM = 64, CLASSES = 1000 };

static float x[ROWS * DIM], w[CLASSES * DIM]; /* a rank needs all rows of x, but of w only those of its own classes */
static int64_t labels[ROWS];

/* One rank: what it is given, and what comes of it. */
typedef struct rank_job {
    const lgt_comm *comm; /* NULL: alone */
    float dx[ROWS * DIM], dw[CLASSES * DIM];
    int64_t first, count; /* its classes; dw holds as many rows */
    double loss;
    lgt_status status;
    lgt_error err;
} rank_job;

static void fill(float *values, int count) {
    for (int i = 0; i < count; i++) values[i] = (float)rand() / (float)RAND_MAX - 0.5f;
}

static lgt_status run_plan(rank_job *job, lgt_plan *plan) {
    lgt_head_inputs in = {.x = lgt_view_of(x, ROWS, DIM, LGT_F32),
                          .w = lgt_view_of(w + job->first * DIM, job->count, DIM, LGT_F32),
                          .labels = labels};
    lgt_head_outputs out = {.dx = lgt_mut_of(job->dx, ROWS, DIM, LGT_F32),
                            .dw = lgt_mut_of(job->dw, job->count, DIM, LGT_F32)};
    lgt_status status = lgt_plan_run(plan, &in, &out, &job->err);
    job->loss = out.loss;
    return status;
}

static void *run_rank(void *argument) {
    rank_job *job = argument;
    int size = job->comm ? job->comm->size : 1, rank = job->comm ? job->comm->rank : 0;
    lgt_context *context = NULL;
    lgt_head *head = NULL;
    lgt_plan *plan = NULL;
    lgt_loss loss;
    lgt_plan_options options;
    lgt_plan_options_init(&options);
    options.max_rows = ROWS;
    options.comm = job->comm;
    lgt_status status = lgt_context_create(NULL, &context, &job->err);
    if (!status) status = lgt_loss_parse("arcface:s=64,m=0.5", &loss, &job->err);
    if (!status) status = lgt_head_create(context, &loss, DIM, CLASSES, &head, &job->err);
    if (!status) status = lgt_head_shard(head, size, rank, &job->first, &job->count, &job->err);
    if (!status) status = lgt_plan_create(head, &options, &plan, &job->err);
    status = lgt_comm_agree(job->comm, status, &job->err); /* no rank waits for one that has no plan */
    job->status = status ? status : run_plan(job, plan);
    lgt_plan_free(plan);
    lgt_head_free(head);
    lgt_context_free(context);
    return NULL;
}

/* Runs all ranks; returns how many of them have other bits than `alone`. */
static int compare(rank_job *ranks, const rank_job *alone) {
    pthread_t threads[RANKS];
    int n = 0, differ = 0;
    while (n < RANKS && !pthread_create(&threads[n], NULL, run_rank, &ranks[n])) n++;
    if (n < RANKS) ranks->comm->abort(ranks->comm->user, 1, "a thread is missing");
    for (int r = 0; r < n; r++) pthread_join(threads[r], NULL);
    for (int r = 0; r < RANKS; r++) {
        const rank_job *job = &ranks[r];
        size_t own = (size_t)job->count * DIM * sizeof *job->dw;
        int same = r < n && !job->status && job->loss == alone->loss && !memcmp(job->dx, alone->dx, sizeof job->dx) &&
                   !memcmp(job->dw, alone->dw + job->first * DIM, own);
        printf("rank %d: classes %lld to %lld, %s\n", r, (long long)job->first, (long long)(job->first + job->count),
               same          ? "the bits of one rank"
               : job->status ? job->err.message
                             : "other bits");
        differ += !same;
    }
    return differ;
}

int main(void) {
    static rank_job alone, ranks[RANKS];
    lgt_comm comms[RANKS];
    lgt_comm_group *group = NULL;
    lgt_error err;
    fill(x, ROWS * DIM);
    fill(w, CLASSES * DIM);
    for (int i = 0; i < ROWS; i++) labels[i] = rand() % CLASSES;
    run_rank(&alone);
    lgt_status status = alone.status;
    if (status) err = alone.err;
    if (!status) status = lgt_comm_group_create(RANKS, 30, &group, comms, &err);
    if (status) {
        fprintf(stderr, "%s\n", err.message);
        return (int)status;
    }
    for (int r = 0; r < RANKS; r++) ranks[r].comm = &comms[r];
    int differ = compare(ranks, &alone);
    lgt_comm_group_free(group);
    return differ ? LGT_ERR_CHECK : 0;
}
