/* The contract of heads, plans and prediction: what is refused and how, no allocation in runs, no leak, brute force
 * top-k. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "heads.h"
#include "logitude/analysis.h"

enum { N = 6, D = 4, C = 9 };

typedef struct fixture {
    lgt_context *context;
    lgt_head *head;
    lgt_plan *plan;
    lgt_error err;
    float x[N * D], w[C * D], b[C], dx[N * D], dw[C * D], db[C];
    int64_t labels[N];
    double weights[N];
    lgt_head_inputs in;
    lgt_head_outputs out;
} fixture;

static int set_up(void **state) {
    fixture *f = calloc(1, sizeof *f);
    lgt_loss loss;
    lgt_plan_options options;
    f->context = test_context(2);
    test_normal_f32(f->x, N * D, 1, 1);
    test_normal_f32(f->w, C * D, 1, 2);
    test_labels(f->labels, N, C, 1);
    for (int i = 0; i < N; i++) f->weights[i] = 1;
    assert_ok(lgt_loss_parse("softmax", &loss, &f->err), f->err);
    assert_ok(lgt_head_create(f->context, &loss, D, C, &f->head, &f->err), f->err);
    lgt_plan_options_init(&options);
    options.max_rows = N;
    assert_ok(lgt_plan_create(f->head, &options, &f->plan, &f->err), f->err);
    f->in = (lgt_head_inputs){.x = lgt_view_of(f->x, N, D, LGT_F32),
                              .w = lgt_view_of(f->w, C, D, LGT_F32),
                              .b = lgt_view_of(f->b, 1, C, LGT_F32),
                              .labels = f->labels,
                              .sample_weights = f->weights};
    f->out = (lgt_head_outputs){.dx = lgt_mut_of(f->dx, N, D, LGT_F32),
                                .dw = lgt_mut_of(f->dw, C, D, LGT_F32),
                                .db = lgt_mut_of(f->db, 1, C, LGT_F32)};
    *state = f;
    return 0;
}

static int tear_down(void **state) {
    fixture *f = *state;
    lgt_plan_free(f->plan);
    lgt_head_free(f->head);
    lgt_context_free(f->context);
    free(f);
    return 0;
}

static void refuses(fixture *f, lgt_status status, const char *message) {
    assert_fails(lgt_plan_run(f->plan, &f->in, &f->out, &f->err), status, f->err, message);
}

static void wrong_shapes_and_types_are_refused_with_their_values(void **state) {
    fixture *f = *state, kept = *f;
    f->in.w.rows = 8;
    refuses(f, LGT_ERR_USAGE, "w is (8, 4), expected (9, 4)");
    *f = kept, f->in.x.cols = 3;
    refuses(f, LGT_ERR_USAGE, "x is (6, 3), expected (6, 4)");
    *f = kept, f->in.x.rows = 7;
    refuses(f, LGT_ERR_USAGE, "x has 7 rows, the plan allows 6");
    *f = kept, f->in.w.dtype = LGT_F64;
    refuses(f, LGT_ERR_USAGE, "w is f64, expected f32");
    *f = kept, f->in.x.ld = 2;
    refuses(f, LGT_ERR_USAGE, "x has ld 2, expected at least 4");
    *f = kept, f->in.w.data = NULL;
    refuses(f, LGT_ERR_USAGE, "w is missing");
    *f = kept, f->in.labels = NULL;
    refuses(f, LGT_ERR_USAGE, "labels are missing");
    *f = kept, f->out.dx.cols = 5;
    refuses(f, LGT_ERR_USAGE, "dx is (6, 5), expected (6, 4)");
    *f = kept, f->in.b.data = NULL;
    refuses(f, LGT_ERR_USAGE, "db is wanted, but there is no bias");
    *f = kept, f->in.upstream = f->weights;
    refuses(f, LGT_ERR_USAGE, "upstream gradients need the reduction none");
    *f = kept, f->in.step = -1;
    refuses(f, LGT_ERR_USAGE, "step is -1");
    *f = kept;
}

static void wrong_values_are_refused_with_their_place(void **state) {
    fixture *f = *state;
    f->labels[4] = 9;
    refuses(f, LGT_ERR_DATA, "labels: row 4 is 9, expected 0 to 8");
    f->labels[4] = -1;
    refuses(f, LGT_ERR_DATA, "labels: row 4 is -1, expected 0 to 8");
    f->labels[4] = 0;
    f->x[2 * D + 3] = NAN;
    refuses(f, LGT_ERR_DATA, "x holds nan at row 2, column 3");
    f->x[2 * D + 3] = 0;
    f->w[7 * D + 1] = -INFINITY;
    refuses(f, LGT_ERR_DATA, "w holds inf at row 7, column 1");
    f->w[7 * D + 1] = 0;
    f->b[5] = NAN;
    refuses(f, LGT_ERR_DATA, "b holds nan at class 5");
    f->b[5] = 0;
    f->weights[3] = -1;
    refuses(f, LGT_ERR_DATA, "sample_weights holds -1 at 3");
    f->weights[3] = 1;
    assert_ok(lgt_plan_run(f->plan, &f->in, &f->out, &f->err), f->err);
}

static void wrong_options_are_refused(void **state) {
    fixture *f = *state;
    lgt_plan *plan;
    lgt_head *head;
    lgt_loss loss;
    lgt_plan_options o;
    lgt_plan_options_init(&o);
    o.label_smoothing = 1;
    assert_fails(lgt_plan_create(f->head, &o, &plan, &f->err), LGT_ERR_USAGE, f->err, "label_smoothing is 1");
    lgt_plan_options_init(&o), o.z_loss = -1;
    assert_fails(lgt_plan_create(f->head, &o, &plan, &f->err), LGT_ERR_USAGE, f->err, "z_loss is -1");
    o.z_loss = nextafter(1e6, INFINITY);
    assert_fails(lgt_plan_create(f->head, &o, &plan, &f->err), LGT_ERR_USAGE, f->err, "expected 0 to 1e6");
    o.z_loss = 1e6;
    assert_ok(lgt_plan_create(f->head, &o, &plan, &f->err), f->err);
    lgt_plan_free(plan);
    lgt_plan_options_init(&o), o.dtype = LGT_F16;
    assert_fails(lgt_plan_create(f->head, &o, &plan, &f->err), LGT_ERR_UNSUPPORTED, f->err, "not in f16");
    lgt_plan_options_init(&o), o.struct_size = 3;
    assert_fails(lgt_plan_create(f->head, &o, &plan, &f->err), LGT_ERR_USAGE, f->err, "struct_size 3");
    assert_ok(lgt_loss_parse("arcface", &loss, &f->err), f->err);
    assert_fails(lgt_head_create(f->context, &loss, 0, 5, &head, &f->err), LGT_ERR_USAGE, f->err, "dim 0");
    assert_ok(lgt_head_create(f->context, &loss, D, C, &head, &f->err), f->err);
    lgt_plan_options_init(&o), o.max_rows = N;
    assert_ok(lgt_plan_create(head, &o, &plan, &f->err), f->err);
    assert_fails(lgt_plan_run(plan, &f->in, &f->out, &f->err), LGT_ERR_USAGE, f->err, "arcface has no bias");
    lgt_plan_free(plan), lgt_head_free(head);
}

static void options_that_do_not_go_together_are_refused(void **state) {
    static const char listed[] = "listed classes go with neither label smoothing nor second order";
    fixture *f = *state;
    lgt_plan *plan = NULL;
    lgt_plan_options o;
    lgt_plan_options_init(&o), o.max_classes = 2, o.label_smoothing = 0.1;
    assert_fails(lgt_plan_create(f->head, &o, &plan, &f->err), LGT_ERR_UNSUPPORTED, f->err, listed);
    lgt_plan_options_init(&o), o.max_classes = 2, o.second_order = 1;
    assert_fails(lgt_plan_create(f->head, &o, &plan, &f->err), LGT_ERR_UNSUPPORTED, f->err, listed);
    for (int precision = LGT_PRECISION_BF16X3; precision <= LGT_PRECISION_BF16; precision++) {
        lgt_plan_options_init(&o), o.precision = (lgt_precision)precision, o.second_order = 1;
        assert_fails(lgt_plan_create(f->head, &o, &plan, &f->err), LGT_ERR_UNSUPPORTED, f->err, "first-order plans");
    }
    assert_null(plan);
}

static void without_options_a_plan_has_the_defaults(void **state) {
    fixture *f = *state;
    lgt_plan *plan = NULL, *spelled = NULL;
    lgt_plan_options o;
    lgt_plan_options_init(&o);
    assert_ok(lgt_plan_create(f->head, NULL, &plan, &f->err), f->err);
    assert_ok(lgt_plan_create(f->head, &o, &spelled, &f->err), f->err);
    assert_int_equal(lgt_plan_bytes(plan), lgt_plan_bytes(spelled));
    assert_fails(lgt_plan_run(plan, &f->in, &f->out, &f->err), LGT_ERR_USAGE, f->err, "the plan allows 1");
    f->in.x.rows = f->out.dx.rows = 1;
    assert_ok(lgt_plan_run(plan, &f->in, &f->out, &f->err), f->err);
    double loss = f->out.loss;
    assert_ok(lgt_plan_run(spelled, &f->in, &f->out, &f->err), f->err);
    assert_true(loss == f->out.loss);
    lgt_plan_free(plan), lgt_plan_free(spelled);
}

static void a_plan_for_the_loss_alone_gives_the_same_loss_and_no_gradients(void **state) {
    fixture *f = *state;
    lgt_plan *plan;
    lgt_plan_options o;
    lgt_plan_options_init(&o), o.max_rows = N, o.loss_only = 1;
    assert_ok(lgt_plan_create(f->head, &o, &plan, &f->err), f->err);
    assert_true(lgt_plan_bytes(plan) < lgt_plan_bytes(f->plan));
    assert_fails(lgt_plan_run(plan, &f->in, &f->out, &f->err), LGT_ERR_USAGE, f->err, "loss_only");
    lgt_head_outputs loss = {0};
    assert_ok(lgt_plan_run(plan, &f->in, &loss, &f->err), f->err);
    assert_ok(lgt_plan_run(f->plan, &f->in, &f->out, &f->err), f->err);
    assert_true(loss.loss == f->out.loss);
    lgt_plan_free(plan);
}

/* Creates and runs everything once; the status of the first refusal. */
static lgt_status whole_life(lgt_context *context, fixture *f, lgt_engine engine, lgt_error *err) {
    lgt_loss loss;
    lgt_head *head = NULL;
    lgt_plan *plan = NULL;
    lgt_plan_options o;
    lgt_plan_options_init(&o), o.max_rows = N, o.engine = engine, o.second_order = 1;
    lgt_status status = lgt_loss_parse("softmax", &loss, err);
    if (!status) status = lgt_head_create(context, &loss, D, C, &head, err);
    if (!status) status = lgt_plan_create(head, &o, &plan, err);
    if (!status) {
        int64_t before = test_allocations();
        lgt_direction along = {.x = f->in.x, .w = f->in.w, .b = f->in.b};
        lgt_hvp product = {.x = f->out.dx, .w = f->out.dw, .b = f->out.db};
        status = lgt_plan_run(plan, &f->in, &f->out, err);
        if (!status) status = lgt_plan_hvp(plan, &f->in, &along, &product, err);
        assert_int_equal(test_allocations(), before); /* a run allocates nothing */
    }
    lgt_predictions top = {.k = 2};
    if (!status) status = lgt_head_predict(head, f->in.x, f->in.w, f->in.b, NULL, &top, err);
    lgt_plan_free(plan);
    lgt_head_free(head);
    return status;
}

static void every_refused_allocation_is_an_error_and_nothing_leaks(void **state) {
    fixture *f = *state;
    for (int engine = LGT_ENGINE_CPU; engine <= LGT_ENGINE_REFERENCE; engine++) {
        lgt_status status = LGT_ERR_MEMORY;
        int64_t fail_at = 0;
        while (status) {
            lgt_error err;
            lgt_context *context = test_context_failing(++fail_at);
            status = whole_life(context, f, (lgt_engine)engine, &err);
            assert_true(status == LGT_OK || status == LGT_ERR_MEMORY);
            lgt_context_free(context);
            assert_int_equal(test_live_blocks(), 0);
        }
        assert_true(fail_at > 10);
    }
}

/* Plain logits in double, for brute force. */
static double plain(const fixture *f, const lgt_loss *loss, int i, int j) {
    double dot = 0, xx = 0, ww = 0;
    for (int k = 0; k < D; k++) {
        double a = (double)f->x[i * D + k], b = (double)f->w[j * D + k];
        dot += a * b, xx += a * a, ww += b * b;
    }
    if (loss->info->space == LGT_SPACE_COS) return lgt_loss_value(loss, "s") * dot / sqrt(xx * ww);
    return dot + (loss->info->has_bias ? (double)f->b[j] : 0);
}

static void check_prediction(fixture *f, const lgt_loss *loss, const lgt_predictions *p) {
    for (int i = 0; i < N; i++) {
        double sum = 0;
        for (int j = 0; j < C; j++) sum += exp(plain(f, loss, i, j));
        /* float32 logits up to 64: 4e-6 each */
        assert_at_most(fabs(p->lse[i] - log(sum)), 2e-5, "lse");
        assert_at_most(fabs(p->label_logits[i] - plain(f, loss, i, (int)f->labels[i])), 2e-5, "label logit");
        for (int64_t k = 0; k < p->k; k++) {
            int64_t rank = 0, class = p->classes[i * p->k + k];
            for (int j = 0; j < C; j++) rank += plain(f, loss, i, j) > plain(f, loss, i, (int)class);
            assert_int_equal(rank, k);
            assert_at_most(fabs(p->logits[i * p->k + k] - plain(f, loss, i, (int)class)), 2e-5, "logit");
        }
    }
}

static void prediction_equals_brute_force(void **state) {
    static const char *const specs[] = {"softmax", "arcface", "lsoftmax"};
    fixture *f = *state;
    for (int j = 0; j < C; j++) f->b[j] = (float)j / 7;
    for (size_t s = 0; s < sizeof specs / sizeof *specs; s++)
        for (int64_t k = 1; k <= C; k += 4) {
            lgt_loss loss;
            lgt_head *head;
            int64_t classes[N * C];
            double logits[N * C], lse[N], label_logits[N];
            lgt_predictions p = {k, classes, logits, lse, label_logits};
            assert_ok(lgt_loss_parse(specs[s], &loss, &f->err), f->err);
            assert_ok(lgt_head_create(f->context, &loss, D, C, &head, &f->err), f->err);
            lgt_view b = loss.info->has_bias ? f->in.b : (lgt_view){0};
            assert_ok(lgt_head_predict(head, f->in.x, f->in.w, b, f->labels, &p, &f->err), f->err);
            check_prediction(f, &loss, &p);
            lgt_head_free(head);
        }
}

static void equal_logits_are_ranked_by_class(void **state) {
    fixture *f = *state;
    int64_t classes[N * C];
    lgt_predictions p = {.k = C, .classes = classes};
    memset(f->w, 0, sizeof f->w);
    assert_ok(lgt_head_predict(f->head, f->in.x, f->in.w, f->in.b, NULL, &p, &f->err), f->err);
    for (int i = 0; i < N * C; i++) assert_int_equal(classes[i], i % C);
}

static void prediction_refuses_what_makes_no_sense(void **state) {
    fixture *f = *state;
    lgt_predictions p = {.k = 10};
    assert_fails(lgt_head_predict(f->head, f->in.x, f->in.w, f->in.b, NULL, &p, &f->err), LGT_ERR_USAGE, f->err,
                 "k is 10, expected 1 to 9");
    p.k = 1;
    f->x[5 * D] = NAN;
    assert_fails(lgt_head_predict(f->head, f->in.x, f->in.w, f->in.b, NULL, &p, &f->err), LGT_ERR_DATA, f->err,
                 "x holds nan at row 5, column 0");
    f->x[5 * D] = 1e30f, f->w[0] = 1e30f;
    assert_fails(lgt_head_predict(f->head, f->in.x, f->in.w, f->in.b, NULL, &p, &f->err), LGT_ERR_NONFINITE, f->err,
                 "logits exceed the range of f32");
}

static void every_loss_passes_its_gradient_check(void **state) {
    fixture *f = *state;
    for (int i = 0; i < lgt_loss_count(); i++)
        for (int t = LGT_F32; t <= LGT_F64; t++) {
            lgt_loss loss;
            lgt_gradcheck check;
            assert_ok(lgt_loss_parse(lgt_loss_at(i)->name, &loss, &f->err), f->err);
            assert_ok(lgt_gradcheck_run(f->context, &loss, LGT_ENGINE_CPU, (lgt_dtype)t, 200, 42, &check, &f->err),
                      f->err);
            assert_int_equal(check.n_problems, 200);
            assert_true(check.dx > 0 && check.engine_dx > 0); /* something was compared */
            if (!check.passed) fail_msg("%s: dx %g dw %g db %g", loss.info->name, check.dx, check.dw, check.db);
        }
}

static void gradient_modes_that_are_not_derivatives_are_not_checked_as_such(void **state) {
    fixture *f = *state;
    lgt_loss loss;
    lgt_gradcheck check;
    assert_ok(lgt_loss_parse("arcface:gradient=detached", &loss, &f->err), f->err);
    assert_fails(lgt_gradcheck_run(f->context, &loss, LGT_ENGINE_CPU, LGT_F64, 1, 1, &check, &f->err), LGT_ERR_USAGE,
                 f->err, "gradient=exact");
}

static void the_first_of_bad_classes_is_named(void **state) {
    enum { MANY = 3000 }; /* two tiles or more a stripe */
    static float w[MANY * D];
    fixture *f = *state;
    lgt_loss loss;
    lgt_head *head = NULL;
    lgt_plan *plan = NULL;
    lgt_plan_options options;
    lgt_plan_options_init(&options);
    options.max_rows = N;
    assert_ok(lgt_loss_parse("normalized", &loss, &f->err), f->err);
    assert_ok(lgt_head_create(f->context, &loss, D, MANY, &head, &f->err), f->err);
    assert_ok(lgt_plan_create(head, &options, &plan, &f->err), f->err);
    for (int j = 10; j < MANY; j += 20) w[j * D] = NAN; /* several a tile */
    lgt_head_inputs in = {.x = f->in.x, .w = lgt_view_of(w, MANY, D, LGT_F32), .labels = f->labels};
    lgt_head_outputs out = {.loss_rows = f->weights};
    assert_fails(lgt_plan_run(plan, &in, &out, &f->err), LGT_ERR_DATA, f->err, "w holds nan at row 10, column 0");
    lgt_plan_free(plan), lgt_head_free(head);
}

/* One tile holds all classes here: it must be loaded anew when its weights are others. */
static void a_run_remembers_nothing_of_the_one_before(void **state) {
    fixture *f = *state;
    float dx[N * D], dw[C * D], db[C];
    assert_ok(lgt_plan_run(f->plan, &f->in, &f->out, &f->err), f->err);
    memcpy(dx, f->dx, sizeof dx), memcpy(dw, f->dw, sizeof dw), memcpy(db, f->db, sizeof db);
    for (int k = 0; k < C * D; k++) f->w[k] = -f->w[k];
    assert_ok(lgt_plan_run(f->plan, &f->in, &f->out, &f->err), f->err);
    assert_memory_not_equal(dw, f->dw, sizeof dw);
    for (int k = 0; k < C * D; k++) f->w[k] = -f->w[k];
    assert_ok(lgt_plan_run(f->plan, &f->in, &f->out, &f->err), f->err);
    assert_memory_equal(dx, f->dx, sizeof dx);
    assert_memory_equal(dw, f->dw, sizeof dw);
    assert_memory_equal(db, f->db, sizeof db);
}

static void a_product_remembers_nothing_of_the_one_before(void **state) {
    fixture *f = *state;
    lgt_loss loss;
    lgt_head *head = NULL;
    lgt_plan *plan = NULL;
    lgt_plan_options options;
    float first_x[N * D], first_w[C * D], turned[C * D];
    lgt_plan_options_init(&options);
    options.max_rows = N, options.second_order = -1; /* all but 0 is yes */
    assert_ok(lgt_loss_parse("arcface:s=8", &loss, &f->err), f->err);
    assert_ok(lgt_head_create(f->context, &loss, D, C, &head, &f->err), f->err);
    assert_ok(lgt_plan_create(head, &options, &plan, &f->err), f->err);
    f->in.b.data = NULL;
    for (int k = 0; k < C * D; k++) turned[k] = f->w[(k + 5) % (C * D)];
    lgt_direction along = {.w = lgt_view_of(turned, C, D, LGT_F32)};
    lgt_hvp out = {.x = f->out.dx, .w = f->out.dw};
    assert_ok(lgt_plan_hvp(plan, &f->in, &along, &out, &f->err), f->err);
    memcpy(first_x, f->dx, sizeof first_x), memcpy(first_w, f->dw, sizeof first_w);
    assert_ok(lgt_plan_hvp(plan, &f->in, &along, &out, &f->err), f->err);
    assert_memory_equal(first_x, f->dx, sizeof first_x);
    assert_memory_equal(first_w, f->dw, sizeof first_w);
    turned[5 * D + 1] = NAN;
    assert_fails(lgt_plan_hvp(plan, &f->in, &along, &out, &f->err), LGT_ERR_DATA, f->err,
                 "the direction of w holds nan at row 5, column 1");
    turned[5 * D + 1] = 0, turned[0] = INFINITY;
    along = (lgt_direction){.x = lgt_view_of(turned, N, D, LGT_F32)};
    assert_fails(lgt_plan_hvp(plan, &f->in, &along, &out, &f->err), LGT_ERR_DATA, f->err,
                 "the direction of x holds inf at row 0, column 0");
    lgt_plan_free(plan), lgt_head_free(head);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(wrong_shapes_and_types_are_refused_with_their_values, set_up, tear_down),
        cmocka_unit_test_setup_teardown(wrong_values_are_refused_with_their_place, set_up, tear_down),
        cmocka_unit_test_setup_teardown(wrong_options_are_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(options_that_do_not_go_together_are_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(without_options_a_plan_has_the_defaults, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_plan_for_the_loss_alone_gives_the_same_loss_and_no_gradients, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_run_remembers_nothing_of_the_one_before, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_product_remembers_nothing_of_the_one_before, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_first_of_bad_classes_is_named, set_up, tear_down),
        cmocka_unit_test_setup_teardown(every_refused_allocation_is_an_error_and_nothing_leaks, set_up, tear_down),
        cmocka_unit_test_setup_teardown(prediction_equals_brute_force, set_up, tear_down),
        cmocka_unit_test_setup_teardown(equal_logits_are_ranked_by_class, set_up, tear_down),
        cmocka_unit_test_setup_teardown(prediction_refuses_what_makes_no_sense, set_up, tear_down),
        cmocka_unit_test_setup_teardown(every_loss_passes_its_gradient_check, set_up, tear_down),
        cmocka_unit_test_setup_teardown(gradient_modes_that_are_not_derivatives_are_not_checked_as_such, set_up,
                                        tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
