/* Packed operands. Features lie twice, as the right operand of logits, [block / panel][dim][panel] with rows along a
 * panel, and of gather_w, [dim / panel][block][panel]; classes lie once, [dim / panel][tile + ROWS][panel], which is
 * the right operand of gather_x and, read along k, the left one of logits. Columns beyond dim and rows beyond n are
 * zero. The ROWS classes that are not there keep the chunks of a strip out of each other's cache sets.
 *
 * The including file defines T, V, ROWS, FN(name), LOWER(v), v rounded to bfloat16. */

enum { FN(lanes) = (int)(sizeof(V) / sizeof(T)), FN(panel) = 2 * FN(lanes) };

static int64_t FN(panels)(int64_t n) {
    return (n + FN(panel) - 1) / FN(panel);
}

/* Panels of n columns rounded up to LGT_LANES. */
static int64_t FN(wide_panels)(int64_t n) {
    return (n + LGT_LANES - 1) / LGT_LANES * (LGT_LANES / FN(panel));
}

static int64_t FN(class_panel)(const lgt_extent *e) {
    return (e->tile + ROWS) * FN(panel);
}

static int64_t FN(features_size)(const lgt_extent *e) {
    return (e->dim + FN(wide_panels)(e->dim) * FN(panel)) * e->block * (int64_t)sizeof(T);
}

static int64_t FN(classes_size)(const lgt_extent *e) {
    return FN(wide_panels)(e->dim) * FN(class_panel)(e) * (int64_t)sizeof(T);
}

static int64_t FN(no_weights_size)(const lgt_extent *e) {
    (void)e;
    return 0;
}

LGT_INLINE T FN(rounded)(double value, int low) {
    T v = (T)value;
    return low ? LOWER(v) : v;
}

/* One vector into the panels of [dim / panel][...][panel], the p-th at out + p * stride. */
LGT_INLINE void FN(pack_vector)(int64_t dim, const T *v, double factor, int64_t stride, T *out, int low) {
    for (int64_t k = 0, end = FN(wide_panels)(dim) * FN(panel); k < end; k += FN(panel), out += stride) {
        if (k + FN(panel) <= dim)
            for (int l = 0; l < FN(panel); l++) out[l] = FN(rounded)((double)v[k + l] * factor, low);
        else
            for (int l = 0; l < FN(panel); l++) out[l] = k + l < dim ? FN(rounded)((double)v[k + l] * factor, low) : 0;
    }
}

LGT_INLINE void FN(pack_vectors)(int64_t dim, const T *const *v, const double *factor, int64_t n, int64_t stride,
                                 T *out, int low) {
    for (int64_t i = 0; i < n; i++) FN(pack_vector)(dim, v[i], factor[i], stride, out + i * FN(panel), low);
}

LGT_VECTOR(FN(four), T, 4 * sizeof(T));

/* out[k][r] = in[r][k], four by four. */
LGT_INLINE void FN(transpose_four)(const T *in, T *out) {
    enum { LD = FN(panel) };
    FN(four) a = *(const FN(four) *)in, b = *(const FN(four) *)(in + LD);
    FN(four) c = *(const FN(four) *)(in + 2 * LD), d = *(const FN(four) *)(in + 3 * LD);
    FN(four) ab_low = LGT_PICK(a, b, 0, 4, 1, 5), ab_high = LGT_PICK(a, b, 2, 6, 3, 7);
    FN(four) cd_low = LGT_PICK(c, d, 0, 4, 1, 5), cd_high = LGT_PICK(c, d, 2, 6, 3, 7);
    *(FN(four) *)out = LGT_PICK(ab_low, cd_low, 0, 1, 4, 5);
    *(FN(four) *)(out + LD) = LGT_PICK(ab_low, cd_low, 2, 3, 6, 7);
    *(FN(four) *)(out + 2 * LD) = LGT_PICK(ab_high, cd_high, 0, 1, 4, 5);
    *(FN(four) *)(out + 3 * LD) = LGT_PICK(ab_high, cd_high, 2, 3, 6, 7);
}

/* out[k][r] = in[r][k] for k below `columns`, panel by panel. */
static void FN(transpose)(const T *in, int64_t columns, T *out) {
    int64_t k = 0;
    for (; k + 4 <= columns; k += 4)
        for (int r = 0; r < FN(panel); r += 4) FN(transpose_four)(in + r * FN(panel) + k, out + k * FN(panel) + r);
    for (; k < columns; k++)
        for (int r = 0; r < FN(panel); r++) out[k * FN(panel) + r] = in[r * FN(panel) + k];
}

LGT_INLINE void FN(pack_both)(const lgt_extent *e, const T *const *x, const double *factor, int64_t n, void *out,
                              int low) {
    T *across = out, *along = across + e->dim * e->block;
    int64_t stride = e->block * FN(panel), rows = FN(panels)(n) * FN(panel), width = FN(wide_panels)(e->dim);
    FN(pack_vectors)(e->dim, x, factor, n, stride, along, low);
    for (int64_t p = 0; p < width; p++)
        memset(along + p * stride + n * FN(panel), 0, (size_t)((rows - n) * FN(panel)) * sizeof(T));
    for (int64_t r = 0; r < rows; r += FN(panel))
        for (int64_t k = 0; k < e->dim; k += FN(panel)) FN(transpose)
    (along + k / FN(panel) * stride + r * FN(panel), e->dim - k < FN(panel) ? e->dim - k : FN(panel),
     across + r * e->dim + k * FN(panel));
}

static void FN(pack_features)(const lgt_extent *e, const T *const *x, const double *factor, int64_t n, void *out) {
    FN(pack_both)(e, x, factor, n, out, 0);
}

static void FN(pack_classes)(const lgt_extent *e, const T *const *w, const double *factor, int64_t n, void *out) {
    FN(pack_vectors)(e->dim, w, factor, n, FN(class_panel)(e), out, 0);
}

/* One operand serves both. */
static void FN(turn_no_classes)(const lgt_extent *e, int64_t n, void *classes) {
    (void)e, (void)n, (void)classes;
}

/* The left operand of both gathers is u as it is. */
static void FN(pack_no_weights)(const lgt_extent *e, const T *u, int64_t n_classes, int64_t n_rows, const void *classes,
                                const void *features, void *out) {
    (void)classes, (void)features;
    (void)e, (void)u, (void)n_classes, (void)n_rows, (void)out;
}
