/* Filling, poisoning and checking arrays of gigabytes, on all threads. */
#include "bench/matter.h"

#include <math.h>
#include <stdatomic.h>
#include <string.h>

#include "base/parallel.h"
#include "base/philox.h"
#include "base/sizes.h"

/* Entries a task: whole blocks of four numbers. */
enum { CHUNK = 1 << 16 };

typedef struct matter {
    void *array;
    int64_t count;
    lgt_dtype dtype;
    double scale;
    uint64_t seed, stream;
    atomic_int bad;
} matter;

static void over_chunks(lgt_context *context, matter *m, lgt_task task) {
    lgt_parallel_for(context, lgt_ceil_div(m->count, CHUNK), task, m);
}

static void put(matter *m, int64_t i, double value) {
    if (m->dtype == LGT_F64)
        ((double *)m->array)[i] = value;
    else
        ((float *)m->array)[i] = (float)value;
}

/* 24 random bits and a half: the middles of 2^24 equal parts of (-1, 1), 0 not among them. */
static void fill_chunk(void *argument, int64_t index, int worker) {
    matter *m = argument;
    int64_t next = lgt_min64(m->count, (index + 1) * CHUNK);
    const uint32_t key[2] = {(uint32_t)m->seed, (uint32_t)(m->seed >> 32)};
    (void)worker;
    for (int64_t i = index * CHUNK; i < next; i += 4) {
        const uint32_t counter[4] = {(uint32_t)(i / 4), (uint32_t)(i / 4 >> 32), (uint32_t)m->stream,
                                     (uint32_t)(m->stream >> 32)};
        uint32_t bits[4];
        lgt_philox4x32(counter, key, bits);
        for (int64_t k = 0; k < 4 && i + k < next; k++)
            put(m, i + k, m->scale * (((double)(bits[k] >> 8) + 0.5) * 0x1p-23 - 1));
    }
}

void lgt_bench_fill(lgt_context *context, void *array, int64_t count, lgt_dtype dtype, double scale, uint64_t seed,
                    uint64_t stream) {
    matter m = {.array = array, .count = count, .dtype = dtype, .scale = scale, .seed = seed, .stream = stream};
    over_chunks(context, &m, fill_chunk);
}

void lgt_bench_labels(int64_t *labels, int64_t count, int64_t n_classes, uint64_t seed, uint64_t stream) {
    lgt_rng rng = {seed, stream};
    for (int64_t i = 0; i < count; i++) labels[i] = (int64_t)lgt_rng_below(&rng, (uint64_t)i, (uint64_t)n_classes);
}

/* Bits that are all set are a NaN in either type. */
static void poison_chunk(void *argument, int64_t index, int worker) {
    matter *m = argument;
    size_t size = lgt_dtype_size(m->dtype);
    int64_t count = lgt_min64(m->count - index * CHUNK, CHUNK);
    (void)worker;
    memset((char *)m->array + (size_t)(index * CHUNK) * size, 0xff, (size_t)count * size);
}

void lgt_bench_poison(lgt_context *context, void *array, int64_t count, lgt_dtype dtype) {
    matter m = {.array = array, .count = count, .dtype = dtype};
    over_chunks(context, &m, poison_chunk);
}

static void check_chunk(void *argument, int64_t index, int worker) {
    matter *m = argument;
    int64_t next = lgt_min64(m->count, (index + 1) * CHUNK);
    int bad = 0;
    (void)worker;
    for (int64_t i = index * CHUNK; i < next; i++)
        bad |= m->dtype == LGT_F64 ? !isfinite(((const double *)m->array)[i]) : !isfinite(((const float *)m->array)[i]);
    if (bad) atomic_store(&m->bad, 1);
}

int lgt_bench_finite(lgt_context *context, const void *array, int64_t count, lgt_dtype dtype) {
    matter m = {.array = (void *)array, .count = count, .dtype = dtype};
    over_chunks(context, &m, check_chunk);
    return !atomic_load(&m.bad);
}
