/* The Hessian of a head as an operator on one long vector: its extremal eigenvalues, and derivatives along a direction
 * (Eq. 71, 73, 126). */
#include <math.h>

#include "analysis/lanczos.h"
#include "base/error.h"
#include "base/memory.h"
#include "base/sizes.h"
#include "head/plan.h"
#include "math/sphere.h"

enum { EITHER = LGT_BY_FEATURES | LGT_BY_WEIGHTS };

/* Numbers of x, w and b in the vector; 0: constant. */
typedef struct layout {
    int64_t x, w, b;
} layout;

static layout layout_of(const lgt_head_inputs *in, int by) {
    layout l = {0, 0, 0};
    if (by & LGT_BY_FEATURES) l.x = in->x.rows * in->x.cols;
    if (by & LGT_BY_WEIGHTS) l.w = in->w.rows * in->w.cols;
    if (by & LGT_BY_WEIGHTS && in->b.data) l.b = in->b.cols;
    return l;
}

int64_t lgt_curvature_size(const lgt_head_inputs *in, int by) {
    layout l = layout_of(in, by);
    return l.x + l.w + l.b;
}

/* The parts of a vector, absent where nothing is differentiated. */
static lgt_direction direction_of(const lgt_head_inputs *in, layout l, const double *v) {
    lgt_direction d = {.x = {.data = NULL}};
    if (l.x) d.x = lgt_view_of(v, in->x.rows, in->x.cols, LGT_F64);
    if (l.w) d.w = lgt_view_of(v + l.x, in->w.rows, in->w.cols, LGT_F64);
    if (l.b) d.b = lgt_view_of(v + l.x + l.w, 1, in->b.cols, LGT_F64);
    return d;
}

static lgt_mut place_of(lgt_view part, double *v, const double *base) {
    return part.data ? lgt_mut_of(v + ((const double *)part.data - base), part.rows, part.cols, LGT_F64)
                     : (lgt_mut){.data = NULL};
}

typedef struct hessian {
    lgt_plan *plan;
    const lgt_head_inputs *in;
    layout layout;
} hessian;

static lgt_status apply(void *user, const double *v, double *out, lgt_error *err) {
    const hessian *h = user;
    lgt_direction along = direction_of(h->in, h->layout, v);
    lgt_hvp product = {.x = place_of(along.x, out, v), .w = place_of(along.w, out, v), .b = place_of(along.b, out, v)};
    return lgt_plan_hvp(h->plan, h->in, &along, &product, err);
}

static lgt_status check(const lgt_plan *plan, int by, lgt_error *err) {
    if (plan->problem.options.dtype != LGT_F64)
        return lgt_fail(err, LGT_ERR_USAGE, "the plan is of %s, expected f64: curvature is computed in double",
                        lgt_dtype_name(plan->problem.options.dtype));
    if ((by & EITHER) == 0 || (by & ~EITHER) != 0)
        return lgt_fail(err, LGT_ERR_USAGE, "by is %d, expected LGT_BY_FEATURES, LGT_BY_WEIGHTS or their sum", by);
    return LGT_OK;
}

/* --- Eigenvalues --- */

void lgt_spectrum_options_init(lgt_spectrum_options *options) {
    *options =
        (lgt_spectrum_options){.struct_size = sizeof *options, .top = 1, .max_products = 1000, .tolerance = 1e-10};
}

static lgt_status check_options(const lgt_spectrum_options *o, lgt_error *err) {
    if (o->struct_size != sizeof *o)
        return lgt_fail(err, LGT_ERR_USAGE, "lgt_spectrum_options has struct_size %zu, expected %zu: call its _init",
                        o->struct_size, sizeof *o);
    if (o->top < 0 || o->bottom < 0 || o->top > 1000 || o->bottom > 1000)
        return lgt_fail(err, LGT_ERR_USAGE, "%lld largest and %lld smallest eigenvalues, expected 0 to 1000",
                        (long long)o->top, (long long)o->bottom);
    if (o->max_products < 1)
        return lgt_fail(err, LGT_ERR_USAGE, "max_products is %lld, expected at least 1", (long long)o->max_products);
    if (!(o->tolerance > 0 && o->tolerance < 1))
        return lgt_fail(err, LGT_ERR_USAGE, "tolerance is %g, expected above 0 and below 1", o->tolerance);
    return LGT_OK;
}

lgt_status lgt_plan_spectrum(lgt_context *context, lgt_plan *plan, const lgt_head_inputs *in, int by,
                             const lgt_spectrum_options *options, lgt_spectrum *out, lgt_error *err) {
    lgt_status status = check(plan, by, err);
    if (!status) status = check_options(options, err);
    if (status) return status;
    hessian h = {plan, in, layout_of(in, by)};
    lgt_operator a = {lgt_curvature_size(in, by), &h, apply};
    return lgt_lanczos_run(context, &a, options, out, err);
}

/* --- Along a direction --- */

static lgt_status derive(hessian *h, const double *v, double *g, double *product, int64_t size, lgt_derivatives *out,
                         lgt_error *err) {
    lgt_direction parts = direction_of(h->in, h->layout, g);
    lgt_head_outputs gradient = {
        .dx = place_of(parts.x, g, g), .dw = place_of(parts.w, g, g), .db = place_of(parts.b, g, g)};
    lgt_status status = lgt_plan_run(h->plan, h->in, &gradient, err);
    if (status) return status;
    if (v) {
        out->first = lgt_dot(g, v, size);
    } else { /* -g: the sign of the product's direction does not matter to v^T H v */
        out->first = -lgt_dot(g, g, size);
        v = g;
    }
    if ((status = apply(h, v, product, err))) return status;
    double square = lgt_dot(v, v, size);
    out->second = lgt_dot(v, product, size);
    out->length = sqrt(square);
    out->rayleigh = square > 0 ? out->second / square : NAN;
    if (isfinite(out->first) && isfinite(out->second) && isfinite(square)) return LGT_OK;
    return lgt_fail(err, LGT_ERR_NONFINITE,
                    "the derivatives along the direction exceed the range of double: shorten it");
}

lgt_status lgt_plan_derivatives(lgt_context *context, lgt_plan *plan, const lgt_head_inputs *in, int by,
                                const double *v, lgt_derivatives *out, lgt_error *err) {
    double *numbers = NULL;
    int64_t size = lgt_curvature_size(in, by), twice = 0;
    lgt_status status = check(plan, by, err);
    *out = (lgt_derivatives){0, 0, NAN, 0};
    if (status) return status;
    if (!lgt_count_mul(2, size, &twice)) return lgt_fail(err, LGT_ERR_MEMORY, "the inputs are too large");
    status = LGT_NEW_ZERO(context, &numbers, twice, err);
    hessian h = {plan, in, layout_of(in, by)};
    if (!status) status = derive(&h, v, numbers, numbers + size, size, out, err);
    lgt_release(context, numbers);
    return status ? status : lgt_succeed(err);
}
