/* How the N x C rectangle is cut. */
#include "engine/cpu/layout.h"

#include "base/sizes.h"
#include "engine/engine.h"

/* Sixteen tasks a panel feed as many threads. With few classes rows are cheap to come back to, and a panel stays within
 * a cache. SHORT: products of shorter blocks are slower, which a thread without work is too where there are fewer tasks
 * than FEW. SKEW: rows of a crossing do not start in the same sets. */
enum { TASKS = LGT_STRIPES, CACHED_BYTES = 16 << 20, SHORT = 64, FEW = 4, SKEW = 16 };

/* The largest crossing: docs/kernels.md. The second cache holds the features twice, dx, the classes, dw and u,
 *   size (3 block dim + 2 tile dim + tile block) <= cache. A longer tile lets gather_x touch dx less often, which the
 * fast tile products need. */
static void choose_cut(const lgt_shape *shape, lgt_extent *e) {
    int64_t numbers = shape->cache_bytes / (int64_t)shape->element_size, tile = 128;
    int64_t block = (numbers - 2 * tile * shape->dim) / (3 * shape->dim + tile) / LGT_LANES * LGT_LANES;
    e->tile = tile;
    e->block = lgt_max64(128, lgt_min64(512, block));
    if (shape->precision != LGT_PRECISION_FULL)
        e->tile = shape->precision == LGT_PRECISION_BF16 ? 256 : 128, e->block = 128;
}

/* Tiles of one size, none longer than a stripe; a list may put a few more classes into a stripe than its share. */
static void fit_tile(const lgt_shape *shape, int64_t n_stripes, lgt_extent *e) {
    int64_t longest = lgt_stripe_begin(shape->n_classes, 1);
    if (shape->max_listed < shape->n_classes) {
        int64_t share = lgt_ceil_div(shape->max_listed, n_stripes);
        longest = lgt_min64(longest, share + share / 4);
    }
    e->tile = lgt_round_up(lgt_ceil_div(longest, lgt_ceil_div(longest, e->tile)), LGT_LANES);
}

/* Halves the block down to `least` rows while it makes fewer crossings than wanted. */
static void halve_block(lgt_extent *e, int64_t rows, int64_t tiles, int64_t least, int64_t wanted) {
    while (e->block >= 2 * least && tiles * lgt_ceil_div(rows, e->block) < wanted)
        e->block = lgt_round_up(e->block / 2, LGT_LANES);
}

static void cut_panels(lgt_layout *l, int64_t element) {
    int64_t most = LGT_PARTIAL_BYTES / (l->n_stripes * l->width * element), block = l->extent.block;
    int64_t row_bytes = 2 * l->width * element; /* features are packed twice */
    if (l->tile_at[l->n_stripes] < TASKS) most = lgt_min64(most, CACHED_BYTES / row_bytes);
    l->n_blocks = lgt_max64(1, lgt_min64(most / block, l->n_blocks));
    l->panel_rows = l->n_blocks * block;
}

lgt_layout lgt_layout_of(const lgt_shape *shape) {
    int64_t rows = lgt_max64(shape->max_rows, 1), element = (int64_t)shape->element_size;
    lgt_layout l = {.extent.dim = shape->dim, .width = lgt_round_up(shape->dim, LGT_LANES)};
    lgt_extent *e = &l.extent;
    l.n_stripes = lgt_stripes_of(shape->n_classes);
    choose_cut(shape, e);
    fit_tile(shape, l.n_stripes, e);
    lgt_layout_fit(&l, shape->n_classes, NULL, shape->n_classes);
    /* Blocks of one size, up to half as large again: a small last one would be packed and kept like the others. */
    int64_t blocks = lgt_max64(1, (rows + e->block / 2) / e->block);
    e->block = lgt_round_up(lgt_ceil_div(rows, blocks), LGT_LANES);
    int64_t tiles = lgt_layout_most_tiles(&l, 0, l.n_stripes, shape->max_listed);
    halve_block(e, rows, tiles, SHORT, 4 * TASKS);
    halve_block(e, rows, tiles, LGT_LANES, FEW);
    e->ld = e->block + SKEW;
    l.n_blocks = lgt_ceil_div(rows, e->block);
    l.panel_rows = l.n_blocks * e->block;
    if (!shape->whole) cut_panels(&l, element);
    return l;
}

int64_t lgt_layout_most_tiles(const lgt_layout *layout, int64_t begin, int64_t end, int64_t max_listed) {
    int64_t all = layout->tile_at[end] - layout->tile_at[begin];
    return lgt_min64(all, lgt_ceil_div(max_listed, layout->extent.tile) + end - begin);
}

void lgt_layout_fit(lgt_layout *layout, int64_t n_classes, const int64_t *classes, int64_t n_listed) {
    for (int64_t k = 0; k <= layout->n_stripes; k++) {
        int64_t begin = lgt_stripe_begin(n_classes, k);
        layout->class_at[k] = classes ? lgt_count_below(classes, n_listed, begin) : begin;
        if (k > 0)
            layout->tile_at[k] = layout->tile_at[k - 1] +
                                 lgt_ceil_div(layout->class_at[k] - layout->class_at[k - 1], layout->extent.tile);
    }
}

/* The stripe that a tile of the run is in. */
static int64_t stripe_of_tile(const lgt_layout *layout, int64_t tile) {
    int64_t k = 0;
    while (tile >= layout->tile_at[k + 1]) k++;
    return k;
}

int64_t lgt_layout_tile_of_class(const lgt_layout *layout, int64_t place) {
    int64_t k = 0;
    while (place >= layout->class_at[k + 1]) k++;
    return layout->tile_at[k] + (place - layout->class_at[k]) / layout->extent.tile;
}

int64_t lgt_layout_tile(const lgt_layout *layout, int64_t tile, int64_t *first) {
    int64_t k = stripe_of_tile(layout, tile);
    *first = layout->class_at[k] + (tile - layout->tile_at[k]) * layout->extent.tile;
    return lgt_min64(layout->extent.tile, layout->class_at[k + 1] - *first);
}

int64_t lgt_layout_groups(const lgt_layout *layout, int64_t n_blocks) {
    if (layout->n_stripes >= TASKS / 2) return 1;
    return lgt_min64(TASKS / layout->n_stripes, lgt_max64(1, n_blocks));
}

int64_t lgt_layout_crossing(const lgt_layout *layout) {
    return layout->extent.tile * layout->extent.ld;
}
