/* Random head problems for tests, run by any engine in any type. */
#include "heads.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/philox.h"

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
    "arcface:s=30,m=0.5,clamp=0.1",
    "arcface:m=0.5,gradient=detached",
    "arcface:m=0.5,gradient=unit",
    "combined",
    "combined:s=30,m1=1.3,m2=0.9,m3=0.1",
    "combined:s=16,m1=1.6,m2=0.7,m3=0.2,tail=none",
    /* Warm at steps past the start: test_oracle and test_hvp take some. */
    "arcface:s=30,m=1.4,tail=cosface,warmup=linear/100/500",
    "combined:s=16,m1=1.6,m2=0.7,m3=0.2,warmup=exponential/0/900",
    "sphereface-r:s=16,m=3.3,warmup=linear/0/400",
    "magface:s=16,l_m=1,u_m=2.5,l_a=2,u_a=3.5,lambda_g=130,warmup=linear/0/350",
    "curricularface:s=16,m=0.8,t=0.4,ema=0.3,warmup=exponential/200/900",
    "lsoftmax",
    "lsoftmax:m=1,lambda=0",
    "lsoftmax:m=2,lambda=0",
    "lsoftmax:m=3,lambda=5",
    "lsoftmax:m=4,lambda=power/1000/2.5e-5/35/0",
    "lsoftmax:m=4,lambda=0,gradient=detached",
    "lsoftmax:m=4,lambda=0,gradient=unit",
    "sphereface-r",
    "sphereface-r:s=16,m=3.3",
    "sphereface-r:s=16,m=2.4,clamp=0.1",
    "sphereface",
    "sphereface:m=1,lambda=0",
    "sphereface:m=2,lambda=0",
    "sphereface:m=3,lambda=0.5",
    "sphereface:m=4,lambda=0,gradient=detached",
    "sphereface:m=4,lambda=0,gradient=unit",
    "adaface",
    "adaface:s=30,m=0.8,mean=3,deviation=1,ema=0.5",
    "adaface:s=30,m=1.4,h=2,mean=2.5,deviation=0.5,ema=0,tail=fold", /* h^ is clipped on both sides */
    "adaface:s=30,mean=3,deviation=1,clamp=0.1,ema=0",
    "adaface:s=16,mean=3,deviation=1,gradient=detached",
    "adaface:s=16,mean=3,deviation=1,gradient=unit",
    "magface",
    /* Norms of 2 to 3.5 lie inside [l_a, u_a], others on either side. */
    "magface:s=16,l_m=0.2,u_m=0.9,l_a=2,u_a=3.5,lambda_g=60",
    "magface:s=16,l_m=1,u_m=2.5,l_a=2,u_a=3.5,lambda_g=130,tail=cosface",
    "magface:s=16,l_m=1,u_m=2.5,l_a=2,u_a=3.5,lambda_g=130,tail=fold",
    "magface:s=16,l_m=0.2,u_m=0.9,l_a=2,u_a=3.5,lambda_g=60,gradient=detached",
    "magface:s=16,l_m=0.2,u_m=0.9,l_a=2,u_a=3.5,lambda_g=60,gradient=unit",
    "curricularface",
    "curricularface:s=16,m=0.8,t=0.4,ema=0.3",
    "curricularface:s=20,m=1.2,t=-0.3,tail=fold,ema=0",
    "curricularface:s=16,m=0.5,t=0.5,gradient=detached",
    "curricularface:s=16,m=0.5,t=0.5,gradient=unit",
    "subcenter",
    "subcenter:s=16,m=1.2,k=2,tail=fold",
    "subcenter:k=1",
    "subcenter:s=16,gradient=detached",
    "subcenter:s=16,gradient=unit",
    NULL,
};

static void *block(int64_t count, size_t size) {
    void *memory = calloc((size_t)count + 1, size);
    assert_non_null(memory);
    return memory;
}

int test_head_has(const test_head *h, lgt_param_role role) {
    return lgt_loss_param_of(h->loss.info, role) >= 0;
}

double test_head_value(const test_head *h, const char *key) {
    return lgt_loss_value(&h->loss, key);
}

test_head test_head_random(const char *spec, int64_t n_rows, int64_t dim, int64_t n_classes, uint64_t seed) {
    test_head h = {.n_rows = n_rows, .dim = dim, .n_classes = n_classes};
    lgt_error err;
    assert_ok(lgt_loss_parse(spec, &h.loss, &err), err);
    lgt_plan_options_init(&h.options);
    h.options.max_rows = n_rows;
    h.bias = h.loss.info->has_bias;
    h.w_rows = n_classes * lgt_loss_centres(&h.loss);
    h.x = block(n_rows * dim, sizeof(double));
    h.w = block(h.w_rows * dim, sizeof(double));
    h.b = block(n_classes, sizeof(double));
    h.labels = block(n_rows, sizeof(int64_t));
    test_normal(h.x, n_rows * dim, seed, 1);
    test_normal(h.w, h.w_rows * dim, seed, 2);
    test_normal(h.b, n_classes, seed, 3);
    test_labels(h.labels, n_rows, n_classes, seed);
    return h;
}

void test_head_free(test_head *h) {
    void *blocks[] = {h->x,
                      h->w,
                      h->b,
                      h->labels,
                      h->sample_weights,
                      h->class_weights,
                      h->upstream,
                      h->soft_targets,
                      h->class_margins,
                      h->class_scales,
                      h->qualities,
                      h->state};
    for (size_t i = 0; i < sizeof blocks / sizeof *blocks; i++) free(blocks[i]);
    memset(h, 0, sizeof *h);
}

double *test_weights(int64_t n, uint64_t seed) {
    double *values = block(n, sizeof(double));
    test_normal(values, n, seed, 9);
    for (int64_t i = 0; i < n; i++) values[i] = i % 5 == 4 ? 0 : fabs(values[i]);
    return values;
}

void test_head_soften(test_head *h, uint64_t seed) {
    enum { PARTS = 1024, HEAPS = 8 }; /* 8 heaps fall on random classes, so that many classes get nothing */
    lgt_rng rng = {seed, 31};
    h->soft_targets = block(h->n_rows * h->n_classes, sizeof(double));
    for (int64_t i = 0; i < h->n_rows * HEAPS; i++) {
        int64_t class = (int64_t)lgt_rng_below(&rng, (uint64_t)i, (uint64_t)h->n_classes);
        int heap = i % HEAPS < 4 ? 32 : i % HEAPS < 7 ? 128 : PARTS - 4 * 32 - 3 * 128;
        h->soft_targets[i / HEAPS * h->n_classes + class] += (double)heap / PARTS;
    }
}

/* Around the loss's own value of a role, pulled into [low, high]. */
static double *around(const test_head *h, lgt_param_role role, double spread, uint64_t seed) {
    int at = lgt_loss_param_of(h->loss.info, role);
    const lgt_param_info *param = &h->loss.info->params[at];
    double *values = block(h->n_classes, sizeof(double)), own = h->loss.values[at];
    test_normal(values, h->n_classes, seed, 10);
    for (int64_t j = 0; j < h->n_classes; j++) {
        double high = param->kind == LGT_PARAM_ANGLE ? 3 : fmin(param->high, own + 3); /* below pi */
        values[j] = fmax(param->low, fmin(high, own * (1 + spread * values[j])));
        if (param->kind == LGT_PARAM_INTEGER) values[j] = floor(values[j]);
    }
    return values;
}

void test_head_margins(test_head *h, uint64_t seed) {
    h->class_margins = around(h, LGT_ROLE_MARGIN, 0.5, seed);
}

void test_head_scales(test_head *h, uint64_t seed) {
    h->class_scales = around(h, LGT_ROLE_SCALE, 0.2, seed + 1);
}

void test_head_round(test_head *h) {
    for (int64_t i = 0; i < h->n_rows * h->dim; i++) h->x[i] = (double)(float)h->x[i];
    for (int64_t i = 0; i < h->w_rows * h->dim; i++) h->w[i] = (double)(float)h->w[i];
    for (int64_t i = 0; i < h->n_classes; i++) h->b[i] = (double)(float)h->b[i];
}

/* A copy of n doubles in the type of the run. */
static void *typed(const double *from, int64_t n, lgt_dtype dtype) {
    void *to = block(n, lgt_dtype_size(dtype));
    for (int64_t i = 0; from && i < n; i++) {
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

/* The three arrays of a problem in the type of the run. */
typedef struct typed_vectors {
    void *x, *w, *b;
    int64_t n, dim, w_rows, c;
    lgt_dtype dtype;
    int bias;
} typed_vectors;

static typed_vectors typed_of(const test_head *h, const double *x, const double *w, const double *b, lgt_dtype dtype) {
    return (typed_vectors){.x = typed(x, h->n_rows * h->dim, dtype),
                           .w = typed(w, h->w_rows * h->dim, dtype),
                           .b = typed(b, h->n_classes, dtype),
                           .n = h->n_rows,
                           .dim = h->dim,
                           .w_rows = h->w_rows,
                           .c = h->n_classes,
                           .dtype = dtype,
                           .bias = h->bias};
}

/* Places for outputs start as rubbish, unless they are added to: what a run does not write is seen. */
static typed_vectors typed_places(const test_head *h, lgt_dtype dtype) {
    typed_vectors v = typed_of(h, NULL, NULL, NULL, dtype);
    size_t size = lgt_dtype_size(dtype);
    int byte = h->accumulate ? 0 : 0x41; /* 12.08, or in double 2.26e6 */
    memset(v.x, byte, (size_t)(h->n_rows * h->dim) * size);
    memset(v.w, byte, (size_t)(h->w_rows * h->dim) * size);
    memset(v.b, byte, (size_t)h->n_classes * size);
    return v;
}

static void typed_free(typed_vectors *v) {
    free(v->x), free(v->w), free(v->b);
}

static void typed_read(const typed_vectors *v, double *x, double *w, double *b) {
    untyped(v->x, v->n * v->dim, v->dtype, x);
    untyped(v->w, v->w_rows * v->dim, v->dtype, w);
    if (v->bias) untyped(v->b, v->c, v->dtype, b);
}

/* Everything between creation and release of a head and a plan; made for one call. */
typedef struct session {
    typed_vectors at;
    void *soft;
    lgt_head *head;
    lgt_plan *plan;
    lgt_head_inputs in;
    int64_t first, count; /* the classes that a rank has of its own */
} session;

/* Of an array (w_rows, dim) or (n_classes) the part that is the rank's. */
static lgt_mut own_rows(const session *s, const test_head *h, void *w, lgt_dtype dtype) {
    int64_t centres = h->w_rows / h->n_classes;
    char *at = w ? (char *)w + s->first * centres * h->dim * (int64_t)lgt_dtype_size(dtype) : NULL;
    return lgt_mut_of(at, s->count * centres, h->dim, dtype);
}

static lgt_mut own_classes(const session *s, void *b, lgt_dtype dtype) {
    char *at = b ? (char *)b + s->first * (int64_t)lgt_dtype_size(dtype) : NULL;
    return lgt_mut_of(at, 1, s->count, dtype);
}

static lgt_view view_of(lgt_mut m) {
    return (lgt_view){m.data, m.rows, m.cols, m.ld, m.dtype};
}

static lgt_status session_open(lgt_context *context, const test_head *h, lgt_plan_options options, session *s,
                               lgt_error *err) {
    lgt_dtype t = options.dtype;
    *s = (session){.at = typed_of(h, h->x, h->w, h->b, t)};
    if (h->soft_targets) s->soft = typed(h->soft_targets, h->n_rows * h->n_classes, t);
    lgt_status status = lgt_head_create(context, &h->loss, h->dim, h->n_classes, &s->head, err);
    const lgt_comm *comm = options.comm;
    if (!status)
        status = lgt_head_shard(s->head, comm ? comm->size : 1, comm ? comm->rank : 0, &s->first, &s->count, err);
    s->in = (lgt_head_inputs){.x = lgt_view_of(s->at.x, h->n_rows, h->dim, t),
                              .w = view_of(own_rows(s, h, s->at.w, t)),
                              .b = view_of(own_classes(s, h->bias ? s->at.b : NULL, t)),
                              .labels = h->labels,
                              .sample_weights = h->sample_weights,
                              .class_weights = h->class_weights,
                              .upstream = h->upstream,
                              .step = h->step,
                              .soft_targets = lgt_view_of(s->soft, h->n_rows, h->n_classes, t),
                              .class_margins = h->class_margins,
                              .class_scales = h->class_scales,
                              .qualities = h->qualities,
                              .state = h->state,
                              .frozen = h->frozen};
    return status ? status : lgt_plan_create(s->head, &options, &s->plan, err);
}

static void session_close(session *s) {
    lgt_plan_free(s->plan);
    lgt_head_free(s->head);
    typed_free(&s->at);
    free(s->soft);
}

test_result test_result_empty(const test_head *h) {
    return (test_result){.dx = block(h->n_rows * h->dim, sizeof(double)),
                         .dw = block(h->w_rows * h->dim, sizeof(double)),
                         .db = block(h->n_classes, sizeof(double)),
                         .loss_rows = block(h->n_rows, sizeof(double)),
                         .lse = block(h->n_rows, sizeof(double)),
                         .top1 = block(h->n_rows, sizeof(int64_t))};
}

lgt_status test_head_try(lgt_context *context, const test_head *h, lgt_engine engine, lgt_dtype dtype, test_result *r,
                         lgt_error *err) {
    session s;
    lgt_plan_options options = h->options;
    options.engine = engine;
    options.dtype = dtype;
    typed_vectors d = typed_places(h, dtype);
    *r = test_result_empty(h);
    lgt_status status = session_open(context, h, options, &s, err);
    if (!status) {
        r->out = (lgt_head_outputs){.dx = lgt_mut_of(d.x, h->n_rows, h->dim, dtype),
                                    .dw = own_rows(&s, h, d.w, dtype),
                                    .db = own_classes(&s, h->bias ? d.b : NULL, dtype),
                                    .accumulate = h->accumulate,
                                    .loss_rows = r->loss_rows,
                                    .lse = r->lse,
                                    .top1 = r->top1};
        status = lgt_plan_run(s.plan, &s.in, &r->out, err);
    }
    typed_read(&d, r->dx, r->dw, r->db);
    session_close(&s);
    typed_free(&d);
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

test_vectors test_vectors_of(const test_head *h, uint64_t seed) {
    test_vectors v = {block(h->n_rows * h->dim, sizeof(double)), block(h->w_rows * h->dim, sizeof(double)),
                      block(h->n_classes, sizeof(double))};
    if (!seed) return v;
    test_normal(v.x, h->n_rows * h->dim, seed, 11);
    test_normal(v.w, h->w_rows * h->dim, seed, 12);
    if (h->bias) test_normal(v.b, h->n_classes, seed, 13);
    return v;
}

void test_vectors_free(test_vectors *v) {
    free(v->x), free(v->w), free(v->b);
    memset(v, 0, sizeof *v);
}

lgt_status test_head_try_hvp(lgt_context *context, const test_head *h, lgt_engine engine, lgt_dtype dtype,
                             const test_vectors *along, test_vectors *out, lgt_error *err) {
    session s;
    lgt_plan_options options = h->options;
    options.engine = engine;
    options.dtype = dtype;
    options.second_order = 1;
    typed_vectors v = typed_of(h, along->x, along->w, along->b, dtype), d = typed_places(h, dtype);
    lgt_status status = session_open(context, h, options, &s, err);
    lgt_direction direction = {.x = lgt_view_of(along->x ? v.x : NULL, h->n_rows, h->dim, dtype),
                               .w = view_of(own_rows(&s, h, along->w ? v.w : NULL, dtype)),
                               .b = view_of(own_classes(&s, along->b && h->bias ? v.b : NULL, dtype))};
    lgt_hvp hvp = {.x = lgt_mut_of(d.x, h->n_rows, h->dim, dtype),
                   .w = own_rows(&s, h, d.w, dtype),
                   .b = own_classes(&s, h->bias ? d.b : NULL, dtype),
                   .accumulate = h->accumulate};
    if (!status) status = lgt_plan_hvp(s.plan, &s.in, &direction, &hvp, err);
    *out = test_vectors_of(h, 0);
    typed_read(&d, out->x, out->w, out->b);
    session_close(&s);
    typed_free(&v), typed_free(&d);
    return status;
}

test_vectors test_head_hvp(lgt_context *context, const test_head *h, lgt_engine engine, lgt_dtype dtype,
                           const test_vectors *along) {
    test_vectors out;
    lgt_error err;
    assert_ok(test_head_try_hvp(context, h, engine, dtype, along, &out, &err), err);
    return out;
}

double test_vectors_error(const test_head *h, const test_vectors *found, const test_vectors *expected) {
    const double *a[] = {found->x, found->w, found->b}, *b[] = {expected->x, expected->w, expected->b};
    const int64_t n[] = {h->n_rows * h->dim, h->w_rows * h->dim, h->bias ? h->n_classes : 0};
    double floor = 0, error = 0;
    for (int k = 0; k < 3; k++)
        for (int64_t i = 0; i < n[k]; i++) floor = fmax(floor, 0.1 * fabs(b[k][i]));
    for (int k = 0; k < 3; k++) {
        double scale = floor, worst = 0;
        for (int64_t i = 0; i < n[k]; i++) {
            scale = fmax(scale, fabs(b[k][i]));
            worst = fmax(worst, isfinite(a[k][i]) ? fabs(a[k][i] - b[k][i]) : INFINITY);
        }
        error = fmax(error, worst == 0 ? 0 : worst / scale);
    }
    return error;
}

test_vectors test_result_vectors(const test_result *r) {
    return (test_vectors){r->dx, r->dw, r->db};
}

double test_result_error(const test_head *h, const test_result *found, const test_result *expected) {
    double dx = test_relative_error(found->dx, expected->dx, h->n_rows * h->dim);
    double dw = test_relative_error(found->dw, expected->dw, h->w_rows * h->dim);
    double db = h->bias ? test_relative_error(found->db, expected->db, h->n_classes) : 0;
    return fmax(dx, fmax(dw, db));
}

int test_result_same(const test_head *h, const test_result *a, const test_result *b) {
    size_t nx = (size_t)(h->n_rows * h->dim), nw = (size_t)(h->w_rows * h->dim), n = (size_t)h->n_rows;
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
    return isfinite(r->out.loss) && finite(r->dx, h->n_rows * h->dim) && finite(r->dw, h->w_rows * h->dim) &&
           finite(r->db, h->n_classes) && finite(r->loss_rows, h->n_rows) && finite(r->lse, h->n_rows);
}
