/* Loss specifications: what every loss of the list reads, writes and refuses. */
#include "support.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/philox.h"
#include "base/text.h"
#include "logitude/loss.h"

static const double pi = 3.14159265358979323846;

static lgt_loss parse(const char *spec) {
    lgt_loss loss;
    lgt_error err;
    lgt_status status = lgt_loss_parse(spec, &loss, &err);
    if (status) print_error("%s: ", spec);
    assert_ok(status, err);
    assert_string_equal(err.message, "");
    return loss;
}

/* The specification is refused as USAGE with every part in the message, and the loss stays as it was. */
static void refuse(const char *spec, const char *const *parts, int n_parts) {
    lgt_loss loss, before;
    lgt_error err;
    memset(&loss, 0x5a, sizeof loss);
    memset(&before, 0x5a, sizeof before);
    lgt_status status = lgt_loss_parse(spec, &loss, &err);
    if (status != LGT_ERR_USAGE) fail_msg("\"%s\" was read with status %s", spec, lgt_status_name(status));
    for (int i = 0; i < n_parts; i++)
        if (!strstr(err.message, parts[i])) fail_msg("\"%s\": \"%s\" lacks \"%s\"", spec, err.message, parts[i]);
    assert_memory_equal(&loss, &before, sizeof loss);
    assert_int_equal(lgt_loss_parse(spec, &loss, NULL), LGT_ERR_USAGE);
}

static void assert_same_loss(const lgt_loss *a, const lgt_loss *b) {
    assert_ptr_equal(a->info, b->info);
    assert_memory_equal(a->values, b->values, sizeof a->values);
    assert_int_equal(a->schedule.kind, b->schedule.kind);
    assert_memory_equal(&a->schedule.a, &b->schedule.a, 4 * sizeof a->schedule.a);
}

static void the_list_describes_every_loss(void **state) {
    (void)state;
    assert_true(lgt_loss_count() >= 5);
    assert_null(lgt_loss_at(-1));
    assert_null(lgt_loss_at(lgt_loss_count()));
    for (int i = 0; i < lgt_loss_count(); i++) {
        const lgt_loss_info *info = lgt_loss_at(i);
        assert_true(*info->name && *info->title && *info->equation && *info->citation);
        assert_true(info->n_params >= 1 && info->n_params <= LGT_LOSS_MAX_PARAMS);
        assert_string_equal(info->params[info->n_params - 1].key, "gradient");
        assert_true(info->space == LGT_SPACE_DOT || !info->has_bias);
        for (int j = 0; j < i; j++) assert_string_not_equal(info->name, lgt_loss_at(j)->name);
        for (int p = 0; p < info->n_params; p++) assert_true(*info->params[p].help);
    }
}

/* Writes `loss`, reads it back and writes it again. */
static void assert_round_trip(const lgt_loss *loss) {
    char text[LGT_LOSS_SPEC_SIZE], again[LGT_LOSS_SPEC_SIZE];
    size_t length = lgt_loss_format(loss, text, sizeof text);
    assert_int_equal(length, strlen(text));
    lgt_loss back = parse(text);
    assert_same_loss(loss, &back);
    lgt_loss_format(&back, again, sizeof again);
    assert_string_equal(text, again);
}

static void defaults_are_read_and_every_spelling_of_them_is_the_same(void **state) {
    (void)state;
    for (int i = 0; i < lgt_loss_count(); i++) {
        const lgt_loss_info *info = lgt_loss_at(i);
        lgt_loss bare = parse(info->name);
        char spec[LGT_LOSS_SPEC_SIZE];
        size_t used = lgt_text_format(spec, sizeof spec, "%s", info->name);
        assert_ptr_equal(bare.info, info);
        for (int p = info->n_params - 1; p >= 0; p--) /* backwards: the order is free */
            used += lgt_text_format(spec + used, sizeof spec - used, "%c%s=%s", p == info->n_params - 1 ? ':' : ',',
                                    info->params[p].key, info->params[p].default_text);
        lgt_loss full = parse(spec);
        assert_same_loss(&bare, &full);
        assert_round_trip(&bare);
    }
}

static int count_words(const char *const *words) {
    int count = 0;
    while (words[count]) count++;
    return count;
}

static lgt_schedule random_schedule(const lgt_rng *rng, uint64_t at) {
    double u[4];
    for (uint64_t k = 0; k < 4; k++) u[k] = lgt_rng_uniform(rng, at + k);
    switch (lgt_rng_below(rng, at + 4, 3)) {
    case 0:
        return (lgt_schedule){LGT_SCHEDULE_CONSTANT, u[0] * 1000, 0, 0, 0};
    case 1:
        return (lgt_schedule){LGT_SCHEDULE_GEOMETRIC, u[0] * 1e9, 1 - u[1], u[2] * 1e-9, 0};
    default:
        return (lgt_schedule){LGT_SCHEDULE_POWER, u[0], u[1] * 1e-5, u[2] * 100, u[3]};
    }
}

/* None, or between two steps of up to 2^53. */
static lgt_schedule random_warm_up(const lgt_rng *rng, uint64_t at) {
    double end = 1 + (double)lgt_rng_below(rng, at, UINT64_C(1) << lgt_rng_below(rng, at + 1, 54)),
           start = floor(lgt_rng_uniform(rng, at + 2) * end);
    static const lgt_schedule none = {LGT_SCHEDULE_CONSTANT, 1, 0, 0, 0};
    uint64_t kind = lgt_rng_below(rng, at + 3, 3);
    if (kind == 0) return none;
    return (lgt_schedule){kind == 1 ? LGT_SCHEDULE_LINEAR : LGT_SCHEDULE_EXPONENTIAL, start, end, 0, 0};
}

/* MagFace alone refuses values that do not go together: norms in order, and a margin that does not grow, go. */
static void reconcile(lgt_loss *loss) {
    double *v = loss->values, l_a, u_a;
    if (strcmp(loss->info->name, "magface") != 0) return;
    l_a = fmin(lgt_loss_value(loss, "l_a"), lgt_loss_value(loss, "u_a"));
    u_a = fmax(lgt_loss_value(loss, "l_a"), lgt_loss_value(loss, "u_a"));
    for (int p = 0; p < loss->info->n_params; p++) {
        const char *key = loss->info->params[p].key;
        if (strcmp(key, "l_a") == 0) v[p] = l_a;
        if (strcmp(key, "u_a") == 0) v[p] = u_a;
        if (strcmp(key, "l_m") == 0) v[p] = lgt_loss_value(loss, "u_m");
    }
}

static lgt_loss random_loss(const lgt_loss_info *info, const lgt_rng *rng, uint64_t at) {
    lgt_loss loss = {.info = info};
    for (int p = 0; p < info->n_params; p++, at += 8) {
        const lgt_param_info *param = &info->params[p];
        double u = lgt_rng_uniform(rng, at), between = param->low + u * (param->high - param->low);
        if (param->kind == LGT_PARAM_SCHEDULE) loss.schedule = random_schedule(rng, at);
        if (param->kind == LGT_PARAM_WARMUP) loss.schedule = random_warm_up(rng, at);
        if (param->kind == LGT_PARAM_CHOICE) loss.values[p] = floor(u * count_words(param->words));
        if (param->kind == LGT_PARAM_INTEGER) loss.values[p] = floor(between);
        if (param->kind == LGT_PARAM_REAL || param->kind == LGT_PARAM_ANGLE) loss.values[p] = between;
    }
    reconcile(&loss);
    return loss;
}

static void what_is_written_reads_back_to_the_same_bits(void **state) {
    lgt_rng rng = {50, 1};
    (void)state;
    for (int i = 0; i < lgt_loss_count(); i++) {
        for (uint64_t n = 0; n < 300; n++) {
            lgt_loss loss = random_loss(lgt_loss_at(i), &rng, n * 64);
            assert_round_trip(&loss);
        }
    }
}

static void a_cut_specification_returns_its_size_and_stays_inside(void **state) {
    char whole[LGT_LOSS_SPEC_SIZE], text[LGT_LOSS_SPEC_SIZE];
    (void)state;
    for (int i = 0; i < lgt_loss_count(); i++) {
        lgt_loss loss = parse(lgt_loss_at(i)->name);
        size_t length = lgt_loss_format(&loss, whole, sizeof whole);
        for (size_t size = 0; size <= length + 1; size++) {
            memset(text, '#', sizeof text);
            assert_int_equal(lgt_loss_format(&loss, text, size), size > length ? length : size);
            for (size_t k = size; k < sizeof text; k++) assert_int_equal(text[k], '#');
            if (size > 0) assert_int_equal(strlen(text), size - 1);
            if (size > 0) assert_memory_equal(text, whole, size - 1);
        }
    }
}

/* ---- bounds ---- */

static void accept_value(const lgt_loss_info *info, const lgt_param_info *param, double value) {
    char spec[128], number[32];
    lgt_text_from_double(number, sizeof number, value);
    lgt_text_format(spec, sizeof spec, "%s:%s=%s", info->name, param->key, number);
    if (strcmp(info->name, "magface") == 0) { /* the value itself is allowed, but need not go with the defaults */
        lgt_loss any;
        lgt_error err;
        if (lgt_loss_parse(spec, &any, &err)) assert_null(strstr(err.message, " from "));
        return;
    }
    lgt_loss loss = parse(spec);
    assert_true(lgt_loss_value(&loss, param->key) == value);
}

static void refuse_text(const lgt_loss_info *info, const lgt_param_info *param, const char *text,
                        const char *expected) {
    char spec[160], found[160];
    lgt_text_format(spec, sizeof spec, "%s:%s=%s", info->name, param->key, text);
    lgt_text_format(found, sizeof found, "%s: %s is \"%s\", expected ", info->name, param->key, text);
    refuse(spec, (const char *const[]){found, expected}, 2);
}

static void refuse_value(const lgt_loss_info *info, const lgt_param_info *param, double value, const char *expected) {
    char number[32];
    lgt_text_from_double(number, sizeof number, value);
    refuse_text(info, param, number, expected);
}

static void check_number(const lgt_loss_info *info, const lgt_param_info *param) {
    char expected[100], low[32], high[32];
    lgt_text_from_double(low, sizeof low, param->low);
    lgt_text_from_double(high, sizeof high, param->high);
    lgt_text_format(expected, sizeof expected, "from %s to %s", low, high);
    accept_value(info, param, param->low);
    accept_value(info, param, param->high);
    refuse_value(info, param, nextafter(param->low, -INFINITY), expected);
    refuse_value(info, param, nextafter(param->high, INFINITY), expected);
    if (param->kind == LGT_PARAM_INTEGER) {
        refuse_value(info, param, param->low - 1, expected);
        refuse_value(info, param, param->high + 1, expected);
        refuse_value(info, param, param->low + 0.5, "an integer");
    }
    static const char *const never[] = {"", "x", "nan", "inf", "1e999", "0x1", " 1", "1 ", "1deg", "--1"};
    for (size_t i = 0; i < sizeof never / sizeof *never; i++) refuse_text(info, param, never[i], expected);
}

static void check_angle(const lgt_loss_info *info, const lgt_param_info *param) {
    const char *hint = "an angle below pi radians; for degrees write for example 28.6deg", *range = "[0, pi)";
    assert_true(param->low == 0 && param->high == pi);
    accept_value(info, param, 0);
    accept_value(info, param, nextafter(pi, 0));
    refuse_value(info, param, pi, hint);
    refuse_value(info, param, 28.6, hint); /* degrees without saying so */
    refuse_text(info, param, "180deg", hint);
    refuse_value(info, param, nextafter(0, -1), range);
    static const char *const never[] = {"", "x", "nan", "deg", "-1deg", "1 deg", "1DEG", "1rad", "1e999", "1degdeg"};
    for (size_t i = 0; i < sizeof never / sizeof *never; i++) refuse_text(info, param, never[i], range);
}

static void check_choice(const lgt_loss_info *info, const lgt_param_info *param) {
    char spec[128], shouted[32];
    for (int i = 0; param->words[i]; i++) {
        lgt_text_format(spec, sizeof spec, "%s:%s=%s", info->name, param->key, param->words[i]);
        lgt_loss loss = parse(spec);
        assert_true(lgt_loss_value(&loss, param->key) == i);
        refuse_text(info, param, "bogus", param->words[i]);
        lgt_text_format(shouted, sizeof shouted, "%sx", param->words[i]);
        refuse_text(info, param, shouted, "one of");
        shouted[strlen(param->words[i]) - 1] = '\0';
        refuse_text(info, param, shouted, "one of");
    }
    refuse_text(info, param, "", "one of");
    refuse_text(info, param, "0", "one of");
}

static void check_schedule(const lgt_loss_info *info, const lgt_param_info *param) {
    static const char *const good[] = {"0",
                                       "5",
                                       "1e9",
                                       "geometric/1000/0.99/5",
                                       "geometric/0/1/0",
                                       "geometric/1e9/5e-324/1e9",
                                       "power/1000/2.5e-05/35/0",
                                       "power/0/0/0/0",
                                       "power/1e9/1/1/1e9"};
    static const char *const bad[] = {"",
                                      "-1",
                                      "1000000001",
                                      "nan",
                                      "/",
                                      "1/2",
                                      "geometric",
                                      "geometric/",
                                      "geometric/1/0.5",
                                      "geometric/1/0.5/0/7",
                                      "geometric/1/0.5/0/",
                                      "geometric/1//0",
                                      "geometric/1/0/0",
                                      "geometric/1/1.01/0",
                                      "geometric/-1/0.5/0",
                                      "geometric/1/0.5/-1",
                                      "geometric/1e10/0.5/0",
                                      "geometric/a/0.5/0",
                                      "power/1/1/1",
                                      "power/1/-1/1/0",
                                      "power/1/1/-1/0",
                                      "power/1/1/1/-1",
                                      "power/1/1/1/1e10",
                                      "power/1/1/1/0/0",
                                      "linear/1/2",
                                      "Geometric/1/0.5/0"};
    char spec[128];
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        lgt_text_format(spec, sizeof spec, "%s:%s=%s", info->name, param->key, good[i]);
        lgt_loss loss = parse(spec);
        assert_round_trip(&loss);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        refuse_text(info, param, bad[i], "power/BASE/GAMMA/POWER/MIN");
}

static void every_parameter_refuses_what_lies_just_outside_its_bounds(void **state) {
    int kinds[6] = {0};
    (void)state;
    for (int i = 0; i < lgt_loss_count(); i++) {
        const lgt_loss_info *info = lgt_loss_at(i);
        for (int p = 0; p < info->n_params; p++) {
            const lgt_param_info *param = &info->params[p];
            kinds[param->kind]++;
            if (param->kind == LGT_PARAM_REAL || param->kind == LGT_PARAM_INTEGER) check_number(info, param);
            if (param->kind == LGT_PARAM_ANGLE) check_angle(info, param);
            if (param->kind == LGT_PARAM_CHOICE) check_choice(info, param);
            if (param->kind == LGT_PARAM_SCHEDULE) check_schedule(info, param);
        }
    }
    for (int k = 0; k < 6; k++) assert_true(kinds[k] > 0);
}

static void degrees_are_radians_times_180_over_pi(void **state) {
    static const char *const specs[] = {"arcface:m=0deg", "arcface:m=28.6deg", "arcface:m=90deg", "arcface:m=1e2deg"};
    static const double degrees[] = {0, 28.6, 90, 100};
    (void)state;
    for (int i = 0; i < 4; i++) {
        lgt_loss loss = parse(specs[i]);
        /* Two roundings: of pi / 180 and of the product. */
        assert_at_most(fabs(lgt_loss_value(&loss, "m") - degrees[i] * pi / 180), 2.3e-16 * 2, "the angle's error");
    }
}

/* ---- roles ---- */

static void roles_are_found_and_state_is_of_one_piece(void **state) {
    static const struct {
        const char *loss, *scale, *margin, *state;
        int n_state;
    } known[] = {{"softmax", "", "", "", 0},     {"normalized", "s", "", "", 0},       {"cosface", "s", "m", "", 0},
                 {"arcface", "s", "m", "", 0},   {"combined", "s", "m2", "", 0},       {"lsoftmax", "", "m", "", 0},
                 {"sphereface", "", "m", "", 0}, {"sphereface-r", "s", "m", "", 0},    {"adaface", "s", "m", "mean", 2},
                 {"magface", "s", "", "", 0},    {"curricularface", "s", "m", "t", 1}, {"subcenter", "s", "m", "", 0}};
    (void)state;
    assert_int_equal(lgt_loss_count(), sizeof known / sizeof *known);
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        const char *const wanted[] = {NULL, known[i].scale, known[i].margin, known[i].state};
        const lgt_loss_info *info = parse(known[i].loss).info;
        for (int role = LGT_ROLE_SCALE; role <= LGT_ROLE_STATE; role++) {
            int p = lgt_loss_param_of(info, (lgt_param_role)role);
            assert_string_equal(p < 0 ? "" : info->params[p].key, wanted[role]);
        }
        int first = lgt_loss_param_of(info, LGT_ROLE_STATE);
        assert_int_equal(lgt_loss_n_state(info), known[i].n_state);
        assert_true(known[i].n_state <= LGT_LOSS_MAX_STATE);
        for (int p = 0; p < known[i].n_state; p++) assert_int_equal(info->params[first + p].role, LGT_ROLE_STATE);
        assert_int_equal(info->space == LGT_SPACE_COS, *known[i].scale != 0); /* a scale is that of cosines */
    }
}

static void centres_are_the_rows_of_a_class(void **state) {
    (void)state;
    for (int i = 0; i < lgt_loss_count(); i++) {
        lgt_loss loss = parse(lgt_loss_at(i)->name);
        assert_int_equal(lgt_loss_centres(&loss), strcmp(loss.info->name, "subcenter") == 0 ? 3 : 1);
    }
    lgt_loss five = parse("subcenter:k=5");
    assert_int_equal(lgt_loss_centres(&five), 5);
}

/* ---- values that do not go together ---- */

/* s k u^2 l^2 / (u^2 - l^2) = 64 * 0.0035 * 110^2 * 10^2 / (110^2 - 10^2) = 22.58667 by default. */
static void magface_refuses_a_penalty_too_weak_for_its_margin(void **state) {
    static const char *const good[] = {"magface", "magface:lambda_g=22.587", "magface:s=1,lambda_g=0.36",
                                       "magface:l_m=0.8,lambda_g=0", "magface:lambda_g=0,u_m=0.45"};
    static const char *const weak[][2] = {{"magface:lambda_g=22.586", "lambda_g is 22.586, expected at least 22.5867"},
                                          {"magface:lambda_g=20", "lambda_g is 20, expected at least 22.5867"},
                                          {"magface:s=100", "lambda_g is 35, expected at least 35.2917"},
                                          {"magface:u_m=1", "lambda_g is 35, expected at least 35.4933"}};
    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) parse(good[i]);
    for (size_t i = 0; i < sizeof weak / sizeof *weak; i++)
        refuse(weak[i][0], (const char *const[]){weak[i][1], "s k u_a^2 l_a^2", "unique"}, 3);
    refuse("magface:l_a=110", (const char *const[]){"l_a is 110 and u_a is 110, expected l_a < u_a"}, 1);
    refuse("magface:u_a=5", (const char *const[]){"l_a is 10 and u_a is 5, expected l_a < u_a"}, 1);
    refuse("magface:l_m=0.9", (const char *const[]){"l_m is 0.9 and u_m is 0.8, expected l_m <= u_m"}, 1);
}

/* One line a loss: what a margin or scale out of bounds is told. */
static void margins_and_scales_out_of_bounds_are_refused_with_the_bounds(void **state) {
    static const char *const known[][2] = {
        {"sphereface:m=0", "sphereface: m is \"0\", expected an integer from 1 to 64"},
        {"sphereface:m=1.5", "expected an integer from 1 to 64"},
        {"sphereface:s=3", "sphereface has no parameter \"s\""},
        {"sphereface-r:m=0.9", "expected a number from 1 to 64"},
        {"adaface:m=1.51", "expected a number from 0 to 1.5"},
        {"adaface:h=0", "expected a number from 0.001 to 1000"},
        {"adaface:s=0", "expected a number from 1e-06 to 1000000"},
        {"adaface:s=-64", "expected a number from 1e-06 to 1000000"},
        {"adaface:deviation=-1", "deviation is \"-1\", expected a number from 0"},
        {"magface:l_m=3.2", "an angle below pi radians"},
        {"magface:u_m=45", "for degrees write for example 28.6deg"},
        {"curricularface:t=1.1", "expected a number from -1 to 1"},
        {"curricularface:ema=2", "expected a number from 0 to 1"},
        {"subcenter:k=0", "expected an integer from 1 to 16"},
        {"subcenter:m=-0.1", "[0, pi)"},
        {"combined:tail=continuous", "expected one of fold none"},
        {"arcface:clamp=0.2", "expected a number from 0 to 0.1"},
        {"arcface:clamp=-1e-5", "expected a number from 0 to 0.1"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) refuse(known[i][0], &known[i][1], 1);
}

/* ---- spelling ---- */

static void an_unknown_loss_names_the_nearest(void **state) {
    static const char *const typos[][2] = {{"arcfcae", "arcface"},       {"ArcFace", "arcface"},
                                           {"lsoftmx:m=2", "lsoftmax"},  {"l-softmax", "lsoftmax"},
                                           {"normalised", "normalized"}, {"cos_face", "cosface"},
                                           {"sofmax:", "softmax"},       {"arcface m=0.5", "arcface"}};
    char spec[64], nearest[64];
    (void)state;
    for (size_t i = 0; i < sizeof typos / sizeof *typos; i++) {
        lgt_text_format(nearest, sizeof nearest, "the nearest is \"%s\"", typos[i][1]);
        refuse(typos[i][0], (const char *const[]){"there is no loss", nearest}, 2);
    }
    for (int i = 0; i < lgt_loss_count(); i++) { /* the last letter forgotten */
        const char *name = lgt_loss_at(i)->name;
        if (strcmp(name, "sphereface-r") == 0) continue; /* then as near to sphereface */
        lgt_text_format(spec, sizeof spec, "%.*s", (int)strlen(name) - 1, name);
        lgt_text_format(nearest, sizeof nearest, "there is no loss \"%s\"; the nearest is \"%s\"", spec, name);
        refuse(spec, (const char *const[]){nearest}, 1);
    }
    refuse("", (const char *const[]){"there is no loss \"\""}, 1);
    refuse(":m=1", (const char *const[]){"there is no loss \"\""}, 1);
}

static void an_unknown_key_names_the_nearest_of_its_loss(void **state) {
    char spec[128], wanted[128];
    (void)state;
    for (int i = 0; i < lgt_loss_count(); i++) {
        const lgt_loss_info *info = lgt_loss_at(i);
        for (int p = 0; p < info->n_params; p++) {
            const char *key = info->params[p].key;
            lgt_text_format(spec, sizeof spec, "%s:%s_=1", info->name, key);
            lgt_text_format(wanted, sizeof wanted, "%s has no parameter \"%s_\"; the nearest is \"%s\"", info->name,
                            key, key);
            refuse(spec, (const char *const[]){wanted}, 1);
        }
    }
    refuse("softmax:s=3", (const char *const[]){"softmax has no parameter \"s\""}, 1);
    refuse("arcface:=3", (const char *const[]){"arcface has no parameter \"\""}, 1);
    static const char *const told[][2] = {
        {"arcface:margin=0.5", "arcface has no parameter \"margin\"; the nearest is \"m\""},
        {"arcface:Scale=64", "arcface has no parameter \"Scale\"; the nearest is \"s\""},
        {"subcenter:centers=3", "subcenter has no parameter \"centers\"; the nearest is \"k\""},
        {"arcface:talk=1", "arcface has no parameter \"talk\"; the nearest is \"tail\""},
        {"arcface:tapk=1", "arcface has no parameter \"tapk\"; the nearest is \"tail\""},
        {"arcface:tqpk=1", "arcface has no parameter \"tqpk\", expected one of s, m, tail, clamp, warmup, gradient"},
        {"arcface:q=1", "arcface has no parameter \"q\", expected one of s, m, tail, clamp, warmup, gradient"},
        {"combined:margin=1", "combined has no parameter \"margin\", expected one of s, m1, m2, m3, tail, warmup"},
    };
    for (size_t i = 0; i < sizeof told / sizeof *told; i++) refuse(told[i][0], &told[i][1], 1);
    refuse("arcface: m=0.5", (const char *const[]){"no parameter \" m\"; the nearest is \"m\""}, 1);
}

static void pairs_that_are_not_one_key_and_one_value_are_refused(void **state) {
    static const char *const specs[][2] = {
        {"arcface:", "arcface: \"\" is not of the form key=value"},
        {"arcface:,", "\"\" is not of the form"},
        {"arcface:m=0.5,", "\"\" is not of the form"},
        {"arcface:,m=0.5", "\"\" is not of the form"},
        {"arcface:m=0.5,,s=3", "\"\" is not of the form"},
        {"arcface:m", "\"m\" is not of the form"},
        {"arcface:m=0.5,s", "\"s\" is not of the form"},
        {"arcface:m=0.5;s=3", "m is \"0.5;s=3\""},
        {"arcface:m==0.5", "m is \"=0.5\""},
        {"arcface:m=", "m is \"\""},
        {"arcface:m=0.5,m=0.5", "arcface: m is given twice"},
        {"lsoftmax:lambda=1,m=2,lambda=1", "lsoftmax: lambda is given twice"},
        {"arcface:m=0.5:s=3", "m is \"0.5:s=3\""},
    };
    (void)state;
    for (size_t i = 0; i < sizeof specs / sizeof *specs; i++) refuse(specs[i][0], &specs[i][1], 1);
    char spec[128], twice[64];
    for (int i = 0; i < lgt_loss_count(); i++) {
        const lgt_param_info *param = &lgt_loss_at(i)->params[0];
        const char *key = param->key, *text = param->default_text;
        lgt_text_format(spec, sizeof spec, "%s:%s=%s,%s=%s", lgt_loss_at(i)->name, key, text, key, text);
        lgt_text_format(twice, sizeof twice, "%s: %s is given twice", lgt_loss_at(i)->name, key);
        refuse(spec, (const char *const[]){twice}, 1);
    }
}

static void very_long_words_are_cut_in_messages(void **state) {
    char spec[5000];
    (void)state;
    memset(spec, 'a', sizeof spec);
    spec[sizeof spec - 1] = '\0';
    refuse(spec, (const char *const[]){"there is no loss \"aaaa"}, 1);
    memcpy(spec, "arcface:m=", 10);
    refuse(spec, (const char *const[]){"arcface: m is \"aaaa"}, 1);
    memcpy(spec, "arcface:mm", 10);
    refuse(spec, (const char *const[]){"\"mmaaa"}, 1);
    spec[4990] = '=';
    refuse(spec, (const char *const[]){"arcface has no parameter \"mmaaa"}, 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_list_describes_every_loss),
        cmocka_unit_test(defaults_are_read_and_every_spelling_of_them_is_the_same),
        cmocka_unit_test(what_is_written_reads_back_to_the_same_bits),
        cmocka_unit_test(a_cut_specification_returns_its_size_and_stays_inside),
        cmocka_unit_test(every_parameter_refuses_what_lies_just_outside_its_bounds),
        cmocka_unit_test(degrees_are_radians_times_180_over_pi),
        cmocka_unit_test(roles_are_found_and_state_is_of_one_piece),
        cmocka_unit_test(centres_are_the_rows_of_a_class),
        cmocka_unit_test(magface_refuses_a_penalty_too_weak_for_its_margin),
        cmocka_unit_test(margins_and_scales_out_of_bounds_are_refused_with_the_bounds),
        cmocka_unit_test(an_unknown_loss_names_the_nearest),
        cmocka_unit_test(an_unknown_key_names_the_nearest_of_its_loss),
        cmocka_unit_test(pairs_that_are_not_one_key_and_one_value_are_refused),
        cmocka_unit_test(very_long_words_are_cut_in_messages),
    };
    return cmocka_run_group_tests_name("specification", tests, NULL, NULL);
}
