/* Tiles of classes, loaded as the products want them. The including file defines T, KERNELS and FN(name).
 *
 * A class with several centres has one row of w for each; a tile then holds that many layers of LGT_TILE rows, and a
 * product is that with the nearest. */

typedef struct FN(tile) {
    T *rows;          /* (centres, TILE, ld) one class a row: directions or values */
    T *columns;       /* (centres, width, TILE) the same, transposed */
    T *bias;          /* (TILE), -inf beyond the last class */
    T *factor;        /* (TILE) scale of the class over that of the problem */
    double *norms;    /* (centres, TILE) */
    int64_t first, n; /* classes [first, first + n) */
    lgt_ray ray;
} FN(tile);

/* What loading and multiplying tiles takes, the same for all of them. */
typedef struct FN(tiling) {
    const lgt_problem *problem;
    const KERNELS *kernels;
    lgt_view w, b;
    const double *scales; /* (C) or NULL */
    int64_t ld, width;
} FN(tiling);

/* Elements of T a tile needs. */
static int64_t FN(tile_size)(const lgt_problem *p, int64_t ld, int64_t width) {
    return p->centres * LGT_TILE * (ld + width) + 2 * LGT_TILE;
}

/* Lays the tile's arrays out from `at` on; returns what follows them. */
static T *FN(place_tile)(const lgt_problem *p, int64_t ld, int64_t width, T *at, FN(tile) * tile) {
    tile->rows = at;
    tile->columns = tile->rows + p->centres * LGT_TILE * ld;
    tile->bias = tile->columns + p->centres * LGT_TILE * width;
    tile->factor = tile->bias + LGT_TILE;
    return tile->factor + LGT_TILE;
}

/* Row `at` of w into `out`; its norm to *norm. Returns whether it is finite. */
static int FN(load_class)(const FN(tiling) * g, int64_t at, lgt_ray *ray, T *out, double *norm) {
    const lgt_problem *p = g->problem;
    const T *row = (const T *)g->w.data + at * g->w.ld;
    double square = g->kernels->square_sum(row, p->dim), root = sqrt(square);
    if (square > LGT_SQUARE_LEAST && square < LGT_SQUARE_MOST && root >= p->least_norm) {
        g->kernels->scaled(row, p->dim, p->unit_w ? 1 / root : 1, out);
        *norm = root;
        return 1;
    }
    /* Zero, tiny, huge or not finite: the careful way. */
    int finite = lgt_ray_load(p, g->w, at, ray);
    for (int64_t k = 0; k < p->dim; k++) out[k] = p->unit_w ? (T)ray->unit[k] : row[k];
    *norm = ray->norm;
    return finite;
}

static void FN(transpose)(const T *rows, int64_t ld, int64_t dim, T *columns) {
    for (int64_t k = 0; k < dim; k++)
        for (int64_t j = 0; j < LGT_TILE; j++) columns[k * LGT_TILE + j] = rows[j * ld + k];
}

/* Loads tile `index`. Rows beyond the last class are zero and have bias -inf, so that they weigh nothing. Returns the
 * first row of w that is not finite, or -1. */
static int64_t FN(load_tile)(const FN(tiling) * g, int64_t index, FN(tile) * tile) {
    const lgt_problem *p = g->problem;
    int64_t bad = -1;
    tile->first = index * LGT_TILE;
    tile->n = lgt_min64(LGT_TILE, p->n_classes - tile->first);
    for (int64_t j = 0; j < LGT_TILE; j++) {
        tile->bias[j] = j >= tile->n ? -(T)INFINITY : g->b.data ? ((const T *)g->b.data)[tile->first + j] : 0;
        tile->factor[j] = j < tile->n && g->scales ? (T)(g->scales[tile->first + j] / p->scale) : 1;
    }
    for (int64_t k = 0; k < p->centres; k++) {
        T *rows = tile->rows + k * LGT_TILE * g->ld;
        for (int64_t j = 0; j < tile->n; j++) {
            int64_t at = (tile->first + j) * p->centres + k;
            if (!FN(load_class)(g, at, &tile->ray, rows + j * g->ld, &tile->norms[k * LGT_TILE + j]) && bad < 0)
                bad = at;
        }
        for (int64_t j = tile->n; j < LGT_TILE; j++) memset(rows + j * g->ld, 0, (size_t)g->ld * sizeof(T));
        FN(transpose)(rows, g->ld, p->dim, tile->columns + k * LGT_TILE * g->width);
    }
    return bad;
}

/* u (n, TILE) = products of n rows of x (n, ld) with the classes of a tile, given as columns. Of several centres the
 * nearest counts; with choose, *nearest (n, TILE) is found, else what it says is taken. other (n, TILE) is scratch. */
static void FN(multiply)(const FN(tiling) * g, const T *columns, const T *x, int64_t n, int choose, T *u, T *other,
                         uint8_t *nearest) {
    const lgt_problem *p = g->problem;
    g->kernels->product(n, LGT_TILE, p->dim, x, g->ld, 1, columns, LGT_TILE, u, LGT_TILE, 0);
    if (p->centres == 1) return;
    if (choose) memset(nearest, 0, (size_t)(n * LGT_TILE));
    for (int64_t k = 1; k < p->centres; k++) {
        g->kernels->product(n, LGT_TILE, p->dim, x, g->ld, 1, columns + k * LGT_TILE * g->width, LGT_TILE, other,
                            LGT_TILE, 0);
        for (int64_t i = 0; i < n * LGT_TILE; i++) {
            if (choose && other[i] > u[i]) nearest[i] = (uint8_t)k;
            if (nearest[i] == k) u[i] = other[i];
        }
    }
}
