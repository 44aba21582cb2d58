/* How the N x C rectangle is cut. */
#include "engine/cpu/layout.h"

#include "base/sizes.h"
#include "kernel/kernels.h"

/* Sixteen tasks a panel feed as many threads, and more would only add partial sums; partial sums of dx stay within 16
 * MiB, and blocks of rows stay whole. */
enum { TASKS = 16, PARTIAL_BYTES = 16 << 20, SKEW = 16 };

lgt_layout lgt_layout_of(int64_t dim, int64_t n_classes, int64_t max_rows, size_t element_size) {
    lgt_layout l = {.width = lgt_round_up(dim, LGT_TILE_PAD), .n_tiles = lgt_ceil_div(n_classes, LGT_TILE)};
    l.ld = l.width + SKEW;
    l.n_stripes = lgt_min64(l.n_tiles, TASKS);
    int64_t row_bytes = l.n_stripes * l.ld * (int64_t)element_size;
    int64_t rows = PARTIAL_BYTES / row_bytes / LGT_ROWS_A_TASK * LGT_ROWS_A_TASK;
    l.panel_rows = lgt_min64(lgt_max64(rows, LGT_BLOCK), lgt_max64(max_rows, 1));
    return l;
}

int64_t lgt_layout_groups(const lgt_layout *layout, int64_t n_rows) {
    if (layout->n_stripes >= TASKS / 2) return 1;
    int64_t most = lgt_max64(1, lgt_ceil_div(n_rows, LGT_ROWS_A_TASK));
    return lgt_min64(TASKS / layout->n_stripes, most);
}

void lgt_layout_part(int64_t count, int64_t parts, int64_t index, int64_t *begin, int64_t *end) {
    int64_t base = count / parts, extra = count % parts;
    *begin = index * base + lgt_min64(index, extra);
    *end = *begin + base + (index < extra);
}
