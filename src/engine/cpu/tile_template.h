/* Tiles of classes, loaded as the products want them. The including file defines T, KERNELS and FN(name).
 *
 * A class with several centres has one row of w for each; a tile then holds that many layers of `tile` rows, and a
 * product is that with the nearest. */

typedef struct FN(tile) {
    char *packed;     /* (centres) operands */
    const T **rows;   /* (centres, tile) where the rows of w lie */
    double *factors;  /* (centres, tile) what they are multiplied by: 1 / |w|, or 1 where values count */
    double *norms;    /* (centres, tile) */
    T *bias;          /* (tile) */
    T *factor;        /* (tile) scale of the class over that of the problem */
    int64_t first, n; /* classes [first, first + n) of the run */
    int64_t loaded;   /* the run that loaded it */
    int turned;       /* whether gather_x may read it */
    lgt_ray ray;
} FN(tile);

/* What loading and multiplying tiles takes, the same for all of them. */
typedef struct FN(tiling) {
    const lgt_problem *problem;
    const KERNELS *kernels;
    lgt_extent extent;
    int64_t classes_size, features_size; /* of packed operands */
    lgt_view w, b;                       /* of the classes that are here: those from first_class on */
    int64_t first_class;
    const int64_t *classes; /* which ones the run has, or NULL: all */
    const double *offsets;  /* of their logits, or NULL */
    const double *scales;   /* (C) or NULL */
} FN(tiling);

/* Few classes fill no matrix tiles: float32 has its multiply-adds for them. */
static const KERNELS *FN(kernels_for)(const lgt_problem *problem, const lgt_extent *extent) {
    lgt_isa isa = lgt_context_isa(problem->context);
    lgt_precision precision = problem->options.precision;
    int few = extent->tile < 64 && precision == LGT_PRECISION_FULL;
    return KERNELS_OF(few && isa == LGT_ISA_AMX ? LGT_ISA_AVX512 : isa, precision);
}

static FN(tiling) FN(tiling_of)(const lgt_problem *problem, const lgt_extent *extent) {
    const KERNELS *kernels = FN(kernels_for)(problem, extent);
    return (FN(tiling)){.problem = problem,
                        .kernels = kernels,
                        .extent = *extent,
                        .classes_size = kernels->classes_size(extent),
                        .features_size = kernels->features_size(extent)};
}

static void FN(place_ray)(lgt_ray *ray, int64_t dim, lgt_arena *arena) {
    ray->value = lgt_arena_take(arena, dim, sizeof(double));
    ray->unit = lgt_arena_take(arena, dim, sizeof(double));
}

static void FN(place_tile)(const FN(tiling) * g, FN(tile) * tile, lgt_arena *arena) {
    int64_t places = g->problem->centres * g->extent.tile;
    tile->packed = lgt_arena_take(arena, g->problem->centres, (size_t)g->classes_size);
    tile->rows = lgt_arena_take(arena, places, sizeof *tile->rows);
    tile->factors = lgt_arena_take(arena, places, sizeof(double));
    tile->norms = lgt_arena_take(arena, places, sizeof(double));
    tile->bias = lgt_arena_take(arena, g->extent.tile, sizeof(T));
    tile->factor = lgt_arena_take(arena, g->extent.tile, sizeof(T));
    FN(place_ray)(&tile->ray, g->problem->dim, arena);
}

static void FN(pack_tile)(const FN(tiling) * g, FN(tile) * tile) {
    for (int64_t k = 0; k < g->problem->centres; k++) {
        int64_t at = k * g->extent.tile;
        g->kernels->pack_classes(&g->extent, tile->rows + at, tile->factors + at, tile->n,
                                 tile->packed + k * g->classes_size);
    }
    tile->turned = 0;
}

/* The class at a place among those of the run. */
static int64_t FN(class_at)(const FN(tiling) * g, int64_t place) {
    return g->classes ? g->classes[place] : place;
}

/* The row of w that is class j of the tile in layer k. */
static int64_t FN(row_of)(const FN(tiling) * g, const FN(tile) * tile, int64_t j, int64_t k) {
    return FN(class_at)(g, tile->first + j) * g->problem->centres + k;
}

/* Where row `row` of w, counted from class 0, lies in the view w. */
static int64_t FN(here)(const FN(tiling) * g, int64_t row) {
    return row - g->first_class * g->problem->centres;
}

/* The norm of a vector that has a direction and whose squares can be summed. Returns whether it is one. */
static int FN(measure)(const FN(tiling) * g, const T *v, double *norm) {
    double square = g->kernels->square_sum(v, g->problem->dim);
    *norm = sqrt(square);
    return square > LGT_SQUARE_LEAST && square < LGT_SQUARE_MOST && *norm >= g->problem->least_norm;
}

/* The norm of row `at` of the view w, 0 where it has no direction. Returns whether it is finite. */
static int FN(measure_class)(const FN(tiling) * g, FN(tile) * tile, int64_t at, double *norm) {
    if (FN(measure)(g, (const T *)g->w.data + at * g->w.ld, norm)) return 1;
    int finite = lgt_ray_load(g->problem, g->w, at, &tile->ray);
    *norm = tile->ray.norm;
    return finite;
}

/* Finds the tile of classes [first, first + n), all but its operands; norms (centres, tile), or NULL: not yet known.
 * Returns the first row of w that is not finite, or -1. */
static int64_t FN(find_tile)(const FN(tiling) * g, int64_t first, int64_t n, const double *norms, FN(tile) * tile) {
    const lgt_problem *p = g->problem;
    int64_t bad = -1, size = g->extent.tile;
    tile->first = first;
    tile->n = n;
    if (norms) memcpy(tile->norms, norms, (size_t)(p->centres * size) * sizeof *norms);
    for (int64_t j = 0; j < tile->n; j++) {
        int64_t class = FN(class_at)(g, tile->first + j);
        tile->bias[j] = g->b.data ? ((const T *)g->b.data)[class - g->first_class] : 0;
        if (g->offsets) tile->bias[j] += (T)g->offsets[tile->first + j];
        tile->factor[j] = g->scales ? (T)(g->scales[class] / p->scale) : 1;
        for (int64_t k = 0; k < p->centres; k++) {
            int64_t row = FN(row_of)(g, tile, j, k), at = FN(here)(g, row), place = k * size + j;
            if (!norms && !FN(measure_class)(g, tile, at, &tile->norms[place]) && (bad < 0 || row < bad)) bad = row;
            tile->rows[place] = (const T *)g->w.data + at * g->w.ld;
            tile->factors[place] = !p->unit_w ? 1 : tile->norms[place] > 0 ? 1 / tile->norms[place] : 0;
        }
    }
    return bad;
}

static int64_t FN(load_tile)(const FN(tiling) * g, int64_t first, int64_t n, const double *norms, FN(tile) * tile) {
    int64_t bad = FN(find_tile)(g, first, n, norms, tile);
    FN(pack_tile)(g, tile);
    return bad;
}

/* u = products of the classes packed at `classes` with the n rows packed at `features`. Of several centres the nearest
 * counts; with choose, *nearest (a crossing) is found, else what it says is taken. other (a crossing) is scratch. */
static void FN(multiply)(const FN(tiling) * g, const char *classes, int64_t n_classes, const char *features, int64_t n,
                         int choose, T *u, T *other, uint8_t *nearest) {
    const lgt_extent *e = &g->extent;
    int64_t count = n_classes * e->ld;
    g->kernels->logits(e, classes, n_classes, features, n, u);
    if (g->problem->centres == 1) return;
    if (choose) memset(nearest, 0, (size_t)count);
    for (int64_t k = 1; k < g->problem->centres; k++) {
        g->kernels->logits(e, classes + k * g->classes_size, n_classes, features, n, other);
        for (int64_t j = 0; j < n_classes; j++)
            for (int64_t at = j * e->ld; at < j * e->ld + n; at++) {
                if (choose && other[at] > u[at]) nearest[at] = (uint8_t)k;
                if (nearest[at] == k) u[at] = other[at];
            }
    }
}
