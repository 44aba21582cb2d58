/* Losses of the caller's own: the same as a built-in one when written by hand, checked like one, refused when unsound.
 */
#include "support.h"

#include <math.h>
#include <string.h>

#include "heads.h"
#include "logitude/logitude.h"

enum { S, M };

/* ---- Definitions ---- */

static const lgt_param_info hand_params[] = {
    LGT_PARAM_SCALE("64"),
    {"m", LGT_PARAM_REAL, "0.35", 0, 2, NULL, "margin of the cosine", LGT_ROLE_MARGIN},
    LGT_PARAM_GRADIENT,
};

static void hand_bend(const double *p, double scheduled, const lgt_pair *pair, lgt_bend *out) {
    (void)scheduled, (void)pair;
    out->value = -p[S] * p[M];
}

/* CosFace, by hand. */
static const lgt_loss_definition by_hand = {
    .info = {"by-hand", "By hand", "z_y = s (cos(theta) - m)", "", LGT_SPACE_COS, 0, hand_params, 3},
    .bend = hand_bend};

/* An own loss: z_y = s (cos(theta) - m theta^2 / 2). */
static void quadratic_bend(const double *p, double scheduled, const lgt_pair *pair, lgt_bend *out) {
    (void)scheduled;
    out->value = -p[S] * p[M] * pair->theta * pair->theta / 2;
    out->d_theta = -p[S] * p[M] * pair->theta;
    out->d_theta_theta = -p[S] * p[M];
}

static lgt_status quadratic_check(const double *p, lgt_error *err) {
    if (p[S] * p[M] <= 100) return LGT_OK;
    if (err) strcpy(err->message, "s m is above 100");
    return LGT_ERR_USAGE;
}

static const lgt_loss_definition quadratic = {.info = {"quadratic", "Quadratic angle",
                                                       "z_y = s (cos(theta) - m theta^2/2)", "", LGT_SPACE_COS, 0,
                                                       hand_params, 3},
                                              .bend = quadratic_bend,
                                              .check = quadratic_check};

/* In the space of dot products, with a schedule and both norms: z_y = u_y - lambda r q (1 - c)^2. */
static const lgt_param_info dot_params[] = {
    {"lambda", LGT_PARAM_SCHEDULE, "0.5", 0, 0, NULL, "weight of the bend", LGT_ROLE_FIXED},
    LGT_PARAM_GRADIENT,
};

static void dot_bend(const double *p, double lambda, const lgt_pair *pair, lgt_bend *out) {
    (void)p;
    double gap = 1 - pair->c, f = -lambda * gap * gap, d = -2 * lambda * gap * pair->sine;
    double dd = -2 * lambda * (pair->sine * pair->sine + gap * pair->c), r = pair->r, q = pair->q;
    *out = (lgt_bend){.value = r * q * f,
                      .d_theta = r * q * d,
                      .d_r = q * f,
                      .d_q = r * f,
                      .d_theta_theta = r * q * dd,
                      .d_theta_r = q * d,
                      .d_theta_q = r * d,
                      .d_r_q = f};
}

static const lgt_loss_definition squared_gap = {.info = {"squared-gap", "", "", "", LGT_SPACE_DOT, 1, dot_params, 2},
                                                .bend = dot_bend};

static lgt_loss custom(const lgt_loss_definition *definition, const char *settings) {
    lgt_loss loss;
    lgt_error err;
    assert_ok(lgt_loss_custom(definition, settings, &loss, &err), err);
    assert_string_equal(err.message, "");
    return loss;
}

/* ---- What it gives ---- */

TEST_SHARED_CONTEXT(2)

static void cosface_by_hand_gives_the_bits_of_the_built_in_one(void **state) {
    (void)state;
    for (int engine = LGT_ENGINE_REFERENCE; engine <= LGT_ENGINE_CPU; engine++) {
        for (int dtype = LGT_F32; dtype <= LGT_F64; dtype++) {
            if (engine == LGT_ENGINE_REFERENCE && dtype == LGT_F32) continue;
            test_head head = test_head_random("cosface:s=16,m=0.2", 7, 5, 33, 20260101);
            test_vectors along = test_vectors_of(&head, 7);
            test_result built_in = test_head_run(context, &head, (lgt_engine)engine, (lgt_dtype)dtype);
            test_vectors hvp = test_head_hvp(context, &head, (lgt_engine)engine, (lgt_dtype)dtype, &along);
            head.loss = custom(&by_hand, "s=16,m=0.2");
            test_result own = test_head_run(context, &head, (lgt_engine)engine, (lgt_dtype)dtype);
            test_vectors own_hvp = test_head_hvp(context, &head, (lgt_engine)engine, (lgt_dtype)dtype, &along);
            assert_true(built_in.out.loss > 1);
            assert_true(test_result_same(&head, &own, &built_in));
            assert_memory_equal(own_hvp.x, hvp.x, 7 * 5 * sizeof(double));
            assert_memory_equal(own_hvp.w, hvp.w, 33 * 5 * sizeof(double));
            test_vectors_free(&own_hvp);
            test_result_free(&own);
            test_vectors_free(&hvp);
            test_result_free(&built_in);
            test_vectors_free(&along);
            test_head_free(&head);
        }
    }
}

/* A list of every third class is a head of those alone: of the loss that bends the target and has a bias. */
static void a_list_of_classes_is_a_smaller_head(void **state) {
    enum { N = 40, D = 6, C = 300, LISTED = C / 3 };
    int64_t classes[LISTED], labels[N];
    double w[C * D], b[C] = {0}, db[LISTED], dw[LISTED * D];
    lgt_error err;
    (void)state;
    test_head small = test_head_random("softmax", N, D, LISTED, 12);
    small.loss = custom(&squared_gap, "");
    for (int64_t k = 0; k < C * D; k++) w[k] = (double)(k % 7) - 3;
    for (int64_t k = 0; k < LISTED; k++) {
        classes[k] = 3 * k;
        b[3 * k] = small.b[k];
        memcpy(w + 3 * k * D, small.w + k * D, D * sizeof *w);
    }
    for (int64_t i = 0; i < N; i++) labels[i] = 3 * small.labels[i];
    test_result alone = test_head_run(context, &small, LGT_ENGINE_CPU, LGT_F64);
    lgt_head *head = NULL;
    lgt_plan *plan = NULL;
    lgt_plan_options options = small.options;
    lgt_head_inputs in = {.x = lgt_view_of(small.x, N, D, LGT_F64), .labels = labels};
    lgt_head_outputs out = {.dw = lgt_mut_of(dw, LISTED, D, LGT_F64)};
    in.w = lgt_view_of(w, C, D, LGT_F64), in.b = lgt_view_of(b, 1, C, LGT_F64);
    in.classes = classes, in.n_listed = LISTED;
    options.dtype = LGT_F64, options.engine = LGT_ENGINE_CPU, options.max_classes = LISTED;
    out.db = lgt_mut_of(db, 1, LISTED, LGT_F64);
    assert_ok(lgt_head_create(context, &small.loss, D, C, &head, &err), err);
    assert_ok(lgt_plan_create(head, &options, &plan, &err), err);
    assert_ok(lgt_plan_run(plan, &in, &out, &err), err);
    /* Stripes are cut elsewhere: sums of 100 terms below 1 in another order. */
    assert_true(fabs(out.loss - alone.out.loss) < 1e-13);
    for (int64_t k = 0; k < LISTED; k++) assert_true(fabs(db[k] - alone.db[k]) < 1e-14);
    for (int64_t k = 0; k < LISTED * D; k++) assert_true(fabs(dw[k] - alone.dw[k]) < 1e-13);
    lgt_plan_free(plan);
    lgt_head_free(head);
    test_result_free(&alone);
    test_head_free(&small);
}

static int passes(const lgt_loss *loss, lgt_dtype dtype) {
    lgt_gradcheck found;
    lgt_error err;
    assert_ok(lgt_gradcheck_run(context, loss, LGT_ENGINE_CPU, dtype, 100, 3, &found, &err), err);
    if (!found.passed)
        print_message("%s: dx %g dw %g db %g hvp %g, engine dx %g dw %g hvp %g\n", loss->info->name, found.dx, found.dw,
                      found.db, found.hvp, found.engine_dx, found.engine_dw, found.engine_hvp);
    return found.passed;
}

static void right_derivatives_pass_the_gradient_check(void **state) {
    (void)state;
    lgt_loss losses[] = {custom(&by_hand, NULL), custom(&quadratic, "s=8,m=0.3"), custom(&squared_gap, "")};
    for (int i = 0; i < 3; i++) {
        assert_true(passes(&losses[i], LGT_F64));
        assert_true(passes(&losses[i], LGT_F32));
    }
}

static void wrong_first(const double *p, double scheduled, const lgt_pair *pair, lgt_bend *out) {
    quadratic_bend(p, scheduled, pair, out);
    out->d_theta *= 1.001;
}

static void wrong_second(const double *p, double scheduled, const lgt_pair *pair, lgt_bend *out) {
    quadratic_bend(p, scheduled, pair, out);
    out->d_theta_theta = 0;
}

static void wrong_derivatives_do_not(void **state) {
    (void)state;
    lgt_loss_definition wrong = quadratic;
    wrong.bend = wrong_first;
    lgt_loss loss = custom(&wrong, "s=8,m=0.3");
    assert_false(passes(&loss, LGT_F64));
    wrong.bend = wrong_second;
    assert_false(passes(&loss, LGT_F64));
}

static void nan_bend(const double *p, double scheduled, const lgt_pair *pair, lgt_bend *out) {
    (void)p, (void)scheduled, (void)pair;
    out->value = NAN;
}

static void a_bend_that_is_not_finite_is_reported(void **state) {
    (void)state;
    lgt_loss_definition broken = by_hand;
    lgt_error err;
    broken.bend = nan_bend;
    for (int engine = LGT_ENGINE_REFERENCE; engine <= LGT_ENGINE_CPU; engine++) {
        test_head head = test_head_random("cosface", 3, 4, 5, 1);
        test_result result = test_result_empty(&head);
        head.loss = custom(&broken, "");
        assert_int_equal(test_head_try(context, &head, (lgt_engine)engine, LGT_F64, &result, &err), LGT_ERR_NONFINITE);
        test_result_free(&result);
        test_head_free(&head);
    }
}

/* Its margin is the batches' mean cosine, moved by a half. */
static const lgt_param_info mean_params[] = {
    LGT_PARAM_SCALE("8"),
    {"level", LGT_PARAM_REAL, "0", -1, 1, NULL, "moving average of the target cosine", LGT_ROLE_STATE},
    LGT_PARAM_GRADIENT,
};

static void mean_move(double *p, const lgt_batch_moments *batch) {
    p[1] += 0.5 * (batch->cosine_mean - p[1]);
}

static const lgt_loss_definition follows = {
    .info = {"follows", "", "", "", LGT_SPACE_COS, 0, mean_params, 3}, .bend = hand_bend, .move = mean_move};

static void its_state_moves_with_the_batch(void **state) {
    (void)state;
    test_head head = test_head_random("cosface", 1, 2, 3, 1);
    head.loss = custom(&follows, "");
    head.x[0] = 3, head.x[1] = 4;
    head.w[2 * head.labels[0]] = 2, head.w[2 * head.labels[0] + 1] = 0;
    test_result result = test_head_run(context, &head, LGT_ENGINE_CPU, LGT_F64);
    assert_at_most(fabs(result.out.state[0] - 0.3), 1e-15, "the state behind half of cosine 0.6"); /* two roundings */
    test_result_free(&result);
    test_head_free(&head);
}

/* ---- Settings ---- */

static void settings_are_read_as_a_specification_is(void **state) {
    (void)state;
    char spec[LGT_LOSS_SPEC_SIZE];
    lgt_error err;
    lgt_loss loss = custom(&quadratic, "m=0.25,gradient=detached,s=4");
    lgt_loss_format(&loss, spec, sizeof spec);
    assert_string_equal(spec, "quadratic:s=4,m=0.25,gradient=detached");
    assert_true(lgt_loss_value(&loss, "m") == 0.25);
    assert_fails(lgt_loss_custom(&quadratic, "n=1", &loss, &err), LGT_ERR_USAGE, err,
                 "quadratic has no parameter \"n\"");
    assert_fails(lgt_loss_custom(&quadratic, "m=3", &loss, &err), LGT_ERR_USAGE, err, "m is \"3\"");
    assert_fails(lgt_loss_custom(&quadratic, "m=1,m=1", &loss, &err), LGT_ERR_USAGE, err, "m is given twice");
    assert_fails(lgt_loss_custom(&quadratic, "s=1000", &loss, &err), LGT_ERR_USAGE, err, "s m is above 100");
    assert_int_equal(lgt_loss_custom(&quadratic, "s=1000", &loss, NULL), LGT_ERR_USAGE);
    assert_fails(lgt_loss_parse("quadratic", &loss, &err), LGT_ERR_USAGE, err, "there is no loss \"quadratic\"");
}

static void a_trainer_refuses_what_a_model_file_cannot_name(void **state) {
    (void)state;
    lgt_train_options options;
    lgt_trainer *trainer = NULL;
    lgt_error err;
    lgt_train_options_init(&options);
    options.loss = custom(&by_hand, NULL);
    assert_fails(lgt_trainer_create(context, &options, NULL, &trainer, &err), LGT_ERR_UNSUPPORTED, err,
                 "by-hand is a loss of the caller's");
}

/* ---- Unsound definitions ---- */

typedef struct unsound {
    const char *reason;
    void (*spoil)(lgt_loss_definition *d, lgt_param_info *p); /* p: d's own copy of hand_params, room for 13 */
} unsound;

static void crowd(const double *p, double scheduled, const lgt_pair *pair, lgt_crowd_bend *out) {
    (void)p, (void)scheduled, (void)pair, (void)out;
}

#define SPOIL(name, code)                                                                                              \
    static void name(lgt_loss_definition *d, lgt_param_info *p) {                                                      \
        (void)d, (void)p;                                                                                              \
        code;                                                                                                          \
    }
SPOIL(no_name, d->info.name = NULL)
SPOIL(empty_name, d->info.name = "")
SPOIL(colon_name, d->info.name = "a:b")
SPOIL(long_name, d->info.name = "a-name-of-more-than-thirty-two-letters")
SPOIL(taken_name, d->info.name = "arcface")
SPOIL(no_citation, d->info.citation = NULL)
SPOIL(no_space, d->info.space = (lgt_space)3)
SPOIL(no_params, d->info.n_params = 0)
SPOIL(thirteen, d->info.n_params = 13)
SPOIL(biased, d->info.has_bias = 1)
SPOIL(no_key, p[M].key = NULL)
SPOIL(equals_key, p[M].key = "m=")
SPOIL(k_key, p[M].key = "k")
SPOIL(no_help, p[M].help = NULL)
SPOIL(no_kind, p[M].kind = (lgt_param_kind)6)
SPOIL(no_words, p[M].kind = LGT_PARAM_CHOICE)
SPOIL(crossed, p[M].low = 3)
SPOIL(endless, p[M].high = INFINITY)
SPOIL(warm_margin, p[M].kind = LGT_PARAM_WARMUP)
static const char *const own_words[] = {"exact", NULL};
SPOIL(own_gradient, p[2].words = own_words)
SPOIL(no_scale, p[S].role = LGT_ROLE_FIXED)
SPOIL(scale_from_zero, p[S].low = 0)
SPOIL(twice, p[3] = p[M]; d->info.n_params = 4)
SPOIL(without_gradient, d->info.n_params = 2)
SPOIL(two_schedules, p[3] = p[4] = dot_params[0]; p[4].key = "mu"; d->info.n_params = 5)
SPOIL(two_margins, p[3] = p[M]; p[3].key = "n"; d->info.n_params = 4)
SPOIL(scale_in_dot, d->info.space = LGT_SPACE_DOT)
SPOIL(cos_without_scale, d->info.params = p + 1; d->info.n_params = 2)
SPOIL(crowd_in_dot, d->info.space = LGT_SPACE_DOT; d->crowd = crowd)
SPOIL(move_alone, d->move = mean_move)
SPOIL(state_alone, p[M].role = LGT_ROLE_STATE)
SPOIL(clamp_beyond, d->clamp = 3)
SPOIL(clamp_of_margin, d->clamp = M)
static void too_long(lgt_loss_definition *d, lgt_param_info *p) {
    static char key[LGT_LOSS_SPEC_SIZE];
    (void)d;
    memset(key, 'm', sizeof key - 60);
    p[M].key = key;
}

static const unsound list[] = {
    {"without definition or name", no_name},
    {"the name must be", empty_name},
    {"the name must be", colon_name},
    {"the name must be", long_name},
    {"has a loss of this name", taken_name},
    {"must not be NULL", no_citation},
    {"the space is none", no_space},
    {"expected 1 to 12 parameters", no_params},
    {"expected 1 to 12 parameters", thirteen},
    {"only the space DOT has a bias", biased},
    {"key is missing", no_key},
    {"key is missing", equals_key},
    {"kept for sub-centres", k_key},
    {"default and help", no_help},
    {"no such kind", no_kind},
    {"a choice needs words", no_words},
    {"finite bounds", crossed},
    {"finite bounds", endless},
    {"are numbers", warm_margin},
    {"is LGT_PARAM_GRADIENT", own_gradient},
    {"is LGT_PARAM_SCALE", no_scale},
    {"is LGT_PARAM_SCALE", scale_from_zero},
    {"parameter m: the key comes twice", twice},
    {"LGT_PARAM_GRADIENT is missing", without_gradient},
    {"more than one schedule", two_schedules},
    {"more than one margin", two_margins},
    {"belongs into the space COS", scale_in_dot},
    {"belongs into the space COS", cos_without_scale},
    {"only the space COS has a crowd", crowd_in_dot},
    {"parameters of state", move_alone},
    {"parameters of state", state_alone},
    {"clamp must be", clamp_beyond},
    {"clamp must be", clamp_of_margin},
    {"does not fit", too_long},
};

static void what_no_built_in_loss_has_is_refused_with_the_reason(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof list / sizeof *list; i++) {
        lgt_param_info params[13] = {{0}};
        lgt_loss_definition d = by_hand;
        lgt_loss loss = {0};
        lgt_error err;
        memcpy(params, hand_params, sizeof hand_params);
        d.info.params = params;
        list[i].spoil(&d, params);
        assert_fails(lgt_loss_custom(&d, NULL, &loss, &err), LGT_ERR_USAGE, err, list[i].reason);
        assert_null(loss.info);
    }
    lgt_loss loss;
    lgt_error err;
    assert_fails(lgt_loss_custom(NULL, NULL, &loss, &err), LGT_ERR_USAGE, err, "without definition");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cosface_by_hand_gives_the_bits_of_the_built_in_one),
        cmocka_unit_test(a_list_of_classes_is_a_smaller_head),
        cmocka_unit_test(right_derivatives_pass_the_gradient_check),
        cmocka_unit_test(wrong_derivatives_do_not),
        cmocka_unit_test(a_bend_that_is_not_finite_is_reported),
        cmocka_unit_test(its_state_moves_with_the_batch),
        cmocka_unit_test(settings_are_read_as_a_specification_is),
        cmocka_unit_test(a_trainer_refuses_what_a_model_file_cannot_name),
        cmocka_unit_test(what_no_built_in_loss_has_is_refused_with_the_reason),
    };
    return cmocka_run_group_tests(tests, open_context, close_context);
}
