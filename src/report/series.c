/* Chooses the points of a long series that its picture needs. */
#include "report/series.h"

#include <math.h>

/* The least, the greatest and the first gap of values[from, to); -1 where there is none. */
typedef struct extremes {
    int64_t least, greatest, gap;
} extremes;

static extremes extremes_of(const double *values, int64_t from, int64_t to) {
    extremes e = {-1, -1, -1};
    for (int64_t i = from; i < to; i++) {
        if (!isfinite(values[i])) {
            if (e.gap < 0) e.gap = i;
            continue;
        }
        if (e.least < 0 || values[i] < values[e.least]) e.least = i;
        if (e.greatest < 0 || values[i] > values[e.greatest]) e.greatest = i;
    }
    return e;
}

static int64_t put_in_order(const extremes *e, int64_t *keep) {
    int64_t all[3] = {e->least, e->greatest, e->gap}, count = 0;
    for (int64_t last = -1;;) {
        int64_t next = INT64_MAX;
        for (int k = 0; k < 3; k++)
            if (all[k] > last && all[k] < next) next = all[k];
        if (next == INT64_MAX) return count;
        keep[count++] = last = next;
    }
}

int64_t lgt_series_thin(int64_t n, const double *values, int64_t limit, int64_t *keep) {
    int64_t count = 0, stretches = (limit - 2) / 3, inner = n - 2;
    if (n <= limit) {
        for (int64_t i = 0; i < n; i++) keep[i] = i;
        return n;
    }
    keep[count++] = 0;
    for (int64_t s = 0; s < stretches; s++) {
        /* inner > stretches: the quotients cut [1, n - 1) into pieces that are not empty, without a product that wraps
         */
        int64_t whole = inner / stretches, rest = inner % stretches;
        int64_t from = 1 + whole * s + rest * s / stretches, to = 1 + whole * (s + 1) + rest * (s + 1) / stretches;
        extremes e = extremes_of(values, from, to);
        count += put_in_order(&e, keep + count);
    }
    keep[count++] = n - 1;
    return count;
}
