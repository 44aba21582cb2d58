/* The matrix S = diag(p) - p p^T of a softmax: products, the variance, all eigenvalues and eigenvectors (Eq. 70 to 74,
 * 123 to 125). */
#include <math.h>
#include <stdlib.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/parallel.h"
#include "base/sizes.h"
#include "logitude/curvature.h"
#include "math/secular.h"

enum { SCALE_EXPONENT = 500, ROOTS_A_TASK = 16 };

void lgt_softmax(const double *z, int64_t n, double *p) {
    double largest = -INFINITY, sum = 0;
    for (int64_t j = 0; j < n; j++) largest = fmax(largest, z[j]);
    for (int64_t j = 0; j < n; j++) sum += p[j] = exp(z[j] - largest);
    for (int64_t j = 0; j < n; j++) p[j] /= sum;
}

/* --- Products --- */

/* Entries of v are taken relative to the likeliest one, whose share nothing cancels then; the mean of these. */
typedef struct centre {
    double origin, mean;
} centre;

static centre centre_of(const double *p, const double *v, int64_t n) {
    centre c = {0, 0};
    int64_t likeliest = 0;
    for (int64_t j = 1; j < n; j++)
        if (p[j] > p[likeliest]) likeliest = j;
    if (n > 0) c.origin = v[likeliest];
    for (int64_t j = 0; j < n; j++) c.mean += p[j] * (v[j] - c.origin);
    return c;
}

void lgt_softmax_product(const double *p, const double *v, int64_t n, double *out) {
    centre c = centre_of(p, v, n);
    for (int64_t j = 0; j < n; j++) out[j] = p[j] * ((v[j] - c.origin) - c.mean);
}

double lgt_softmax_variance(const double *p, const double *v, int64_t n) {
    centre c = centre_of(p, v, n);
    double sum = 0;
    for (int64_t j = 0; j < n; j++) {
        double away = (v[j] - c.origin) - c.mean;
        sum += p[j] * away * away;
    }
    return sum;
}

/* --- The spectrum --- */

/* p in falling order, runs of equal ones gathered: within a run of m, vectors across its constant one have the
 * eigenvalue p; what is left has a pole d with the weight m d. The equation does not know the unit of p: poles and
 * roots are in one of their own, and eigenvalues are their shares of the sum of p. */
typedef struct entry {
    double p;   /* the largest one in [1, 2) */
    int64_t at; /* its index */
} entry;

typedef struct spectrum {
    int64_t n, n_poles;
    entry *entries;               /* (n) */
    int64_t *first;               /* (n_poles + 1) where each run begins; the last: how many are positive */
    double *poles, *weights;      /* (n_poles) scaled by 2^SCALE_EXPONENT */
    double sum;                   /* of p, in the unit of the poles */
    double *components, *vectors; /* (n_poles) (Eq. 125); (n, n), or NULL */
    lgt_root *roots;              /* (n_poles - 1) */
} spectrum;

static int compare(const void *left, const void *right) {
    const entry *a = left, *b = right;
    if (a->p != b->p) return a->p < b->p ? 1 : -1;
    return a->at < b->at ? -1 : a->at > b->at;
}

/* The sum of numbers that are not negative, with what rounding takes from each sum (Dekker 1971). */
static double sum_of(const double *numbers, int64_t n) {
    double sum = 0, lost = 0;
    for (int64_t i = 0; i < n; i++) {
        double both = sum + numbers[i], larger = fmax(sum, numbers[i]);
        lost += larger - both + fmin(sum, numbers[i]);
        sum = both;
    }
    return sum + lost;
}

static void gather(spectrum *s, const double *p) {
    double largest = 0;
    int exponent;
    for (int64_t j = 0; j < s->n; j++) largest = fmax(largest, p[j]);
    frexp(largest, &exponent);
    for (int64_t j = 0; j < s->n; j++) s->entries[j] = (entry){ldexp(p[j], 1 - exponent), j};
    qsort(s->entries, (size_t)s->n, sizeof *s->entries, compare);
    int64_t i = 0;
    while (i < s->n && s->entries[i].p > 0) {
        double value = s->entries[i].p;
        s->first[s->n_poles] = i;
        while (i < s->n && s->entries[i].p == value) i++;
        s->poles[s->n_poles] = ldexp(value, SCALE_EXPONENT);
        s->weights[s->n_poles] = s->poles[s->n_poles] * (double)(i - s->first[s->n_poles]);
        s->n_poles++;
    }
    s->first[s->n_poles] = i;
    s->sum = sum_of(s->weights, s->n_poles);
}

static void find_roots(void *argument, int64_t index, int worker) {
    spectrum *s = argument;
    int64_t end = lgt_min64((index + 1) * ROOTS_A_TASK, s->n_poles - 1);
    (void)worker;
    for (int64_t i = index * ROOTS_A_TASK; i < end; i++)
        s->roots[i] = lgt_secular_root(s->poles, s->weights, s->n_poles, i);
}

/* The components for which the rounded roots are exact (Gu and Eisenstat 1995): vectors come out orthogonal. All
 * factors are at most 1, so that no product is less than the last one. */
static void find_components(spectrum *s) {
    for (int64_t i = 0; i < s->n_poles; i++) {
        s->components[i] = sqrt(s->poles[i]);
        for (int64_t j = 0; j < s->n_poles; j++) {
            if (j == i) continue;
            double gap = lgt_secular_gap(s->poles, i, s->roots[j < i ? j : j - 1]);
            s->components[i] *= sqrt(gap / (s->poles[i] - s->poles[j]));
        }
    }
}

/* Vector number `row` of a root; the entries of a run share their pole's component. */
static void put_root_vector(const spectrum *s, int64_t row, lgt_root root) {
    double *v = s->vectors + row * s->n, sum = 0;
    for (int pass = 0; pass < 2; pass++) /* the length first */
        for (int64_t i = 0; i < s->n_poles; i++) {
            double gap = ldexp(lgt_secular_gap(s->poles, i, root), -SCALE_EXPONENT / 2);
            double count = (double)(s->first[i + 1] - s->first[i]);
            double y = s->components[i] / gap;
            if (pass == 0) sum = hypot(sum, y);
            for (int64_t k = s->first[i]; pass == 1 && k < s->first[i + 1]; k++)
                v[s->entries[k].at] = y / sqrt(count) / sum;
        }
}

/* The run's m - 1 vectors across its constant one (Helmert's), from `row` on. */
static void put_run_vectors(const spectrum *s, int64_t row, int64_t run) {
    const entry *run_entries = s->entries + s->first[run];
    for (int64_t k = 1; k < s->first[run + 1] - s->first[run]; k++, row++) {
        double length = sqrt((double)k * (double)(k + 1)), *v = s->vectors + row * s->n;
        for (int64_t j = 0; j < k; j++) v[run_entries[j].at] = 1 / length;
        v[run_entries[k].at] = -(double)k / length;
    }
}

/* The constant vector where p is positive, and one axis for every p that is 0. */
static void put_null_vectors(const spectrum *s, int64_t row) {
    int64_t n_positive = s->first[s->n_poles];
    for (int64_t k = 0; k < n_positive; k++) s->vectors[row * s->n + s->entries[k].at] = 1 / sqrt((double)n_positive);
    for (int64_t k = n_positive; k < s->n; k++) s->vectors[(row + 1 + k - n_positive) * s->n + s->entries[k].at] = 1;
}

static void put_all(const spectrum *s, double *values) {
    int64_t row = 0;
    for (int64_t i = 0; i < s->n_poles; i++) {
        if (s->vectors) put_run_vectors(s, row, i);
        for (int64_t k = 1; k < s->first[i + 1] - s->first[i]; k++) values[row++] = s->poles[i] / s->sum;
        if (i + 1 == s->n_poles) break;
        if (s->vectors) put_root_vector(s, row, s->roots[i]);
        values[row++] = (s->poles[s->roots[i].pole] + s->roots[i].offset) / s->sum;
    }
    if (s->vectors) put_null_vectors(s, row);
    for (; row < s->n; row++) values[row] = 0;
}

static lgt_status check(const double *p, int64_t n, lgt_error *err) {
    int positive = n == 0;
    for (int64_t j = 0; j < n; j++) {
        if (!(isfinite(p[j]) && p[j] >= 0))
            return lgt_fail(err, LGT_ERR_DATA, "p holds %g at %lld; expected finite numbers that are not negative",
                            p[j], (long long)j);
        positive |= p[j] > 0;
    }
    if (!positive) return lgt_fail(err, LGT_ERR_DATA, "p holds zeros alone; expected probabilities");
    return LGT_OK;
}

lgt_status lgt_softmax_spectrum(lgt_context *context, const double *p, int64_t n, double *values, double *vectors,
                                lgt_error *err) {
    spectrum s = {.n = n, .vectors = vectors};
    double *numbers = NULL;
    lgt_status status = check(p, n, err);
    if (!status) status = LGT_NEW(context, &s.entries, n, err);
    if (!status) status = LGT_NEW(context, &s.first, n + 1, err);
    if (!status) status = LGT_NEW(context, &numbers, 3 * n, err);
    if (!status) status = LGT_NEW(context, &s.roots, n, err);
    if (!status) {
        s.poles = numbers, s.weights = numbers + n, s.components = numbers + 2 * n;
        gather(&s, p);
        lgt_parallel_for(context, lgt_ceil_div(lgt_max64(s.n_poles - 1, 0), ROOTS_A_TASK), find_roots, &s);
        for (int64_t k = 0; vectors && k < n * n; k++) vectors[k] = 0;
        if (vectors) find_components(&s);
        put_all(&s, values);
    }
    lgt_release(context, s.roots);
    lgt_release(context, numbers);
    lgt_release(context, s.first);
    lgt_release(context, s.entries);
    return status ? status : lgt_succeed(err);
}
