/* Alignment between layers: gradients against differences with everything that counts as a constant held fixed, closed
 * forms, stop-gradients, faults. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "logitude/align.h"
#include "support.h"

enum { ROWS = 14, WIDTH = 6, LAYERS = 3 };

typedef struct stack {
    double x[LAYERS][ROWS * WIDTH], dx[LAYERS][ROWS * WIDTH];
    int64_t labels[ROWS];
    lgt_view views[LAYERS];
    lgt_mut muts[LAYERS];
} stack;

static lgt_context *context;

static int open_context(void **state) {
    (void)state;
    context = test_context(2);
    return 0;
}

static int close_context(void **state) {
    (void)state;
    lgt_context_free(context);
    return 0;
}

static void draw(stack *s, uint64_t seed, int64_t n_rows) {
    memset(s, 0, sizeof *s);
    test_labels(s->labels, ROWS, 2, seed);
    for (int l = 0; l < LAYERS; l++) {
        test_normal(s->x[l], ROWS * WIDTH, seed, (uint64_t)l);
        s->views[l] = lgt_view_of(s->x[l], n_rows, WIDTH, LGT_F64);
        s->muts[l] = lgt_mut_of(s->dx[l], n_rows, WIDTH, LGT_F64);
    }
}

static lgt_align_layers *layers_of(lgt_context *c, const char *spec) {
    static const int64_t dims[LAYERS] = {WIDTH, WIDTH, WIDTH};
    lgt_align_terms terms;
    lgt_align_layers *layers = NULL;
    lgt_error err;
    assert_ok(lgt_align_parse(spec, &terms, &err), err);
    assert_ok(lgt_align_layers_create(c, &terms.terms[0], LAYERS, dims, ROWS, &layers, &err), err);
    return layers;
}

static double run(lgt_align_layers *layers, stack *s, int frozen, int gradient, int64_t *n_edges) {
    lgt_align_layers_inputs in = {.x = s->views, .labels = s->labels, .frozen = frozen};
    lgt_align_layers_outputs out = {.dx = gradient ? s->muts : NULL};
    lgt_error err;
    assert_ok(lgt_align_layers_run(layers, &in, &out, &err), err);
    if (n_edges) *n_edges = out.n_edges;
    return out.loss;
}

/* Five-point differences with a step of 1e-4, as in test_align.c; affinities have kinks where a cosine on an edge is 0,
 * which no seed here comes near. */
static double difference_error(lgt_align_layers *layers, stack *s) {
    const double h = 1e-4;
    double found[LAYERS * ROWS * WIDTH], exact[LAYERS * ROWS * WIDTH];
    for (int l = 0; l < LAYERS; l++)
        for (int k = 0; k < ROWS * WIDTH; k++) {
            double kept = s->x[l][k], v[4];
            for (int i = 0; i < 4; i++) {
                s->x[l][k] = kept + (i < 2 ? i - 2 : i - 1) * h;
                v[i] = run(layers, s, 1, 0, NULL);
            }
            s->x[l][k] = kept;
            found[l * ROWS * WIDTH + k] = (8 * (v[2] - v[1]) - (v[3] - v[0])) / (12 * h);
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
    static const int64_t dims[] = {2, 2};
    double x0[] = {1, 0, 3, 4}, x1[] = {2, 0, 12, 5}, d0[4] = {0}, d1[4] = {0}; /* cosines 3/5 and 12/13 */
    int64_t labels[] = {4, 4};
    lgt_align_terms terms;
    lgt_align_layers *layers = NULL;
    lgt_error err;
    lgt_view x[] = {lgt_view_of(x0, 2, 2, LGT_F64), lgt_view_of(x1, 2, 2, LGT_F64)};
    lgt_mut dx[] = {lgt_mut_of(d0, 2, 2, LGT_F64), lgt_mut_of(d1, 2, 2, LGT_F64)};
    lgt_align_layers_inputs in = {.x = x, .labels = labels};
    lgt_align_layers_outputs out = {.dx = dx};
    double difference = 12.0 / 13 - 3.0 / 5;
    assert_ok(lgt_align_parse("k:k=1,weight=1", &terms, &err), err);
    assert_ok(lgt_align_layers_create(context, &terms.terms[0], 2, dims, 2, &layers, &err), err);
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
    lgt_align_layers *averaged = layers_of(context, "k:k=2,full_rows=off,toward=upper,momentum=0.75");
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
    static const int64_t dims[] = {WIDTH, WIDTH, WIDTH};
    int64_t before = test_live_blocks();
    for (int v = 0; v < 2; v++)
        for (int64_t fail_at = 1, done = 0; !done; fail_at++) {
            lgt_context *c = test_context_failing(fail_at);
            lgt_align_terms terms;
            lgt_align_layers *layers = NULL;
            lgt_error err;
            assert_ok(lgt_align_parse(v ? "z" : "k", &terms, &err), err);
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
    static const int64_t dims[] = {6, 4};
    lgt_align_terms terms;
    lgt_align_layers *layers = NULL;
    lgt_error err;
    assert_ok(lgt_align_parse("z+k+pga", &terms, &err), err);
    assert_fails(lgt_align_layers_create(context, &terms.terms[0], 2, dims, 5, &layers, &err), LGT_ERR_USAGE, err,
                 "z: layer 1 has width 4 and layer 0 has 6, expected equal widths");
    assert_fails(lgt_align_layers_create(context, &terms.terms[1], 1, dims, 5, &layers, &err), LGT_ERR_USAGE, err,
                 "k: 1 layers, expected 2 to 64");
    assert_fails(lgt_align_layers_create(context, &terms.terms[2], 2, dims, 5, &layers, &err), LGT_ERR_USAGE, err,
                 "the term is pga, expected k or z");
    stack s;
    draw(&s, 1, ROWS);
    layers = layers_of(context, "k");
    lgt_align_layers_inputs in = {.x = s.views, .labels = s.labels, .frozen = 1};
    lgt_align_layers_outputs out = {0};
    assert_fails(lgt_align_layers_run(layers, &in, &out, &err), LGT_ERR_USAGE, err, "a frozen run of 14 rows");
    in.frozen = 0;
    s.x[1][WIDTH] = INFINITY;
    assert_fails(lgt_align_layers_run(layers, &in, &out, &err), LGT_ERR_DATA, err,
                 "layer 1: x: row 1, column 0 is not finite");
    s.views[2].cols = 5;
    assert_fails(lgt_align_layers_run(layers, &in, &out, &err), LGT_ERR_USAGE, err, "x of layer 2 is (14, 5)");
    lgt_align_layers_free(layers);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_variant_has_the_gradient_of_its_loss),
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
