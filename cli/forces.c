/* What a report shows of forces. */
#include "forces.h"

#include <math.h>
#include <stdlib.h>

#include "arrays.h"
#include "output.h"

/* Weights that explaining rows may read, and numbers that a Hessian product may: on one thread half a second for all
 * rows, and about a second for a few hundred products. */
static const double most_explained = 5e8, most_curved = 1e7;
/* Residuals of eigenvalues that a page draws with a few digits. */
static const double shown = 1e-6;
enum { LEAST_ROWS = 32, CURVED_ROWS = 500, TOP = 6, BOTTOM = 3, MOST_PRODUCTS = 300, N_LISTS = 9 };

/* In the order of `keys`. */
typedef struct explained {
    int64_t n_rows, *rows;
    double *lists[N_LISTS];
} explained;

enum { THETA, ALPHA, ATTRACTION, REPULSION, RADIAL_SHARE, GRADIENT, BOUND, TIGHT_BOUND, X_NORM };
static const char *const keys[N_LISTS] = {"theta",    "alpha", "attraction",  "repulsion", "radial_share",
                                          "gradient", "bound", "tight_bound", "x_norm"};

static void explained_free(explained *e) {
    for (int i = 0; i < N_LISTS; i++) free(e->lists[i]);
    free(e->rows);
}

/* The model's head over the probe's embeddings, the loss's state left as training left it. */
static lgt_head_inputs inputs_of(const cli_probe *probe, lgt_model *model) {
    return (lgt_head_inputs){.x = lgt_view_of(probe->z, probe->n_rows, probe->dim, LGT_F32),
                             .w = lgt_model_weights(model),
                             .b = lgt_model_bias(model),
                             .labels = probe->labels,
                             .step = lgt_model_step(model),
                             .frozen = 1};
}

static lgt_status explain(const cli_probe *probe, lgt_model *model, int bounds, explained *e, lgt_error *err) {
    lgt_head *head = NULL;
    lgt_explain_options options;
    lgt_head_inputs in = inputs_of(probe, model);
    double products = (double)in.w.rows * (double)in.w.cols;
    int64_t most = (int64_t)fmax(LEAST_ROWS, most_explained / products);
    e->n_rows = probe->n_rows < most ? probe->n_rows : most;
    e->rows = cli_alloc(e->n_rows, sizeof *e->rows);
    for (int64_t i = 0; i < e->n_rows; i++) e->rows[i] = i * probe->n_rows / e->n_rows;
    for (int i = 0; i < N_LISTS; i++) e->lists[i] = cli_alloc(e->n_rows, sizeof(double));
    lgt_explain_options_init(&options);
    options.rows = e->rows;
    options.n_rows = e->n_rows;
    lgt_explanation out = {.theta = e->lists[THETA],
                           .alpha = e->lists[ALPHA],
                           .attraction = e->lists[ATTRACTION],
                           .repulsion = e->lists[REPULSION],
                           .radial_share = e->lists[RADIAL_SHARE],
                           .gradient = e->lists[GRADIENT],
                           .bound = bounds ? e->lists[BOUND] : NULL,
                           .tight_bound = bounds ? e->lists[TIGHT_BOUND] : NULL,
                           .x_norm = e->lists[X_NORM]};
    lgt_status status =
        lgt_head_create(probe->context, lgt_model_loss(model), probe->dim, lgt_model_n_classes(model), &head, err);
    if (!status) status = lgt_explain_run(head, &options, &in, &out, err);
    lgt_head_free(head);
    return status;
}

lgt_status cli_force_means_measure(const cli_probe *probe, lgt_model *model, cli_force_means *out, lgt_error *err) {
    explained e = {0};
    lgt_status status = explain(probe, model, 0, &e, err);
    *out = (cli_force_means){NAN, NAN, NAN};
    if (!status)
        *out = (cli_force_means){cli_mean(e.n_rows, e.lists[ATTRACTION]), cli_mean(e.n_rows, e.lists[REPULSION]),
                                 cli_mean(e.n_rows, e.lists[RADIAL_SHARE])};
    explained_free(&e);
    return status;
}

json_t *cli_reals(int64_t n, const double *values) {
    json_t *list = json_array();
    for (int64_t i = 0; i < n; i++) cli_append(list, cli_number(values[i]));
    return list;
}

static lgt_status put_explain(const cli_probe *probe, lgt_model *model, json_t *out, lgt_error *err) {
    explained e = {0};
    lgt_status status = explain(probe, model, 1, &e, err);
    if (!status) {
        json_t *object = json_object();
        for (int i = 0; i < N_LISTS; i++) cli_put(object, keys[i], cli_reals(e.n_rows, e.lists[i]));
        cli_put(out, "explain", object);
    }
    explained_free(&e);
    return status;
}

/* Inputs in double: their arrays, in *arrays. */
static lgt_head_inputs widened(const lgt_head_inputs *in, double *arrays[3]) {
    lgt_head_inputs wide = *in;
    lgt_view *views[] = {&wide.x, &wide.w, &wide.b};
    for (int v = 0; v < 3; v++) {
        arrays[v] = cli_view_widen(*views[v]);
        *views[v] = lgt_view_of(arrays[v], views[v]->rows, views[v]->cols, LGT_F64);
    }
    return wide;
}

static lgt_status find_spectrum(const cli_probe *probe, lgt_model *model, const lgt_head_inputs *in, lgt_spectrum *out,
                                lgt_error *err) {
    lgt_head *head = NULL;
    lgt_plan *plan = NULL;
    lgt_plan_options options;
    lgt_spectrum_options search;
    lgt_plan_options_init(&options);
    lgt_spectrum_options_init(&search);
    options.dtype = LGT_F64;
    options.max_rows = in->x.rows;
    options.second_order = 1;
    search.top = TOP;
    search.bottom = BOTTOM;
    search.max_products = MOST_PRODUCTS;
    search.tolerance = shown;
    lgt_status status =
        lgt_head_create(probe->context, lgt_model_loss(model), probe->dim, lgt_model_n_classes(model), &head, err);
    if (!status) status = lgt_plan_create(head, &options, &plan, err);
    if (!status) status = lgt_plan_spectrum(probe->context, plan, in, LGT_BY_WEIGHTS, &search, out, err);
    lgt_plan_free(plan);
    lgt_head_free(head);
    return status;
}

static lgt_status put_curvature(const cli_probe *probe, lgt_model *model, json_t *out, lgt_error *err) {
    double values[TOP + BOTTOM], residuals[TOP + BOTTOM], *arrays[3];
    lgt_spectrum spectrum = {.values = values, .residuals = residuals};
    lgt_head_inputs in = inputs_of(probe, model);
    if (in.x.rows > CURVED_ROWS) in.x.rows = CURVED_ROWS;
    if (lgt_loss_value(lgt_model_loss(model), "gradient") != 0 || in.x.rows == 0 ||
        (double)in.x.rows * (double)in.w.rows * (double)in.w.cols > most_curved)
        return LGT_OK;
    lgt_head_inputs wide = widened(&in, arrays);
    lgt_status status = find_spectrum(probe, model, &wide, &spectrum, err);
    if (!status) {
        json_t *object = json_object();
        cli_put(object, "eigenvalues", cli_reals(spectrum.n_found, values));
        cli_put(object, "residuals", cli_reals(spectrum.n_found, residuals));
        cli_put_integer(object, "rows", in.x.rows);
        cli_put(object, "converged", json_boolean(spectrum.converged));
        cli_put(out, "curvature", object);
    }
    for (int v = 0; v < 3; v++) free(arrays[v]);
    return status;
}

static void put_conflict(const lgt_conflict *c, json_t *out) {
    if (c->n_rows == 0) return;
    json_t *object = json_object(), *histogram = json_array(), *conditions = json_object();
    for (int i = 0; i < LGT_CONFLICT_BINS; i++) cli_append(histogram, json_integer(c->histogram[i]));
    cli_put_integer(object, "rows", c->n_rows);
    cli_put_integer(object, "neighbours", c->n_neighbours);
    cli_put_integer(object, "compared", c->n_compared);
    cli_put(object, "cosines_histogram", histogram);
    cli_put_real(object, "rate", cli_share(c->n_conflicts, c->n_compared));
    cli_put_real(conditions, "in_harmony", cli_share(c->n_compared - c->n_conflicts, c->n_compared));
    cli_put_real(conditions, "every_angle_within_90_degrees", cli_share(c->n_sufficient, c->n_compared));
    cli_put_real(conditions, "smallest_angle_within_90_degrees", cli_share(c->n_printed, c->n_compared));
    cli_put_real(conditions, "smallest_within_90_and_in_conflict", cli_share(c->n_printed_wrong, c->n_compared));
    cli_put(object, "conditions", conditions);
    cli_put(out, "conflict", object);
}

lgt_status cli_put_forces(const cli_probe *probe, lgt_model *model, const lgt_conflict *conflict, json_t *out,
                          lgt_error *err) {
    lgt_status status = put_explain(probe, model, out, err);
    if (!status) status = put_curvature(probe, model, out, err);
    put_conflict(conflict, out);
    return status;
}
