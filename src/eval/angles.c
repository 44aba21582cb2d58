/* Angles of rows to the classes: the nearest other class by float32 cosines, the angles in double (Eq. 4). */
#include <math.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/sizes.h"
#include "logitude/eval.h"
#include "logitude/head.h"
#include "math/sphere.h"

typedef struct measure {
    lgt_context *context;
    lgt_view x, w;
    int64_t n_classes, centres;
    double *row, *centre; /* (D) directions */
    int64_t *ranked;      /* (N, k) centres by falling cosine, k = centres + 1: one at least is of another class */
} measure;

/* The direction of row i of a view; returns its norm. */
static double direction(lgt_view view, int64_t i, double *out) {
    const float *values = (const float *)view.data + i * view.ld;
    for (int64_t k = 0; k < view.cols; k++) out[k] = values[k];
    return lgt_unit(out, view.cols, out);
}

static double angle_to(const measure *m, int64_t centre, double row_norm, double *norm) {
    *norm = direction(m->w, centre, m->centre);
    if (!(row_norm > 0) || !(*norm > 0)) return NAN;
    return lgt_angle_between(m->row, m->centre, m->x.cols, NULL, NULL).theta;
}

/* The angle to the nearest centre of a class, and that centre's norm. */
static double angle_to_class(const measure *m, int64_t class, double row_norm, double *norm) {
    double best = NAN;
    *norm = NAN;
    for (int64_t k = 0; k < m->centres; k++) {
        double one = 0, theta = angle_to(m, class * m->centres + k, row_norm, &one);
        if (k > 0 && !(theta < best || (isnan(best) && !isnan(theta)))) continue;
        best = theta;
        *norm = one;
    }
    return best;
}

static int64_t nearest_other(const measure *m, int64_t row, int64_t label) {
    const int64_t *ranked = m->ranked + row * (m->centres + 1);
    while (*ranked / m->centres == label) ranked++;
    return *ranked / m->centres;
}

static void measure_row(const measure *m, int64_t i, int64_t label, const lgt_angles *out) {
    double w_norm = 0, ignored = 0, norm = direction(m->x, i, m->row);
    double target = angle_to_class(m, label, norm, &w_norm);
    int64_t other = nearest_other(m, i, label);
    if (out->target) out->target[i] = target;
    if (out->nearest) out->nearest[i] = angle_to_class(m, other, norm, &ignored);
    if (out->nearest_class) out->nearest_class[i] = other;
    if (out->x_norm) out->x_norm[i] = norm;
    if (out->w_norm) out->w_norm[i] = w_norm;
}

static lgt_status rank(const measure *m, lgt_error *err) {
    lgt_loss loss;
    lgt_head *head = NULL;
    lgt_predictions out = {.k = m->centres + 1, .classes = m->ranked};
    lgt_status status = lgt_loss_parse("normalized:s=1", &loss, err);
    if (!status) status = lgt_head_create(m->context, &loss, m->x.cols, m->n_classes * m->centres, &head, err);
    if (!status) status = lgt_head_predict(head, m->x, m->w, (lgt_view){0}, NULL, &out, err);
    lgt_head_free(head);
    return status;
}

lgt_status lgt_eval_angles(lgt_context *context, lgt_view x, lgt_view w, const int64_t *labels, int64_t n_classes,
                           int64_t centres, const lgt_angles *out, lgt_error *err) {
    measure m = {.context = context, .x = x, .w = w, .n_classes = n_classes, .centres = centres};
    int64_t size = 0;
    if (!labels || !out || n_classes < 2 || centres < 1)
        return lgt_fail(err, LGT_ERR_USAGE, "angles need labels, a result, 2 classes and a centre, found %lld and %lld",
                        (long long)n_classes, (long long)centres);
    if (!lgt_count_mul(n_classes, centres, &size) || w.rows != size)
        return lgt_fail(err, LGT_ERR_USAGE, "w has %lld rows, expected %lld classes of %lld", (long long)w.rows,
                        (long long)n_classes, (long long)centres);
    for (int64_t i = 0; i < x.rows; i++)
        if (labels[i] < 0 || labels[i] >= n_classes)
            return lgt_fail(err, LGT_ERR_DATA, "labels: row %lld is %lld, expected 0 to %lld", (long long)i,
                            (long long)labels[i], (long long)n_classes - 1);
    if (!lgt_count_mul(x.rows, centres + 1, &size))
        return lgt_fail(err, LGT_ERR_MEMORY, "%lld rows are too many", (long long)x.rows);
    lgt_status status = LGT_NEW(context, &m.ranked, size, err);
    if (!status) status = LGT_NEW(context, &m.row, x.cols, err);
    if (!status) status = LGT_NEW(context, &m.centre, x.cols, err);
    if (!status) status = rank(&m, err);
    for (int64_t i = 0; i < x.rows && !status; i++) measure_row(&m, i, labels[i], out);
    lgt_release(context, m.centre);
    lgt_release(context, m.row);
    lgt_release(context, m.ranked);
    return status ? status : lgt_succeed(err);
}
