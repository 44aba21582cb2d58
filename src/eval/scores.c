/* Unit rows in panels and the product of two panels: cos(i, j) = sum_k u_ik u_jk, u_i = x_i / |x_i|. */
#include "eval/scores.h"

#include <math.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/sizes.h"

lgt_status lgt_scores_check(lgt_view view, lgt_error *err) {
    const float *x = view.data;
    if (!x) return lgt_fail(err, LGT_ERR_USAGE, "no embeddings are given");
    if (view.dtype != LGT_F32)
        return lgt_fail(err, LGT_ERR_USAGE, "embeddings are %s, expected f32", lgt_dtype_name(view.dtype));
    if (view.rows < 0 || view.cols < 1 || view.ld < view.cols)
        return lgt_fail(err, LGT_ERR_USAGE,
                        "embeddings are (%lld, %lld) with ld %lld, expected columns >= 1 and ld >= columns",
                        (long long)view.rows, (long long)view.cols, (long long)view.ld);
    for (int64_t row = 0; row < view.rows; row++)
        for (int64_t k = 0; k < view.cols; k++)
            if (!isfinite(x[row * view.ld + k]))
                return lgt_fail(err, LGT_ERR_DATA, "embeddings row %lld column %lld is %g, expected a finite number",
                                (long long)row, (long long)k, (double)x[row * view.ld + k]);
    return LGT_OK;
}

/* One row into its place in a panel. The squares of float32 neither overflow nor vanish in double. */
static void pack_row(const float *x, int64_t dim, float *out) {
    double squares = 0;
    for (int64_t k = 0; k < dim; k++) squares += (double)x[k] * x[k];
    double norm = squares > 0 ? sqrt(squares) : 1;
    for (int64_t k = 0; k < dim; k++) out[k * LGT_PANEL] = (float)(x[k] / norm);
}

lgt_status lgt_scores_create(lgt_context *context, lgt_view embeddings, const int64_t *order, lgt_scores *out,
                             lgt_error *err) {
    int64_t dim = embeddings.cols, size = 0;
    *out = (lgt_scores){0};
    if (embeddings.rows > INT64_MAX - LGT_PANEL || !lgt_count_mul(lgt_round_up(embeddings.rows, LGT_PANEL), dim, &size))
        return lgt_fail(err, LGT_ERR_MEMORY, "embeddings of %lld rows and %lld columns are too large",
                        (long long)embeddings.rows, (long long)dim);
    lgt_status status = LGT_NEW_ZERO(context, &out->panels, size, err);
    if (status) return status;
    for (int64_t p = 0; p < embeddings.rows; p++) {
        int64_t row = order ? order[p] : p;
        const float *x = (const float *)embeddings.data + row * embeddings.ld;
        pack_row(x, dim, out->panels + p / LGT_PANEL * LGT_PANEL * dim + p % LGT_PANEL);
    }
    out->n_rows = embeddings.rows;
    out->dim = dim;
    out->kernels = lgt_kernels_f32_of(lgt_context_isa(context), LGT_PRECISION_FULL);
    return LGT_OK;
}

void lgt_scores_free(lgt_context *context, lgt_scores *scores) {
    lgt_release(context, scores->panels);
    *scores = (lgt_scores){0};
}

void lgt_scores_tile(const lgt_scores *scores, int64_t row, int64_t n_rows, int64_t column, float *out, int64_t ld) {
    int64_t dim = scores->dim, first = row % LGT_PANEL;
    scores->kernels->product(n_rows, LGT_PANEL, dim, scores->panels + (row - first) * dim + first, 1, LGT_PANEL,
                             scores->panels + column * dim, LGT_PANEL, out, ld, 0);
}
