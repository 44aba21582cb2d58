/* Reads a head problem from files, and tells what does not fit. */
#include "head_arrays.h"

#include <math.h>

#include "output.h"
#include "session.h"

lgt_status cli_head_loss_open(const cli_args *args, lgt_loss *out, lgt_error *err) {
    lgt_status status = cli_loss_open(args, out, err);
    if (!status && cli_text(args, "bias") && !out->info->has_bias)
        status = cli_fail(err, LGT_ERR_USAGE, "--bias is %s, expected none: %s has no bias", cli_text(args, "bias"),
                          out->info->name);
    return status;
}

/* The sizes that features and weights agree on. */
static lgt_status measure(const char *x, const char *w, cli_head_arrays *a, lgt_error *err) {
    int64_t centres = lgt_loss_centres(&a->loss);
    a->n_rows = a->x.shape[0], a->dim = a->x.shape[1], a->rows_w = a->w.shape[0];
    a->n_classes = a->rows_w / centres;
    if (a->dim < 1) return cli_fail(err, LGT_ERR_DATA, "%s: no columns, expected at least one", x);
    if (a->rows_w % centres != 0)
        return cli_fail(err, LGT_ERR_DATA, "%s: %lld rows, expected a multiple of the %lld centres a class", w,
                        (long long)a->rows_w, (long long)centres);
    if (a->n_classes < 1) return cli_fail(err, LGT_ERR_DATA, "%s: no rows, expected at least one class", w);
    return cli_array_check_length(w, &a->w, 1, a->dim, "columns as in the features", err);
}

lgt_status cli_labels_read(const cli_args *args, cli_head_arrays *a, const char *why, lgt_error *err) {
    const char *path = cli_text(args, "labels");
    lgt_status status = cli_array_read(a->context, path, LGT_I64, 1, "(rows)", &a->y, err);
    if (!status) status = cli_array_check_length(path, &a->y, 0, a->n_rows, why, err);
    const int64_t *labels = a->y.data;
    for (int64_t i = 0; path && !status && i < a->n_rows; i++)
        if ((labels[i] < 0 || labels[i] >= a->n_classes) && labels[i] != a->ignore_label)
            status = cli_fail(err, LGT_ERR_DATA, "%s: row %lld: found label %lld, expected 0 to %lld", path,
                              (long long)i, (long long)labels[i], (long long)a->n_classes - 1);
    return status;
}

lgt_status cli_head_arrays_read(const cli_args *args, cli_head_arrays *a, lgt_error *err) {
    const char *x = cli_text(args, "features"), *w = cli_text(args, "weights");
    lgt_status status = cli_array_read(a->context, x, a->dtype, 2, "(rows, dimensions)", &a->x, err);
    if (!status) status = cli_array_read(a->context, w, a->dtype, 2, "(classes, dimensions)", &a->w, err);
    if (!status) status = measure(x, w, a, err);
    if (!status) status = cli_array_check_values(x, &a->x, -INFINITY, err);
    if (!status) status = cli_array_check_values(w, &a->w, -INFINITY, err);
    if (!status) status = cli_labels_read(args, a, "labels, one for every row of the features", err);
    const cli_array_option bias = {"bias", &a->b, a->dtype, a->n_classes, 0, CLI_BY_CLASS, -INFINITY};
    return status ? status : cli_array_options_read(args, a->context, &bias, 1, err);
}

lgt_status cli_head_rules_read(const cli_args *args, cli_head_arrays *a, lgt_error *err) {
    const cli_array_option all[] = {
        {"soft-targets", &a->soft, a->dtype, a->n_rows, a->n_classes, "rows, as the features have", 0},
        {"class-margins", &a->class_margins, LGT_F64, a->n_classes, 0, CLI_BY_CLASS, -INFINITY},
        {"class-scales", &a->class_scales, LGT_F64, a->n_classes, 0, CLI_BY_CLASS, -INFINITY},
        {"qualities", &a->qualities, LGT_F64, a->n_rows, 0, CLI_BY_ROW, -INFINITY}};
    return cli_array_options_read(args, a->context, all, sizeof all / sizeof *all, err);
}

void cli_head_arrays_free(cli_head_arrays *a) {
    lgt_array *arrays[] = {&a->qualities, &a->class_scales, &a->class_margins, &a->soft, &a->b, &a->y, &a->w, &a->x};
    for (size_t i = 0; i < sizeof arrays / sizeof *arrays; i++) lgt_array_free(a->context, arrays[i]);
}

lgt_head_inputs cli_head_inputs(const cli_head_arrays *a) {
    return (lgt_head_inputs){.x = lgt_view_of(a->x.data, a->n_rows, a->dim, a->dtype),
                             .w = lgt_view_of(a->w.data, a->rows_w, a->dim, a->dtype),
                             .b = lgt_view_of(a->b.data, 1, a->n_classes, a->dtype),
                             .labels = a->y.data,
                             .soft_targets = lgt_view_of(a->soft.data, a->n_rows, a->n_classes, a->dtype),
                             .class_margins = a->class_margins.data,
                             .class_scales = a->class_scales.data,
                             .qualities = a->qualities.data};
}
