/* How the N x C rectangle is cut: a pure function of the problem's shape, the kernels and the size of the second-level
 * cache, so that the bits depend on nothing else; never on threads or ranks.
 *
 *   panels   of rows follow one another; within a panel
 *   stripes  of classes and groups of row blocks make the grid of parallel tasks;
 *   tiles    of a stripe's classes and blocks of rows meet in crossings, of which a task holds one at a time.
 *
 * dx is summed over stripes and dw over groups afterwards, in order. With many classes stripes alone feed the threads
 * and dw needs no partial sums; with few, groups do. */
#ifndef LGT_ENGINE_CPU_LAYOUT_H
#define LGT_ENGINE_CPU_LAYOUT_H

#include <stddef.h>
#include <stdint.h>

#include "engine/stripes.h"
#include "kernel/kernels.h"

enum { LGT_ROWS_A_TASK = 16 };

typedef struct lgt_layout {
    lgt_extent extent;
    int64_t width;      /* dim rounded up to LGT_LANES: of dx and dw */
    int64_t n_stripes;  /* of the classes */
    int64_t panel_rows; /* most rows of a panel: whole blocks */
    int64_t n_blocks;   /* most blocks of a panel */
    /* The first tile of each stripe and the first class, of those that the run has; last, how many there are. */
    int64_t tile_at[LGT_STRIPES + 1], class_at[LGT_STRIPES + 1];
} lgt_layout;

/* What is known of the problem before it is cut. */
typedef struct lgt_shape {
    int64_t dim, n_classes, max_rows;
    int64_t max_listed;      /* most classes of a run, where runs list them; else n_classes */
    size_t element_size;     /* of u, dx and dw */
    int whole;               /* all rows in one panel */
    lgt_precision precision; /* of the products */
    int64_t cache_bytes;     /* of the second level */
} lgt_shape;

/* For runs of all classes. */
lgt_layout lgt_layout_of(const lgt_shape *shape);

/* The most tiles that runs of at most max_listed classes cut stripes [begin, end) into. */
int64_t lgt_layout_most_tiles(const lgt_layout *layout, int64_t begin, int64_t end, int64_t max_listed);

/* Cuts the stripes of n_classes for a run of the listed ones, or of all where classes is NULL. */
void lgt_layout_fit(lgt_layout *layout, int64_t n_classes, const int64_t *classes, int64_t n_listed);

/* The tile that a class of the run is in. */
int64_t lgt_layout_tile_of_class(const lgt_layout *layout, int64_t place);

/* The classes [*first, *first + return) of the run that a tile has. */
int64_t lgt_layout_tile(const lgt_layout *layout, int64_t tile, int64_t *first);

/* Row groups of a panel of n blocks. Grows with n. */
int64_t lgt_layout_groups(const lgt_layout *layout, int64_t n_blocks);

/* Elements of a crossing. */
int64_t lgt_layout_crossing(const lgt_layout *layout);

#endif
