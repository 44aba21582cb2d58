/* Finds the defects of a target logit over theta in [0, pi] by its values and derivatives alone, so that it serves
 * every loss: where the derivative does not explain the change over a cell, bisection leads to the jump; between the
 * jumps of logit and force the curve falls into smooth pieces, which are searched for rising and dead intervals. */
#include <math.h>

#include "analysis/target_curve.h"
#include "base/error.h"
#include "logitude/analysis.h"
#include "math/sphere.h"

enum { CELLS = 16384, MOST_PIECES = 2 * LGT_LINT_MOST + 1 };

/* In units of the scale. Rounding of cos(m theta) with m = 64 comes to 1e-12 in the logit, 6e-11 in the slope. */
static const double least_jump = 1e-9, least_kink = 1e-6, least_rise = 1e-9;
static const double dead = 0.01; /* of the plain force */
/* A force that fades linearly towards a kink is at half the limit in the middle of its zone; one that is dead on an
 * interval is at nothing there. */
static const double flat = 0.001;

/* Between two neighbouring doubles the logit or the force jumps. */
typedef struct gap {
    double before, after;
} gap;

typedef struct search {
    lgt_target_curve curve;
    gap gaps[LGT_LINT_MOST];
    int n_gaps;
    lgt_lint *out;
} search;

static double grid(int i) {
    return i == CELLS ? LGT_PI : LGT_PI * i / CELLS;
}

/* --- Jumps of the logit and of the force --- */

/* The function whose jumps are sought, and its derivative. */
typedef struct sample {
    double theta, f, df;
} sample;

static sample sample_logit(const search *s, double theta) {
    lgt_target_point p = lgt_target_curve_at(&s->curve, theta);
    return (sample){theta, p.value, p.slope};
}

static sample sample_slope(const search *s, double theta) {
    lgt_target_point p = lgt_target_curve_at(&s->curve, theta);
    return (sample){theta, p.slope, p.curvature};
}

typedef sample (*sampler)(const search *s, double theta);

static void keep_gap(search *s, double before, double after) {
    int at = s->n_gaps;
    for (int i = 0; i < s->n_gaps; i++)
        if (s->gaps[i].before == before) return; /* logit and force jump together */
    if (at == LGT_LINT_MOST) return;
    for (; at > 0 && s->gaps[at - 1].before > before; at--) s->gaps[at] = s->gaps[at - 1];
    s->gaps[at] = (gap){before, after};
    s->n_gaps++;
}

/* A jump is what the trapezoid rule leaves unexplained however short the cell; kinks and curvature fade with it. */
static void bisect(search *s, sampler at, double least, sample a, sample b) {
    double middle = a.theta + (b.theta - a.theta) / 2;
    if (fabs(b.f - a.f - (b.theta - a.theta) * (a.df + b.df) / 2) <= least / 4) return;
    if (middle <= a.theta || middle >= b.theta) {
        if (fabs(b.f - a.f) >= least) keep_gap(s, a.theta, b.theta);
        return;
    }
    sample m = at(s, middle);
    bisect(s, at, least, a, m);
    bisect(s, at, least, m, b);
}

static void find_gaps(search *s, sampler at, double least) {
    sample last = at(s, 0);
    for (int i = 1; i <= CELLS; i++) {
        sample now = at(s, grid(i));
        bisect(s, at, least, last, now);
        last = now;
    }
}

static void describe_gaps(search *s) {
    lgt_lint *out = s->out;
    for (int i = 0; i < s->n_gaps; i++) {
        lgt_target_point a = lgt_target_curve_at(&s->curve, s->gaps[i].before),
                         b = lgt_target_curve_at(&s->curve, s->gaps[i].after);
        if (fabs(b.value - a.value) >= least_jump * s->curve.scale)
            out->jumps[out->n_jumps++] = (lgt_lint_jump){s->gaps[i].before, b.value - a.value};
        if (fabs(b.slope - a.slope) >= least_kink * s->curve.scale)
            out->kinks[out->n_kinks++] = (lgt_lint_kink){s->gaps[i].before, 0 - a.slope, 0 - b.slope};
    }
}

/* --- Intervals of the smooth pieces --- */

typedef int (*predicate)(const search *s, double theta);

static double slope(const search *s, double theta) {
    return lgt_target_curve_at(&s->curve, theta).slope;
}

static int is_rising(const search *s, double theta) {
    return slope(s, theta) > least_rise * s->curve.scale;
}

static int is_dead(const search *s, double theta) {
    return lgt_target_force_ratio(&s->curve, theta) < dead;
}

/* Where the predicate changes between inside, where it holds, and outside, where it does not. */
static double boundary(const search *s, predicate holds, double inside, double outside) {
    for (;;) {
        double middle = inside + (outside - inside) / 2;
        if (middle == inside || middle == outside) return inside;
        if (holds(s, middle))
            inside = middle;
        else
            outside = middle;
    }
}

/* Golden section for the largest value of sign * f on [low, high]; the first of equal ones. */
static double extreme(const search *s, double (*f)(const search *, double), double sign, double low, double high) {
    static const double golden = 0.6180339887498949;
    while (high - low > 1e-12) {
        double x = high - golden * (high - low), y = low + golden * (high - low);
        if (sign * f(s, x) >= sign * f(s, y))
            high = y;
        else
            low = x;
    }
    return low + (high - low) / 2;
}

/* One walk over a piece: where it is, whether the predicate holds there, and since where. */
typedef struct walk {
    predicate holds;
    void (*keep)(search *s, double from, double to);
    double last, from;
    int held;
} walk;

static void walk_to(search *s, walk *w, double now) {
    int holding = w->holds(s, now);
    if (holding && !w->held) w->from = boundary(s, w->holds, now, w->last);
    if (!holding && w->held) w->keep(s, w->from, boundary(s, w->holds, w->last, now));
    w->held = holding;
    w->last = now;
}

/* Whether the slope comes nearest to 0, or goes beyond, between the two: such a place may be narrower than a cell. */
static int has_crest(const search *s, double low, double high) {
    return lgt_target_curve_at(&s->curve, low).curvature > 0 && lgt_target_curve_at(&s->curve, high).curvature < 0;
}

/* Calls keep for every interval of [low, high] on which the predicate holds. */
static void find_intervals(search *s, predicate holds, double low, double high,
                           void (*keep)(search *s, double from, double to)) {
    walk w = {holds, keep, low, low, holds(s, low)};
    int i = (int)(low / LGT_PI * CELLS);
    while (w.last < high) {
        while (i <= CELLS && grid(i) <= w.last) i++;
        double now = i <= CELLS ? fmin(high, grid(i)) : high;
        if (has_crest(s, w.last, now)) walk_to(s, &w, extreme(s, slope, 1, w.last, now));
        walk_to(s, &w, now);
    }
    if (w.held) keep(s, w.from, high);
}

static void keep_rise(search *s, double from, double to) {
    lgt_lint *out = s->out;
    double rise = lgt_target_curve_at(&s->curve, to).value - lgt_target_curve_at(&s->curve, from).value;
    if (out->n_rises < LGT_LINT_MOST && to > from) out->rises[out->n_rises++] = (lgt_lint_rise){from, to, rise};
}

/* The dead interval before this one, if it ends at the gap where this one begins, goes on. */
static void keep_dead(search *s, double from, double to) {
    lgt_lint *out = s->out;
    lgt_lint_dead *last = out->n_dead ? &out->dead[out->n_dead - 1] : NULL;
    for (int i = 0; last && i < s->n_gaps; i++) {
        if (s->gaps[i].after == from && s->gaps[i].before == last->to) {
            last->to = to;
            return;
        }
    }
    if (out->n_dead < LGT_LINT_MOST) out->dead[out->n_dead++] = (lgt_lint_dead){.from = from, .to = to};
}

/* Whether a dead interval ends at a gap, and is alive but for the approach to it. */
static int only_fades(const search *s, const lgt_lint_dead *d) {
    int ends = 0;
    for (int i = 0; i < s->n_gaps; i++) ends |= s->gaps[i].before == d->to || s->gaps[i].after == d->from;
    return ends && lgt_target_force_ratio(&s->curve, d->from + (d->to - d->from) / 2) > flat;
}

static double force_ratio(const search *s, double theta) {
    return lgt_target_force_ratio(&s->curve, theta);
}

static double force_size(const search *s, double theta) {
    return fabs(slope(s, theta));
}

static void finish_dead(search *s) {
    int kept = 0;
    for (int i = 0; i < s->out->n_dead; i++) {
        lgt_lint_dead d = s->out->dead[i];
        if (only_fades(s, &d)) continue;
        d.at = extreme(s, force_ratio, -1, d.from, d.to);
        d.force = force_ratio(s, d.at);
        s->out->dead[kept++] = d;
    }
    s->out->n_dead = kept;
}

/* --- The whole --- */

static void find_largest_force(search *s, double low, double high) {
    double best = low, cell = LGT_PI / CELLS;
    for (int i = (int)(low / cell); i <= CELLS && grid(i) < high + cell; i++) {
        double theta = fmax(low, fmin(high, grid(i)));
        if (force_size(s, theta) > force_size(s, best)) best = theta;
    }
    double theta = extreme(s, force_size, 1, fmax(low, best - cell), fmin(high, best + cell));
    if (force_size(s, best) >= force_size(s, theta)) theta = best;
    if (force_size(s, theta) > fabs(s->out->largest_force)) {
        s->out->largest_force = 0 - slope(s, theta);
        s->out->largest_theta = theta;
    }
}

static void search_pieces(search *s) {
    for (int i = 0; i <= s->n_gaps; i++) {
        double low = i ? s->gaps[i - 1].after : 0, high = i < s->n_gaps ? s->gaps[i].before : LGT_PI;
        find_intervals(s, is_rising, low, high, keep_rise);
        find_intervals(s, is_dead, low, high, keep_dead);
        find_largest_force(s, low, high);
    }
    finish_dead(s);
}

/* The jump s a (linear + square a - 1) of a class at the threshold a. */
static void find_crowd_jumps(search *s) {
    lgt_lint_crowd_jump down = {0}, up = {0};
    for (int i = 0; i <= CELLS; i++) {
        double theta = grid(i);
        lgt_pair pair = {cos(theta), sin(theta), theta, s->curve.r, s->curve.q, s->curve.r};
        lgt_crowd_bend bend;
        lgt_loss_crowd(s->curve.loss, &pair, s->curve.step, &bend);
        double a = bend.above, size = s->curve.scale * a * (bend.linear + bend.square * a - 1);
        if (fabs(a) > 1) continue;
        if (size < down.size) down = (lgt_lint_crowd_jump){theta, a, size};
        if (size > up.size) up = (lgt_lint_crowd_jump){theta, a, size};
    }
    lgt_lint *out = s->out;
    if (-down.size >= least_jump * s->curve.scale) out->crowd_jumps[out->n_crowd_jumps++] = down;
    if (up.size >= least_jump * s->curve.scale) out->crowd_jumps[out->n_crowd_jumps++] = up;
}

lgt_status lgt_lint_run(const lgt_loss *loss, int64_t step, double r, double q, lgt_lint *out, lgt_error *err) {
    search s = {.out = out};
    lgt_status status = lgt_target_curve_open(loss, step, r, q, &s.curve, err);
    if (status) return status;
    *out = (lgt_lint){.scale = s.curve.scale};
    find_gaps(&s, sample_logit, least_jump * s.curve.scale);
    find_gaps(&s, sample_slope, least_kink * s.curve.scale);
    describe_gaps(&s);
    search_pieces(&s);
    if (lgt_loss_bends_crowd(loss)) find_crowd_jumps(&s);
    out->n_defects = out->n_jumps + out->n_rises + out->n_dead;
    return lgt_succeed(err);
}
