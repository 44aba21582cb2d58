/* A bound on the gradients of a step, before they are made. W is stepped row by row while its gradient is made, so what
 * could fail must be known first.
 *
 * A row's weights h_j = dL/dz_j sum to at most 2 in absolute value, times 1 + 2 zeta |lse| with a z-loss. A logit's
 * slope is at most P |x| and P |w| in a space of dot products, P / |w| and P / |x| of cosines, and products of these
 * elsewhere, with P the product of 1 + |v| over the loss's parameters v: each enters an equation of Eq. 6 as a factor,
 * or a sum of such. Behind the head dJ/dW_l = delta_l^T a_(l-1), whose entries Cauchy bounds by |delta_l| |a_(l-1)|,
 * and |delta_l| <= |delta_(l+1)| |W_(l+1)|, |a_l| <= |W_l| |a_(l-1)| + sqrt(N) |b_l| (Frobenius norms). The bound is
 * far from tight, and far from the range of float in every training that goes well. */
#include <math.h>

#include "kernel/kernels.h"
#include "train/trainer.h"

/* For rounding and the constants left out above. */
static const double slack = 64;

double lgt_trainer_square(const lgt_trainer *trainer, const float *values, int64_t count) {
    return lgt_kernels_f32_of(lgt_context_isa(trainer->context), LGT_PRECISION_FULL)->square_sum(values, count);
}

static double steepness(const lgt_loss *loss) {
    double product = 1;
    for (int i = 0; i < loss->info->n_params; i++) product *= 1 + fabs(loss->values[i]);
    return product;
}

/* Of the features; zero rows have no direction and no gradient. */
static void feature_norms(const lgt_trainer *t, int64_t n, double *least, double *largest) {
    int64_t dim = lgt_model_dim(&t->model);
    *least = INFINITY, *largest = 0;
    for (int64_t i = 0; i < n; i++) {
        double square = lgt_trainer_square(t, t->y + i * dim, dim);
        if (square > 0) *least = fmin(*least, square);
        *largest = fmax(*largest, isfinite(square) ? square : INFINITY);
    }
    *least = sqrt(*least), *largest = sqrt(*largest);
}

/* What the encoder multiplies the length of its deltas by, at most. */
static double amplification(const lgt_trainer *t) {
    double weights = sqrt(t->moved.value);
    return (t->data_norm + 1) * pow(1 + weights, lgt_encoder_n_layers(t->model.encoder));
}

int lgt_trainer_is_bounded_behind(const lgt_trainer *trainer, int64_t n) {
    const lgt_trainer *t = trainer;
    const lgt_view *hidden = t->alignment.dhidden;
    double length = sqrt(lgt_trainer_square(t, t->dy, n * lgt_model_dim(&t->model)));
    for (int l = 0; l < t->alignment.n_hidden && hidden; l++)
        length += sqrt(lgt_trainer_square(t, hidden[l].data, hidden[l].rows * hidden[l].cols));
    return slack * length * amplification(t) < LGT_GRADIENT_MOST; /* not so where anything is NaN */
}

int lgt_trainer_is_bounded(const lgt_trainer *trainer, int64_t n) {
    const lgt_trainer *t = trainer;
    double x_least, x_most, w_least, w_most, p = steepness(&t->model.loss), rows = sqrt((double)n);
    feature_norms(t, n, &x_least, &x_most);
    if (lgt_head_step_norms(&t->head_step, &w_least, &w_most, NULL))
        return 0; /* the next call of the ranks tells why */
    double lse = p * (1 + x_most) * (1 + w_most) + 64, force = slack * p * (1 + t->options.z_loss * lse) * t->heaviest;
    double dw = force * (1 + x_most) * (1 + 1 / w_least), dx = force * (1 + w_most) * (1 + 1 / x_least);
    double encoder = dx * rows * amplification(t);
    if (t->options.l2 > 0) dw += t->options.l2 * w_most;
    return fmax(dw, encoder) < LGT_GRADIENT_MOST; /* not so where anything is NaN */
}
