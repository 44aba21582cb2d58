/* Random head problems for tests, run by any engine in any type. */
#include "heads.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

const char *const test_specs[] = {
    "softmax",
    "normalized",
    "cosface",
    "arcface",
    "arcface:s=30,m=1.2,tail=continuous",
    "arcface:s=30,m=1.2,tail=cosface",
    "arcface:s=30,m=1.2,tail=fold",
    "arcface:s=30,m=1.2,tail=none",
    "arcface:s=30,m=1.2,tail=clip",
    "arcface:s=30,m=1.2,tail=easy",
    "arcface:m=0.5,gradient=detached",
    "arcface:m=0.5,gradient=unit",
    "combined",
    "combined:s=30,m1=1.3,m2=0.9,m3=0.1",
    "lsoftmax",
    "lsoftmax:m=1,lambda=0",
    "lsoftmax:m=2,lambda=0",
    "lsoftmax:m=3,lambda=5",
    "lsoftmax:m=4,lambda=power/1000/2.5e-5/35/0",
    "lsoftmax:m=4,lambda=0,gradient=detached",
    "lsoftmax:m=4,lambda=0,gradient=unit",
    "sphereface-r",
    "sphereface-r:s=16,m=3.3",
    NULL,
};

static void *block(int64_t count, size_t size) {
    void *memory = calloc((size_t)count + 1, size);
    assert_non_null(memory);
    return memory;
}

test_head test_head_random(const char *spec, int64_t n_rows, int64_t dim, int64_t n_classes, uint64_t seed) {
    test_head h = {.n_rows = n_rows, .dim = dim, .n_classes = n_classes};
    lgt_error err;
    assert_ok(lgt_loss_parse(spec, &h.loss, &err), err);
    lgt_plan_options_init(&h.options);
    h.options.max_rows = n_rows;
    h.bias = h.loss.info->has_bias;
    h.x = block(n_rows * dim, sizeof(double));
    h.w = block(n_classes * dim, sizeof(double));
    h.b = block(n_classes, sizeof(double));
    h.labels = block(n_rows, sizeof(int64_t));
    test_normal(h.x, n_rows * dim, seed, 1);
    test_normal(h.w, n_classes * dim, seed, 2);
    test_normal(h.b, n_classes, seed, 3);
    test_labels(h.labels, n_rows, n_classes, seed);
    return h;
}

void test_head_free(test_head *h) {
    void *blocks[] = {h->x, h->w, h->b, h->labels, h->sample_weights, h->class_weights, h->upstream};
    for (size_t i = 0; i < sizeof blocks / sizeof *blocks; i++) free(blocks[i]);
    memset(h, 0, sizeof *h);
}

void test_head_round(test_head *h) {
    for (int64_t i = 0; i < h->n_rows * h->dim; i++) h->x[i] = (double)(float)h->x[i];
    for (int64_t i = 0; i < h->n_classes * h->dim; i++) h->w[i] = (double)(float)h->w[i];
    for (int64_t i = 0; i < h->n_classes; i++) h->b[i] = (double)(float)h->b[i];
}

/* A copy of n doubles in the type of the run. */
static void *typed(const double *from, int64_t n, lgt_dtype dtype) {
    void *to = block(n, lgt_dtype_size(dtype));
    for (int64_t i = 0; i < n; i++) {
        if (dtype == LGT_F64)
            ((double *)to)[i] = from[i];
        else
            ((float *)to)[i] = (float)from[i];
    }
    return to;
}

static void untyped(const void *from, int64_t n, lgt_dtype dtype, double *to) {
    for (int64_t i = 0; i < n; i++)
        to[i] = dtype == LGT_F64 ? ((const double *)from)[i] : (double)((const float *)from)[i];
}

static test_result empty_result(const test_head *h) {
    return (test_result){.dx = block(h->n_rows * h->dim, sizeof(double)),
                         .dw = block(h->n_classes * h->dim, sizeof(double)),
                         .db = block(h->n_classes, sizeof(double)),
                         .loss_rows = block(h->n_rows, sizeof(double)),
                         .lse = block(h->n_rows, sizeof(double)),
                         .top1 = block(h->n_rows, sizeof(int64_t))};
}

lgt_status test_head_try(lgt_context *context, const test_head *h, lgt_engine engine, lgt_dtype dtype, test_result *r,
                         lgt_error *err) {
    int64_t nx = h->n_rows * h->dim, nw = h->n_classes * h->dim, nb = h->bias ? h->n_classes : 0;
    void *x = typed(h->x, nx, dtype), *w = typed(h->w, nw, dtype), *b = typed(h->b, nb, dtype);
    /* Outputs start as rubbish: what a run does not write is seen. */
    double rubbish = -123456789;
    void *dx = block(nx, 8), *dw = block(nw, 8), *db = block(nb, 8);
    for (int64_t i = 0; i < nw; i++) memcpy((char *)dw + i * (int64_t)lgt_dtype_size(dtype), &rubbish, 4);
    lgt_head *head = NULL;
    lgt_plan *plan = NULL;
    lgt_plan_options options = h->options;
    options.engine = engine;
    options.dtype = dtype;
    *r = empty_result(h);
    lgt_status status = lgt_head_create(context, &h->loss, h->dim, h->n_classes, &head, err);
    if (!status) status = lgt_plan_create(head, &options, &plan, err);
    if (!status) {
        lgt_head_inputs in = {.x = lgt_view_of(x, h->n_rows, h->dim, dtype),
                              .w = lgt_view_of(w, h->n_classes, h->dim, dtype),
                              .b = lgt_view_of(h->bias ? b : NULL, 1, h->n_classes, dtype),
                              .labels = h->labels,
                              .sample_weights = h->sample_weights,
                              .class_weights = h->class_weights,
                              .upstream = h->upstream,
                              .step = h->step};
        r->out = (lgt_head_outputs){.dx = lgt_mut_of(dx, h->n_rows, h->dim, dtype),
                                    .dw = lgt_mut_of(dw, h->n_classes, h->dim, dtype),
                                    .db = lgt_mut_of(h->bias ? db : NULL, 1, h->n_classes, dtype),
                                    .loss_rows = r->loss_rows,
                                    .lse = r->lse,
                                    .top1 = r->top1};
        status = lgt_plan_run(plan, &in, &r->out, err);
    }
    untyped(dx, nx, dtype, r->dx), untyped(dw, nw, dtype, r->dw), untyped(db, nb, dtype, r->db);
    lgt_plan_free(plan);
    lgt_head_free(head);
    void *blocks[] = {x, w, b, dx, dw, db};
    for (size_t i = 0; i < sizeof blocks / sizeof *blocks; i++) free(blocks[i]);
    return status;
}

test_result test_head_run(lgt_context *context, const test_head *h, lgt_engine engine, lgt_dtype dtype) {
    test_result result;
    lgt_error err;
    assert_ok(test_head_try(context, h, engine, dtype, &result, &err), err);
    return result;
}

void test_result_free(test_result *r) {
    void *blocks[] = {r->dx, r->dw, r->db, r->loss_rows, r->lse, r->top1};
    for (size_t i = 0; i < sizeof blocks / sizeof *blocks; i++) free(blocks[i]);
    memset(r, 0, sizeof *r);
}

double test_result_error(const test_head *h, const test_result *found, const test_result *expected) {
    double dx = test_relative_error(found->dx, expected->dx, h->n_rows * h->dim);
    double dw = test_relative_error(found->dw, expected->dw, h->n_classes * h->dim);
    double db = h->bias ? test_relative_error(found->db, expected->db, h->n_classes) : 0;
    return fmax(dx, fmax(dw, db));
}

int test_result_same(const test_head *h, const test_result *a, const test_result *b) {
    size_t nx = (size_t)(h->n_rows * h->dim), nw = (size_t)(h->n_classes * h->dim), n = (size_t)h->n_rows;
    return memcmp(a->dx, b->dx, nx * sizeof(double)) == 0 && memcmp(a->dw, b->dw, nw * sizeof(double)) == 0 &&
           memcmp(a->db, b->db, (size_t)h->n_classes * sizeof(double)) == 0 &&
           memcmp(a->loss_rows, b->loss_rows, n * sizeof(double)) == 0 &&
           memcmp(a->lse, b->lse, n * sizeof(double)) == 0 && memcmp(a->top1, b->top1, n * sizeof(int64_t)) == 0 &&
           memcmp(&a->out.loss, &b->out.loss, sizeof(double)) == 0;
}

static int finite(const double *values, int64_t n) {
    for (int64_t i = 0; i < n; i++)
        if (!isfinite(values[i])) return 0;
    return 1;
}

int test_result_finite(const test_head *h, const test_result *r) {
    return isfinite(r->out.loss) && finite(r->dx, h->n_rows * h->dim) && finite(r->dw, h->n_classes * h->dim) &&
           finite(r->db, h->n_classes) && finite(r->loss_rows, h->n_rows) && finite(r->lse, h->n_rows);
}
