/* Tiles of classes, loaded as the products want them. The including file defines T, KERNELS and FN(name). */

typedef struct FN(tile) {
    T *rows;    /* (TILE, ld) one class a row: directions (COS) or values (DOT) */
    T *columns; /* (dim, TILE) the same, transposed */
    T *bias;    /* (TILE), -inf beyond the last class */
    double norms[LGT_TILE];
    int64_t first, n; /* classes [first, first + n) */
    lgt_ray ray;
} FN(tile);

/* One class; its norm to norms[j]. Returns whether it is finite. */
static int FN(load_class)(const lgt_problem *p, const KERNELS *kernels, lgt_view w, int64_t ld, FN(tile) * tile,
                          int64_t j) {
    const T *row = (const T *)w.data + (tile->first + j) * w.ld;
    T *out = tile->rows + j * ld;
    int cosine = p->loss.info->space == LGT_SPACE_COS;
    double square = kernels->square_sum(row, p->dim), norm = sqrt(square);
    if (square > LGT_SQUARE_LEAST && square < LGT_SQUARE_MOST && norm >= p->least_norm) {
        kernels->scaled(row, p->dim, cosine ? 1 / norm : 1, out);
        tile->norms[j] = norm;
        return 1;
    }
    /* Zero, tiny, huge or not finite: the careful way. */
    int finite = lgt_ray_load(p, w, tile->first + j, &tile->ray);
    for (int64_t k = 0; k < p->dim; k++) out[k] = cosine ? (T)tile->ray.unit[k] : row[k];
    tile->norms[j] = tile->ray.norm;
    return finite;
}

/* Loads tile `index`. Rows beyond the last class are zero and have bias -inf, so that they weigh nothing. Returns the
 * first class that is not finite, or -1. */
static int64_t FN(load_tile)(const lgt_problem *p, const KERNELS *kernels, lgt_view w, lgt_view b, int64_t ld,
                             int64_t index, FN(tile) * tile) {
    int64_t bad = -1;
    tile->first = index * LGT_TILE;
    tile->n = lgt_min64(LGT_TILE, p->n_classes - tile->first);
    for (int64_t j = 0; j < tile->n; j++) {
        tile->bias[j] = b.data ? ((const T *)b.data)[tile->first + j] : 0;
        if (!FN(load_class)(p, kernels, w, ld, tile, j) && bad < 0) bad = tile->first + j;
    }
    for (int64_t j = tile->n; j < LGT_TILE; j++) {
        tile->bias[j] = -(T)INFINITY;
        memset(tile->rows + j * ld, 0, (size_t)ld * sizeof(T));
    }
    for (int64_t k = 0; k < p->dim; k++)
        for (int64_t j = 0; j < LGT_TILE; j++) tile->columns[k * LGT_TILE + j] = tile->rows[j * ld + k];
    return bad;
}
