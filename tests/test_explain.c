/* Explained rows: forces add up to the gradient for every loss and option, bounds hold, alpha is its closed form, modes
 * are told apart as two runs tell them; corners, threads, chosen rows, faults. */
#include "heads.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/philox.h"
#include "logitude/explain.h"
#include "math/sphere.h"

enum { SMOOTHING = 1, Z_LOSS = 2, SOFT = 4, MARGINS = 8, SCALES = 16, QUALITIES = 32, IGNORED = 64, FROZEN = 128 };
enum { PUSHERS = 3, FIELDS = 20 };

TEST_SHARED_CONTEXT(2)

/* A head problem in double with whatever `marks` ask for; pointers into one block. */
typedef struct problem {
    lgt_loss loss;
    int64_t n, d, c, rows_w;
    int marks;
    double *block, *x, *w, *b, *soft, *margins, *scales, *qualities;
    int64_t *labels;
} problem;

static problem make(const char *spec, int marks, int64_t n, int64_t d, int64_t c, uint64_t seed) {
    problem p = {.n = n, .d = d, .c = c, .marks = marks};
    lgt_error err;
    assert_ok(lgt_loss_parse(spec, &p.loss, &err), err);
    p.rows_w = c * lgt_loss_centres(&p.loss);
    p.block = calloc((size_t)(n * d + p.rows_w * d + 3 * c + n * c + n + 1), sizeof(double));
    p.labels = calloc((size_t)n + 1, sizeof *p.labels);
    assert_true(p.block && p.labels);
    p.x = p.block, p.w = p.x + n * d, p.b = p.w + p.rows_w * d, p.margins = p.b + c, p.scales = p.margins + c;
    p.soft = p.scales + c, p.qualities = p.soft + n * c;
    test_normal(p.x, n * d, seed, 1);
    test_normal(p.w, p.rows_w * d, seed, 2);
    test_normal(p.b, c, seed, 3);
    test_normal(p.soft, n * c, seed, 4);
    test_normal(p.qualities, n, seed, 5);
    test_labels(p.labels, n, c, seed);
    /* MagFace reads norms from 10 to 110. */
    double longer = strcmp(p.loss.info->name, "magface") == 0 ? 60 / sqrt((double)d) : 1;
    for (int64_t i = 0; i < n * d; i++) p.x[i] *= longer;
    int whole = strcmp(p.loss.info->name, "lsoftmax") == 0 || strcmp(p.loss.info->name, "sphereface") == 0;
    for (int64_t j = 0; j < c; j++) p.margins[j] = whole ? (double)(1 + j % 4) : 1 + 0.1 * (double)(j % 5);
    for (int64_t j = 0; j < c; j++) p.scales[j] = 10 + (double)(j % 7);
    for (int64_t i = 0; i < n; i++) {
        double sum = 0;
        for (int64_t j = 0; j < c; j++) sum += p.soft[i * c + j] = exp(2 * p.soft[i * c + j]);
        for (int64_t j = 0; j < c; j++) p.soft[i * c + j] /= sum * (i % 2 ? 1 : 1 - 5e-5); /* as rounded ones may */
        p.qualities[i] += 20;
    }
    if (marks & IGNORED)
        for (int64_t i = 0; i < n; i += 3) p.labels[i] = -7;
    return p;
}

static void drop(problem *p) {
    free(p->block);
    free(p->labels);
}

/* The marks that the loss can serve. */
static int allowed(const lgt_loss *loss, int marks) {
    lgt_loss plain = lgt_loss_plain(loss);
    int is_plain = plain.info == loss->info && lgt_loss_centres(loss) == 1 && loss->info->space != LGT_SPACE_COSW;
    if (!is_plain || lgt_loss_value(loss, "gradient") == 2) marks &= ~SOFT;
    if (lgt_loss_param_of(loss->info, LGT_ROLE_MARGIN) < 0) marks &= ~MARGINS;
    if (lgt_loss_param_of(loss->info, LGT_ROLE_SCALE) < 0 || strcmp(loss->info->name, "magface") == 0) marks &= ~SCALES;
    return marks;
}

static lgt_head_inputs inputs_of(const problem *p) {
    int m = p->marks;
    return (lgt_head_inputs){
        .x = lgt_view_of(p->x, p->n, p->d, LGT_F64),
        .w = lgt_view_of(p->w, p->rows_w, p->d, LGT_F64),
        .b = lgt_view_of(p->loss.info->has_bias ? p->b : NULL, 1, p->c, LGT_F64),
        .labels = (m & SOFT) && !(m & IGNORED) ? NULL : p->labels,
        .soft_targets = lgt_view_of(m & SOFT ? p->soft : NULL, p->n, p->c, LGT_F64),
        .class_margins = m & MARGINS ? p->margins : NULL,
        .class_scales = m & SCALES ? p->scales : NULL,
        .qualities = m & QUALITIES ? p->qualities : NULL,
        .step = 3,
        .frozen = (m & FROZEN) != 0,
    };
}

/* What a run explains, every array. */
typedef struct told {
    lgt_explanation e;
    double *block;
    int64_t *names;
    size_t n_numbers, n_names;
} told;

static told room(int64_t n, int64_t d) {
    told t = {.n_numbers = (size_t)(n * (FIELDS + PUSHERS + 2 * d)), .n_names = (size_t)(n * (1 + PUSHERS))};
    t.block = calloc(t.n_numbers + 1, sizeof *t.block);
    t.names = calloc(t.n_names + 1, sizeof *t.names);
    assert_true(t.block && t.names);
    double **const fields[FIELDS] = {&t.e.loss,           &t.e.p,
                                     &t.e.theta,          &t.e.alpha,
                                     &t.e.x_norm,         &t.e.w_norm,
                                     &t.e.attraction,     &t.e.repulsion,
                                     &t.e.penalty,        &t.e.gradient,
                                     &t.e.tangential,     &t.e.radial,
                                     &t.e.radial_share,   &t.e.sensitivity,
                                     &t.e.bound,          &t.e.tight_bound,
                                     &t.e.nearest_theta,  &t.e.detached_angle,
                                     &t.e.detached_ratio, &t.e.attraction_share};
    for (int k = 0; k < FIELDS; k++) *fields[k] = t.block + k * n;
    t.e.pusher_shares = t.block + FIELDS * n;
    t.e.attraction_x = t.e.pusher_shares + PUSHERS * n;
    t.e.repulsion_x = t.e.attraction_x + n * d;
    t.e.nearest = t.names;
    t.e.pushers = t.names + n;
    return t;
}

static void forget(told *t) {
    free(t->block);
    free(t->names);
}

static lgt_explain_options options_of(const problem *p) {
    lgt_explain_options o;
    lgt_explain_options_init(&o);
    o.dtype = LGT_F64;
    o.ignore_label = -7;
    o.label_smoothing = p->marks & SMOOTHING ? 0.1 : 0;
    o.z_loss = p->marks & Z_LOSS ? 0.01 : 0;
    return o;
}

static lgt_status try(lgt_context *at, const problem *p, const lgt_explain_options *options, told *t, lgt_error *err) {
    lgt_head *head = NULL;
    lgt_head_inputs in = inputs_of(p);
    lgt_status status = lgt_head_create(at, &p->loss, p->d, p->c, &head, err);
    if (!status) status = lgt_explain_run(head, options, &in, &t->e, err);
    lgt_head_free(head);
    return status;
}

static told explain_by(lgt_context *at, const problem *p) {
    told t = room(p->n, p->d);
    lgt_explain_options options = options_of(p);
    lgt_error err;
    assert_ok(try(at, p, &options, &t, &err), err);
    return t;
}

static told explain(const problem *p) {
    return explain_by(context, p);
}

/* dx of the sum of the L_i and loss_rows by a plan. */
static void run_plan(const problem *p, lgt_engine engine, double *dx, double *loss) {
    lgt_explain_options o = options_of(p);
    lgt_plan_options options;
    lgt_head *head = NULL;
    lgt_plan *plan = NULL;
    lgt_error err;
    lgt_plan_options_init(&options);
    options.engine = engine, options.dtype = LGT_F64, options.max_rows = p->n, options.reduction = LGT_REDUCTION_SUM;
    options.label_smoothing = o.label_smoothing, options.z_loss = o.z_loss, options.ignore_label = o.ignore_label;
    assert_ok(lgt_head_create(context, &p->loss, p->d, p->c, &head, &err), err);
    assert_ok(lgt_plan_create(head, &options, &plan, &err), err);
    lgt_head_inputs in = inputs_of(p);
    lgt_head_outputs out = {.dx = lgt_mut_of(dx, p->n, p->d, LGT_F64), .loss_rows = loss};
    assert_ok(lgt_plan_run(plan, &in, &out, &err), err);
    lgt_plan_free(plan);
    lgt_head_free(head);
}

/* --- Every loss, every option --- */

static const char *const more_specs[] = {"normalized:s=5,gradient=unit",
                                         "cosface:gradient=detached",
                                         "sphereface",
                                         "sphereface:m=3,lambda=1",
                                         "sphereface:m=4,lambda=0,gradient=unit",
                                         "adaface",
                                         "adaface:gradient=detached",
                                         "magface",
                                         "magface:gradient=detached",
                                         "curricularface:t=0.4",
                                         "curricularface:s=8,m=1,gradient=unit",
                                         "subcenter",
                                         "subcenter:k=4,s=9,m=1.1,tail=none",
                                         "arcface:clamp=0.05",
                                         NULL};
static const int options_to_try[] = {0,
                                     SMOOTHING,
                                     Z_LOSS,
                                     SMOOTHING | Z_LOSS | IGNORED,
                                     SOFT,
                                     SOFT | SMOOTHING | Z_LOSS | IGNORED,
                                     MARGINS,
                                     SCALES,
                                     SCALES | MARGINS | SMOOTHING,
                                     QUALITIES | FROZEN};

typedef void (*visitor)(const problem *p, const char *what);

static void for_all(visitor visit, int64_t n, int64_t d, int64_t c) {
    const char *const *const tables[] = {test_specs, more_specs};
    char what[160];
    int visited = 0;
    for (int t = 0; t < 2; t++)
        for (const char *const *spec = tables[t]; *spec; spec++)
            for (size_t k = 0; k < sizeof options_to_try / sizeof *options_to_try; k++) {
                problem p = make(*spec, options_to_try[k], n, d, c, 7 + k);
                p.marks = allowed(&p.loss, p.marks);
                snprintf(what, sizeof what, "%s with options %d", *spec, p.marks);
                if (p.marks == options_to_try[k]) visit(&p, what), visited++;
                drop(&p);
            }
    assert_true(visited > 200);
}

/* Attraction, repulsion and penalty of all rows together. */
static void add_up(const problem *p, const told *t, double *sum) {
    for (int64_t i = 0; i < p->n; i++)
        for (int64_t k = 0; k < p->d; k++) {
            int64_t at = i * p->d + k;
            double radial = t->e.x_norm[i] > 0 ? t->e.penalty[i] * p->x[at] / t->e.x_norm[i] : 0;
            sum[at] = t->e.attraction_x[at] + t->e.repulsion_x[at] + radial;
        }
}

static double norm(const double *v, int64_t n) {
    return sqrt(lgt_dot(v, v, n));
}

static void check_sums(const problem *p, const char *what) {
    told t = explain(p);
    double *dx = calloc((size_t)(2 * p->n * p->d + p->n), sizeof *dx), *sum = dx + p->n * p->d,
           *loss = sum + p->n * p->d;
    assert_non_null(dx);
    add_up(p, &t, sum);
    run_plan(p, LGT_ENGINE_REFERENCE, dx, loss);
    /* The same formulas in the same order but for the sum over classes: a few roundings. */
    assert_at_most(test_relative_error(sum, dx, p->n * p->d), 1e-13, what);
    assert_at_most(test_relative_error(t.e.loss, loss, p->n), 1e-14, what);
    for (int64_t i = 0; i < p->n; i++) {
        assert_at_most(fabs(t.e.gradient[i] - norm(sum + i * p->d, p->d)), 1e-13 * (1 + t.e.gradient[i]), what);
        assert_at_most(fabs(t.e.attraction[i] - norm(t.e.attraction_x + i * p->d, p->d)),
                       1e-13 * (1 + t.e.attraction[i]), what);
        if (t.e.gradient[i] > 0)
            assert_at_most(fabs(hypot(t.e.tangential[i], t.e.radial[i]) / t.e.gradient[i] - 1), 1e-13, what);
    }
    run_plan(p, LGT_ENGINE_CPU, dx, loss);
    assert_at_most(test_relative_error(sum, dx, p->n * p->d), 1e-12, what);
    free(dx);
    forget(&t);
}

static void forces_add_up_to_the_gradient(void **state) {
    (void)state;
    for_all(check_sums, 9, 5, 11);
    for_all(check_sums, 3, 1, 2);
    for_all(check_sums, 2, 3, 140); /* more classes than a tile holds */
}

static void check_bounds(const problem *p, const char *what) {
    told t = explain(p);
    for (int64_t i = 0; i < p->n; i++) {
        if (p->labels[i] == -7 && (p->marks & IGNORED)) {
            assert_true(isnan(t.e.bound[i]) && isnan(t.e.tight_bound[i]));
            continue;
        }
        /* The norms are proven bounds; the rest rounds. */
        assert_at_most(t.e.gradient[i], t.e.tight_bound[i] * (1 + 1e-12), what);
        assert_at_most(t.e.tight_bound[i], t.e.bound[i] * (1 + 1e-12), what);
    }
    forget(&t);
}

static void bounds_hold_and_the_tight_one_is_tighter(void **state) {
    (void)state;
    for_all(check_bounds, 60, 6, 9);
    for_all(check_bounds, 20, 12, 4);
    for_all(check_bounds, 12, 3, 1);
}

/* --- Closed forms --- */

static void alpha_is_its_closed_form(void **state) {
    static const struct {
        const char *spec;
        double m, lambda; /* of the form below */
    } cases[] = {{"arcface:m=0.5,tail=none", 0.5, -1},
                 {"arcface:m=1.2,tail=none,gradient=detached", 1.2, -1},
                 {"cosface", 0, -1},
                 {"softmax", 0, -1},
                 {"normalized:s=5", 0, -1},
                 {"lsoftmax:m=3,lambda=2", 3, 2},
                 {"sphereface:m=4,lambda=0.5", 4, 0.5},
                 {"sphereface-r:m=2", 2, 0}};
    (void)state;
    for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
        problem p = make(cases[k].spec, 0, 200, 3, 4, 11 + k);
        told t = explain(&p);
        for (int64_t i = 0; i < p.n; i++) {
            double theta = t.e.theta[i], m = cases[k].m, lambda = cases[k].lambda;
            double alpha = sin(theta + m) / sin(theta);
            if (lambda >= 0) alpha = (m * fabs(sin(m * theta)) / sin(theta) + lambda) / (1 + lambda);
            /* Both divide by sin(theta); angles here go down to 0.02. */
            assert_at_most(fabs(t.e.alpha[i] - alpha), 1e-12 * (1 + fabs(alpha)), cases[k].spec);
        }
        forget(&t);
        drop(&p);
    }
}

/* |dL/dx| = sqrt(2) (1 - p_y) |W centred| for two classes without a bias: both bounds are attained up to their factor.
 */
static void the_tight_bound_is_attained_by_two_classes(void **state) {
    (void)state;
    problem p = make("softmax", 0, 40, 6, 2, 5);
    told t = explain(&p);
    for (int64_t i = 0; i < p.n; i++) {
        assert_at_most(fabs(t.e.gradient[i] / t.e.tight_bound[i] - 1), 1e-9, "attained");
        double difference = 0;
        for (int64_t k = 0; k < p.d; k++) difference += pow(p.w[k] - p.w[p.d + k], 2);
        assert_at_most(fabs(t.e.tight_bound[i] / ((1 - t.e.p[i]) * sqrt(difference)) - 1), 1e-9, "closed form");
    }
    forget(&t);
    drop(&p);
}

static void softmax_forces_are_the_weighted_classes(void **state) {
    (void)state;
    enum { CLASSES = 100 }; /* in two tiles */
    problem p = make("softmax", 0, 30, 4, CLASSES, 17);
    told t = explain(&p);
    for (int64_t i = 0; i < p.n; i++) {
        double z[CLASSES], sum = 0, total = 0, best = 0;
        int64_t hardest = -1, y = p.labels[i];
        for (int j = 0; j < CLASSES; j++) sum += z[j] = exp(lgt_dot(p.w + j * 4, p.x + i * 4, 4) + p.b[j]);
        assert_at_most(fabs(t.e.p[i] - z[y] / sum), 1e-14, "p_y");
        assert_at_most(fabs(t.e.attraction[i] - (1 - z[y] / sum) * norm(p.w + y * 4, 4)), 1e-14, "attraction");
        for (int j = 0; j < CLASSES; j++) {
            double push = j == y ? 0 : z[j] / sum * norm(p.w + j * 4, 4);
            total += push;
            if (push > best) best = push, hardest = j;
        }
        assert_int_equal(t.e.pushers[i * PUSHERS], hardest);
        assert_at_most(fabs(t.e.pusher_shares[i * PUSHERS] - best / total), 1e-13, "share");
        assert_true(t.e.pusher_shares[i * PUSHERS + 1] <= t.e.pusher_shares[i * PUSHERS]);
        assert_true(t.e.sensitivity[i] == 1 / t.e.x_norm[i]);
    }
    forget(&t);
    drop(&p);
}

/* --- Gradient modes --- */

static void modes_differ_as_two_runs_tell(void **state) {
    static const char *const specs[][3] = {
        {"arcface:s=20", "arcface:s=20,gradient=exact", "arcface:s=20,gradient=detached"},
        {"arcface:s=20,gradient=unit", "arcface:s=20", "arcface:s=20,gradient=detached"},
        {"lsoftmax:m=2,lambda=1", "lsoftmax:m=2,lambda=1", "lsoftmax:m=2,lambda=1,gradient=detached"},
        {"magface:s=20", "magface:s=20", "magface:s=20,gradient=detached"}};
    (void)state;
    for (size_t k = 0; k < sizeof specs / sizeof *specs; k++) {
        problem p = make(specs[k][0], 0, 25, 4, 7, 23);
        told t = explain(&p);
        double dx[2][100], loss[25];
        for (int mode = 0; mode < 2; mode++) {
            problem other = p;
            lgt_error err;
            assert_ok(lgt_loss_parse(specs[k][1 + mode], &other.loss, &err), err);
            run_plan(&other, LGT_ENGINE_REFERENCE, dx[mode], loss);
        }
        double widest = 0;
        for (int i = 0; i < 25; i++) {
            const double *exact = dx[0] + 4 * i, *detached = dx[1] + 4 * i;
            double a = norm(exact, 4), b = norm(detached, 4), c = lgt_dot(exact, detached, 4) / (a * b);
            assert_at_most(fabs(t.e.detached_ratio[i] - b / a), 1e-12 * (1 + b / a), specs[k][0]);
            assert_at_most(fabs(cos(t.e.detached_angle[i]) - c), 1e-12, specs[k][0]);
            widest = fmax(widest, t.e.detached_angle[i]);
        }
        assert_true(widest > 1e-3);
        forget(&t);
        drop(&p);
    }
}

static void without_an_angular_margin_the_modes_are_one(void **state) {
    static const char *const specs[] = {"softmax",     "normalized",  "cosface", "normalized:gradient=unit",
                                        "arcface:m=0", "lsoftmax:m=1"};
    (void)state;
    for (size_t k = 0; k < sizeof specs / sizeof *specs; k++) {
        problem p = make(specs[k], 0, 50, 5, 6, 29);
        told t = explain(&p);
        for (int64_t i = 0; i < p.n; i++) {
            assert_true(t.e.detached_angle[i] == 0);
            assert_true(t.e.detached_ratio[i] == 1);
        }
        forget(&t);
        drop(&p);
    }
}

/* --- Corners --- */

static void vectors_without_a_direction_feel_nothing(void **state) {
    static const char *const specs[] = {"normalized", "arcface", "sphereface", "magface"};
    (void)state;
    for (size_t k = 0; k < sizeof specs / sizeof *specs; k++) {
        problem p = make(specs[k], 0, 3, 4, 3, 31);
        for (int64_t d = 0; d < 4; d++) p.x[d] = 0, p.w[2 * 4 + d] = 0;
        p.labels[0] = 0, p.labels[1] = 2, p.labels[2] = 1;
        told t = explain(&p);
        assert_true(t.e.gradient[0] == 0 && t.e.attraction[0] == 0 && t.e.repulsion[0] == 0);
        assert_true(isnan(t.e.theta[0]) && isnan(t.e.alpha[0]) && isnan(t.e.bound[0]) && isnan(t.e.detached_angle[0]));
        assert_true(isnan(t.e.radial[0]) && isinf(t.e.sensitivity[0]) && t.e.x_norm[0] == 0);
        assert_int_equal(t.e.nearest[0], -1);
        assert_int_equal(t.e.pushers[0], -1);
        assert_true(isnan(t.e.theta[1]) && t.e.w_norm[1] == 0 && t.e.gradient[1] <= t.e.tight_bound[1]);
        assert_int_equal(t.e.nearest[2], 0);
        forget(&t);
        drop(&p);
    }
}

/* alpha is there the limit of a quotient of two vanishing forces, or infinite. */
static void parallel_and_opposite_rows_stay_finite(void **state) {
    static const struct {
        const char *spec;
        double at_0, at_pi;
    } cases[] = {{"lsoftmax:m=4,lambda=0", 16, 16},
                 {"sphereface:m=3,lambda=0", 9, 9},
                 {"sphereface:m=3,lambda=1", 5, 5},
                 {"sphereface-r:m=2", 4, 4},
                 {"combined:m1=3,m2=0", 9, 9},
                 {"combined:m1=1,m2=0", 1, 1},
                 {"arcface:clamp=0.05", 0, 0},
                 {"arcface:m=0.5,tail=clip", INFINITY, 0},
                 {"normalized", 1, 1},
                 {"softmax", 1, 1}};
    (void)state;
    for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
        problem p = make(cases[k].spec, 0, 2, 4, 3, 41);
        for (int64_t d = 0; d < 4; d++) p.x[d] = 2 * p.w[d], p.x[4 + d] = -p.w[d];
        p.labels[0] = p.labels[1] = 0;
        told t = explain(&p);
        assert_true(t.e.theta[0] == 0 && t.e.theta[1] > 3.14159265);
        for (int i = 0; i < 2; i++) {
            double wanted = i ? cases[k].at_pi : cases[k].at_0, alpha = t.e.alpha[i];
            assert_at_most(alpha == wanted ? 0 : fabs(alpha - wanted), 1e-12, cases[k].spec);
            assert_true(isfinite(t.e.gradient[i]) && t.e.gradient[i] <= t.e.tight_bound[i] * (1 + 1e-15));
        }
        assert_true(t.e.attraction[0] == 0 || cases[k].spec[0] != 'a');
        forget(&t);
        drop(&p);
    }
}

static void one_class_and_no_rows(void **state) {
    (void)state;
    problem p = make("normalized", 0, 2, 3, 1, 41);
    told t = explain(&p);
    assert_true(t.e.p[0] == 1 && t.e.loss[0] == 0 && t.e.gradient[0] == 0 && t.e.tight_bound[0] == 0);
    assert_true(isnan(t.e.attraction_share[0]) && t.e.nearest[0] == -1 && t.e.pusher_shares[0] == 0);
    forget(&t);
    drop(&p);
    p = make("arcface", 0, 0, 3, 2, 41);
    t = explain(&p);
    forget(&t);
    drop(&p);
}

/* --- Which rows, how many threads, which type --- */

static void threads_do_not_change_a_bit(void **state) {
    (void)state;
    lgt_context *one = test_context(1), *three = test_context(3);
    for (const char *const *spec = more_specs; *spec; spec++) {
        problem p = make(*spec, SMOOTHING, 131, 9, 130, 43); /* several blocks, of several tiles */
        told a = explain_by(one, &p), b = explain_by(three, &p);
        assert_memory_equal(a.block, b.block, a.n_numbers * sizeof(double));
        assert_memory_equal(a.names, b.names, a.n_names * sizeof(int64_t));
        forget(&a), forget(&b);
        drop(&p);
    }
    lgt_context_free(three);
    lgt_context_free(one);
}

static void chosen_rows_are_those_of_the_whole(void **state) {
    static const int64_t rows[] = {17, 0, 4, 4};
    (void)state;
    /* The state of a loss follows all rows, whichever are asked for. */
    problem p = make("adaface:s=10,ema=0.5", 0, 18, 4, 5, 47);
    told all = explain(&p), some = room(4, 4);
    lgt_explain_options options = options_of(&p);
    lgt_error err;
    options.rows = rows, options.n_rows = 4;
    assert_ok(try(context, &p, &options, &some, &err), err);
    for (int k = 0; k < 4; k++) {
        assert_true(some.e.gradient[k] == all.e.gradient[rows[k]]);
        assert_memory_equal(some.e.repulsion_x + 4 * k, all.e.repulsion_x + 4 * rows[k], 4 * sizeof(double));
        assert_int_equal(some.e.pushers[PUSHERS * k + 1], all.e.pushers[PUSHERS * rows[k] + 1]);
    }
    assert_true(some.e.state[0] == all.e.state[0] && all.e.state[0] != lgt_loss_value(&p.loss, "mean"));
    forget(&some), forget(&all);
    drop(&p);
}

static void nothing_need_be_wanted(void **state) {
    (void)state;
    problem p = make("arcface", 0, 5, 4, 3, 53);
    lgt_explain_options options = options_of(&p);
    told none = {.block = NULL};
    lgt_error err;
    assert_ok(try(context, &p, &options, &none, &err), err);
    drop(&p);
}

/* --- Faults --- */

static void what_is_wrong_is_told(void **state) {
    static const int64_t outside[] = {0, 5};
    (void)state;
    problem p = make("softmax", 0, 5, 4, 3, 59);
    told t = room(5, 4);
    lgt_error err;
    lgt_explain_options options = options_of(&p);
    options.struct_size = 1;
    assert_fails(try(context, &p, &options, &t, &err), LGT_ERR_USAGE, err, "struct_size 1");
    options = options_of(&p), options.n_pushers = -1;
    assert_fails(try(context, &p, &options, &t, &err), LGT_ERR_USAGE, err, "n_pushers is -1");
    options = options_of(&p), options.rows = outside, options.n_rows = 2;
    assert_fails(try(context, &p, &options, &t, &err), LGT_ERR_USAGE, err, "rows holds 5, expected 0 to 4");
    options = options_of(&p), options.label_smoothing = 1;
    assert_fails(try(context, &p, &options, &t, &err), LGT_ERR_USAGE, err, "label_smoothing is 1");
    options = options_of(&p), options.dtype = LGT_F32;
    assert_fails(try(context, &p, &options, &t, &err), LGT_ERR_USAGE, err, "x is f64, expected f32");
    assert_fails(try(context, &p, NULL, &t, &err), LGT_ERR_USAGE, err, "x is f64, expected f32"); /* as by default */
    options = options_of(&p), p.labels[3] = 3;
    assert_fails(try(context, &p, &options, &t, &err), LGT_ERR_DATA, err, "row 3 is 3");
    p.labels[3] = 0, p.x[4 * 4 + 1] = NAN;
    assert_fails(try(context, &p, &options, &t, &err), LGT_ERR_DATA, err, "x holds nan at row 4, column 1");
    options.rows = outside, options.n_rows = 1; /* row 4 is not asked for, but the state is of all */
    assert_fails(try(context, &p, &options, &t, &err), LGT_ERR_DATA, err, "x holds nan at row 4, column 1");
    options = options_of(&p);
    p.x[4 * 4 + 1] = 1e300, p.w[1] = 1e300;
    assert_fails(try(context, &p, &options, &t, &err), LGT_ERR_NONFINITE, err, "row 4");
    p.w[1] = INFINITY;
    assert_fails(try(context, &p, &options, &t, &err), LGT_ERR_DATA, err, "w holds inf at row 0, column 1");
    forget(&t);
    drop(&p);
}

static void every_refused_allocation_is_survived(void **state) {
    (void)state;
    problem p = make("curricularface", 0, 5, 4, 3, 61);
    told t = room(5, 4);
    lgt_explain_options options = options_of(&p);
    lgt_error err;
    lgt_status status = LGT_ERR_MEMORY;
    for (int64_t fail_at = 1; status; fail_at++) {
        assert_true(fail_at < 200);
        lgt_context *failing = test_context_failing(fail_at);
        status = try(failing, &p, &options, &t, &err);
        if (status) assert_int_equal(status, LGT_ERR_MEMORY);
        lgt_context_free(failing);
        assert_int_equal(test_live_blocks(), 0);
    }
    forget(&t);
    drop(&p);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(forces_add_up_to_the_gradient),
                                       cmocka_unit_test(bounds_hold_and_the_tight_one_is_tighter),
                                       cmocka_unit_test(alpha_is_its_closed_form),
                                       cmocka_unit_test(parallel_and_opposite_rows_stay_finite),
                                       cmocka_unit_test(the_tight_bound_is_attained_by_two_classes),
                                       cmocka_unit_test(softmax_forces_are_the_weighted_classes),
                                       cmocka_unit_test(modes_differ_as_two_runs_tell),
                                       cmocka_unit_test(without_an_angular_margin_the_modes_are_one),
                                       cmocka_unit_test(vectors_without_a_direction_feel_nothing),
                                       cmocka_unit_test(one_class_and_no_rows),
                                       cmocka_unit_test(threads_do_not_change_a_bit),
                                       cmocka_unit_test(chosen_rows_are_those_of_the_whole),
                                       cmocka_unit_test(nothing_need_be_wanted),
                                       cmocka_unit_test(what_is_wrong_is_told),
                                       cmocka_unit_test(every_refused_allocation_is_survived)};
    return cmocka_run_group_tests(tests, open_context, close_context);
}
