/* Cyclic Jacobi rotations (Golub and Van Loan, "Matrix computations", section 8.5). */
#include "math/symmetric.h"

#include <float.h>
#include <math.h>

/* Sweeps converge quadratically, in six to ten; the limit ends those of a matrix that holds a NaN. */
enum { MOST_SWEEPS = 40 };

/* Two lines of n entries, `stride` apart: (p, q) <- (c p - s q, s p + c q). */
static void rotate(double *p, double *q, int64_t n, int64_t stride, double c, double s) {
    for (int64_t k = 0; k < n; k++) {
        double x = p[k * stride], y = q[k * stride];
        p[k * stride] = c * x - s * y;
        q[k * stride] = s * x + c * y;
    }
}

/* Makes a[p][q] vanish. */
static void annihilate(double *a, int64_t n, int64_t p, int64_t q, double *vectors) {
    double tau = (a[q * n + q] - a[p * n + p]) / (2 * a[p * n + q]);
    double t = (tau < 0 ? -1 : 1) / (fabs(tau) + hypot(1, tau)), c = 1 / hypot(1, t), s = t * c;
    rotate(a + p, a + q, n, n, c, s);
    rotate(a + p * n, a + q * n, n, 1, c, s);
    a[p * n + q] = a[q * n + p] = 0;
    rotate(vectors + p * n, vectors + q * n, n, 1, c, s);
}

static void sort_falling(int64_t n, double *values, double *vectors) {
    for (int64_t i = 0; i < n; i++) {
        int64_t largest = i;
        for (int64_t j = i + 1; j < n; j++)
            if (values[j] > values[largest]) largest = j;
        if (largest == i) continue;
        double value = values[i];
        values[i] = values[largest], values[largest] = value;
        for (int64_t k = 0; k < n; k++) {
            double x = vectors[i * n + k];
            vectors[i * n + k] = vectors[largest * n + k], vectors[largest * n + k] = x;
        }
    }
}

void lgt_symmetric_eigen(double *a, int64_t n, double *values, double *vectors) {
    double size = 0;
    for (int64_t i = 0; i < n * n; i++) vectors[i] = 0, size = fmax(size, fabs(a[i]));
    for (int64_t i = 0; i < n; i++) vectors[i * n + i] = 1;
    int rotated = size > 0;
    for (int sweep = 0; rotated && sweep < MOST_SWEEPS; sweep++) {
        rotated = 0;
        for (int64_t p = 0; p < n; p++)
            for (int64_t q = p + 1; q < n; q++) {
                /* Left behind, it turns no value by more than rounding a itself has. */
                if (fabs(a[p * n + q]) <= DBL_EPSILON / 8 * size) continue;
                annihilate(a, n, p, q, vectors);
                rotated = 1;
            }
    }
    for (int64_t i = 0; i < n; i++) values[i] = a[i * n + i];
    sort_falling(n, values, vectors);
}
