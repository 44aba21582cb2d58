/* Conflicts between head and alignment: conditions on many random cases, angles by hand, and what resolves them. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "align_setup.h"
#include "heads.h"

enum { ROWS = 60, DIM = 6, CLASSES = 5 };

TEST_SHARED_CONTEXT(2)

static double dot(const double *a, const double *b, int n) {
    double sum = 0;
    for (int k = 0; k < n; k++) sum += a[k] * b[k];
    return sum;
}

/* The measure behind the shares: the targets (a layer below) and the head's gradient are normal in DIM dimensions,
 * independent of each other and of x; every row has its k nearest rows of the same label as neighbours. By symmetry
 * half of the samples conflict, in 2^-k of all every angle is beyond 90 degrees, and so 1/2 - 2^-k meet the printed
 * condition in spite of a conflict: 43.75 % with four neighbours. */
static lgt_conflict judge_many(const char *spec, int problems) {
    lgt_conflict total = {0};
    lgt_align_plan *plan = test_align_plan(context, spec, DIM, ROWS);
    for (int seed = 0; seed < problems; seed++) {
        double x[ROWS * DIM], below[ROWS * DIM], head[ROWS * DIM];
        int64_t labels[ROWS];
        lgt_conflict_row rows[ROWS];
        lgt_error err;
        test_normal(x, ROWS * DIM, (uint64_t)seed, 1), test_normal(below, ROWS * DIM, (uint64_t)seed, 2);
        test_normal(head, ROWS * DIM, (uint64_t)seed, 3), test_labels(labels, ROWS, 2, (uint64_t)seed);
        lgt_align_inputs in = {.x = lgt_view_of(x, ROWS, DIM, LGT_F64),
                               .labels = labels,
                               .below = lgt_view_of(below, ROWS, DIM, LGT_F64),
                               .head = lgt_view_of(head, ROWS, DIM, LGT_F64)};
        lgt_align_outputs out = {.rows = rows};
        assert_ok(lgt_align_run(plan, &in, &out, &err), err);
        lgt_conflict_add(&total, &out.conflict);
        for (int i = 0; i < ROWS; i++) {
            if (!rows[i].compared) continue;
            /* the flags are what the angles say; 90 degrees is 1.5707963267948966 and nothing here comes that near */
            assert_int_equal(rows[i].sufficient, rows[i].largest <= acos(0));
            assert_int_equal(rows[i].printed, rows[i].smallest <= acos(0));
            assert_int_equal(rows[i].exact, rows[i].inner >= 0);
            assert_true(fabs(rows[i].cosine - rows[i].inner / rows[i].head / rows[i].pull) < 1e-12);
        }
    }
    lgt_align_plan_free(plan);
    return total;
}

static void the_printed_condition_fails_on_many_cases_and_the_right_one_on_none(void **state) {
    (void)state;
    static const double powers[] = {0, 0, 0.25, 0.125, 0.0625, 0.03125};
    for (int k = 2; k <= 5; k++) {
        char spec[80];
        snprintf(spec, sizeof spec, "pga:targets=layer,symmetric=off,k=%d%s", k, k == 3 ? ",phi=exp" : "");
        lgt_conflict t = judge_many(spec, 300);
        double share = (double)t.n_printed_wrong / (double)t.n_compared;
        print_message("  %d neighbours: %lld of %lld samples meet the printed condition, %.1f %% of all in spite of a "
                      "conflict; %lld meet the right one, %lld in spite of one\n",
                      k, (long long)t.n_printed, (long long)t.n_compared, 100 * share, (long long)t.n_sufficient,
                      (long long)t.n_sufficient_wrong);
        assert_true(t.n_compared > 15000);
        assert_int_equal(t.n_sufficient_wrong, 0);
        assert_true(t.n_sufficient > 100);
        /* three deviations of a share of 15,000 are 0.012; samples share their targets, which widens it */
        assert_true(fabs(share - (0.5 - powers[k])) < 0.025);
        int64_t counted = 0;
        for (int b = 0; b < LGT_CONFLICT_BINS; b++) counted += t.histogram[b];
        assert_int_equal(counted, t.n_compared);
    }
}

/* x = (1, 0, 0) twice; their neighbours in the layer below: north and up. Head: descent towards south-east-up. */
static void angles_are_those_of_a_drawing(void **state) {
    (void)state;
    double x[] = {1, 0, 0, 1, 0, 0, 1, 0, 0}, below[] = {0, 1, 0, 0, 0, 3, 5, 0, 0};
    double head[] = {7, 1, -1, 7, 0, 0, 0, 0, 0}; /* -P dJ/dx = (0, -1, 1), 0, 0 */
    int64_t labels[] = {0, 0, 0};
    lgt_conflict_row rows[3];
    lgt_align_plan *plan = test_align_plan(context, "pga:targets=layer,k=2,weight=6", 3, 3);
    lgt_error err;
    lgt_align_inputs in = {.x = lgt_view_of(x, 3, 3, LGT_F64),
                           .labels = labels,
                           .below = lgt_view_of(below, 3, 3, LGT_F64),
                           .head = lgt_view_of(head, 3, 3, LGT_F64)};
    lgt_align_outputs out = {.rows = rows};
    assert_ok(lgt_align_run(plan, &in, &out, &err), err);
    /* row 0: neighbours 1 (up, 45 degrees) and 2 (along x: undefined); 6/3 * 1/2 * up */
    assert_true(rows[0].compared && rows[0].n_neighbours == 2 && rows[0].n_undefined == 1);
    assert_true(fabs(rows[0].largest - atan(1)) < 1e-15 && rows[0].smallest == rows[0].largest);
    assert_true(fabs(rows[0].inner - 1) < 1e-15 && fabs(rows[0].cosine - sqrt(0.5)) < 1e-15);
    assert_true(fabs(rows[0].head - sqrt(2)) < 1e-15 && fabs(rows[0].pull - 1) < 1e-15);
    /* rows 1 and 2: the head has no tangent force, so nothing is compared and every angle is undefined */
    assert_true(!rows[1].compared && !rows[2].compared && isnan(rows[1].inner) && isnan(rows[1].largest));
    assert_true(rows[1].n_undefined == 2 && out.conflict.n_undefined == 5 && out.conflict.n_compared == 1);
    lgt_align_plan_free(plan);
}

/* v <- v - 2 <v, m> m / |m|^2: neighbours that lie opposite each other in a drawing then do so but for rounding. */
static void mirror(double *v, const double *m) {
    double along = dot(v, m, 3) / dot(m, m, 3);
    for (int k = 0; k < 3; k++) v[k] -= 2 * along * m[k];
}

static void pulls_that_cancel_are_not_compared(void **state) {
    (void)state;
    const int64_t labels[] = {0, 0, 0};
    lgt_align_plan *plan = test_align_plan(context, "pga:k=2", 3, 3);
    lgt_error err;
    for (uint64_t draw = 0; draw < 50; draw++) {
        double x[] = {1, 0, 0, cos(0.5), sin(0.5), 0, cos(0.5), -sin(0.5), 0}, by[3], head[9];
        lgt_conflict_row rows[3];
        test_normal(by, 3, draw, 0), test_normal(head, 9, draw, 1);
        for (int i = 0; i < 3; i++) mirror(x + 3 * i, by);
        lgt_align_inputs in = {
            .x = lgt_view_of(x, 3, 3, LGT_F64), .labels = labels, .head = lgt_view_of(head, 3, 3, LGT_F64)};
        lgt_align_outputs out = {.rows = rows};
        assert_ok(lgt_align_run(plan, &in, &out, &err), err);
        assert_true(rows[0].pull < 1e-15 && rows[0].n_undefined == 0);
        assert_true(!rows[0].compared && isnan(rows[0].inner) && isnan(rows[0].largest));
        assert_true(rows[1].compared && rows[2].compared);
    }
    lgt_align_plan_free(plan);
}

/* --- Resolving --- */

enum { SIZE = ROWS * DIM };

typedef struct forces {
    double x[SIZE], head[SIZE], plain[SIZE], resolved[SIZE];
    int64_t labels[ROWS];
    lgt_conflict_row rows[ROWS];
} forces;

static void resolve(const char *spec, forces *f) {
    static const char *const plain = "pga:full_rows=off,weight=3";
    for (int pass = 0; pass < 2; pass++) {
        lgt_align_plan *plan = test_align_plan(context, pass ? spec : plain, DIM, ROWS);
        lgt_error err;
        test_normal(f->x, SIZE, 11, 1), test_normal(f->head, SIZE, 11, 2), test_labels(f->labels, ROWS, 3, 11);
        for (int k = 0; k < SIZE; k++) f->head[k] *= 0.004;
        lgt_align_inputs in = {.x = lgt_view_of(f->x, ROWS, DIM, LGT_F64),
                               .labels = f->labels,
                               .head = lgt_view_of(f->head, ROWS, DIM, LGT_F64)};
        lgt_align_outputs out = {.dx = lgt_mut_of(pass ? f->resolved : f->plain, ROWS, DIM, LGT_F64), .rows = f->rows};
        assert_ok(lgt_align_run(plan, &in, &out, &err), err);
        lgt_align_plan_free(plan);
    }
}

/* d = -P_x head of row i */
static void descent(const forces *f, int i, double *out) {
    const double *x = f->x + i * DIM, *g = f->head + i * DIM;
    double radial = dot(x, g, DIM) / dot(x, x, DIM);
    for (int k = 0; k < DIM; k++) out[k] = radial * x[k] - g[k];
}

static void projecting_takes_out_the_opposing_part_alone(void **state) {
    (void)state;
    static forces f;
    int conflicts = 0;
    resolve("pga:full_rows=off,weight=3,resolve=project", &f);
    for (int i = 0; i < ROWS; i++) {
        double d[DIM];
        descent(&f, i, d);
        if (!f.rows[i].compared || f.rows[i].exact) {
            assert_memory_equal(f.plain + i * DIM, f.resolved + i * DIM, DIM * sizeof(double));
            continue;
        }
        conflicts++;
        assert_true(fabs(dot(d, f.resolved + i * DIM, DIM)) < 1e-16); /* of numbers of 1e-2 */
        for (int k = 0; k < DIM; k++) {                               /* what changed lies along d */
            double change = f.resolved[i * DIM + k] - f.plain[i * DIM + k];
            assert_true(fabs(change - f.rows[i].inner / dot(d, d, DIM) * d[k]) < 1e-15);
        }
    }
    assert_true(conflicts > 10);
}

static void scaling_leaves_the_head_its_share(void **state) {
    (void)state;
    static forces f;
    int shrunk = 0;
    resolve("pga:full_rows=off,weight=3,resolve=scale,lose=0.25", &f);
    for (int i = 0; i < ROWS; i++) {
        double d[DIM];
        descent(&f, i, d);
        const double *plain = f.plain + i * DIM, *resolved = f.resolved + i * DIM;
        double kept = dot(d, d, DIM) - dot(d, resolved, DIM); /* <d + e, d>, e = -resolved */
        assert_true(kept >= 0.75 * dot(d, d, DIM) - 1e-16);
        double factor = sqrt(dot(resolved, resolved, DIM) / fmax(dot(plain, plain, DIM), 1e-300));
        if (f.rows[i].compared && dot(d, plain, DIM) > 0.25 * dot(d, d, DIM)) {
            shrunk++;
            assert_true(factor < 1 && fabs(kept - 0.75 * dot(d, d, DIM)) < 1e-16);
        } else {
            assert_memory_equal(plain, resolved, DIM * sizeof *plain);
        }
    }
    assert_true(shrunk > 10);
}

/* --- With a head --- */

static void a_head_is_compared_with_its_own_neighbours(void **state) {
    (void)state;
    lgt_head *head = NULL;
    lgt_plan *head_plan = NULL;
    lgt_plan_options options;
    lgt_error err;
    test_head h = test_head_random("arcface:s=16", ROWS, DIM, CLASSES, 3);
    double dx[SIZE], pull[SIZE];
    lgt_conflict_row rows[ROWS];
    lgt_plan_options_init(&options);
    options.dtype = LGT_F64, options.max_rows = ROWS;
    assert_ok(lgt_head_create(context, &h.loss, DIM, CLASSES, &head, &err), err);
    assert_ok(lgt_plan_create(head, &options, &head_plan, &err), err);
    lgt_align_plan *plan = test_align_plan(context, "pga:k=3,full_rows=off", DIM, ROWS);
    lgt_head_inputs in = {
        .x = lgt_view_of(h.x, ROWS, DIM, LGT_F64), .w = lgt_view_of(h.w, CLASSES, DIM, LGT_F64), .labels = h.labels};
    lgt_head_outputs forces_out = {.dx = lgt_mut_of(dx, ROWS, DIM, LGT_F64)};
    lgt_align_inputs none = {0};
    lgt_align_outputs out = {.dx = lgt_mut_of(pull, ROWS, DIM, LGT_F64), .rows = rows};
    assert_ok(lgt_plan_run(head_plan, &in, &forces_out, &err), err);
    assert_ok(lgt_conflict_run(head_plan, &in, plan, &none, &out, &err), err);
    int64_t compared = 0;
    for (int i = 0; i < ROWS; i++) {
        double inner = dot(dx + i * DIM, pull + i * DIM, DIM); /* in a cosine space dx is tangent as it is */
        if (!rows[i].compared) continue;
        compared++;
        assert_true(fabs(rows[i].inner - inner) < 1e-15 + 1e-12 * fabs(inner));
    }
    assert_true(compared > ROWS / 2 && compared == out.conflict.n_compared);
    in.x.rows = ROWS + 1;
    assert_fails(lgt_conflict_run(head_plan, &in, plan, &none, &out, &err), LGT_ERR_USAGE, err, "61");
    lgt_align_plan_free(plan), lgt_plan_free(head_plan), lgt_head_free(head), test_head_free(&h);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_printed_condition_fails_on_many_cases_and_the_right_one_on_none),
        cmocka_unit_test(angles_are_those_of_a_drawing),
        cmocka_unit_test(pulls_that_cancel_are_not_compared),
        cmocka_unit_test(projecting_takes_out_the_opposing_part_alone),
        cmocka_unit_test(scaling_leaves_the_head_its_share),
        cmocka_unit_test(a_head_is_compared_with_its_own_neighbours),
    };
    return cmocka_run_group_tests(tests, open_context, close_context);
}
