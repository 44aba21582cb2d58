/* One row's loss and force weights. With d = log(sum of the crowd) - z_y everything follows without cancellation:
 *   lse - z_y = log(1 + e^d),  1 - p_y = 1 / (1 + e^-d). */
#include "engine/row.h"

#include <math.h>

lgt_crowd lgt_crowd_empty(void) {
    return (lgt_crowd){.sum = lgt_lse_empty(), .best = -INFINITY};
}

void lgt_crowd_merge(lgt_crowd *all, const lgt_crowd *part) {
    all->sum = lgt_lse_merge(all->sum, part->sum);
    if (part->speed != all->speed && part->sum.sum > 0)
        all->speed += exp(part->sum.max - all->sum.max) * part->sum.sum / all->sum.sum * (part->speed - all->speed);
    all->total += part->total;
    all->soft += part->soft;
    if (part->best > all->best) all->best = part->best, all->top = part->top;
}

/* A row with a class: p and rest = 1 - p of that class. The mean speed m = p z_speed + rest crowd.speed, so that
 * z_speed - m = rest (z_speed - crowd.speed) keeps its digits where p is near 1. */
static void finish_target(const lgt_problem *problem, const lgt_crowd *crowd, double z, double z_speed, double g,
                          lgt_row *row) {
    double e = problem->options.label_smoothing, zeta = problem->options.z_loss, n = (double)problem->n_classes;
    double d = lgt_lse_value(crowd->sum) - z, excess = lgt_softplus(d), p = lgt_sigmoid(-d), rest = lgt_sigmoid(d);
    row->loss = excess;
    row->lse = z + excess;
    if (e > 0) row->loss += e * (z - (z + crowd->total) / n);
    double lift = 2 * zeta * row->lse, mean = p * z_speed + rest * crowd->speed; /* d(zeta lse^2)/dz_j = lift p_j */
    row->target = g * (lift * p - rest + e * (n - 1) / n);
    row->target_speed = p * g * ((1 + lift) * rest * (z_speed - crowd->speed) + 2 * zeta * mean);
    row->speed_shift = g * (2 * zeta - (1 + lift)) * mean;
}

static void finish_soft(const lgt_problem *problem, const lgt_crowd *crowd, double g, lgt_row *row) {
    double e = problem->options.label_smoothing, zeta = problem->options.z_loss, n = (double)problem->n_classes;
    row->lse = lgt_lse_value(crowd->sum);
    row->loss = row->lse - (1 - e) * crowd->soft;
    if (e > 0) row->loss -= e * crowd->total / n;
    row->soft = -g * (1 - e);
    row->speed_shift = g * (2 * zeta - (1 + 2 * zeta * row->lse)) * crowd->speed;
}

lgt_row lgt_row_finish(const lgt_problem *problem, const lgt_crowd *crowd, int64_t target, double z, double z_speed,
                       double g) {
    double zeta = problem->options.z_loss;
    lgt_row row = {0};
    if (target == LGT_TARGET_IGNORED) {
        row.lse = lgt_lse_value(crowd->sum);
        return row;
    }
    if (target == LGT_TARGET_SOFT)
        finish_soft(problem, crowd, g, &row);
    else
        finish_target(problem, crowd, z, z_speed, g, &row);
    row.loss += zeta * row.lse * row.lse;
    row.crowd_scale = g * (1 + 2 * zeta * row.lse);
    row.crowd_shift = -g * problem->options.label_smoothing / (double)problem->n_classes;
    return row;
}
