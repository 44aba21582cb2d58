/* How rows and classes are cut: every class in one tile, and tasks for threads where the shape has any to give. */
#include "support.h"

#include "base/sizes.h"
#include "engine/cpu/layout.h"

static lgt_layout layout_of(int64_t rows, int64_t dim, int64_t classes) {
    const lgt_shape shape = {.dim = dim,
                             .n_classes = classes,
                             .max_rows = rows,
                             .max_listed = classes,
                             .element_size = sizeof(float),
                             .cache_bytes = 2 << 20};
    return lgt_layout_of(&shape);
}

static int64_t tiles_of(const lgt_layout *l) {
    return l->tile_at[l->n_stripes];
}

static void tiles_follow_one_another_and_end_with_the_last_class(void **state) {
    static const int64_t classes[] = {1, 31, 100, 129, 896, 1000, 2049, 100003};
    (void)state;
    for (size_t c = 0; c < sizeof classes / sizeof *classes; c++) {
        lgt_layout l = layout_of(256, 64, classes[c]);
        int64_t next = 0, first = 0;
        for (int64_t tile = 0; tile < tiles_of(&l); tile++) {
            int64_t n = lgt_layout_tile(&l, tile, &first);
            assert_true(first == next && n > 0 && n <= l.extent.tile);
            assert_true(lgt_layout_tile_of_class(&l, first) == tile);
            assert_true(lgt_layout_tile_of_class(&l, first + n - 1) == tile);
            next += n;
        }
        assert_true(next == classes[c]);
    }
}

static void panels_are_whole_blocks_of_whole_vectors(void **state) {
    static const int64_t rows[] = {1, 32, 33, 64, 96, 200, 256, 4096};
    (void)state;
    for (size_t r = 0; r < sizeof rows / sizeof *rows; r++)
        for (int64_t classes = 10; classes < 1000000; classes *= 10) {
            lgt_layout l = layout_of(rows[r], 128, classes);
            assert_true(l.extent.block % LGT_LANES == 0 && l.extent.tile % LGT_LANES == 0);
            assert_true(l.panel_rows == l.n_blocks * l.extent.block && l.n_blocks > 0);
            assert_true(l.panel_rows < lgt_max64(rows[r], 1) + l.extent.block);
        }
}

/* One tile has all classes, so that threads can only share rows; long blocks are left alone where tiles feed them. */
static void few_classes_share_their_rows_among_tasks(void **state) {
    static const struct {
        int64_t rows, classes, block, crossings;
    } cases[] = {{32, 10, 32, 1},     {64, 10, 32, 2},     {96, 100, 32, 3},      {128, 100, 32, 4},
                 {256, 100, 64, 4},   {64, 200, 32, 4},    {64, 1000, 64, 8},     {1024, 100, 64, 16},
                 {8192, 10, 128, 64}, {64, 10000, 64, 79}, {256, 10000, 256, 79}, {256, 100000, 256, 782}};
    (void)state;
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        lgt_layout l = layout_of(cases[c].rows, 512, cases[c].classes);
        int64_t crossings = tiles_of(&l) * lgt_ceil_div(cases[c].rows, l.extent.block);
        if (l.extent.block != cases[c].block || crossings != cases[c].crossings)
            fail_msg("%d rows of %d classes: %d crossings of blocks of %d, expected %d of %d", (int)cases[c].rows,
                     (int)cases[c].classes, (int)crossings, (int)l.extent.block, (int)cases[c].crossings,
                     (int)cases[c].block);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tiles_follow_one_another_and_end_with_the_last_class),
        cmocka_unit_test(panels_are_whole_blocks_of_whole_vectors),
        cmocka_unit_test(few_classes_share_their_rows_among_tasks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
