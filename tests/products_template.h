/* The tests of one arithmetic's products, packing included. The including file defines T, KERNELS, EPSILON, FN(name),
 * SET(isa) and ROUND(v), which rounds a T as packing does. */

enum { FN(TILE) = 64, FN(BLOCK) = 96, FN(GUARD) = 64, FN(MOST) = 512 };

/* A matrix between guards: n rows of ld, of which `width` elements may be written. */
typedef struct FN(matrix) {
    T *buffer, *at;
    int64_t n, width, ld;
} FN(matrix);

/* shift elements off the alignment of an allocation. */
static FN(matrix) FN(matrix_of)(int64_t n, int64_t width, int64_t ld, int64_t shift, T value) {
    FN(matrix) m = {NULL, NULL, n, width, ld};
    int64_t count = 2 * FN(GUARD) + shift + n * ld;
    m.buffer = malloc((size_t)count * sizeof(T));
    assert_non_null(m.buffer);
    m.at = m.buffer + FN(GUARD) + shift;
    for (int64_t i = 0; i < count; i++) m.buffer[i] = 777;
    for (int64_t i = 0; i < n * ld; i++)
        if (i % ld < width) m.at[i] = value;
    return m;
}

static void FN(check_guards_and_free)(FN(matrix) * m) {
    T *end = m->at + m->n * m->ld + FN(GUARD);
    for (T *at = m->buffer; at < end; at++) {
        int64_t offset = at - m->at;
        int inside = offset >= 0 && offset < m->n * m->ld && offset % m->ld < m->width;
        if (!inside) assert_true(*at == 777);
    }
    free(m->buffer);
}

/* `bytes` bytes of NaN aligned to 64 as the context's are, and a guard. */
static char *FN(packed_room)(int64_t bytes) {
    assert_int_equal(bytes % 64, 0);
    char *room = aligned_alloc(64, (size_t)bytes + 64);
    assert_non_null(room);
    memset(room, 0xff, (size_t)bytes); /* NaN in T */
    memset(room + bytes, 77, 64);
    return room;
}

static void FN(check_packed_and_free)(char *room, int64_t bytes) {
    for (int i = 0; i < 64; i++) assert_int_equal(room[bytes + i], 77);
    free(room);
}

static T FN(x)[FN(BLOCK) * FN(MOST)], FN(w)[FN(TILE) * FN(MOST)], FN(p)[FN(TILE) * FN(BLOCK)];
static T FN(dx_before)[FN(BLOCK) * FN(MOST)], FN(dw_before)[FN(TILE) * FN(MOST)];
static double FN(x_factor)[FN(BLOCK)], FN(w_factor)[FN(TILE)];
static T FN(x_packed)[FN(BLOCK) * FN(MOST)], FN(w_packed)[FN(TILE) * FN(MOST)], FN(p_packed)[FN(TILE) * FN(BLOCK)];

/* What the three products give, with the sums of the terms' sizes, which bound their errors. */
typedef struct FN(exact) {
    long double u[FN(TILE) * FN(BLOCK)], dx[FN(BLOCK) * FN(MOST)], dw[FN(TILE) * FN(MOST)];
    long double u_size[FN(TILE) * FN(BLOCK)], dx_size[FN(BLOCK) * FN(MOST)], dw_size[FN(TILE) * FN(MOST)];
} FN(exact);

static FN(exact) FN(wanted);

static void FN(make_operands)(void) {
    FN(fill)(FN(x), FN(BLOCK) * FN(MOST), 1), FN(fill)(FN(w), FN(TILE) * FN(MOST), 2);
    FN(fill)(FN(p), FN(TILE) * FN(BLOCK), 3);
    FN(fill)(FN(dx_before), FN(BLOCK) * FN(MOST), 4), FN(fill)(FN(dw_before), FN(TILE) * FN(MOST), 5);
    for (int i = 0; i < FN(BLOCK); i++) FN(x_factor)[i] = i % 3 ? 1 : 0.3 + i;
    for (int j = 0; j < FN(TILE); j++) FN(w_factor)[j] = j % 4 ? 1 : -0.7 - j;
    for (int at = 0; at < FN(BLOCK) * FN(MOST); at++)
        FN(x_packed)[at] = ROUND((T)((double)FN(x)[at] * FN(x_factor)[at / FN(MOST)]));
    for (int at = 0; at < FN(TILE) * FN(MOST); at++)
        FN(w_packed)[at] = ROUND((T)((double)FN(w)[at] * FN(w_factor)[at / FN(MOST)]));
    for (int at = 0; at < FN(TILE) * FN(BLOCK); at++) FN(p_packed)[at] = ROUND(FN(p)[at]);
}

static void FN(multiply_exactly)(int64_t dim, int64_t n_classes, int64_t n_rows) {
    FN(exact) *o = &FN(wanted);
    memset(o, 0, sizeof *o);
    for (int64_t j = 0; j < n_classes; j++) {
        for (int64_t i = 0; i < n_rows; i++) {
            int64_t cross = j * FN(BLOCK) + i;
            for (int64_t k = 0; k < dim; k++) {
                T x = FN(x_packed)[i * FN(MOST) + k], w = FN(w_packed)[j * FN(MOST) + k], p = FN(p_packed)[cross];
                long double wx = (long double)w * x, pw = (long double)p * w, px = (long double)p * x;
                o->u[cross] += wx, o->u_size[cross] += fabsl(wx);
                o->dx[i * FN(MOST) + k] += pw, o->dx_size[i * FN(MOST) + k] += fabsl(pw);
                o->dw[j * FN(MOST) + k] += px, o->dw_size[j * FN(MOST) + k] += fabsl(px);
            }
        }
    }
}

/* Terms are added in sequence with two roundings each at most, and the result may start from a value: every term passes
 * terms + 1 roundings of EPSILON / 2. */
static void FN(check_matrix)(const char *what, const FN(matrix) * found, int64_t n, int64_t columns, int64_t terms,
                             const long double *exact, const long double *size, const T *before, int64_t ld) {
    for (int64_t at = 0; at < n * columns; at++) {
        int64_t i = at / columns, k = at % columns;
        long double start = before ? before[i * ld + k] : 0;
        double error = (double)fabsl(found->at[i * found->ld + k] - (exact[i * ld + k] + start));
        double limit = (double)(terms + 2) * EPSILON / 2 * (double)(size[i * ld + k] + fabsl(start));
        if (!(error <= limit))
            fail_msg("%s (%d, %d) of %d terms is off by %g, expected at most %g", what, (int)i, (int)k, (int)terms,
                     error, limit);
    }
}

/* One crossing's operands, packed, and its results. */
typedef struct FN(run) {
    const KERNELS *set;
    lgt_extent e;
    int64_t n_classes, n_rows, wide;
    FN(matrix) u, dx, dw;
    char *features, *classes, *copy;
    const void *weights;
} FN(run);

static void FN(pack)(FN(run) * r) {
    const T *x[FN(BLOCK)], *w[FN(TILE)];
    for (int i = 0; i < FN(BLOCK); i++) x[i] = FN(x) + i * FN(MOST);
    for (int j = 0; j < FN(TILE); j++) w[j] = FN(w) + j * FN(MOST);
    r->features = FN(packed_room)(r->set->features_size(&r->e));
    r->classes = FN(packed_room)(r->set->classes_size(&r->e));
    r->copy = FN(packed_room)(r->set->weights_size(&r->e));
    r->set->pack_features(&r->e, x, FN(x_factor), r->n_rows, r->features);
    r->set->pack_classes(&r->e, w, FN(w_factor), r->n_classes, r->classes);
    r->set->turn_classes(&r->e, r->n_classes, r->classes);
}

/* What is no weight is NaN: it must not be read into a result. */
static void FN(set_weights)(FN(run) * r) {
    for (int64_t at = 0; at < FN(TILE) * r->e.ld; at++) {
        int64_t j = at / r->e.ld, i = at % r->e.ld;
        int counts = j < r->n_classes && i < r->n_rows;
        if (i < r->u.width) r->u.at[at] = counts ? FN(p)[j * FN(BLOCK) + i] : (T)NAN;
    }
    r->weights = r->set->weights_size(&r->e) ? (const void *)r->copy : r->u.at;
    r->set->pack_weights(&r->e, r->u.at, r->n_classes, r->n_rows, r->classes, r->features, r->copy);
}

static void FN(set_results)(FN(run) * r, int accumulate) {
    for (int64_t i = 0; i < r->n_rows; i++)
        for (int64_t k = 0; k < r->wide; k++)
            r->dx.at[i * r->dx.ld + k] = !accumulate ? (T)NAN : k < r->e.dim ? FN(dx_before)[i * FN(MOST) + k] : 0;
    for (int64_t j = 0; j < r->n_classes; j++)
        for (int64_t k = 0; k < r->wide; k++)
            r->dw.at[j * r->dw.ld + k] = !accumulate ? (T)NAN : k < r->e.dim ? FN(dw_before)[j * FN(MOST) + k] : 0;
}

static FN(run) FN(start)(const KERNELS *set, int64_t dim, int64_t n_classes, int64_t n_rows, int64_t shift) {
    FN(run) r = {.set = set, .e = {dim, FN(TILE), FN(BLOCK), FN(BLOCK) + LGT_LANES}};
    r.n_classes = n_classes, r.n_rows = n_rows, r.wide = (dim + LGT_LANES - 1) / LGT_LANES * LGT_LANES;
    r.u = FN(matrix_of)(FN(TILE), (n_rows + LGT_LANES - 1) / LGT_LANES * LGT_LANES, r.e.ld, shift, (T)NAN);
    r.dx = FN(matrix_of)(n_rows, r.wide, r.wide + 9, shift, (T)NAN);
    r.dw = FN(matrix_of)(n_classes, r.wide, r.wide + 17, shift, (T)NAN);
    FN(pack)(&r);
    return r;
}

static void FN(finish)(FN(run) * r) {
    FN(check_guards_and_free)(&r->u), FN(check_guards_and_free)(&r->dx), FN(check_guards_and_free)(&r->dw);
    FN(check_packed_and_free)(r->features, r->set->features_size(&r->e));
    FN(check_packed_and_free)(r->classes, r->set->classes_size(&r->e));
    FN(check_packed_and_free)(r->copy, r->set->weights_size(&r->e));
}

static void FN(gather)(FN(run) * r, int accumulate) {
    FN(set_weights)(r);
    FN(set_results)(r, accumulate);
    r->set->gather_x(&r->e, r->weights, r->n_classes, r->n_rows, r->classes, r->dx.at, r->dx.ld, accumulate);
    r->set->gather_w(&r->e, r->weights, r->n_classes, r->n_rows, r->features, r->dw.at, r->dw.ld, accumulate);
}

static void FN(check_equal)(const FN(matrix) * a, const FN(matrix) * b, int64_t n, int64_t columns) {
    for (int64_t i = 0; i < n; i++)
        assert_memory_equal(a->at + i * a->ld, b->at + i * b->ld, (size_t)columns * sizeof(T));
}

static void FN(check_products)(const KERNELS *set, int64_t dim, int64_t n_classes, int64_t n_rows) {
    const FN(exact) *o = &FN(wanted);
    FN(run) r = FN(start)(set, dim, n_classes, n_rows, 0), again = FN(start)(set, dim, n_classes, n_rows, 1);
    set->logits(&r.e, r.classes, n_classes, r.features, n_rows, r.u.at);
    set->logits(&again.e, again.classes, n_classes, again.features, n_rows, again.u.at);
    FN(check_matrix)("u", &r.u, n_classes, n_rows, dim, o->u, o->u_size, NULL, FN(BLOCK));
    FN(check_equal)(&r.u, &again.u, n_classes, n_rows); /* other alignment, same bits */
    for (int accumulate = 0; accumulate < 2; accumulate++) {
        FN(gather)(&r, accumulate), FN(gather)(&again, accumulate);
        FN(check_equal)(&r.dx, &again.dx, n_rows, r.wide), FN(check_equal)(&r.dw, &again.dw, n_classes, r.wide);
        FN(check_matrix)
        ("dx", &r.dx, n_rows, dim, n_classes, o->dx, o->dx_size, accumulate ? FN(dx_before) : NULL, FN(MOST));
        FN(check_matrix)
        ("dw", &r.dw, n_classes, dim, n_rows, o->dw, o->dw_size, accumulate ? FN(dw_before) : NULL, FN(MOST));
        for (int64_t k = dim; k < r.wide; k++) assert_true(r.dx.at[k] == 0 && r.dw.at[k] == 0);
    }
    FN(finish)(&r), FN(finish)(&again);
}

static void FN(products_agree_with_long_double)(void **state) {
    static const int64_t dims[] = {1, 2, 31, 32, 33, 100, 512};
    static const int64_t counts[] = {1, 2, 13, 14, 15, 31, 32, 33, FN(TILE) - 1, FN(TILE), FN(BLOCK) - 1, FN(BLOCK)};
    (void)state;
    FN(make_operands)();
    for (int64_t at = 0; at < 7 * 10 * 4; at++) { /* every number of classes with four of rows */
        int64_t dim = dims[at / 40], n_classes = counts[at % 10], n_rows = counts[(at % 10 + at / 10 % 4 * 3) % 12];
        FN(multiply_exactly)(dim, n_classes, n_rows);
        for (lgt_isa isa = LGT_ISA_GENERIC; isa <= FN(best)(); isa++)
            FN(check_products)(SET(isa), dim, n_classes, n_rows);
    }
}

/* With weights that pick one class a row, dx is what packing made of that class, and dw of that row. */
static void FN(packing_rounds_once)(void **state) {
    (void)state;
    FN(make_operands)();
    for (lgt_isa isa = LGT_ISA_GENERIC; isa <= FN(best)(); isa++) {
        FN(run) r = FN(start)(SET(isa), 100, FN(TILE), FN(TILE), 0);
        for (int64_t at = 0; at < FN(TILE) * r.e.ld; at++) r.u.at[at] = at / r.e.ld == at % r.e.ld;
        for (int64_t at = 0; at < FN(TILE) * r.e.ld; at++)
            if (at % r.e.ld >= r.u.width) r.u.at[at] = 777;
        r.weights = SET(isa)->weights_size(&r.e) ? (const void *)r.copy : r.u.at;
        SET(isa)->pack_weights(&r.e, r.u.at, FN(TILE), FN(TILE), r.classes, r.features, r.copy);
        SET(isa)->gather_x(&r.e, r.weights, FN(TILE), FN(TILE), r.classes, r.dx.at, r.dx.ld, 0);
        SET(isa)->gather_w(&r.e, r.weights, FN(TILE), FN(TILE), r.features, r.dw.at, r.dw.ld, 0);
        for (int64_t i = 0; i < FN(TILE); i++) {
            for (int64_t k = 0; k < 100; k++) {
                assert_true(r.dx.at[i * r.dx.ld + k] == FN(w_packed)[i * FN(MOST) + k]);
                assert_true(r.dw.at[i * r.dw.ld + k] == FN(x_packed)[i * FN(MOST) + k]);
            }
        }
        FN(finish)(&r);
    }
}

/* The classes of one crossing, cut in two: the second part adds to what the first has left. */
static void FN(a_cut_of_the_classes_keeps_the_bits)(void **state) {
    static const int64_t cuts[] = {1, 13, 14, 32, 40, 63};
    const T *w[FN(TILE)];
    (void)state;
    FN(make_operands)();
    for (lgt_isa isa = LGT_ISA_GENERIC; isa <= FN(best)(); isa++) {
        FN(run) r = FN(start)(SET(isa), 100, FN(TILE), FN(BLOCK), 0);
        FN(matrix) parts = FN(matrix_of)(FN(BLOCK), r.wide, r.wide + 9, 0, (T)NAN);
        FN(gather)(&r, 0);
        for (int c = 0; c < 6; c++) {
            int64_t n = FN(TILE) - cuts[c];
            char *rest = FN(packed_room)(SET(isa)->classes_size(&r.e));
            for (int64_t j = 0; j < n; j++) w[j] = FN(w) + (cuts[c] + j) * FN(MOST);
            SET(isa)->pack_classes(&r.e, w, FN(w_factor) + cuts[c], n, rest);
            SET(isa)->turn_classes(&r.e, n, rest);
            const T *weights = r.weights;
            SET(isa)->gather_x(&r.e, weights, cuts[c], FN(BLOCK), r.classes, parts.at, parts.ld, 0);
            weights += cuts[c] * r.e.ld; /* weights of these sets lie as u does */
            SET(isa)->gather_x(&r.e, weights, n, FN(BLOCK), rest, parts.at, parts.ld, 1);
            FN(check_equal)(&r.dx, &parts, FN(BLOCK), r.wide);
            FN(check_packed_and_free)(rest, SET(isa)->classes_size(&r.e));
        }
        FN(check_guards_and_free)(&parts);
        FN(finish)(&r);
    }
}

#undef T
#undef KERNELS
#undef EPSILON
#undef FN
#undef SET
#undef ROUND
