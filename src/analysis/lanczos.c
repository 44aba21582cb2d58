/* Thick-restart Lanczos (Wu and Simon, "Thick-restart Lanczos method for large symmetric eigenvalue problems", SIAM J.
 * Matrix Anal. Appl. 22, 2000) with full orthogonalisation (Eq. 126). */
#include "analysis/lanczos.h"

#include <float.h>
#include <math.h>
#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/philox.h"
#include "base/sizes.h"
#include "math/sphere.h"
#include "math/symmetric.h"

/* SPARE: room beyond twice the wanted vectors, without which a restart would follow every few products. BLOCK: columns
 * of the basis that are rotated at once, so that the rotated ones need no second basis. */
enum { SPARE = 40, START_STREAM = 126, BLOCK = 64 };

typedef struct lanczos {
    const lgt_operator *a;
    lgt_rng rng;
    uint64_t drawn;
    int64_t n, m, used;                        /* size; most vectors; vectors whose products are in t */
    int64_t top, bottom;                       /* wanted, at most n together */
    double *basis;                             /* (m + 1, n) orthonormal */
    double *t;                                 /* (m, m) <v_i, A v_j> */
    double *work, *ritz, *values, *kept_block; /* (m, m) twice, (m), (m, BLOCK) */
    double beta, scale;                        /* length of what the last product has outside the basis; largest |t| */
    int64_t n_products;
    int complete; /* the basis spans the whole space */
} lanczos;

int64_t lgt_lanczos_basis(int64_t size, const lgt_spectrum_options *options) {
    int64_t room = options->top < size && options->bottom < size ? 2 * (options->top + options->bottom) + SPARE : size;
    return lgt_min64(size, room) + 1;
}

/* v less its parts along the first `count` vectors, twice for what rounding leaves; the parts are added to h. */
static void orthogonalise(const lanczos *l, double *v, int64_t count, double *h) {
    for (int pass = 0; pass < 2; pass++)
        for (int64_t i = 0; i < count; i++) {
            const double *other = l->basis + i * l->n;
            double part = lgt_dot(other, v, l->n);
            for (int64_t k = 0; k < l->n; k++) v[k] -= part * other[k];
            if (h) h[i] += part;
        }
}

/* A random unit vector across the first `count`. */
static void draw(lanczos *l, int64_t count) {
    double *v = l->basis + count * l->n;
    for (int64_t k = 0; k < l->n; k++) v[k] = lgt_rng_normal(&l->rng, l->drawn++);
    orthogonalise(l, v, count, NULL);
    lgt_unit(v, l->n, v);
    orthogonalise(l, v, count, NULL);
    lgt_unit(v, l->n, v);
}

/* The product with the last vector, and from it the next one. */
static lgt_status extend(lanczos *l, lgt_error *err) {
    int64_t j = l->used;
    double *next = l->basis + (j + 1) * l->n, *h = l->ritz;
    lgt_status status = l->a->apply(l->a->user, l->basis + j * l->n, next, err);
    if (status) return status;
    l->n_products++;
    memset(h, 0, (size_t)(j + 1) * sizeof *h);
    orthogonalise(l, next, j + 1, h);
    for (int64_t i = 0; i <= j; i++) {
        l->t[i * l->m + j] = l->t[j * l->m + i] = h[i];
        l->scale = fmax(l->scale, fabs(h[i]));
    }
    l->used++;
    l->beta = lgt_unit(next, l->n, next);
    l->complete = l->used == l->n;
    if (l->complete || l->beta > 10 * DBL_EPSILON * l->scale) return LGT_OK;
    l->beta = 0; /* the basis spans an invariant space: what is outside may hold more of the wanted */
    draw(l, l->used);
    return LGT_OK;
}

/* Eigenpairs of the projected matrix: values, and vectors as rows of ritz. */
static void solve(lanczos *l) {
    for (int64_t i = 0; i < l->used; i++)
        for (int64_t j = 0; j < l->used; j++) l->work[i * l->used + j] = l->t[i * l->m + j];
    lgt_symmetric_eigen(l->work, l->used, l->values, l->ritz);
}

/* The pair's index of the k-th that is kept: `high` largest, then smallest. */
static int64_t pair_of(const lanczos *l, int64_t k, int64_t high, int64_t low) {
    return k < high ? k : l->used - low + (k - high);
}

/* The basis becomes the kept Ritz vectors, in place, BLOCK columns at a time. */
static void rotate_basis(lanczos *l, int64_t high, int64_t low) {
    int64_t keep = high + low;
    for (int64_t at = 0; at < l->n; at += BLOCK) {
        int64_t width = lgt_min64(BLOCK, l->n - at);
        memset(l->kept_block, 0, (size_t)(keep * BLOCK) * sizeof *l->kept_block);
        for (int64_t k = 0; k < keep; k++) {
            const double *y = l->ritz + pair_of(l, k, high, low) * l->used;
            for (int64_t i = 0; i < l->used; i++)
                for (int64_t c = 0; c < width; c++) l->kept_block[k * BLOCK + c] += y[i] * l->basis[i * l->n + at + c];
        }
        for (int64_t k = 0; k < keep; k++)
            memcpy(l->basis + k * l->n + at, l->kept_block + k * BLOCK, (size_t)width * sizeof *l->basis);
    }
}

/* Keeps `high` largest and `low` smallest pairs, and goes on with the present residual vector or with a fresh one. */
static void restart(lanczos *l, int64_t high, int64_t low, int fresh) {
    int64_t keep = high + low;
    double *next = l->basis + keep * l->n;
    rotate_basis(l, high, low);
    memset(l->t, 0, (size_t)(l->m * l->m) * sizeof *l->t);
    for (int64_t k = 0; k < keep; k++) l->t[k * l->m + k] = l->values[pair_of(l, k, high, low)];
    if (fresh)
        draw(l, keep);
    else {
        memmove(next, l->basis + l->used * l->n, (size_t)l->n * sizeof *next);
        orthogonalise(l, next, keep, NULL);
        lgt_unit(next, l->n, next);
    }
    l->used = keep;
}

static void restart_thick(lanczos *l) {
    int64_t extra = (l->used - l->top - l->bottom) / 2, half = extra / 2;
    if (!l->top || !l->bottom) half = extra;
    restart(l, l->top ? l->top + half : 0, l->bottom ? l->bottom + half : 0, 0);
}

static double largest_of(const lanczos *l) {
    return fmax(fabs(l->values[0]), fabs(l->values[l->used - 1]));
}

/* Whether every wanted pair's residual, |last component| beta, is within the limit. */
static int has_converged(const lanczos *l, double tolerance) {
    double largest = largest_of(l);
    for (int64_t k = 0; k < l->top + l->bottom; k++) {
        double last = l->ritz[pair_of(l, k, l->top, l->bottom) * l->used + l->used - 1];
        if (fabs(last) * l->beta > tolerance * largest) return 0;
    }
    return 1;
}

/* The wanted vectors' Rayleigh quotients and residuals, by one more product each. */
static lgt_status report(lanczos *l, double tolerance, lgt_spectrum *out, lgt_error *err) {
    int64_t count = l->top + l->bottom;
    double largest = largest_of(l);
    double *product = l->basis + l->m * l->n;
    rotate_basis(l, l->top, l->bottom);
    out->converged = 1;
    for (int64_t k = 0; k < count; k++) {
        double *v = l->basis + k * l->n;
        lgt_unit(v, l->n, v);
        lgt_status status = l->a->apply(l->a->user, v, product, err);
        if (status) return status;
        out->values[k] = lgt_dot(v, product, l->n);
        for (int64_t i = 0; i < l->n; i++) product[i] -= out->values[k] * v[i];
        out->residuals[k] = sqrt(lgt_dot(product, product, l->n));
        if (!(out->residuals[k] <= tolerance * largest)) out->converged = 0;
        if (out->vectors) memcpy(out->vectors + k * l->n, v, (size_t)l->n * sizeof *v);
    }
    out->n_found = count;
    out->n_products = l->n_products + count;
    return LGT_OK;
}

/* How far out the wanted values lie; no step brings them back. */
static double reach_of(const lanczos *l) {
    double sum = 0;
    for (int64_t k = 0; k < l->top; k++) sum += l->values[k];
    for (int64_t k = 0; k < l->bottom; k++) sum -= l->values[l->used - 1 - k];
    return sum;
}

/* One start vector meets every eigenvalue once, whatever its multiplicity: what has converged is kept and a vector
 * across it started from, until that finds nothing farther out. */
static lgt_status iterate(lanczos *l, const lgt_spectrum_options *options, lgt_error *err) {
    int64_t most = lgt_max64(options->max_products - l->top - l->bottom, l->top + l->bottom);
    double reach = -INFINITY;
    draw(l, 0);
    for (;;) {
        while (l->used < l->m && (l->n_products < most || l->used < l->top + l->bottom)) {
            lgt_status status = extend(l, err);
            if (status) return status;
        }
        solve(l);
        if (l->n_products >= most || l->complete) return LGT_OK;
        if (!has_converged(l, options->tolerance / 2)) {
            restart_thick(l);
            continue;
        }
        double before = reach;
        reach = reach_of(l);
        if (reach - before <= options->tolerance * largest_of(l)) return LGT_OK;
        restart(l, l->top, l->bottom, 1);
    }
}

lgt_status lgt_lanczos_run(lgt_context *context, const lgt_operator *a, const lgt_spectrum_options *options,
                           lgt_spectrum *out, lgt_error *err) {
    int64_t m = lgt_lanczos_basis(a->size, options) - 1, basis = 0;
    lanczos l = {.a = a, .rng = {options->seed, START_STREAM}, .n = a->size, .m = m};
    l.top = lgt_min64(options->top, l.n);
    l.bottom = lgt_min64(options->bottom, l.n - l.top);
    out->n_found = out->n_products = 0;
    out->converged = 1;
    if (l.top + l.bottom == 0) return lgt_succeed(err);
    if (!lgt_count_mul(m + 1, l.n, &basis))
        return lgt_fail(err, LGT_ERR_MEMORY, "%lld vectors of %lld numbers are too many", (long long)m, (long long)l.n);
    lgt_status status = LGT_NEW(context, &l.basis, basis, err);
    if (!status) status = LGT_NEW_ZERO(context, &l.t, 3 * m * m + m + m * BLOCK, err);
    if (!status) {
        l.work = l.t + m * m, l.ritz = l.work + m * m, l.values = l.ritz + m * m, l.kept_block = l.values + m;
        status = iterate(&l, options, err);
    }
    if (!status) status = report(&l, options->tolerance, out, err);
    lgt_release(context, l.t);
    lgt_release(context, l.basis);
    return status ? status : lgt_succeed(err);
}
