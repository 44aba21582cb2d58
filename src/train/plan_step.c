/* A run of a plan whose rows of dw become steps of w at once: the head's part of a step for trainings of the caller's.
 */
#include <math.h>
#include <stdatomic.h>

#include "base/error.h"
#include "head/plan.h"
#include "train/optimizer.h"

typedef struct row_stepper {
    lgt_update_kernel kernel;
    lgt_update update;
    lgt_param_group weights;
    int64_t dim;
    _Atomic int outside; /* whether a gradient was out of range */
} row_stepper;

static void take(void *user, int64_t row, const void *gradient) {
    row_stepper *s = user;
    const lgt_param_group *w = &s->weights;
    int64_t at = row * s->dim;
    if (lgt_some_in_range(gradient, s->dim)) /* nobody asks for the sums of squares that lgt_update_some makes */
        s->kernel(&s->update, 1, s->dim, w->value + at, gradient, w->momentum + at, w->square ? w->square + at : NULL,
                  NULL);
    else
        atomic_store_explicit(&s->outside, 1, memory_order_relaxed);
}

static lgt_status check_step(const lgt_plan *plan, const lgt_head_inputs *in, const lgt_row_step *step,
                             const lgt_head_outputs *out, lgt_error *err) {
    int adamw = step->optimizer == LGT_OPTIMIZER_ADAMW;
    if (!adamw && step->optimizer != LGT_OPTIMIZER_SGD)
        return lgt_fail(err, LGT_ERR_USAGE, "the optimizer has the number %d, expected SGD or ADAMW",
                        (int)step->optimizer);
    if (plan->problem.options.dtype != LGT_F32)
        return lgt_fail(err, LGT_ERR_USAGE, "the plan is %s, but steps are taken in f32",
                        lgt_dtype_name(plan->problem.options.dtype));
    if (out->dw.data || out->sink.take)
        return lgt_fail(err, LGT_ERR_USAGE, "dw or a sink is given, but the rows of dw go into steps");
    if (!(step->lr >= 0 && step->lr <= LGT_RATE_MOST && step->weight_decay >= 0 && step->weight_decay <= LGT_RATE_MOST))
        return lgt_fail(err, LGT_ERR_USAGE, "lr is %g and weight_decay %g, expected 0 to %g", step->lr,
                        step->weight_decay, LGT_RATE_MOST);
    if (!adamw && !(step->momentum >= 0 && step->momentum < 1))
        return lgt_fail(err, LGT_ERR_USAGE, "momentum is %g, expected 0 or more and less than 1", step->momentum);
    if (adamw && !(step->beta1 >= 0 && step->beta1 < 1 && step->beta2 >= 0 && step->beta2 < 1))
        return lgt_fail(err, LGT_ERR_USAGE, "beta1 and beta2 are %g and %g, expected 0 or more and less than 1",
                        step->beta1, step->beta2);
    if (adamw && !(step->eps >= LGT_EPS_LEAST && step->eps <= LGT_RATE_MOST))
        return lgt_fail(err, LGT_ERR_USAGE, "eps is %g, expected %g to %g", step->eps, LGT_EPS_LEAST, LGT_RATE_MOST);
    if (step->number < 1)
        return lgt_fail(err, LGT_ERR_USAGE, "the step has the number %lld, expected 1 or more",
                        (long long)step->number);
    if (!step->first || (adamw && !step->second))
        return lgt_fail(err, LGT_ERR_USAGE, "the optimizer's memory is NULL, expected room for as many numbers as w");
    if ((const void *)step->w != in->w.data || in->w.ld != in->w.cols)
        return lgt_fail(err, LGT_ERR_USAGE, "the w to step is not the contiguous w that the run reads");
    return LGT_OK;
}

lgt_status lgt_plan_step(lgt_plan *plan, const lgt_head_inputs *in, const lgt_row_step *step, lgt_head_outputs *out,
                         lgt_error *err) {
    lgt_train_options o = {.optimizer = step->optimizer, .weight_decay = step->weight_decay};
    o.momentum = step->momentum, o.beta1 = step->beta1, o.beta2 = step->beta2, o.eps = step->eps;
    lgt_status status = check_step(plan, in, step, out, err);
    if (status) return status;
    row_stepper stepper = {.kernel = lgt_update_kernel_of(plan->head->context, step->optimizer), .dim = in->w.cols};
    stepper.update = lgt_update_at(&o, step->lr, 0, step->number);
    stepper.weights = (lgt_param_group){step->w, NULL, step->first, step->second, in->w.rows * in->w.cols};
    out->sink = (lgt_row_sink){take, &stepper};
    status = lgt_plan_run(plan, in, out, err);
    out->sink = (lgt_row_sink){0};
    if (!status && stepper.outside)
        status =
            lgt_fail(err, LGT_ERR_NONFINITE, "entries of dw are beyond 2^63: the rows that have them took no step");
    return status;
}
