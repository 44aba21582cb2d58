/* The measurements of one element type. The including file defines T, FN(name), KERNELS, the type of a set, and GEMM.
 */

typedef struct FN(arrays) {
    int64_t width;
    T *x, *w, *u, *dx, *dw, *v;
} FN(arrays);

/* Values in [-1, 1]; dx and dw are as wide as dim rounded up to lanes; v serves every argument of the exponentials. */
static FN(arrays) FN(arrays_of)(const lgt_extent *e) {
    int64_t width = (e->dim + LGT_LANES - 1) / LGT_LANES * LGT_LANES;
    int64_t counts[] = {e->block * e->dim, e->tile * e->dim, e->tile * e->ld,
                        e->block * width,  e->tile * width,  4 * (e->tile + e->block)};
    T *arrays[6];
    for (int a = 0; a < 6; a++) {
        arrays[a] = room(counts[a] * (int64_t)sizeof(T));
        for (int64_t i = 0; i < counts[a]; i++) arrays[a][i] = (T)(rand() % 2001 - 1000) / 1000;
    }
    return (FN(arrays)){width, arrays[0], arrays[1], arrays[2], arrays[3], arrays[4], arrays[5]};
}

static void FN(free_arrays)(FN(arrays) * a) {
    free(a->x), free(a->w), free(a->u), free(a->dx), free(a->dw), free(a->v);
}

static const T **FN(rows_of)(const T *matrix, int64_t n, int64_t dim) {
    const T **rows = room(n * (int64_t)sizeof *rows);
    for (int64_t i = 0; i < n; i++) rows[i] = matrix + i * dim;
    return rows;
}

static void FN(bench)(const char *name, const lgt_extent *e, const KERNELS *set, int repeats, roof_loop *ceiling) {
    static timings t;
    FN(arrays) a = FN(arrays_of)(e);
    int64_t most = e->tile + e->block;
    const T **x = FN(rows_of)(a.x, e->block, e->dim), **w = FN(rows_of)(a.w, e->tile, e->dim);
    double *ones = room(most * (int64_t)sizeof *ones), at[6];
    void *px = room(set->features_size(e)), *pw = room(set->classes_size(e)), *pu = room(set->weights_size(e));
    const void *weights = set->weights_size(e) ? pu : a.u;
    for (int64_t i = 0; i < most; i++) ones[i] = 1;
    set->pack_features(e, x, ones, e->block, px);
    t.repeats = repeats;
    for (int r = 0; r < repeats; r++) {
        t.seconds[ROOF][r] = ceiling();
        at[0] = lgt_clock_now();
        set->pack_classes(e, w, ones, e->tile, pw);
        set->turn_classes(e, e->tile, pw);
        at[1] = lgt_clock_now();
        set->logits(e, pw, e->tile, px, e->block, a.u);
        at[2] = lgt_clock_now();
        set->exp_sum(e, a.u, e->tile, e->block, (T)0.1, a.v, a.v + most, a.v + 2 * most, a.v + 3 * most);
        set->exp_weights(e, a.u, e->tile, e->block, (T)0.1, a.v, a.v + most, a.v, a.v, a.v);
        set->pack_weights(e, a.u, e->tile, e->block, pw, px, pu);
        at[3] = lgt_clock_now();
        set->gather_w(e, weights, e->tile, e->block, px, a.dw, a.width, 0);
        at[4] = lgt_clock_now();
        set->gather_x(e, weights, e->tile, e->block, pw, a.dx, a.width, 1);
        at[5] = lgt_clock_now();
        static const int order[] = {PACK, LOGITS, EXPS, GATHER_W, GATHER_X};
        for (int i = 0; i < 5; i++) t.seconds[order[i]][r] = at[i + 1] - at[i];
    }
    tell(name, e, &t);
    free(x), free(w), free(ones), free(px), free(pw), free(pu);
    FN(free_arrays)(&a);
}

static void FN(gemm)(const char *name, const lgt_extent *e, int repeats, roof_loop *ceiling) {
    static timings t;
    FN(arrays) a = FN(arrays_of)(e);
    int c = (int)e->tile, n = (int)e->block, d = (int)e->dim, ld = (int)e->ld, wide = (int)a.width;
    t.repeats = repeats;
    for (int r = 0; r < repeats; r++) {
        double at[4];
        t.seconds[ROOF][r] = ceiling();
        at[0] = lgt_clock_now();
        GEMM(CblasRowMajor, CblasNoTrans, CblasTrans, c, n, d, 1, a.w, d, a.x, d, 0, a.u, ld);
        at[1] = lgt_clock_now();
        GEMM(CblasRowMajor, CblasNoTrans, CblasNoTrans, c, d, n, 1, a.u, ld, a.x, d, 0, a.dw, wide);
        at[2] = lgt_clock_now();
        GEMM(CblasRowMajor, CblasTrans, CblasNoTrans, n, d, c, 1, a.u, ld, a.w, d, 1, a.dx, wide);
        at[3] = lgt_clock_now();
        static const int order[] = {LOGITS, GATHER_W, GATHER_X};
        for (int i = 0; i < 3; i++) t.seconds[order[i]][r] = at[i + 1] - at[i];
    }
    tell(name, e, &t);
    FN(free_arrays)(&a);
}

#undef T
#undef FN
#undef KERNELS
#undef GEMM
