/* The speed of each kernel set's three products, beside this machine's multiply-adds and the CBLAS at hand.
 *
 *   kernels [dim [tile [block [repeats]]]]
 *
 * One thread; the calls alternate, as they do in the engine, and each figure is the median of its calls, in GFLOP/s.
 * The roof is a loop of multiply-adds on registers of the set's width: compiled for more than one width, it needs this
 * machine's own instruction set (-march=native). */
#include <cblas.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/compiler.h"
#include "base/cpu_features.h"
#include "kernel/kernels.h"

enum { LOGITS, GATHER_W, GATHER_X, PACK, EXPS, ROOF, WHATS, MOST_REPEATS = 2001 };

typedef struct timings {
    double seconds[WHATS][MOST_REPEATS];
    int repeats;
} timings;

static int by_size(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *of, int n) {
    qsort(of, (size_t)n, sizeof *of, by_size);
    return of[n / 2];
}

static void *room(int64_t bytes) {
    void *block = aligned_alloc(64, (size_t)((bytes + 64) / 64 * 64));
    if (!block) exit(1);
    return block;
}

typedef double roof_loop(void);

static volatile double sink; /* so that the loops are not optimised away */

/* Seconds of as many multiply-adds on registers as 10^6 of T are. */
#define ROOF(T, bytes, name)                                                                                           \
    LGT_VECTOR(vector_##name, T, bytes);                                                                               \
    static double roof_##name(void) {                                                                                  \
        enum { LANES = bytes / sizeof(T), CHAINS = 12, TURNS = 1000000 / LANES / CHAINS };                             \
        vector_##name a[CHAINS], x = (vector_##name){0} + (T)(1 - 1e-6), y = (vector_##name){0} + (T)1e-6;             \
        for (int i = 0; i < CHAINS; i++) a[i] = x * (T)i;                                                              \
        double start = lgt_clock_now();                                                                                \
        for (int n = 0; n < TURNS; n++)                                                                                \
            for (int i = 0; i < CHAINS; i++) a[i] = a[i] * x + y;                                                      \
        for (int i = 0; i < CHAINS; i++) sink += (double)a[i][0];                                                      \
        return (lgt_clock_now() - start) * 1e6 / (TURNS * CHAINS * LANES);                                             \
    }

ROOF(float, 16, f32_16)
ROOF(float, 32, f32_32)
ROOF(float, 64, f32_64)
ROOF(double, 16, f64_16)
ROOF(double, 32, f64_32)
ROOF(double, 64, f64_64)

static void tell(const char *name, const lgt_extent *e, timings *t) {
    static const char *const what[] = {"logits", "gather_w", "gather_x"};
    double work = 2e-9 * (double)e->dim * (double)e->tile * (double)e->block;
    double roof = 2e-3 / median(t->seconds[ROOF], t->repeats);
    printf("%-12s roof %5.1f", name, roof);
    for (int i = 0; i < PACK; i++) {
        double rate = work / median(t->seconds[i], t->repeats); /* which sorts */
        printf("  %s %5.1f (%.2f, best %5.1f)", what[i], rate, rate / roof, work / t->seconds[i][0]);
    }
    double logits = median(t->seconds[LOGITS], t->repeats) / 100;
    printf("  pack %2.0f%% exp %2.0f%%\n", median(t->seconds[PACK], t->repeats) / logits,
           median(t->seconds[EXPS], t->repeats) / logits);
}

#define T        float
#define FN(name) name##_f32
#define KERNELS  lgt_kernels_f32
#define GEMM     cblas_sgemm
#include "kernels_bench.h"

#define T        double
#define FN(name) name##_f64
#define KERNELS  lgt_kernels_f64
#define GEMM     cblas_dgemm
#include "kernels_bench.h"

int main(int argc, char **argv) {
    int64_t sizes[] = {512, 128, 256, 101};
    for (int i = 1; i < argc && i <= 4; i++) sizes[i - 1] = atoll(argv[i]);
    lgt_extent e = {sizes[0], sizes[1], sizes[2], sizes[2] + LGT_LANES};
    int repeats = sizes[3] < 10 ? 10 : sizes[3] < MOST_REPEATS ? (int)sizes[3] : MOST_REPEATS;
    printf("dim %d, tile %d, block %d, %d repeats\n", (int)e.dim, (int)e.tile, (int)e.block, repeats);
#ifdef OPENBLAS_VERSION
    openblas_set_num_threads(1);
#endif
    roof_loop *const f32[] = {roof_f32_16, roof_f32_32, roof_f32_64, roof_f32_64, roof_f32_64};
    roof_loop *const f64[] = {roof_f64_16, roof_f64_32, roof_f64_64, roof_f64_64, roof_f64_64};
    for (lgt_isa isa = LGT_ISA_GENERIC; isa <= lgt_cpu_best_isa(); isa++) {
        bench_f32(lgt_isa_name(isa), &e, lgt_kernels_f32_of(isa, LGT_PRECISION_FULL), repeats, f32[isa]);
        bench_f32("  bf16", &e, lgt_kernels_f32_of(isa, LGT_PRECISION_BF16), repeats, f32[isa]);
        bench_f32("  bf16x3", &e, lgt_kernels_f32_of(isa, LGT_PRECISION_BF16X3), repeats, f32[isa]);
        bench_f64("  double", &e, lgt_kernels_f64_of(isa), repeats, f64[isa]);
    }
    gemm_f32("cblas_sgemm", &e, repeats, f32[lgt_cpu_best_isa()]);
    gemm_f64("cblas_dgemm", &e, repeats, f64[lgt_cpu_best_isa()]);
    return 0;
}
