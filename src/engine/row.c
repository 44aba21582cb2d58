/* One row's loss and force weights. With d = log(sum of the crowd) - z_y everything follows without cancellation:
 *   lse - z_y = log(1 + e^d),  1 - p_y = 1 / (1 + e^-d). */
#include "engine/row.h"

lgt_row lgt_row_finish(const lgt_problem *problem, lgt_lse crowd, double crowd_total, double z, double g) {
    double e = problem->options.label_smoothing, zeta = problem->options.z_loss, n = (double)problem->n_classes;
    double d = lgt_lse_value(crowd) - z, excess = lgt_softplus(d), p = lgt_sigmoid(-d), rest = lgt_sigmoid(d);
    lgt_row row = {.loss = excess, .lse = z + excess};
    if (e > 0) row.loss += e * (z - (z + crowd_total) / n);
    row.loss += zeta * row.lse * row.lse;
    double lift = 2 * zeta * row.lse; /* d(zeta lse^2)/dz_j = lift p_j */
    row.crowd_scale = g * (1 + lift);
    row.crowd_shift = -g * e / n;
    row.target = g * (lift * p - rest + e * (n - 1) / n);
    return row;
}

lgt_row lgt_row_ignored(lgt_lse crowd) {
    return (lgt_row){.lse = lgt_lse_value(crowd)};
}
