/* Sums over rows and the derivative of a direction; in double, where a float32 row's squares can neither overflow nor
 * vanish, but for the projections of a whole matrix. The including file defines T and FN(name). */

enum { FN(sum_lanes) = 16 };

/* So far ahead parts are asked for: they lie apart and are too short for the processor to see them coming. */
enum { FN(ahead) = 1024 / sizeof(T) };

/* Sixteen partial sums, each in rising order, then those in order. */
LGT_INLINE double FN(total)(const double *lane) {
    double sum = 0;
    for (int l = 0; l < FN(sum_lanes); l++) sum += lane[l];
    return sum;
}

static void FN(class_sums)(const lgt_extent *e, const T *u, int64_t n_classes, int64_t n_rows, double *sum) {
    for (int64_t j = 0; j < n_classes; j++, u += e->ld) {
        double lane[FN(sum_lanes)] = {0};
        int64_t i = 0;
        for (; i + FN(sum_lanes) <= n_rows; i += FN(sum_lanes))
            for (int l = 0; l < FN(sum_lanes); l++) lane[l] += (double)u[i + l];
        for (int l = 0; i < n_rows; i++, l++) lane[l] += (double)u[i];
        sum[j] += FN(total)(lane);
    }
}

static double FN(dot)(const T *a, const T *b, int64_t n) {
    double lane[FN(sum_lanes)] = {0};
    int64_t k = 0;
    for (; k + FN(sum_lanes) <= n; k += FN(sum_lanes))
        for (int l = 0; l < FN(sum_lanes); l++) lane[l] += (double)a[k + l] * (double)b[k + l];
    for (int l = 0; k < n; k++, l++) lane[l] += (double)a[k] * (double)b[k];
    return FN(total)(lane);
}

static double FN(square_sum)(const T *v, int64_t n) {
    return FN(dot)(v, v, n);
}

static void FN(sum_parts)(const T *v, const double *shares, int64_t parts, int64_t stride, int64_t n, double *out) {
    int64_t k = 0;
    for (; k + FN(sum_lanes) <= n; k += FN(sum_lanes)) {
        double lane[FN(sum_lanes)] = {0};
        for (int64_t p = 0; p < parts; p++) {
            double share = shares ? shares[p] : 1;
            __builtin_prefetch(v + p * stride + k + FN(ahead));
            for (int l = 0; l < FN(sum_lanes); l++) lane[l] += share * (double)v[p * stride + k + l];
        }
        memcpy(out + k, lane, sizeof lane);
    }
    for (; k < n; k++) {
        out[k] = 0;
        for (int64_t p = 0; p < parts; p++) out[k] += (shares ? shares[p] : 1) * (double)v[p * stride + k];
    }
}

/* <g, v> / |v|: v is scaled term by term, so that neither huge nor tiny vectors overflow or vanish in between. */
static double FN(part_along)(const T *g, const T *v, int64_t n, double over) {
    double lane[FN(sum_lanes)] = {0};
    int64_t k = 0;
    for (; k + FN(sum_lanes) <= n; k += FN(sum_lanes))
        for (int l = 0; l < FN(sum_lanes); l++) lane[l] += (double)g[k + l] * ((double)v[k + l] * over);
    for (int l = 0; k < n; k++, l++) lane[l] += (double)g[k] * ((double)v[k] * over);
    return FN(total)(lane);
}

/* 0 times a number is 0, but NaN where that is none. */
static int FN(all_finite)(const T *v, int64_t n) {
    T lane[FN(sum_lanes)] = {0}, sum = 0;
    int64_t k = 0;
    for (; k + FN(sum_lanes) <= n; k += FN(sum_lanes))
        for (int l = 0; l < FN(sum_lanes); l++) lane[l] += 0 * v[k + l];
    for (int l = 0; k < n; k++, l++) lane[l] += 0 * v[k];
    for (int l = 0; l < FN(sum_lanes); l++) sum += lane[l];
    return sum == 0;
}

static int FN(project_in_double)(const T *g, const T *v, int64_t n, double over, T *out) {
    double along = FN(part_along)(g, v, n, over), rest = n == 1 ? 0 : over; /* nothing lies across a line */
    for (int64_t k = 0; k < n; k++) out[k] = (T)(((double)g[k] - along * ((double)v[k] * over)) * rest);
    return FN(all_finite)(out, n);
}

/* In T, whose roundings are those of the sums g: beside products at their roof double would take a thirtieth of the
 * time. Where |v|^-1 or a sum leaves the range of T, so does <g, v^>, and |v|^-1 that are nearly 0 have few digits. */
static int FN(project)(const T *g, const T *v, int64_t n, double over, T *out, int away) {
    T lane[FN(sum_lanes)] = {0}, factor = (T)over, along = 0;
    int64_t k = 0;
    (void)away;
    for (; k + FN(sum_lanes) <= n; k += FN(sum_lanes))
        for (int l = 0; l < FN(sum_lanes); l++) lane[l] += g[k + l] * (v[k + l] * factor);
    for (int l = 0; k < n; k++, l++) lane[l] += g[k] * (v[k] * factor);
    for (int l = 0; l < FN(sum_lanes); l++) along += lane[l];
    if (!(over > 1e-30 && isfinite(along)) || n == 1) return FN(project_in_double)(g, v, n, over, out);
    for (k = 0; k < n; k++) out[k] = (g[k] - along * (v[k] * factor)) * factor;
    return FN(all_finite)(out, n);
}

static void FN(project_sums)(double *g, const T *v, int64_t n, double over) {
    double lane[FN(sum_lanes)] = {0};
    int64_t k = 0;
    for (; k + FN(sum_lanes) <= n; k += FN(sum_lanes))
        for (int l = 0; l < FN(sum_lanes); l++) lane[l] += g[k + l] * ((double)v[k + l] * over);
    for (int l = 0; k < n; k++, l++) lane[l] += g[k] * ((double)v[k] * over);
    double along = FN(total)(lane), rest = n == 1 ? 0 : over;
    for (k = 0; k < n; k++) g[k] = (g[k] - along * ((double)v[k] * over)) * rest;
}

static void FN(add_pair)(double *g, double a, const T *u, double b, const T *v, int64_t n) {
    for (int64_t k = 0; k < n; k++) g[k] += a * (double)u[k] + b * (double)v[k];
}
