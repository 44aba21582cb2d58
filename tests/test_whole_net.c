/* The gradient that a training step takes, through head and encoder, against central differences of the loss of a net
 * in plain loops under the reference head, all in double. */
#include "support.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "plain_net.h"
#include "train/trainer.h"
#include "train_data.h"

/* The loss of one batch as a function of all parameters, in double. */
typedef struct objective {
    plain_net net;
    lgt_plan *plan;
    int64_t n_rows, in, dim, n_classes;
    double l2;
    double *x, *y, *params[LGT_N_GROUPS];
    const int64_t *labels;
    int bias;
} objective;

static double value_of(const objective *o) {
    lgt_head_outputs out = {0};
    lgt_error err;
    double squares = 0;
    for (int64_t i = 0; i < o->n_rows; i++)
        plain_net_row(&o->net, o->params[LGT_GROUP_ENCODER], o->x + i * o->in, o->y + i * o->dim);
    lgt_head_inputs in = {.x = lgt_view_of(o->y, o->n_rows, o->dim, LGT_F64), .labels = o->labels};
    in.w = lgt_view_of(o->params[LGT_GROUP_WEIGHT], o->n_classes, o->dim, LGT_F64);
    in.b = lgt_view_of(o->bias ? o->params[LGT_GROUP_BIAS] : NULL, 1, o->n_classes, LGT_F64);
    assert_ok(lgt_plan_run(o->plan, &in, &out, &err), err);
    for (int64_t i = 0; i < o->n_classes * o->dim; i++) squares += pow(o->params[LGT_GROUP_WEIGHT][i], 2);
    return out.loss + o->l2 / 2 * squares;
}

static double *widened(const float *values, int64_t count) {
    double *wide = malloc((size_t)(count + 1) * sizeof *wide);
    assert_non_null(wide);
    for (int64_t i = 0; i < count; i++) wide[i] = values[i];
    return wide;
}

/* Everything the next step will see, except its batch. */
static objective objective_of(lgt_trainer *t) {
    objective o = {.net = plain_net_of(t->model.encoder), .l2 = t->options.l2, .bias = t->model.b != NULL};
    lgt_plan_options plan = lgt_trainer_plan_options(t, t->batch);
    lgt_error err;
    plan.engine = LGT_ENGINE_REFERENCE;
    plan.dtype = LGT_F64;
    plan.loss_only = 1;
    assert_ok(lgt_plan_create(t->head, &plan, &o.plan, &err), err);
    o.n_rows = t->batch;
    o.in = lgt_model_in_dim(&t->model);
    o.dim = lgt_model_dim(&t->model);
    o.n_classes = t->model.n_classes;
    for (int g = 0; g < LGT_N_GROUPS; g++) o.params[g] = widened(t->groups[g].value, t->groups[g].count);
    o.y = malloc((size_t)(o.n_rows * o.dim) * sizeof *o.y);
    return o;
}

static void free_objective(objective *o) {
    for (int g = 0; g < LGT_N_GROUPS; g++) free(o->params[g]);
    free(o->x);
    free(o->y);
    lgt_plan_free(o->plan);
}

/* Central differences of some 60 parameters of a group against the step's gradient, relative to the largest. */
static double error_of_group(const objective *o, const lgt_param_group *group, double *params) {
    double found[64], expected[64], step = 1e-5; /* truncation 1e-10, rounding 1e-11 of a loss of about 1 */
    int64_t n = group->count < 64 ? group->count : 64;
    for (int64_t i = 0; i < n; i++) {
        int64_t at = i * group->count / n;
        double saved = params[at];
        params[at] = saved + step;
        double up = value_of(o);
        params[at] = saved - step;
        double down = value_of(o);
        params[at] = saved;
        expected[i] = (up - down) / (2 * step);
        found[i] = group->momentum[at];
    }
    return test_relative_error(found, expected, n);
}

static void gradients_of_a_step_equal_central_differences(void **state) {
    static const struct {
        const char *loss, *encoder;
        double smoothing, z_loss, l2;
    } cases[] = {
        {"softmax", "none", 0, 0, 0},
        {"softmax", "mlp:12,10", 0, 0, 0},
        {"softmax", "linear", 0.1, 0.01, 0.1},
        {"arcface:s=8,m=0.3", "mlp:12", 0, 0, 0},
        {"normalized", "mlp:9", 0.1, 0, 0.1},
        {"cosface:s=8,m=0.2", "linear", 0, 0.01, 0},
        {"lsoftmax:m=2,lambda=1", "mlp:12", 0, 0, 0},
    };
    lgt_context *context = test_context(2);
    lgt_dataset d = test_clusters(100, 7, 5, 1, 3);
    (void)state;
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        lgt_train_options options = test_train_options(cases[c].loss, cases[c].encoder, 6);
        lgt_train_record record;
        lgt_error err;
        options.batch = 100;
        options.optimizer = LGT_OPTIMIZER_SGD; /* whose buffers are then the gradients */
        options.momentum = options.weight_decay = 0;
        options.label_smoothing = cases[c].smoothing;
        options.z_loss = cases[c].z_loss;
        options.l2 = cases[c].l2;
        lgt_trainer *t = test_trainer(context, &options, &d);
        for (int64_t i = 0; t->model.b && i < 5; i++) t->model.b[i] = 0.1f * (float)i;
        objective o = objective_of(t);
        assert_ok(lgt_trainer_step(t, &record, &err), err);
        o.x = widened(t->x[0], o.n_rows * o.in);
        o.labels = t->labels;
        double loss = value_of(&o), l2_term = 0;
        for (int64_t i = 0; i < o.n_classes * o.dim; i++) l2_term += o.l2 / 2 * pow(o.params[LGT_GROUP_WEIGHT][i], 2);
        /* float32 through at most four layers of at most 12 terms: some ten roundings of 6e-8, times s = 8 */
        assert_at_most(fabs(record.loss + l2_term - loss), 5e-6 * loss, "error of the loss");
        for (int g = 0; g < LGT_N_GROUPS; g++)
            assert_at_most(error_of_group(&o, &t->groups[g], o.params[g]), 1e-5, cases[c].loss);
        free_objective(&o);
        lgt_trainer_free(t);
    }
    test_clusters_free(&d);
    lgt_context_free(context);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gradients_of_a_step_equal_central_differences),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
