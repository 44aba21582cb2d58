/* Reviews and proposes schedules of lambda and of margins for a training of a given length: when the margin comes, how
 * fast, and what force it leaves to features that start in random directions. */
#include <math.h>

#include "analysis/target_curve.h"
#include "base/error.h"
#include "base/text.h"
#include "logitude/analysis.h"
#include "math/sphere.h"

enum { MOST_SAMPLES = 1024 };

static const double dead_force = 0.1, many_dead_starts = 0.05;
/* m = 4 on CASIA-WebFace: geometric .99 down to 5 gains 1.4e-3 a step and diverges; .9997 gains 4.2e-5 and trains, as
 * does SphereFace's own power/1000/0.12/1/5 with 8e-5. */
static const double fastest_share = 5e-4;
static const double weak_excess = 1.5;
/* lambda falls towards 0 but never is: at 0.01 the margin has 99 %. */
static const double least_target = 0.01;

static int has_kind(const lgt_loss *loss, lgt_param_kind kind) {
    for (int i = 0; i < loss->info->n_params; i++)
        if (loss->info->params[i].kind == kind) return 1;
    return 0;
}

int lgt_schedule_is_lambda(const lgt_loss *loss) {
    return has_kind(loss, LGT_PARAM_SCHEDULE);
}

int lgt_schedule_is_factor(const lgt_loss *loss) {
    return has_kind(loss, LGT_PARAM_WARMUP);
}

static lgt_status check(const lgt_loss *loss, int64_t n_steps, int64_t least_steps, double target, lgt_error *err) {
    if (!lgt_schedule_is_lambda(loss) && !lgt_schedule_is_factor(loss))
        return lgt_fail(err, LGT_ERR_USAGE, "%s has neither a lambda nor a warm-up to plan", loss->info->name);
    if (n_steps < least_steps || n_steps > INT64_C(1) << 53)
        return lgt_fail(err, LGT_ERR_USAGE, "a training of %lld steps, expected from %lld to 2^53", (long long)n_steps,
                        (long long)least_steps);
    if (!(target >= 0 && target <= 1e9))
        return lgt_fail(err, LGT_ERR_USAGE, "the target lambda is %g, expected from 0 to 1e9", target);
    return LGT_OK;
}

/* The margin's share of the logit: 1 / (1 + lambda), or its factor. */
static double share_at(const lgt_loss *loss, int64_t step) {
    double value = lgt_schedule_at(&loss->schedule, step);
    return lgt_schedule_is_lambda(loss) ? 1 / (1 + value) : value;
}

/* --- Forces on random directions --- */

/* Means over theta ~ N(pi/2, 1/dim), by the trapezoid rule on six deviations either side with at most `spacing`
 * deviations between nodes; angles outside [0, pi], which exist in few dimensions only, are left out. */
typedef struct start {
    double force, dead; /* mean force over the plain head's; share of directions under a tenth of it */
    double logit;       /* at 90 degrees, over the logit's scale */
} start;

/* The part of a step between two nodes in which a line is negative. */
static double negative_part(double from, double to) {
    double below = fmax(0, -from) + fmax(0, -to), above = fmax(0, from) + fmax(0, to);
    return below > 0 ? below / (below + above) : 0;
}

static start start_at(const lgt_loss *loss, int64_t step, int64_t dim, double spacing) {
    lgt_target_curve curve = {0};
    double mean = 0, plain = 0, dead = 0, weights = 0, deviation = 1 / sqrt((double)dim), before = 0;
    if (lgt_target_curve_open(loss, step, lgt_lint_norm(loss), 1, &curve, NULL)) return (start){NAN, NAN, NAN};
    double reach = fmin(6, LGT_PI / 2 / deviation);
    int n = (int)ceil(reach / spacing);
    for (int i = -n; i <= n; i++) {
        double z = i * reach / n, theta = LGT_PI / 2 + z * deviation, weight = exp(-z * z / 2);
        double force = fabs(lgt_target_curve_at(&curve, theta).slope), unbent = curve.scale * sin(theta);
        double excess = force - dead_force * unbent, middle = (i - 0.5) * reach / n,
               between = exp(-middle * middle / 2);
        mean += weight * force;
        plain += weight * unbent;
        if (i > -n) dead += between * negative_part(before, excess), weights += between;
        before = excess;
    }
    return (start){mean / plain, dead / weights, lgt_target_curve_at(&curve, LGT_PI / 2).value / curve.scale};
}

/* Over every step of a short training, or the middles of equal parts of a long one. */
static double dead_share(const lgt_loss *loss, int64_t n_steps, int64_t dim) {
    int64_t n = n_steps < MOST_SAMPLES ? n_steps : MOST_SAMPLES;
    int moves = loss->schedule.kind != LGT_SCHEDULE_CONSTANT, dead = 0;
    if (!moves) return start_at(loss, 0, dim, 0.1).force < dead_force;
    for (int64_t i = 0; i < n; i++) {
        int64_t step = (int64_t)(((double)i + 0.5) / (double)n * (double)n_steps);
        dead += start_at(loss, step, dim, 0.1).force < dead_force;
    }
    return (double)dead / (double)n;
}

/* --- Pace --- */

static void look_at_step(const lgt_loss *loss, int64_t step, lgt_schedule_review *out) {
    double gained = share_at(loss, step + 1) - share_at(loss, step);
    if (!(gained > out->fastest)) return;
    out->fastest = gained;
    if (lgt_schedule_is_lambda(loss))
        out->fastest_factor = lgt_schedule_at(&loss->schedule, step + 1) / lgt_schedule_at(&loss->schedule, step);
}

/* Schedules move on the scale of the whole training or of its first steps: evenly spaced steps, and steps 1 % apart. */
static void find_fastest(const lgt_loss *loss, int64_t n_steps, lgt_schedule_review *out) {
    int64_t stride = n_steps / (4 * MOST_SAMPLES) + 1;
    out->fastest_factor = lgt_schedule_is_lambda(loss) ? 1 : NAN;
    for (int64_t step = 0; step < n_steps - 1; step += stride) look_at_step(loss, step, out);
    for (int64_t step = 0; step < n_steps - 1; step += step / 100 + 1) look_at_step(loss, step, out);
}

/* The first step at which the margin's share is `share`, by bisection: no schedule goes back. NaN: none. */
static double arrival(const lgt_loss *loss, int64_t n_steps, double share) {
    int64_t before = -1, at = n_steps - 1;
    double least = share * (1 - 1e-12); /* 1 / (1 + lambda) is rounded */
    if (share_at(loss, at) < least) return NAN;
    while (at - before > 1) {
        int64_t middle = before + (at - before) / 2;
        if (share_at(loss, middle) >= least)
            at = middle;
        else
            before = middle;
    }
    return (double)at / (double)n_steps;
}

/* Whether the schedule stops short of its own end. */
static int is_late(const lgt_schedule *s, double last) {
    if (s->kind == LGT_SCHEDULE_GEOMETRIC) return s->c > 0 && last > 1.01 * s->c;
    if (s->kind == LGT_SCHEDULE_POWER) return s->d > 0 && last > 1.01 * s->d;
    return s->kind != LGT_SCHEDULE_CONSTANT && last < 1;
}

lgt_status lgt_schedule_review_run(const lgt_loss *loss, int64_t n_steps, int64_t dim, double target,
                                   lgt_schedule_review *out, lgt_error *err) {
    lgt_status status = check(loss, n_steps, 1, target, err);
    if (!status && dim < 1) status = lgt_fail(err, LGT_ERR_USAGE, "%lld dimensions", (long long)dim);
    if (status) return status;
    int is_lambda = lgt_schedule_is_lambda(loss);
    double goal = fmax(target, least_target);
    start first = start_at(loss, 0, dim, 0.005), last = start_at(loss, n_steps - 1, dim, 0.005);
    *out = (lgt_schedule_review){.first = lgt_schedule_at(&loss->schedule, 0),
                                 .last = lgt_schedule_at(&loss->schedule, n_steps - 1),
                                 .arrives = arrival(loss, n_steps, is_lambda ? 1 / (1 + goal) : 1),
                                 .start_force = first.force,
                                 .end_force = last.force,
                                 .start_logit = first.logit,
                                 .dead_starts = first.dead,
                                 .dead_share = dead_share(loss, n_steps, dim)};
    find_fastest(loss, n_steps, out);
    if (out->dead_starts > many_dead_starts) out->warnings |= LGT_SCHEDULE_DEAD;
    if (is_lambda && out->fastest > fastest_share) out->warnings |= LGT_SCHEDULE_FAST;
    if (is_late(&loss->schedule, out->last)) out->warnings |= LGT_SCHEDULE_LATE;
    if (is_lambda && out->last > weak_excess * goal) out->warnings |= LGT_SCHEDULE_WEAK;
    return lgt_succeed(err);
}

/* --- Proposals --- */

/* Rounds value to the decimal place of the fourth digit of `digits`: short to type and to read. */
static double shorten(double value, double digits) {
    char text[64];
    int places = 3 - (int)floor(log10(digits));
    size_t length = lgt_text_format(text, sizeof text, "%.*f", places > 0 ? places : 0, value);
    double read = value;
    return lgt_text_double(text, length, &read) ? read : value;
}

static void propose_lambda(const lgt_loss *loss, int64_t n_steps, double target, lgt_loss out[2]) {
    double m = lgt_loss_value(loss, "m"), goal = fmax(target, least_target), steps = floor((double)n_steps / 2);
    double first = fmax(100 * (m * m - 1), goal), power = goal < 1 ? 4 : 1;
    double rate = log(first / goal) / steps, gamma = expm1(log(first / goal) / power) / steps;
    double scale = rate > 0 ? shorten(exp(-rate), -expm1(-rate)) : 1;
    out[0].schedule = (lgt_schedule){LGT_SCHEDULE_GEOMETRIC, first, scale, target, 0};
    out[1].schedule = (lgt_schedule){LGT_SCHEDULE_POWER, first, gamma > 0 ? shorten(gamma, gamma) : 0, power, target};
}

lgt_status lgt_schedule_propose(const lgt_loss *loss, int64_t n_steps, double target, lgt_loss out[2], int *count,
                                lgt_error *err) {
    lgt_status status = check(loss, n_steps, 8, target, err);
    if (status) return status;
    out[0] = out[1] = *loss;
    *count = 2;
    if (lgt_schedule_is_lambda(loss)) {
        propose_lambda(loss, n_steps, target, out);
        if (lgt_loss_value(loss, "m") <= 1) *count = 0;
    } else {
        double from = floor((double)n_steps / 8), to = floor((double)n_steps / 4);
        out[0].schedule = (lgt_schedule){LGT_SCHEDULE_LINEAR, from, to, 0, 0};
        out[1].schedule = (lgt_schedule){LGT_SCHEDULE_EXPONENTIAL, from, to, 0, 0};
    }
    return lgt_succeed(err);
}
