/* Norms and scaled copies of rows, in double whatever T is: a float32 row's squares can neither overflow nor vanish
 * there. The including file defines T and FN(name). */

static double FN(square_sum)(const T *v, int64_t n) {
    enum { LANES = 16 };
    double lane[LANES] = {0}, sum = 0;
    int64_t k = 0;
    for (; k + LANES <= n; k += LANES)
        for (int l = 0; l < LANES; l++) lane[l] += (double)v[k + l] * (double)v[k + l];
    for (int l = 0; k < n; k++, l++) lane[l] += (double)v[k] * (double)v[k];
    for (int l = 0; l < LANES; l++) sum += lane[l];
    return sum;
}

static void FN(scaled)(const T *v, int64_t n, double factor, T *out) {
    for (int64_t k = 0; k < n; k++) out[k] = (T)((double)v[k] * factor);
}
