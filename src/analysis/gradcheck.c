/* Derivative checks: random problems, central differences of the reference engine's loss and gradient, and engine
 * against engine. */
#include <math.h>
#include <string.h>

#include "analysis/random_problem.h"
#include "base/error.h"
#include "logitude/analysis.h"

/* Five-point central differences leave h^4 f'''''/30 and eps f / h: with h = 2e-4 of an entry's scale both stay below
 * 1e-8 of the gradient for s from 1 to 64; scales beyond that shrink h, and what rounding leaves grows as s^2 (over 400
 * problems a loss, with s from 1e3 to 1e6, to 6.2e-14 s^2). A direction moves every entry at once: half, and where that
 * is too far (the sphere's curvature grows as 1/theta towards theta = 0) a quarter of that. */
static const double entry_step = 2e-4, direction_step = 1e-4, usual_scale = 64;
static const double difference_tolerance = 1e-8, rounding_by_square = 3e-13, most_tolerance = 1e-3;
/* Over 10,000 problems a loss the largest engine errors met are 1.6e-13 in float64 and 6.6e-6 in float32, and 1.5e-13
 * and 2.3e-5 for second derivatives, into which float32's exponents (rounded to 6e-8 of [-s, s]) enter twice; all of
 * them grow as s beyond the usual scale. */
static const double f64_tolerance = 1e-11, f32_tolerance = 1e-5, hvp_share = 5;
/* A difference may straddle a kink or jump of the loss or of its slope; moving features and weights this far leaves it
 * behind, and leaves a wrong formula wrong. (Weights too: in two dimensions a kink between two classes turns with x.)
 * Several tries, since the next kink of an L-Softmax of large m is near. */
static const double move = 1e-2;
enum { TRIES = 6 };
/* Derivatives are of the size of the logits' scale over the norm; rounding is told from them down to a tenth of that.
 */
static const double no_gradient = 0.1, usual_entry = 1.5;

typedef lgt_random_problem problem;

static double scale_of(const lgt_loss *loss) {
    return loss->info->space == LGT_SPACE_COS ? lgt_loss_value(loss, "s") : 1;
}

/* Scales of 6e4 and more leave differences that prove nothing: a check fails there. */
static double tolerance_at(double scale) {
    return fmin(most_tolerance, fmax(difference_tolerance, rounding_by_square * scale * scale));
}

/* The size from which a derivative by x counts: in a cosine space it falls with the length of features, whose entries
 * are up to usual_entry unless the loss asks for longer ones. */
static double least_by_x(const problem *p, double scale) {
    double longest = usual_entry;
    for (int64_t i = 0; i < p->n_x; i++) longest = fmax(longest, fabs(p->at.x[i]));
    return no_gradient * scale * usual_entry / longest;
}

/* max |a - b| / max |b|, where derivatives below `least` count as that large: some are zero exactly, as all tangents
 * are in one dimension. */
static double relative_error(const double *a, const double *b, int64_t n, double least) {
    double worst = 0, scale = least;
    for (int64_t i = 0; i < n; i++) {
        double error = fabs(a[i] - b[i]);
        if (!isfinite(error)) return INFINITY;
        worst = fmax(worst, error);
        scale = fmax(scale, fabs(b[i]));
    }
    return worst / scale;
}

typedef struct errors {
    double x, w, b;
} errors;

static errors compare(const problem *p, const lgt_triple *found, const lgt_triple *expected, double scale) {
    return (errors){relative_error(found->x, expected->x, p->n_x, least_by_x(p, scale)),
                    relative_error(found->w, expected->w, p->n_w, no_gradient * scale),
                    relative_error(found->b, expected->b, p->n_b, no_gradient * scale)};
}

static double largest(errors e) {
    return fmax(e.x, fmax(e.w, e.b));
}

static const double shift[] = {-2, -1, 1, 2}, weight[] = {1, -8, 8, -1};

/* (f(-2h) - 8 f(-h) + 8 f(h) - f(2h)) / 12 h for each of n entries of the problem's array `at`, in rows. */
static lgt_status differences(problem *p, lgt_plan *plan, double *at, int64_t n, int64_t row, double step, double *out,
                              lgt_error *err) {
    for (int64_t i = 0; i < n; i++) {
        double kept = at[i], square = 0;
        for (int64_t k = i / row * row; k < (i / row + 1) * row; k++) square += at[k] * at[k];
        double h = step * sqrt(square / (double)row);
        out[i] = 0;
        for (int k = 0; k < 4; k++) {
            double loss;
            at[i] = kept + shift[k] * h;
            lgt_status status = lgt_random_problem_loss(p, plan, &loss, err);
            at[i] = kept;
            if (status) return status;
            out[i] += weight[k] * loss / (12 * h);
        }
    }
    return LGT_OK;
}

static void add_scaled(double *to, double factor, const double *from, int64_t n) {
    for (int64_t i = 0; i < n; i++) to[i] += factor * from[i];
}

static void add_triple(const problem *p, lgt_triple *to, double factor, const lgt_triple *from) {
    add_scaled(to->x, factor, from->x, p->n_x);
    add_scaled(to->w, factor, from->w, p->n_w);
    add_scaled(to->b, factor, from->b, p->n_b);
}

/* The same along the problem's direction, of the gradient. */
static lgt_status gradient_difference(problem *p, lgt_plan *plan, double h, lgt_triple *out, lgt_error *err) {
    lgt_triple kept = p->at, gradient;
    lgt_status status = LGT_OK;
    memset(out, 0, sizeof *out);
    for (int k = 0; k < 4 && !status; k++) {
        p->at = kept;
        add_triple(p, &p->at, shift[k] * h, &p->along);
        memset(&gradient, 0, sizeof gradient);
        status = lgt_random_problem_gradient(p, plan, LGT_F64, &gradient, err);
        add_triple(p, out, weight[k] / (12 * h), &gradient);
    }
    p->at = kept;
    return status;
}

static lgt_status compare_hvp(problem *p, lgt_plan *plan, double scale, double shrink, double *error, lgt_error *err) {
    lgt_triple analytic = {{0}, {0}, {0}}, numeric;
    lgt_status status = lgt_random_problem_hvp(p, plan, LGT_F64, &analytic, err);
    *error = INFINITY;
    for (double step = direction_step; !status && *error > tolerance_at(scale) && step > direction_step / 8;
         step /= 4) {
        status = gradient_difference(p, plan, step / shrink, &numeric, err);
        *error = fmin(*error, largest(compare(p, &numeric, &analytic, scale)));
    }
    return status;
}

/* Largest errors of the reference's derivatives against differences. */
static lgt_status compare_differences(problem *p, double scale, lgt_gradcheck *found, lgt_error *err) {
    lgt_triple analytic = {{0}, {0}, {0}}, numeric = {{0}, {0}, {0}};
    lgt_plan *plan = NULL;
    double shrink = fmax(1, scale / usual_scale);
    int64_t row_b = p->n_b ? p->n_b : 1;
    lgt_status status = lgt_random_problem_plan(p, LGT_ENGINE_REFERENCE, LGT_F64, &plan, err);
    if (!status) status = lgt_random_problem_gradient(p, plan, LGT_F64, &analytic, err);
    if (!status) status = differences(p, plan, p->at.x, p->n_x, p->dim, entry_step / shrink, numeric.x, err);
    if (!status) status = differences(p, plan, p->at.w, p->n_w, p->dim, entry_step / shrink, numeric.w, err);
    if (!status) status = differences(p, plan, p->at.b, p->n_b, row_b, entry_step / shrink, numeric.b, err);
    errors first = compare(p, &numeric, &analytic, scale);
    found->dx = first.x, found->dw = first.w, found->db = first.b;
    if (!status) status = compare_hvp(p, plan, scale, shrink, &found->hvp, err);
    lgt_plan_free(plan);
    return status;
}

static lgt_status compare_engines(problem *p, lgt_engine engine, lgt_dtype dtype, double scale, lgt_gradcheck *found,
                                  lgt_error *err) {
    lgt_triple by_reference[2] = {{{0}, {0}, {0}}}, by_engine[2] = {{{0}, {0}, {0}}};
    lgt_plan *reference = NULL, *other = NULL;
    if (dtype == LGT_F32) lgt_random_problem_round(p); /* both engines see the same rounded inputs */
    lgt_status status = lgt_random_problem_plan(p, LGT_ENGINE_REFERENCE, LGT_F64, &reference, err);
    if (!status) status = lgt_random_problem_plan(p, engine, dtype, &other, err);
    if (!status) status = lgt_random_problem_gradient(p, reference, LGT_F64, &by_reference[0], err);
    if (!status) status = lgt_random_problem_gradient(p, other, dtype, &by_engine[0], err);
    if (!status) status = lgt_random_problem_hvp(p, reference, LGT_F64, &by_reference[1], err);
    if (!status) status = lgt_random_problem_hvp(p, other, dtype, &by_engine[1], err);
    errors first = compare(p, &by_engine[0], &by_reference[0], scale);
    found->engine_dx = first.x, found->engine_dw = first.w, found->engine_db = first.b;
    found->engine_hvp = largest(compare(p, &by_engine[1], &by_reference[1], scale));
    lgt_plan_free(other);
    lgt_plan_free(reference);
    return status;
}

static double worst_difference(const lgt_gradcheck *e) {
    return fmax(fmax(e->dx, e->dw), fmax(e->db, e->hvp));
}

static double worst_engine(const lgt_gradcheck *e) {
    return fmax(e->engine_dx, fmax(e->engine_dw, e->engine_db));
}

static lgt_status check_problem(problem *p, lgt_engine engine, lgt_dtype dtype, double scale, lgt_gradcheck *found,
                                lgt_error *err) {
    lgt_status status = compare_differences(p, scale, found, err);
    for (int t = 1; !status && t < TRIES && worst_difference(found) > tolerance_at(scale); t++) {
        for (int64_t i = 0; i < p->n_x; i++) p->at.x[i] *= 1 + move * (double)(i % p->dim + 1);
        for (int64_t i = 0; i < p->n_w; i++) p->at.w[i] *= 1 + move * (double)(i % 7);
        status = compare_differences(p, scale, found, err);
    }
    return status ? status : compare_engines(p, engine, dtype, scale, found, err);
}

static void keep_worst(lgt_gradcheck *all, const lgt_gradcheck *one) {
    double *to[] = {&all->dx,        &all->dw,        &all->db,        &all->hvp,
                    &all->engine_dx, &all->engine_dw, &all->engine_db, &all->engine_hvp};
    const double from[] = {one->dx,        one->dw,        one->db,        one->hvp,
                           one->engine_dx, one->engine_dw, one->engine_db, one->engine_hvp};
    for (size_t i = 0; i < sizeof from / sizeof *from; i++) *to[i] = fmax(*to[i], from[i]);
}

lgt_status lgt_gradcheck_run(lgt_context *context, const lgt_loss *loss, lgt_engine engine, lgt_dtype dtype,
                             int64_t n_problems, uint64_t seed, lgt_gradcheck *out, lgt_error *err) {
    double scale = scale_of(loss), usual = dtype == LGT_F64 ? f64_tolerance : f32_tolerance;
    lgt_gradcheck all = {.tolerance = tolerance_at(scale), .engine_tolerance = usual * fmax(1, scale / usual_scale)};
    all.engine_hvp_tolerance = hvp_share * all.engine_tolerance;
    if (n_problems < 1) return lgt_fail(err, LGT_ERR_USAGE, "a check of %lld problems", (long long)n_problems);
    if (lgt_loss_value(loss, "gradient") != 0)
        return lgt_fail(err, LGT_ERR_USAGE,
                        "%s is not set to gradient=exact: its gradients are not derivatives of its loss by intention",
                        loss->info->name);
    for (int64_t i = 0; i < n_problems; i++, all.n_problems++) {
        problem p;
        lgt_gradcheck one = {0};
        lgt_status status = lgt_random_problem_draw(context, loss, seed, (uint64_t)i, &p, err);
        if (!status) status = check_problem(&p, engine, dtype, scale, &one, err);
        lgt_head_free(p.head);
        if (status) return status;
        keep_worst(&all, &one);
    }
    all.passed = worst_difference(&all) <= all.tolerance && worst_engine(&all) <= all.engine_tolerance &&
                 all.engine_hvp <= all.engine_hvp_tolerance;
    *out = all;
    return lgt_succeed(err);
}
