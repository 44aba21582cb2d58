/* One random head problem on all ranks of a group. */
#include "rank_heads.h"

#include <string.h>

void test_rank_run(void *argument, const lgt_comm *comm) {
    test_rank_job *j = argument;
    int r = comm->rank, n_threads = j->n_threads ? j->n_threads : 1 + r % 2;
    lgt_context *context = test_context(n_threads);
    test_head h = *j->head;
    h.options.comm = comm;
    h.accumulate |= j->adder == r + 1;
    if (j->along)
        j->statuses[r] =
            test_head_try_hvp(context, &h, LGT_ENGINE_CPU, j->dtype, j->along, &j->products[r], &j->errors[r]);
    else
        j->statuses[r] = test_head_try(context, &h, LGT_ENGINE_CPU, j->dtype, &j->results[r], &j->errors[r]);
    lgt_context_free(context);
}

void test_rank_shards(test_rank_job *j, int size) {
    lgt_context *context = test_context(1);
    lgt_head *head = NULL;
    lgt_error err;
    const test_head *h = j->head;
    assert_ok(lgt_head_create(context, &h->loss, h->dim, h->n_classes, &head, &err), err);
    for (int r = 0; r < size; r++) {
        int64_t first, count, centres = h->w_rows / h->n_classes;
        assert_ok(lgt_head_shard(head, size, r, &first, &count, &err), err);
        assert_int_equal(first * centres, j->first[r]);
        j->first[r + 1] = (first + count) * centres;
    }
    assert_int_equal(j->first[size], h->w_rows);
    lgt_head_free(head);
    lgt_context_free(context);
}

void test_rank_run_all(test_rank_job *j, int size) {
    test_rank_shards(j, size);
    test_on_ranks(size, 20, test_rank_run, j);
    for (int r = 0; r < size; r++) assert_ok(j->statuses[r], j->errors[r]);
}

void test_rank_join(const test_rank_job *j, int size, double *w, double *b) {
    int64_t dim = j->head->dim, centres = j->head->w_rows / j->head->n_classes;
    for (int r = 0; r < size; r++) {
        const double *own_w = j->along ? j->products[r].w : j->results[r].dw;
        const double *own_b = j->along ? j->products[r].b : j->results[r].db;
        int64_t first = j->first[r], n = j->first[r + 1] - first;
        memcpy(w + first * dim, own_w + first * dim, (size_t)(n * dim) * sizeof *w);
        for (int64_t c = first / centres; j->head->bias && c < (first + n) / centres; c++) b[c] = own_b[c];
    }
}

void test_rank_free(test_rank_job *j, int size) {
    for (int r = 0; r < size; r++)
        if (j->along)
            test_vectors_free(&j->products[r]);
        else
            test_result_free(&j->results[r]);
}
