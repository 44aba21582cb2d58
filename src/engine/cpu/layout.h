/* How the N x C rectangle is cut: a pure function of the problem's shape, so that the bits depend on nothing else.
 *
 *   panels   of rows follow one another; within a panel
 *   stripes  of class tiles and groups of rows make the grid of parallel tasks;
 *   tiles    of LGT_TILE classes and blocks of LGT_BLOCK rows are what a task holds at a time.
 *
 * dx is summed over stripes and dw over groups afterwards, in order. With many classes stripes alone feed the threads
 * and dw needs no partial sums; with few, row groups do. */
#ifndef LGT_ENGINE_CPU_LAYOUT_H
#define LGT_ENGINE_CPU_LAYOUT_H

#include <stddef.h>
#include <stdint.h>

enum { LGT_BLOCK = 256, LGT_ROWS_A_TASK = 64 };

typedef struct lgt_layout {
    int64_t width;      /* dim rounded up to LGT_TILE_PAD */
    int64_t ld;         /* row stride of panels and tiles: not a power of two, whose rows would share cache sets */
    int64_t n_tiles;    /* of the classes */
    int64_t n_stripes;  /* of the tiles */
    int64_t panel_rows; /* most rows of a panel */
} lgt_layout;

lgt_layout lgt_layout_of(int64_t dim, int64_t n_classes, int64_t max_rows, size_t element_size);

/* Row groups of a panel of n rows. Grows with n. */
int64_t lgt_layout_groups(const lgt_layout *layout, int64_t n_rows);

/* Part `index` of `parts` nearly equal parts of [0, count): [*begin, *end). */
void lgt_layout_part(int64_t count, int64_t parts, int64_t index, int64_t *begin, int64_t *end);

#endif
