/* How the N x C rectangle is cut. */
#include "engine/cpu/layout.h"

#include "base/sizes.h"

/* Sixteen tasks a panel feed as many threads, and more would only add partial sums. Partial sums of dx stay within 16
 * MiB. With few classes rows are cheap to come back to, and a panel stays within a cache. SKEW: rows of a crossing do
 * not start in the same sets. */
enum { TASKS = 16, PARTIAL_BYTES = 16 << 20, CACHED_BYTES = 16 << 20, LEAST = 64, SKEW = 16 };

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

static void cut_panels(lgt_layout *l, int64_t element) {
    int64_t most = PARTIAL_BYTES / (l->n_stripes * l->width * element), block = l->extent.block;
    int64_t row_bytes = 2 * l->width * element; /* features are packed twice */
    if (l->n_tiles < TASKS) most = lgt_min64(most, CACHED_BYTES / row_bytes);
    l->n_blocks = lgt_max64(1, lgt_min64(most / block, l->n_blocks));
    l->panel_rows = l->n_blocks * block;
}

/* Fewer stripes in place of panels: four still feed four threads. */
static void keep_whole(lgt_layout *l, int64_t element) {
    int64_t most = PARTIAL_BYTES / (l->panel_rows * l->width * element);
    l->n_stripes = lgt_min64(l->n_stripes, lgt_max64(4, most));
}

lgt_layout lgt_layout_of(const lgt_shape *shape) {
    int64_t rows = lgt_max64(shape->max_rows, 1), element = (int64_t)shape->element_size;
    lgt_layout l = {.extent.dim = shape->dim, .width = lgt_round_up(shape->dim, LGT_LANES)};
    lgt_extent *e = &l.extent;
    choose_cut(shape, e);
    e->tile = lgt_min64(e->tile, lgt_round_up(shape->n_classes, LGT_LANES));
    /* Blocks of one size, up to half as large again: a small last one would be packed and kept like the others. */
    int64_t blocks = lgt_max64(1, (rows + e->block / 2) / e->block);
    e->block = lgt_round_up(lgt_ceil_div(rows, blocks), LGT_LANES);
    int64_t tiles = lgt_ceil_div(shape->n_classes, e->tile);
    while (e->block >= 2 * LEAST && tiles < 4 * TASKS && tiles * lgt_ceil_div(rows, e->block) < 4 * TASKS)
        e->block = lgt_round_up(e->block / 2, LGT_LANES);
    while (e->tile >= 2 * LEAST && tiles < TASKS && tiles * lgt_ceil_div(rows, e->block) < TASKS) {
        e->tile = lgt_round_up(e->tile / 2, LGT_LANES);
        tiles = lgt_ceil_div(shape->n_classes, e->tile);
    }
    e->ld = e->block + SKEW;
    l.n_tiles = tiles;
    l.n_stripes = lgt_min64(tiles, TASKS);
    l.n_blocks = lgt_ceil_div(rows, e->block);
    l.panel_rows = l.n_blocks * e->block;
    if (shape->whole)
        keep_whole(&l, element);
    else
        cut_panels(&l, element);
    return l;
}

lgt_layout lgt_layout_fit(const lgt_layout *layout, int64_t n_classes) {
    lgt_layout l = *layout;
    l.n_tiles = lgt_ceil_div(n_classes, l.extent.tile);
    l.n_stripes = lgt_min64(l.n_tiles, layout->n_stripes);
    return l;
}

int64_t lgt_layout_groups(const lgt_layout *layout, int64_t n_blocks) {
    if (layout->n_stripes >= TASKS / 2) return 1;
    return lgt_min64(TASKS / layout->n_stripes, lgt_max64(1, n_blocks));
}

int64_t lgt_layout_crossing(const lgt_layout *layout) {
    return layout->extent.tile * layout->extent.ld;
}

void lgt_layout_part(int64_t count, int64_t parts, int64_t index, int64_t *begin, int64_t *end) {
    int64_t base = count / parts, extra = count % parts;
    *begin = index * base + lgt_min64(index, extra);
    *end = *begin + base + (index < extra);
}
