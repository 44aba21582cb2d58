/* Arrays that verbs take and leave as files: read, converted, and checked with messages that name file, shape and
 * place. */
#include "arrays.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "outfile.h"

static void format_shape(const lgt_array *array, char *out, size_t size) {
    size_t used = (size_t)snprintf(out, size, "(");
    for (int i = 0; i < array->n_dims && used < size; i++)
        used += (size_t)snprintf(out + used, size - used, "%s%lld", i ? ", " : "", (long long)array->shape[i]);
    if (used < size) snprintf(out + used, size - used, array->n_dims == 1 ? ",)" : ")");
}

lgt_status cli_array_read(lgt_context *context, const char *path, lgt_dtype dtype, int n_dims, const char *what,
                          lgt_array *out, lgt_error *err) {
    char shape[128];
    if (!path) return LGT_OK;
    lgt_status status = cli_read(lgt_array_read(context, path, out, err), err);
    if (status) return status;
    format_shape(out, shape, sizeof shape);
    if (out->n_dims != n_dims) return cli_fail(err, LGT_ERR_DATA, "%s: shape %s, expected %s", path, shape, what);
    status = lgt_array_convert(context, out, dtype, err);
    return status ? cli_fail_in(err, status, path) : LGT_OK;
}

lgt_status cli_array_check_length(const char *path, const lgt_array *array, int axis, int64_t wanted, const char *why,
                                  lgt_error *err) {
    char shape[128];
    if (!path || array->shape[axis] == wanted) return LGT_OK;
    format_shape(array, shape, sizeof shape);
    return cli_fail(err, LGT_ERR_DATA, "%s: shape %s, expected %lld %s", path, shape, (long long)wanted, why);
}

lgt_status cli_array_check_values(const char *path, const lgt_array *array, double least, lgt_error *err) {
    int64_t columns = array->n_dims == 2 ? array->shape[1] : 1;
    for (int64_t i = 0; path && i < array->count; i++) {
        double value = array->dtype == LGT_F64 ? ((const double *)array->data)[i] : (double)((float *)array->data)[i];
        if (isfinite(value) && value >= least) continue;
        const char *expected = isinf(least) ? "a finite number" : "a finite number of at least 0";
        if (array->n_dims == 2)
            return cli_fail(err, LGT_ERR_DATA, "%s: row %lld, column %lld: found %g, expected %s", path,
                            (long long)(i / columns), (long long)(i % columns), value, expected);
        return cli_fail(err, LGT_ERR_DATA, "%s: row %lld: found %g, expected %s", path, (long long)i, value, expected);
    }
    return LGT_OK;
}

double *cli_view_widen(lgt_view view) {
    double *wide = view.data ? cli_alloc(view.rows, (size_t)view.cols * sizeof *wide) : NULL;
    for (int64_t i = 0; wide && i < view.rows; i++)
        for (int64_t k = 0; k < view.cols; k++)
            wide[i * view.cols + k] = (double)((const float *)view.data)[i * view.ld + k];
    return wide;
}

static lgt_status read_option(const cli_args *args, lgt_context *context, const cli_array_option *o, lgt_error *err) {
    const char *path = cli_text(args, o->option);
    int n_dims = o->cols ? 2 : 1;
    lgt_status status =
        cli_array_read(context, path, o->dtype, n_dims, o->cols ? "a matrix" : "a vector", o->array, err);
    if (!status) status = cli_array_check_length(path, o->array, 0, o->rows, o->why, err);
    if (!status && o->cols) status = cli_array_check_length(path, o->array, 1, o->cols, "columns", err);
    return status ? status : cli_array_check_values(path, o->array, o->least, err);
}

lgt_status cli_array_options_read(const cli_args *args, lgt_context *context, const cli_array_option *options, size_t n,
                                  lgt_error *err) {
    lgt_status status = LGT_OK;
    for (size_t i = 0; i < n && !status; i++) status = read_option(args, context, &options[i], err);
    return status;
}

lgt_status cli_array_files_check(const char *folder, const cli_array_file *files, size_t n, lgt_error *err) {
    lgt_status status = cli_folder_check(folder, err);
    for (size_t i = 0; i < n && !status; i++) {
        char *path = cli_path_join(folder, files[i].name);
        status = cli_member_check(path, err);
        free(path);
    }
    return status;
}

lgt_status cli_array_files_write(lgt_context *context, const char *folder, const cli_array_file *files, size_t n,
                                 json_t *written, lgt_error *err) {
    lgt_status status = lgt_folder_create(folder, err);
    for (size_t i = 0; i < n && !status; i++) {
        const cli_array_file *f = &files[i];
        int64_t shape[2] = {f->rows, f->cols};
        char *path = cli_path_join(folder, f->name);
        if (f->data)
            status = lgt_npy_write(context, path, f->dtype, f->n_dims, shape, f->data, err);
        else if (remove(path) && errno != ENOENT)
            status = cli_fail(err, LGT_ERR_IO, "%s: cannot remove: %s", path, strerror(errno));
        if (!status && f->data) cli_append(written, cli_string(path));
        free(path);
    }
    return status;
}
