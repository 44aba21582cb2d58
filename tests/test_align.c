/* Direction alignment: neighbours against a search by brute force, the gradient against differences, laws, faults. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "align/align_terms.h"
#include "align/phi.h"
#include "align_setup.h"

enum { MOST_ROWS = 70, MOST_DIM = 9 };

typedef struct batch {
    int64_t n, dim;
    double x[MOST_ROWS * MOST_DIM], below[MOST_ROWS * MOST_DIM], head[MOST_ROWS * MOST_DIM];
    int64_t labels[MOST_ROWS], ids[MOST_ROWS];
} batch;

TEST_SHARED_CONTEXT(2)

static batch draw(int64_t n, int64_t dim, int64_t classes, uint64_t seed) {
    batch b = {.n = n, .dim = dim};
    test_normal(b.x, n * dim, seed, 1), test_normal(b.below, n * dim, seed, 2), test_normal(b.head, n * dim, seed, 3);
    test_labels(b.labels, n, classes, seed);
    for (int64_t i = 0; i < n; i++) b.ids[i] = 1000 - 7 * i;
    return b;
}

static lgt_align_inputs inputs(const batch *b, lgt_align_bank *bank) {
    return (lgt_align_inputs){.x = lgt_view_of(b->x, b->n, b->dim, LGT_F64),
                              .labels = b->labels,
                              .ids = b->ids,
                              .bank = bank,
                              .below = lgt_view_of(b->below, b->n, b->dim, LGT_F64)};
}

/* A bank that has seen other directions of most of the batch's samples, and samples of its own. */
static lgt_align_bank *bank_of(const batch *b, uint64_t seed) {
    lgt_align_bank *bank = test_align_bank(context, b->dim, 200);
    for (int64_t i = 0; i < b->n + 20; i++) {
        double v[MOST_DIM], square = 0;
        test_normal(v, b->dim, seed, (uint64_t)(100 + i));
        for (int64_t k = 0; k < b->dim; k++) square += v[k] * v[k];
        for (int64_t k = 0; k < b->dim; k++) v[k] /= sqrt(square);
        if (i % 5 == 0) continue;
        int64_t own = i < b->n ? b->labels[i] : i % 3;
        lgt_align_bank_update(bank, i < b->n ? b->ids[i] : 5000 + i, own, v, 0.1 * (double)(i % 10), 0.9, 0.5);
    }
    return bank;
}

static double cosine(const batch *b, int64_t i, int64_t j) {
    double ij = 0, ii = 0, jj = 0;
    for (int64_t k = 0; k < b->dim; k++) {
        double p = b->x[i * b->dim + k], q = b->x[j * b->dim + k];
        ij += p * q, ii += p * p, jj += q * q;
    }
    return ii > 0 && jj > 0 ? ij / sqrt(ii) / sqrt(jj) : 0;
}

/* --- Specifications --- */

static void every_parameter_survives_writing_and_reading(void **state) {
    (void)state;
    static const char *const specs[] = {
        "pga", "pga:phi=exp,beta=reliability,targets=memory,neighbours=memory,k=7,weight=0.25+k:toward=upper+z:k=3",
        "k:normalise=on,diffuse=4", "z:layers=all,weight=0"};
    for (size_t i = 0; i < sizeof specs / sizeof *specs; i++) {
        lgt_align_terms terms, again;
        lgt_error err;
        char text[LGT_ALIGN_SPEC_SIZE];
        assert_ok(lgt_align_parse(specs[i], &terms, &err), err);
        assert_true(lgt_align_format(&terms, text, sizeof text) < sizeof text);
        assert_ok(lgt_align_parse(text, &again, &err), err);
        assert_int_equal(terms.n_terms, again.n_terms);
        for (int t = 0; t < terms.n_terms; t++) {
            assert_ptr_equal(terms.terms[t].info, again.terms[t].info);
            assert_memory_equal(terms.terms[t].values, again.terms[t].values, sizeof terms.terms[t].values);
        }
    }
    assert_true(lgt_align_count() == 3 && !lgt_align_at(3) && !lgt_align_at(-1));
    for (int i = 0; i < lgt_align_count(); i++) assert_true(lgt_align_at(i)->n_params <= LGT_ALIGN_MAX_PARAMS);
}

static void what_is_wrong_with_a_specification_is_told(void **state) {
    (void)state;
    static const struct {
        const char *spec, *message;
    } cases[] = {{"pg", "there is no alignment \"pg\"; the nearest is \"pga\""},
                 {"", "there is no alignment \"\""},
                 {"pga+", "there is no alignment \"\""},
                 {"pga:phi", "\"phi\" is not of the form key=value"},
                 {"pga:phy=exp", "pga has no parameter \"phy\"; the nearest is \"phi\""},
                 {"pga:phi=cubic", "pga: phi is \"cubic\", expected one of linear square hinge log exp"},
                 {"pga:k=0", "pga: k is \"0\", expected an integer from 1 to 256"},
                 {"pga:k=2.5", "expected an integer"},
                 {"pga:weight=-1", "expected a number from 0 to 1000000"},
                 {"pga:k=2,k=3", "pga: k is given twice"},
                 {"k+k", "the alignment k is given twice"},
                 {"pga:neighbours=memory", "expected targets=memory"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        lgt_align_terms terms;
        lgt_error err;
        assert_fails(lgt_align_parse(cases[i].spec, &terms, &err), LGT_ERR_USAGE, err, cases[i].message);
    }
}

static void values_of_any_length_are_read_to_their_end(void **state) {
    (void)state;
    char spec[200] = "pga:k=1,weight=1.";
    lgt_align_terms terms;
    lgt_error err;
    size_t used = strlen(spec);
    memset(spec + used, '0', 62);
    strcpy(spec + used + 62, "e2");
    assert_ok(lgt_align_parse(spec, &terms, &err), err);
    assert_true(lgt_align_value(&terms.terms[0], "weight") == 100);
    strcpy(spec + used + 62, "x"); /* beyond what messages repeat */
    assert_fails(lgt_align_parse(spec, &terms, &err), LGT_ERR_USAGE, err, "pga: weight is \"1.000");
}

/* --- Neighbours --- */

/* Row i's k largest positive cosines within its label by brute force; returns how many there are. */
static int64_t search(const batch *b, int64_t i, int64_t k, int64_t *out) {
    int64_t n = 0;
    char taken[MOST_ROWS] = {0};
    while (n < k) {
        int64_t best = -1;
        for (int64_t j = 0; j < b->n; j++) {
            if (j == i || b->labels[j] != b->labels[i] || taken[j] || !(cosine(b, i, j) > 0)) continue;
            if (best < 0 || cosine(b, i, j) > cosine(b, i, best)) best = j;
        }
        if (best < 0) break;
        taken[best] = 1;
        out[n++] = best;
    }
    return n;
}

static int chose(const batch *b, int64_t i, int64_t j, int64_t k, int full) {
    int64_t of_i[MOST_ROWS], of_j[MOST_ROWS], n_i = search(b, i, k, of_i), n_j = search(b, j, k, of_j);
    if (full && (n_i < k || n_j < k)) return 0;
    for (int64_t a = 0; a < n_i; a++)
        if (of_i[a] == j) return 1;
    return 0;
}

static void check_neighbours(const batch *b, int64_t k, int symmetric, int full) {
    char spec[80];
    lgt_error err;
    snprintf(spec, sizeof spec, "pga:k=%d,symmetric=%s,full_rows=%s", (int)k, symmetric ? "on" : "off",
             full ? "on" : "off");
    lgt_align_plan *plan = test_align_plan(context, spec, b->dim, MOST_ROWS);
    lgt_align_inputs in = inputs(b, NULL);
    assert_ok(lgt_align_find(plan, &in, &err), err);
    for (int64_t i = 0; i < b->n; i++) {
        int64_t count = 0, expected = 0;
        const lgt_align_edge *edges = lgt_align_neighbours(plan, i, &count);
        for (int64_t j = 0; j < b->n; j++) {
            if (j == i || b->labels[j] != b->labels[i]) continue;
            int is = chose(b, i, j, k, full) || (symmetric && chose(b, j, i, k, full)), found = 0;
            for (int64_t a = 0; a < count; a++) found += edges[a].row == j;
            assert_int_equal(found, is);
            expected += is;
        }
        assert_int_equal(count, expected);
        for (int64_t a = 0; a < count; a++) {
            assert_true(fabs(edges[a].cosine - cosine(b, i, edges[a].row)) < 1e-14);
            assert_int_equal(edges[a].id, b->ids[edges[a].row]);
        }
    }
    lgt_align_plan_free(plan);
}

static void neighbours_are_those_of_a_search_by_brute_force(void **state) {
    (void)state;
    static const int64_t sizes[][3] = {{0, 3, 1}, {1, 3, 1}, {2, 3, 1}, {13, 2, 2}, {31, 4, 3}, {70, 9, 1}, {70, 5, 4}};
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++)
        for (int64_t k = 1; k <= 5; k += 2)
            for (int options = 0; options < 4; options++) {
                batch b = draw(sizes[s][0], sizes[s][1], sizes[s][2], s);
                if (b.n > 4) memset(b.x + 3 * b.dim, 0, (size_t)b.dim * sizeof *b.x); /* a row without a direction */
                check_neighbours(&b, k, options & 1, options >> 1);
            }
}

static void of_equals_the_first_rows_are_chosen(void **state) {
    (void)state;
    batch b = draw(9, 1, 1, 0);
    lgt_error err;
    for (int i = 0; i < 9; i++) b.x[i] = i + 1.0;
    lgt_align_plan *plan = test_align_plan(context, "pga:k=3,symmetric=off", 1, 9);
    lgt_align_inputs in = inputs(&b, NULL);
    assert_ok(lgt_align_find(plan, &in, &err), err);
    for (int64_t i = 0; i < 9; i++) {
        int64_t count = 0;
        const lgt_align_edge *edges = lgt_align_neighbours(plan, i, &count);
        assert_int_equal(count, 3);
        for (int64_t a = 0; a < 3; a++) assert_int_equal(edges[a].row, a + (i <= a));
    }
    lgt_align_plan_free(plan);
}

static void unreliable_edges_are_left_out(void **state) {
    (void)state;
    batch b = draw(30, 5, 2, 4);
    lgt_align_bank *bank = bank_of(&b, 4);
    lgt_align_plan *all = test_align_plan(context, "pga:full_rows=off", 5, 30);
    lgt_align_plan *some = test_align_plan(context, "pga:full_rows=off,min_reliability=0.2", 5, 30);
    lgt_align_inputs in = inputs(&b, bank);
    lgt_error err;
    assert_ok(lgt_align_find(all, &in, &err), err);
    assert_ok(lgt_align_find(some, &in, &err), err);
    int64_t left_out = 0;
    for (int64_t i = 0; i < b.n; i++) {
        int64_t n_all = 0, n_some = 0, kept = 0;
        const lgt_align_edge *edges = lgt_align_neighbours(all, i, &n_all);
        lgt_align_neighbours(some, i, &n_some);
        for (int64_t a = 0; a < n_all; a++) {
            double product = lgt_align_bank_score(bank, b.ids[i], b.labels[i]) *
                             lgt_align_bank_score(bank, edges[a].id, b.labels[i]);
            assert_true(edges[a].reliability == product);
            kept += product >= 0.2;
        }
        assert_int_equal(n_some, kept);
        left_out += n_all - kept;
    }
    assert_true(left_out > 0);
    lgt_align_plan_free(some), lgt_align_plan_free(all), lgt_align_bank_free(bank);
}

/* --- The gradient --- */

typedef struct pulling {
    lgt_align_plan *plan;
    const lgt_align_inputs *in;
} pulling;

static double loss_at(void *argument) {
    const pulling *p = argument;
    lgt_align_outputs out = {0};
    lgt_error err;
    assert_ok(lgt_align_pull(p->plan, p->in, &out, &err), err);
    return out.loss;
}

/* The gate for what test_align_slope leaves is 1e-8 of the largest entry. */
static double difference_error(lgt_align_plan *plan, batch *b, const lgt_align_inputs *in, const double *dx) {
    static double found[MOST_ROWS * MOST_DIM];
    pulling p = {plan, in};
    for (int64_t k = 0; k < b->n * b->dim; k++) found[k] = test_align_slope(&b->x[k], loss_at, &p);
    return test_relative_error(found, dx, b->n * b->dim);
}

static void every_variant_has_the_gradient_of_its_loss(void **state) {
    (void)state;
    static const char *const phis[] = {"linear", "square", "hinge", "log", "exp"};
    static const char *const betas[] = {"uniform", "similarity", "reliability"};
    static const char *const targets[] = {"batch", "memory", "memory,neighbours=memory", "layer"};
    double worst = 0;
    for (int p = 0; p < 5; p++)
        for (int w = 0; w < 3; w++)
            for (int t = 0; t < 4; t++) {
                char spec[120];
                double dx[MOST_ROWS * MOST_DIM];
                lgt_error err;
                snprintf(spec, sizeof spec, "pga:phi=%s,beta=%s,targets=%s,k=3,full_rows=off,weight=1.5,tau=0.7",
                         phis[p], betas[w], targets[t]);
                batch b = draw(17, 5, 3, (uint64_t)(p + 10 * w));
                lgt_align_bank *bank = bank_of(&b, 9);
                lgt_align_plan *plan = test_align_plan(context, spec, b.dim, b.n);
                lgt_align_inputs in = inputs(&b, bank);
                lgt_align_outputs out = {.dx = lgt_mut_of(dx, b.n, b.dim, LGT_F64)};
                assert_ok(lgt_align_find(plan, &in, &err), err);
                assert_ok(lgt_align_pull(plan, &in, &out, &err), err);
                assert_true(out.n_edges > 10 && isfinite(out.loss));
                double error = difference_error(plan, &b, &in, dx);
                assert_at_most(error, 1e-8, spec);
                worst = fmax(worst, error);
                lgt_align_plan_free(plan), lgt_align_bank_free(bank);
            }
    print_message("  largest error of 60 variants: %.2g\n", worst);
}

static void the_logarithm_is_guarded_at_opposite_directions(void **state) {
    (void)state;
    lgt_phi at = lgt_phi_at(LGT_PHI_LOG, 1, -1), edge = lgt_phi_at(LGT_PHI_LOG, 1, -1 + LGT_PHI_LOG_LEAST);
    assert_true(at.value > edge.value && at.value < edge.value + 1.001 && at.pull == 1 / LGT_PHI_LOG_LEAST);
    assert_true(fabs(at.pull / edge.pull - 1) < 1e-9);
    for (double u = -1.0; u < 1; u += 1e-3) {
        lgt_phi phi = lgt_phi_at(LGT_PHI_LOG, 1, u), next = lgt_phi_at(LGT_PHI_LOG, 1, u + 1e-3);
        assert_true(isfinite(phi.value) && phi.pull > 0 && next.value < phi.value);
    }
    /* and through a run: targets of the layer below, exactly opposite */
    batch b = draw(4, 3, 1, 1);
    double dx[12];
    lgt_error err;
    for (int k = 0; k < 12; k++) b.x[k] = k % 3 == 0 ? 1 : 0, b.below[k] = -b.x[k];
    lgt_align_plan *plan = test_align_plan(context, "pga:phi=log,targets=layer,k=2", 3, 4);
    lgt_align_inputs in = inputs(&b, NULL);
    lgt_align_outputs out = {.dx = lgt_mut_of(dx, 4, 3, LGT_F64)};
    assert_ok(lgt_align_run(plan, &in, &out, &err), err);
    assert_true(fabs(out.loss - at.value) < 1e-12);
    for (int k = 0; k < 12; k++) assert_true(dx[k] == 0); /* nothing across x points to its opposite */
    lgt_align_plan_free(plan);
}

static void the_force_is_tangent_and_the_weighted_sum_of_projected_neighbours(void **state) {
    (void)state;
    for (uint64_t seed = 0; seed < 20; seed++) {
        double dx[MOST_ROWS * MOST_DIM];
        lgt_error err;
        batch b = draw(25, 6, 2, seed);
        lgt_align_plan *plan =
            test_align_plan(context, "pga:phi=square,beta=similarity,k=3,full_rows=off,weight=2", 6, 25);
        lgt_align_inputs in = inputs(&b, NULL);
        lgt_align_outputs out = {.dx = lgt_mut_of(dx, b.n, b.dim, LGT_F64)};
        assert_ok(lgt_align_run(plan, &in, &out, &err), err);
        double loss = 0;
        for (int64_t i = 0; i < b.n; i++) {
            const double *x = b.x + i * 6;
            double r = sqrt(x[0] * x[0] + x[1] * x[1] + x[2] * x[2] + x[3] * x[3] + x[4] * x[4] + x[5] * x[5]);
            double along = 0, sum[6] = {0}, betas = 0;
            int64_t count = 0;
            const lgt_align_edge *edges = lgt_align_neighbours(plan, i, &count);
            for (int64_t a = 0; a < count; a++) {
                double u = 0;
                for (int k = 0; k < 6; k++) u += x[k] / r * edges[a].target[k];
                betas += edges[a].beta;
                loss += 2.0 / 25 * edges[a].beta * (1 - u) * (1 - u);
                for (int k = 0; k < 6; k++)
                    sum[k] += 2.0 / 25 / r * edges[a].beta * 2 * (1 - u) * (edges[a].target[k] - u * x[k] / r);
            }
            assert_true(count == 0 || fabs(betas - 1) < 1e-14);
            for (int k = 0; k < 6; k++) {
                along += dx[i * 6 + k] * x[k];
                assert_true(fabs(dx[i * 6 + k] + sum[k]) < 1e-15); /* a few roundings of numbers below 1 */
            }
            assert_true(fabs(along) < 1e-15);
        }
        assert_true(fabs(loss - out.loss) < 1e-14);
        lgt_align_plan_free(plan);
    }
}

static void float32_gives_what_double_gives_and_adds_to_what_is_there(void **state) {
    (void)state;
    batch b = draw(40, 7, 3, 5);
    float x[40 * 7], dx[40 * 7];
    double exact[40 * 7], found[40 * 7];
    lgt_error err;
    for (int k = 0; k < 40 * 7; k++) x[k] = (float)b.x[k], b.x[k] = (double)x[k], dx[k] = 0.25f;
    lgt_align_plan *plan = test_align_plan(context, "pga:phi=exp,k=3,full_rows=off", 7, 40);
    lgt_align_inputs in = inputs(&b, NULL);
    lgt_align_outputs out = {.dx = lgt_mut_of(exact, 40, 7, LGT_F64)};
    assert_ok(lgt_align_run(plan, &in, &out, &err), err);
    double loss = out.loss;
    in.x = lgt_view_of(x, 40, 7, LGT_F32);
    out = (lgt_align_outputs){.dx = lgt_mut_of(dx, 40, 7, LGT_F32), .accumulate = 1};
    in.below = (lgt_view){0};
    assert_ok(lgt_align_run(plan, &in, &out, &err), err);
    assert_true(out.loss == loss);
    for (int k = 0; k < 40 * 7; k++) found[k] = (double)dx[k] - 0.25;
    assert_at_most(test_relative_error(found, exact, 40 * 7), 1e-5, "rounding 0.25 and a gradient of 0.01 to float32");
    lgt_align_plan_free(plan);
}

/* --- Determinism and faults --- */

static void any_number_of_threads_gives_the_same_bits(void **state) {
    (void)state;
    batch b = draw(70, 9, 3, 6);
    double dx[5][MOST_ROWS * MOST_DIM], losses[5];
    lgt_error err;
    for (int threads = 1; threads <= 4; threads++) {
        lgt_context *c = test_context(threads);
        lgt_align_bank *bank = test_align_bank(c, 9, 100);
        lgt_align_plan *plan =
            test_align_plan(c, "pga:targets=memory,neighbours=memory,phi=exp,k=2,full_rows=off", 9, 70);
        lgt_align_inputs in = inputs(&b, bank);
        lgt_align_outputs out = {.dx = lgt_mut_of(dx[threads], b.n, b.dim, LGT_F64)};
        for (int step = 0; step < 3; step++) assert_ok(lgt_align_run(plan, &in, &out, &err), err);
        losses[threads] = out.loss;
        assert_true(out.n_edges > 0 && losses[threads] == losses[1]);
        assert_memory_equal(dx[threads], dx[1], sizeof(double) * 70 * 9);
        lgt_align_plan_free(plan), lgt_align_bank_free(bank), lgt_context_free(c);
    }
}

static void a_run_allocates_nothing_and_creation_survives_every_refusal(void **state) {
    (void)state;
    static const char *const specs[] = {"pga", "pga:targets=memory,neighbours=memory", "pga:targets=layer"};
    int64_t before = test_live_blocks();
    for (int s = 0; s < 3; s++)
        for (int64_t fail_at = 1, done = 0; !done; fail_at++) {
            lgt_context *c = test_context_failing(fail_at);
            lgt_align_terms terms = test_align_terms(specs[s]);
            lgt_align_plan *plan = NULL;
            lgt_align_bank *bank = NULL;
            lgt_error err;
            lgt_status status = lgt_align_plan_create(c, &terms.terms[0], 3, 20, &plan, &err);
            if (!status) status = lgt_align_bank_create(c, 3, 10, &bank, &err);
            done = status == LGT_OK;
            if (!done) assert_int_equal(status, LGT_ERR_MEMORY);
            if (done) {
                batch b = draw(20, 3, 2, 7);
                lgt_align_inputs in = inputs(&b, bank);
                lgt_align_outputs out = {0};
                int64_t allocations = test_allocations();
                assert_ok(lgt_align_run(plan, &in, &out, &err), err);
                assert_int_equal(test_allocations(), allocations);
            }
            lgt_align_bank_free(bank), lgt_align_plan_free(plan), lgt_context_free(c);
            assert_true(fail_at < 100);
        }
    assert_int_equal(test_live_blocks(), before);
}

static void wrong_inputs_are_told(void **state) {
    (void)state;
    batch b = draw(6, 3, 2, 8);
    lgt_error err;
    lgt_align_outputs out = {0};
    lgt_align_plan *plan = test_align_plan(context, "pga", 3, 6),
                   *memory = test_align_plan(context, "pga:targets=memory", 3, 6),
                   *layer = test_align_plan(context, "pga:targets=layer", 3, 6);
    lgt_align_plan *resolving = test_align_plan(context, "pga:resolve=project", 3, 6);
    lgt_align_inputs in = inputs(&b, NULL);
    assert_fails(lgt_align_run(memory, &in, &out, &err), LGT_ERR_USAGE, err, "needs a bank");
    assert_fails(lgt_align_run(resolving, &in, &out, &err), LGT_ERR_USAGE, err, "need the head's gradient");
    in.below.cols = 2;
    assert_fails(lgt_align_run(layer, &in, &out, &err), LGT_ERR_USAGE, err,
                 "below is (6, 2) with ld 3, expected (6, 3)");
    in.below = (lgt_view){0};
    assert_fails(lgt_align_run(layer, &in, &out, &err), LGT_ERR_USAGE, err, "needs the layer below, found none");
    lgt_align_bank *bank = test_align_bank(context, 2, 4);
    in.bank = bank;
    assert_fails(lgt_align_run(plan, &in, &out, &err), LGT_ERR_USAGE, err, "the bank has dim 2, expected 3");
    in.ids = NULL;
    assert_fails(lgt_align_run(plan, &in, &out, &err), LGT_ERR_USAGE, err, "needs sample ids");
    in = inputs(&b, NULL);
    in.x.cols = 2;
    assert_fails(lgt_align_run(plan, &in, &out, &err), LGT_ERR_USAGE, err, "x is (6, 2) with ld 3, expected (6, 3)");
    in = inputs(&b, NULL);
    in.x.rows = 7;
    assert_fails(lgt_align_run(plan, &in, &out, &err), LGT_ERR_USAGE, err, "x has 7 rows, expected 0 to 6");
    in = inputs(&b, NULL);
    static const double beyond[] = {NAN, INFINITY, 1e160};
    for (int k = 0; k < 3; k++) {
        double head[18] = {0};
        in.head = lgt_view_of(head, 6, 3, LGT_F64);
        head[4] = 1e150; /* its square is a number */
        assert_ok(lgt_align_run(plan, &in, &out, &err), err);
        head[10] = beyond[k];
        assert_fails(lgt_align_run(plan, &in, &out, &err), LGT_ERR_DATA, err, "head: row 3 is not finite");
    }
    in = inputs(&b, NULL);
    b.x[7] = NAN;
    assert_fails(lgt_align_run(plan, &in, &out, &err), LGT_ERR_DATA, err, "x: row 2, column 1 is not finite");
    lgt_align_bank_free(bank);
    lgt_align_plan_free(resolving), lgt_align_plan_free(layer), lgt_align_plan_free(memory), lgt_align_plan_free(plan);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_parameter_survives_writing_and_reading),
        cmocka_unit_test(what_is_wrong_with_a_specification_is_told),
        cmocka_unit_test(values_of_any_length_are_read_to_their_end),
        cmocka_unit_test(neighbours_are_those_of_a_search_by_brute_force),
        cmocka_unit_test(of_equals_the_first_rows_are_chosen),
        cmocka_unit_test(unreliable_edges_are_left_out),
        cmocka_unit_test(every_variant_has_the_gradient_of_its_loss),
        cmocka_unit_test(the_logarithm_is_guarded_at_opposite_directions),
        cmocka_unit_test(the_force_is_tangent_and_the_weighted_sum_of_projected_neighbours),
        cmocka_unit_test(float32_gives_what_double_gives_and_adds_to_what_is_there),
        cmocka_unit_test(any_number_of_threads_gives_the_same_bits),
        cmocka_unit_test(a_run_allocates_nothing_and_creation_survives_every_refusal),
        cmocka_unit_test(wrong_inputs_are_told),
    };
    return cmocka_run_group_tests(tests, open_context, close_context);
}
