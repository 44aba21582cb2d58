/* The gradient modes where a vector of the pair, or the plane between them, is missing. */
#include <math.h>
#include <string.h>

#include "heads.h"

enum { D = 5, C = 4 };

static const lgt_engine engines[] = {LGT_ENGINE_CPU, LGT_ENGINE_REFERENCE};

/* There is no plane for a w^ + b x^ to lie in: the gradient stays what it is. */
static void between_parallel_vectors_unit_is_exact(void **state) {
    static const char *const pairs[][2] = {
        {"lsoftmax:m=3,lambda=1,gradient=unit", "lsoftmax:m=3,lambda=1"},
        {"sphereface:m=3,lambda=1,gradient=unit", "sphereface:m=3,lambda=1"},
        {"arcface:s=8,gradient=unit", "arcface:s=8"},
    };
    (void)state;
    lgt_context *context = test_context(1);
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++)
        for (int engine = 0; engine < 2; engine++) {
            test_head unit = test_head_random(pairs[i][0], 1, D, C, 5),
                      exact = test_head_random(pairs[i][1], 1, D, C, 5);
            for (int k = 0; k < D; k++) unit.x[k] = exact.x[k] = unit.w[unit.labels[0] * D + k] / 2;
            test_result a = test_head_run(context, &unit, engines[engine], LGT_F64);
            test_result b = test_head_run(context, &exact, engines[engine], LGT_F64);
            assert_true(test_result_same(&unit, &a, &b));
            test_result_free(&a), test_result_free(&b), test_head_free(&unit), test_head_free(&exact);
        }
    lgt_context_free(context);
}

/* A free vector of 0 has no direction, but its product with the other has a slope. */
static void free_vectors_of_zero_are_drawn_to_their_class_in_every_mode(void **state) {
    static const char *const specs[] = {"lsoftmax:m=3,lambda=1", "lsoftmax:m=3,lambda=1,gradient=detached",
                                        "lsoftmax:m=3,lambda=1,gradient=unit"};
    (void)state;
    lgt_context *context = test_context(1);
    for (size_t i = 0; i < sizeof specs / sizeof *specs; i++)
        for (int engine = 0; engine < 2; engine++) {
            test_head h = test_head_random(specs[i], 1, D, C, 5);
            memset(h.x, 0, D * sizeof(double));
            for (int j = 0; j < C; j++)
                if (j != h.labels[0]) memset(h.w + j * D, 0, D * sizeof(double));
            test_result r = test_head_run(context, &h, engines[engine], LGT_F64);
            for (int k = 0; k < D; k++) /* dx is a negative multiple of w_y */
                assert_true(r.dx[k] * h.w[h.labels[0] * D + k] < 0);
            test_result_free(&r), test_head_free(&h);
        }
    lgt_context_free(context);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(between_parallel_vectors_unit_is_exact),
        cmocka_unit_test(free_vectors_of_zero_are_drawn_to_their_class_in_every_mode),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
