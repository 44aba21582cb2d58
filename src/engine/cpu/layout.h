/* How the N x C rectangle is cut: a pure function of the problem's shape, the kernels and the size of the second-level
 * cache, so that the bits depend on nothing else; never on threads.
 *
 *   panels   of rows follow one another; within a panel
 *   stripes  of class tiles and groups of row blocks make the grid of parallel tasks;
 *   tiles    of classes and blocks of rows meet in crossings, of which a task holds one at a time.
 *
 * dx is summed over stripes and dw over groups afterwards, in order. With many classes stripes alone feed the threads
 * and dw needs no partial sums; with few, groups do. */
#ifndef LGT_ENGINE_CPU_LAYOUT_H
#define LGT_ENGINE_CPU_LAYOUT_H

#include <stddef.h>
#include <stdint.h>

#include "kernel/kernels.h"

enum { LGT_ROWS_A_TASK = 16 };

typedef struct lgt_layout {
    lgt_extent extent;
    int64_t width;      /* dim rounded up to LGT_LANES: of dx and dw */
    int64_t n_tiles;    /* of the classes */
    int64_t n_stripes;  /* of the tiles */
    int64_t panel_rows; /* most rows of a panel: whole blocks */
    int64_t n_blocks;   /* most blocks of a panel */
} lgt_layout;

/* What is known of the problem before it is cut. */
typedef struct lgt_shape {
    int64_t dim, n_classes, max_rows;
    size_t element_size;     /* of u, dx and dw */
    int whole;               /* all rows in one panel */
    lgt_precision precision; /* of the products */
    int64_t cache_bytes;     /* of the second level */
} lgt_shape;

lgt_layout lgt_layout_of(const lgt_shape *shape);

/* The layout for a run that has fewer classes than the plan. */
lgt_layout lgt_layout_fit(const lgt_layout *layout, int64_t n_classes);

/* Row groups of a panel of n blocks. Grows with n. */
int64_t lgt_layout_groups(const lgt_layout *layout, int64_t n_blocks);

/* Elements of a crossing. */
int64_t lgt_layout_crossing(const lgt_layout *layout);

/* Part `index` of `parts` nearly equal parts of [0, count): [*begin, *end). */
void lgt_layout_part(int64_t count, int64_t parts, int64_t index, int64_t *begin, int64_t *end);

#endif
