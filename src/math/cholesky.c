/* Cholesky by rows, in panels of columns (Golub and Van Loan, "Matrix computations", section 4.2): every entry is one
 * dot product of two finished rows, so that its bits depend on no split of the work. */
#include "math/cholesky.h"

#include <math.h>

#include "base/parallel.h"
#include "base/sizes.h"
#include "math/sphere.h"

/* Rows of a panel, which stay in cache while all rows below pass by; rows of one task. */
enum { PANEL = 32, TASK_ROWS = 32 };

typedef struct panel_call {
    double *a;
    int64_t n, from, to; /* columns of the panel */
} panel_call;

/* Entries from..to of row i, i >= from. */
static int finish_row(const panel_call *call, int64_t i) {
    double *row = call->a + i * call->n;
    for (int64_t j = call->from; j < lgt_min64(call->to, i + 1); j++) {
        const double *other = call->a + j * call->n;
        double rest = row[j] - lgt_dot(row, other, j);
        if (j == i && !(rest > 0 && isfinite(rest))) return 0;
        row[j] = j == i ? sqrt(rest) : rest / other[j];
    }
    return 1;
}

static void finish_rows(void *argument, int64_t index, int worker) {
    const panel_call *call = argument;
    int64_t first = call->to + index * TASK_ROWS, end = lgt_min64(first + TASK_ROWS, call->n);
    (void)worker;
    for (int64_t i = first; i < end; i++) finish_row(call, i);
}

int lgt_cholesky(lgt_context *context, double *a, int64_t n) {
    for (int64_t from = 0; from < n; from += PANEL) {
        panel_call call = {a, n, from, lgt_min64(from + PANEL, n)};
        for (int64_t i = from; i < call.to; i++)
            if (!finish_row(&call, i)) return 0;
        lgt_parallel_for(context, lgt_ceil_div(n - call.to, TASK_ROWS), finish_rows, &call);
    }
    return 1;
}

void lgt_cholesky_solve(const double *l, int64_t n, double *x) {
    for (int64_t i = 0; i < n; i++) x[i] = (x[i] - lgt_dot(l + i * n, x, i)) / l[i * n + i];
    for (int64_t i = n - 1; i >= 0; i--) {
        const double *row = l + i * n;
        double value = x[i] /= row[i];
        for (int64_t k = 0; k < i; k++) x[k] -= value * row[k];
    }
}
