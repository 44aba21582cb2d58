/* Options of a training: defaults and bounds. */
#include "train/train_options.h"

#include <math.h>
#include <string.h>

#include "base/error.h"
#include "loss/definition.h"
#include "train/optimizer.h"

void lgt_train_options_init(lgt_train_options *options) {
    memset(options, 0, sizeof *options);
    options->struct_size = sizeof *options;
    options->encoder = "mlp:512,512";
    options->dim = 128;
    options->epochs = 10;
    options->batch = 128;
    options->optimizer = LGT_OPTIMIZER_ADAMW;
    options->lr = 1e-3;
    options->momentum = 0.9;
    options->beta1 = 0.9;
    options->beta2 = 0.999;
    options->eps = 1e-8;
    options->weight_decay = 1e-4;
    options->schedule = LGT_LR_COSINE;
    options->step_factor = 0.1;
    options->milestones[0] = 0.5;
    options->milestones[1] = 0.75;
    options->n_milestones = 2;
    options->standardize = LGT_STANDARDIZE_GLOBAL;
    options->bias = 1;
    options->sample_rate = 1;
    options->sample_correction = 1;
    options->tolerance = 1e-5;
    options->max_iterations = 1000;
}

/* The least that "greater than 0" and "less than 1" mean here. */
static const double tiny = 1e-30, below_one = 1 - 1e-7;

/* A number that must lie in [low, high]; a NaN lies nowhere. */
typedef struct bound {
    const char *name;
    double value, low, high;
} bound;

static lgt_status check_bounds(const bound *bounds, size_t n, lgt_error *err) {
    for (size_t i = 0; i < n; i++) {
        const bound *b = &bounds[i];
        if (!(b->value >= b->low && b->value <= b->high))
            return lgt_fail(err, LGT_ERR_USAGE, "%s is %g, expected %g to %s%g", b->name, b->value, b->low,
                            b->high == below_one ? "less than " : "", b->high);
    }
    return LGT_OK;
}

int lgt_is_solved(const lgt_train_options *options) {
    return options->optimizer == LGT_OPTIMIZER_LBFGS || options->optimizer == LGT_OPTIMIZER_NEWTON_CG;
}

static lgt_status check_solver(const lgt_train_options *o, lgt_error *err) {
    const char *name = o->optimizer == LGT_OPTIMIZER_LBFGS ? "lbfgs" : "newton-cg";
    if (!lgt_is_solved(o)) return LGT_OK;
    if (strcmp(o->encoder, "none") != 0)
        return lgt_fail(err, LGT_ERR_USAGE,
                        "optimizer %s trains a head alone, on fixed features: the encoder is %s, expected none", name,
                        o->encoder);
    if (o->comm && o->comm->size > 1)
        return lgt_fail(err, LGT_ERR_UNSUPPORTED, "optimizer %s trains on one rank, found %d", name, o->comm->size);
    if (o->align.n_terms > 0)
        return lgt_fail(err, LGT_ERR_USAGE, "optimizer %s takes no alignment: that depends on batches", name);
    if (lgt_loss_value(&o->loss, "gradient") > 0)
        return lgt_fail(err, LGT_ERR_USAGE,
                        "optimizer %s needs gradient=exact: the others are the gradient of no function", name);
    if (o->sample_rate < 1)
        return lgt_fail(err, LGT_ERR_USAGE, "optimizer %s meets all classes: sample_rate is %g, expected 1", name,
                        o->sample_rate);
    if (o->precision != LGT_PRECISION_FULL)
        return lgt_fail(err, LGT_ERR_USAGE,
                        "optimizer %s works in float32 and float64: low precision would certify no optimum", name);
    return LGT_OK;
}

lgt_status lgt_train_options_check(const lgt_train_options *o, lgt_error *err) {
    if (o->struct_size != sizeof *o)
        return lgt_fail(err, LGT_ERR_USAGE, "lgt_train_options has struct_size %zu, expected %zu: call its _init",
                        o->struct_size, sizeof *o);
    if (!o->loss.info) return lgt_fail(err, LGT_ERR_USAGE, "loss is not set");
    if (!lgt_loss_is_listed(&o->loss))
        return lgt_fail(err, LGT_ERR_UNSUPPORTED,
                        "%s is a loss of the caller's: a model file could not name it; run a plan of it instead",
                        o->loss.info->name);
    if (!o->encoder) return lgt_fail(err, LGT_ERR_USAGE, "encoder is not set");
    const bound bounds[] = {
        {"epochs", (double)o->epochs, 1, 1e9},
        {"batch", (double)o->batch, 1, 1e9},
        {"optimizer", o->optimizer, LGT_OPTIMIZER_SGD, LGT_OPTIMIZER_NEWTON_CG},
        {"lr", o->lr, tiny, LGT_RATE_MOST},
        {"momentum", o->momentum, 0, below_one},
        {"beta1", o->beta1, 0, below_one},
        {"beta2", o->beta2, 0, below_one},
        {"eps", o->eps, LGT_EPS_LEAST, LGT_RATE_MOST},
        {"weight_decay", o->weight_decay, 0, LGT_RATE_MOST},
        {"l2", o->l2, 0, LGT_RATE_MOST},
        {"schedule", o->schedule, LGT_LR_CONSTANT, LGT_LR_STEP},
        {"warmup", (double)o->warmup, 0, 1e18},
        {"step_factor", o->step_factor, tiny, 1},
        {"n_milestones", o->n_milestones, 0, LGT_MAX_MILESTONES},
        {"standardize", o->standardize, LGT_STANDARDIZE_NONE, LGT_STANDARDIZE_FEATURE},
        {"precision", o->precision, LGT_PRECISION_FULL, LGT_PRECISION_BF16},
        {"workspace", (double)o->workspace, 0, 1e18},
        {"sample_rate", o->sample_rate, tiny, 1},
        {"tolerance", o->tolerance, tiny, 1},
        {"max_iterations", (double)o->max_iterations, 0, 1e9},
        {"reduce", o->reduce, LGT_REDUCE_EXACT, LGT_REDUCE_FAST},
    };
    lgt_status status = check_bounds(bounds, sizeof bounds / sizeof *bounds, err);
    for (int i = 0; i < o->n_milestones && !status; i++) {
        const bound milestone = {"a milestone", o->milestones[i], 0, 1};
        status = check_bounds(&milestone, 1, err);
    }
    return status ? status : check_solver(o, err);
}
