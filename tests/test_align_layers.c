/* Alignment between layers: gradients against differences with everything that counts as a constant held fixed, closed
 * forms, stop-gradients, faults. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "align_setup.h"

enum { ROWS = 14, WIDTH = 6, LAYERS = 3 };

typedef struct stack {
    double x[LAYERS][ROWS * WIDTH], dx[LAYERS][ROWS * WIDTH];
    int64_t labels[ROWS], ids[ROWS];
    lgt_align_bank *const *banks; /* or NULL */
    lgt_view views[LAYERS];
    lgt_mut muts[LAYERS];
} stack;

TEST_SHARED_CONTEXT(2)

static void draw(stack *s, uint64_t seed, int64_t n_rows) {
    memset(s, 0, sizeof *s);
    test_labels(s->labels, ROWS, 2, seed);
    for (int i = 0; i < ROWS; i++) s->ids[i] = 500 - 3 * i;
    for (int l = 0; l < LAYERS; l++) {
        test_normal(s->x[l], ROWS * WIDTH, seed, (uint64_t)l);
        s->views[l] = lgt_view_of(s->x[l], n_rows, WIDTH, LGT_F64);
        s->muts[l] = lgt_mut_of(s->dx[l], n_rows, WIDTH, LGT_F64);
    }
}

static const int64_t dims[LAYERS] = {WIDTH, WIDTH, WIDTH};

static lgt_align_layers *layers_of(lgt_context *c, const char *spec) {
    return test_align_layers(c, spec, LAYERS, dims, ROWS);
}

static double run(lgt_align_layers *layers, stack *s, int frozen, int gradient, int64_t *n_edges) {
    lgt_align_layers_inputs in = {
        .x = s->views, .labels = s->labels, .ids = s->ids, .banks = s->banks, .frozen = frozen};
    lgt_align_layers_outputs out = {.dx = gradient ? s->muts : NULL};
    lgt_error err;
    assert_ok(lgt_align_layers_run(layers, &in, &out, &err), err);
    if (n_edges) *n_edges = out.n_edges;
    return out.loss;
}

typedef struct running {
    lgt_align_layers *layers;
    stack *s;
} running;

static double loss_at(void *argument) {
    const running *r = argument;
    return run(r->layers, r->s, 1, 0, NULL);
}

/* Affinities have kinks where a cosine on an edge is 0, which no seed here comes near. */
static double difference_error(lgt_align_layers *layers, stack *s) {
    double found[LAYERS * ROWS * WIDTH], exact[LAYERS * ROWS * WIDTH];
    running r = {layers, s};
    for (int l = 0; l < LAYERS; l++)
        for (int k = 0; k < ROWS * WIDTH; k++) {
            found[l * ROWS * WIDTH + k] = test_align_slope(&s->x[l][k], loss_at, &r);
            exact[l * ROWS * WIDTH + k] = s->dx[l][k];
        }
    return test_relative_error(found, exact, LAYERS * ROWS * WIDTH);
}

static const char *const specs[] = {"k:k=2,full_rows=off",
                                    "k:k=2,full_rows=off,symmetric=off",
                                    "k:k=2,full_rows=off,normalise=on",
                                    "k:k=2,full_rows=off,diffuse=2",
                                    "k:k=2,full_rows=off,diffuse=3,normalise=on,symmetric=off",
                                    "k:k=3,toward=upper,weight=2",
                                    "k:k=2,full_rows=off,toward=upper,normalise=on,diffuse=4",
                                    "z:k=2,full_rows=off",
                                    "z:k=2,full_rows=off,symmetric=off,weight=1"};
enum { SPECS = sizeof specs / sizeof *specs };

static void every_variant_has_the_gradient_of_its_loss(void **state) {
    (void)state;
    double worst = 0;
    for (int v = 0; v < SPECS; v++)
        for (uint64_t seed = 0; seed < 2; seed++) {
            stack s;
            int64_t n_edges = 0;
            draw(&s, seed, ROWS);
            lgt_align_layers *layers = layers_of(context, specs[v]);
            double loss = run(layers, &s, 0, 1, &n_edges);
            assert_true(n_edges > 10 && loss > 0);
            assert_true(run(layers, &s, 1, 0, NULL) == loss);
            double error = difference_error(layers, &s);
            assert_at_most(error, 1e-8, specs[v]);
            worst = fmax(worst, error);
            lgt_align_layers_free(layers);
        }
    print_message("  largest error of %d variants: %.2g\n", SPECS, worst);
}

/* --- Reliabilities over the runs --- */

enum { CAPACITY = 2 * ROWS };

static void open_banks(lgt_align_bank *banks[LAYERS]) {
    for (int l = 0; l < LAYERS; l++) banks[l] = test_align_bank(context, 0, CAPACITY);
}

static void close_banks(lgt_align_bank *banks[LAYERS]) {
    for (int l = 0; l < LAYERS; l++) lgt_align_bank_free(banks[l]);
}

/* Of rows of one label, where positive: with k = ROWS that is what an affinity is. */
static double affinity(const stack *s, int layer, int i, int j) {
    const double *p = s->x[layer] + i * WIDTH, *q = s->x[layer] + j * WIDTH;
    double pq = 0, pp = 0, qq = 0;
    for (int k = 0; k < WIDTH; k++) pq += p[k] * q[k], pp += p[k] * p[k], qq += q[k] * q[k];
    return i != j && s->labels[i] == s->labels[j] ? fmax(pq / sqrt(pp * qq), 0) : 0;
}

/* L_K by Eq. 146 with the reliabilities of the leader's rows. */
static double plain_pair(const stack *s, int follower, int leader, const double *reliabilities) {
    double sum = 0, total = 0;
    for (int i = 0; i < ROWS; i++)
        for (int j = 0; j < ROWS; j++) {
            double own = affinity(s, follower, i, j), other = affinity(s, leader, i, j);
            double w = own > 0 || other > 0 ? reliabilities[i] * reliabilities[j] : 0;
            sum += w * (own - other) * (own - other);
            total += w;
        }
    return sum / total / (LAYERS - 1);
}

/* Eq. 143 and 144; rows without a positive candidate stay. */
static void plain_move(const stack *s, int layer, double momentum, double *reliabilities) {
    for (int i = 0; i < ROWS; i++) {
        double sum = 0, count = 0;
        for (int j = 0; j < ROWS; j++) sum += affinity(s, layer, i, j), count += affinity(s, layer, i, j) > 0;
        if (count > 0) reliabilities[i] = momentum * reliabilities[i] + (1 - momentum) / (1 + exp(-sum / count));
    }
}

/* A few runs over the same ids, against the formulas; the banks of layers that nobody follows stay
 * empty, and a frozen run moves none. */
static void pairs_weigh_by_reliabilities_of_the_runs_before(void **state) {
    (void)state;
    for (int upper = 0; upper < 2; upper++) {
        lgt_align_bank *banks[LAYERS];
        double reliabilities[LAYERS][ROWS];
        double none = 0, worst = 0;
        open_banks(banks);
        for (int l = 0; l < LAYERS; l++)
            for (int i = 0; i < ROWS; i++) reliabilities[l][i] = 0.5;
        lgt_align_layers *layers = layers_of(context, upper ? "k:k=14,full_rows=off,weight=1,momentum=0.6,toward=upper"
                                                            : "k:k=14,full_rows=off,weight=1,momentum=0.6");
        for (uint64_t step = 0; step < 4; step++) {
            stack s;
            double wanted = 0;
            draw(&s, 40 + step, ROWS);
            test_labels(s.labels, ROWS, 2, 40); /* a sample keeps its label */
            double batch = run(layers, &s, 0, 0, NULL);
            s.banks = banks;
            double found = run(layers, &s, 0, 1, NULL);
            for (int f = !upper; f < LAYERS - upper; f++) {
                int leader = upper ? f + 1 : f - 1;
                wanted += plain_pair(&s, f, leader, reliabilities[leader]);
                plain_move(&s, leader, 0.6, reliabilities[leader]);
            }
            worst = fmax(worst, fabs(found - wanted) / wanted);
            none = fmax(none, fabs(batch - wanted) / wanted);
            assert_true(run(layers, &s, 1, 0, NULL) == found);
            assert_at_most(difference_error(layers, &s), 1e-8, "differences, with reliabilities from banks");
            for (int l = 0; l < LAYERS; l++) {
                int followed = upper ? l > 0 : l < LAYERS - 1;
                assert_int_equal(lgt_align_bank_count(banks[l]), followed ? ROWS : 0);
                for (int i = 0; i < ROWS && followed; i++)
                    assert_true(fabs(lgt_align_bank_score(banks[l], s.ids[i], s.labels[i]) - reliabilities[l][i]) <
                                1e-14);
            }
        }
        assert_at_most(worst, 1e-13, "sums of 200 terms in double");
        assert_true(none > 1e-6); /* the scores of the batch alone give something else */
        lgt_align_layers_free(layers);
        close_banks(banks);
    }
}

static int is_zero(const double *v) {
    for (int k = 0; k < ROWS * WIDTH; k++)
        if (v[k] != 0) return 0;
    return 1;
}

static void the_layer_that_is_followed_feels_nothing(void **state) {
    (void)state;
    for (int v = 0; v < SPECS; v++) {
        stack s;
        int down = specs[v][0] == 'z' || strstr(specs[v], "upper") != NULL;
        draw(&s, 5, ROWS);
        for (int l = 0; l < LAYERS; l++) s.dx[l][0] = 9; /* overwritten everywhere */
        lgt_align_layers *layers = layers_of(context, specs[v]);
        run(layers, &s, 0, 1, NULL);
        assert_int_equal(is_zero(s.dx[0]), !down);
        assert_int_equal(is_zero(s.dx[LAYERS - 1]), down);
        assert_false(is_zero(s.dx[1]));
        lgt_align_layers_free(layers);
    }
}

static void layers_that_agree_have_no_loss(void **state) {
    (void)state;
    for (int v = 0; v < SPECS; v++) {
        stack s;
        draw(&s, 6, ROWS);
        for (int l = 1; l < LAYERS; l++) memcpy(s.x[l], s.x[0], sizeof s.x[0]);
        lgt_align_layers *layers = layers_of(context, specs[v]);
        assert_true(run(layers, &s, 0, 1, NULL) == 0);
        for (int l = 0; l < LAYERS; l++) assert_true(is_zero(s.dx[l]));
        lgt_align_layers_free(layers);
    }
}

/* Two rows of one label, one edge each way: K_01 = K_10 = cos, so L_K of two layers is (c1 - c0)^2. */
static void two_rows_give_the_square_of_their_cosines_difference(void **state) {
    (void)state;
    static const int64_t widths[] = {2, 2};
    double x0[] = {1, 0, 3, 4}, x1[] = {2, 0, 12, 5}, d0[4] = {0}, d1[4] = {0}; /* cosines 3/5 and 12/13 */
    int64_t labels[] = {4, 4};
    lgt_align_layers *layers = test_align_layers(context, "k:k=1,weight=1", 2, widths, 2);
    lgt_error err;
    lgt_view x[] = {lgt_view_of(x0, 2, 2, LGT_F64), lgt_view_of(x1, 2, 2, LGT_F64)};
    lgt_mut dx[] = {lgt_mut_of(d0, 2, 2, LGT_F64), lgt_mut_of(d1, 2, 2, LGT_F64)};
    lgt_align_layers_inputs in = {.x = x, .labels = labels};
    lgt_align_layers_outputs out = {.dx = dx};
    double difference = 12.0 / 13 - 3.0 / 5;
    assert_ok(lgt_align_layers_run(layers, &in, &out, &err), err);
    assert_true(fabs(out.loss - difference * difference) < 1e-15);
    /* dL/dx of row 0, x = (2, 0): 2 (c1 - c0) dc/dx, and dc/dx_1 = (5/13)/2 */
    assert_true(fabs(d1[0]) < 1e-15 && fabs(d1[1] - 2 * difference * 5 / 13 / 2) < 1e-15);
    lgt_align_layers_free(layers);
}

static void averages_of_the_layer_above_are_followed_over_the_steps(void **state) {
    (void)state;
    static double smoothed[LAYERS * ROWS * ROWS];
    stack s;
    lgt_error err;
    draw(&s, 8, ROWS);
    for (int i = 0; i < LAYERS * ROWS * ROWS; i++) smoothed[i] = NAN;
    lgt_align_layers *averaged = layers_of(context, "k:k=2,full_rows=off,toward=upper,affinity_momentum=0.75");
    lgt_align_layers *plain = layers_of(context, "k:k=2,full_rows=off,toward=upper");
    lgt_align_layers_inputs in = {.x = s.views, .labels = s.labels, .smoothed = smoothed};
    lgt_align_layers_outputs out = {0};
    assert_ok(lgt_align_layers_run(averaged, &in, &out, &err), err);
    assert_true(out.loss == run(plain, &s, 0, 0, NULL)); /* the first run starts the average */
    double kept = smoothed[ROWS * ROWS + 1];
    assert_true(isnan(smoothed[0])); /* nobody follows layer 0 */
    in.frozen = 1;
    assert_ok(lgt_align_layers_run(averaged, &in, &out, &err), err);
    assert_true(smoothed[ROWS * ROWS + 1] == kept);
    in.frozen = 0;
    for (int k = 0; k < ROWS * WIDTH; k++) s.x[1][k] = s.x[2][k]; /* layer 1 now equals layer 2, not its average */
    double first[ROWS * ROWS];
    memcpy(first, smoothed + 2 * ROWS * ROWS, sizeof first);
    for (int k = 0; k < ROWS * WIDTH; k++) s.x[2][k] = s.x[0][k];
    assert_ok(lgt_align_layers_run(averaged, &in, &out, &err), err);
    double moved = 0;
    for (int i = 0; i < ROWS * ROWS; i++) moved = fmax(moved, fabs(smoothed[2 * ROWS * ROWS + i] - first[i]));
    assert_true(moved > 0 && moved <= 0.25 + 1e-12); /* a quarter of the way to affinities in [0, 1] */
    in.x = s.views;
    lgt_align_layers_free(plain);
    plain = layers_of(context, "k:k=2,full_rows=off");
    assert_fails(lgt_align_layers_run(plain, &in, &out, &err), LGT_ERR_USAGE, err, "toward=upper alone");
    lgt_align_layers_free(plain), lgt_align_layers_free(averaged);
}

static void any_number_of_threads_gives_the_same_bits(void **state) {
    (void)state;
    for (int v = 0; v < SPECS; v++) {
        stack one, more;
        draw(&one, 9, ROWS), draw(&more, 9, ROWS);
        for (int threads = 1; threads <= 3; threads++) {
            lgt_context *c = test_context(threads);
            lgt_align_layers *layers = layers_of(c, specs[v]);
            run(layers, threads == 1 ? &one : &more, 0, 1, NULL);
            if (threads > 1) assert_memory_equal(one.dx, more.dx, sizeof one.dx);
            lgt_align_layers_free(layers), lgt_context_free(c);
        }
    }
}

static void no_row_one_row_and_rows_without_direction_are_fine(void **state) {
    (void)state;
    for (int v = 0; v < SPECS; v++)
        for (int64_t n = 0; n < 4; n++) {
            stack s;
            draw(&s, 3, n);
            if (n == 3) memset(s.x[1], 0, sizeof s.x[1]);
            lgt_align_layers *layers = layers_of(context, specs[v]);
            assert_true(isfinite(run(layers, &s, 0, 1, NULL)));
            for (int l = 0; l < LAYERS; l++)
                for (int64_t k = 0; k < n * WIDTH; k++) assert_true(isfinite(s.dx[l][k]));
            lgt_align_layers_free(layers);
        }
}

static void creation_survives_every_refusal_and_runs_allocate_nothing(void **state) {
    (void)state;
    int64_t before = test_live_blocks();
    for (int v = 0; v < 2; v++)
        for (int64_t fail_at = 1, done = 0; !done; fail_at++) {
            lgt_context *c = test_context_failing(fail_at);
            lgt_align_terms terms = test_align_terms(v ? "z" : "k");
            lgt_align_layers *layers = NULL;
            lgt_error err;
            done = !lgt_align_layers_create(c, &terms.terms[0], LAYERS, dims, ROWS, &layers, &err);
            if (done) {
                stack s;
                int64_t allocations = test_allocations();
                draw(&s, 1, ROWS);
                run(layers, &s, 0, 1, NULL);
                assert_int_equal(test_allocations(), allocations);
            } else {
                assert_int_equal(err.status, LGT_ERR_MEMORY);
            }
            lgt_align_layers_free(layers), lgt_context_free(c);
            assert_true(fail_at < 200);
        }
    assert_int_equal(test_live_blocks(), before);
}

static void wrong_layers_are_told(void **state) {
    (void)state;
    static const int64_t widths[] = {6, 4};
    lgt_align_terms terms = test_align_terms("z+k+pga");
    lgt_align_layers *layers = NULL;
    lgt_error err;
    assert_fails(lgt_align_layers_create(context, &terms.terms[0], 2, widths, 5, &layers, &err), LGT_ERR_USAGE, err,
                 "z: layer 1 has width 4 and layer 0 has 6, expected equal widths");
    assert_fails(lgt_align_layers_create(context, &terms.terms[1], 1, widths, 5, &layers, &err), LGT_ERR_USAGE, err,
                 "k: 1 layers, expected 2 to 64");
    assert_fails(lgt_align_layers_create(context, &terms.terms[2], 2, widths, 5, &layers, &err), LGT_ERR_USAGE, err,
                 "the term is pga, expected k or z");
    stack s;
    draw(&s, 1, ROWS);
    layers = layers_of(context, "k");
    lgt_align_layers_inputs in = {.x = s.views, .labels = s.labels, .frozen = 1};
    lgt_align_layers_outputs out = {0};
    assert_fails(lgt_align_layers_run(layers, &in, &out, &err), LGT_ERR_USAGE, err,
                 "a frozen run, but there was none before it");
    in.frozen = 0;
    in.x = NULL;
    assert_fails(lgt_align_layers_run(layers, &in, &out, &err), LGT_ERR_USAGE, err, "x is NULL, expected the rows of");
    in.x = s.views;
    assert_ok(lgt_align_layers_run(layers, &in, &out, &err), err);
    in.frozen = 1;
    for (int l = 0; l < LAYERS; l++) s.views[l].rows--;
    assert_fails(lgt_align_layers_run(layers, &in, &out, &err), LGT_ERR_USAGE, err, "a frozen run of 13 rows");
    for (int l = 0; l < LAYERS; l++) s.views[l].rows++;
    in.frozen = 0;
    lgt_align_bank *banks[LAYERS], *wide = test_align_bank(context, 2, 4);
    open_banks(banks);
    in.banks = (lgt_align_bank *const[]){banks[0], wide, wide};
    assert_fails(lgt_align_layers_run(layers, &in, &out, &err), LGT_ERR_USAGE, err,
                 "banks need sample ids, found none");
    in.ids = s.ids;
    assert_fails(lgt_align_layers_run(layers, &in, &out, &err), LGT_ERR_USAGE, err,
                 "the bank of layer 1 has dim 2, expected 0");
    in.banks = banks;
    s.x[1][WIDTH] = INFINITY;
    assert_fails(lgt_align_layers_run(layers, &in, &out, &err), LGT_ERR_DATA, err,
                 "layer 1: x: row 1, column 0 is not finite");
    assert_int_equal(lgt_align_bank_count(banks[0]), 0);
    s.views[2].cols = 5;
    assert_fails(lgt_align_layers_run(layers, &in, &out, &err), LGT_ERR_USAGE, err, "x of layer 2 is (14, 5)");
    lgt_align_layers_free(layers);
    layers = layers_of(context, "z");
    assert_fails(lgt_align_layers_run(layers, &in, &out, &err), LGT_ERR_USAGE, err, "banks are given with z");
    lgt_align_layers_free(layers), lgt_align_bank_free(wide), close_banks(banks);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_variant_has_the_gradient_of_its_loss),
        cmocka_unit_test(pairs_weigh_by_reliabilities_of_the_runs_before),
        cmocka_unit_test(the_layer_that_is_followed_feels_nothing),
        cmocka_unit_test(layers_that_agree_have_no_loss),
        cmocka_unit_test(two_rows_give_the_square_of_their_cosines_difference),
        cmocka_unit_test(averages_of_the_layer_above_are_followed_over_the_steps),
        cmocka_unit_test(any_number_of_threads_gives_the_same_bits),
        cmocka_unit_test(no_row_one_row_and_rows_without_direction_are_fine),
        cmocka_unit_test(creation_survives_every_refusal_and_runs_allocate_nothing),
        cmocka_unit_test(wrong_layers_are_told),
    };
    return cmocka_run_group_tests(tests, open_context, close_context);
}
