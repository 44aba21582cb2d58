/* A fixed random choice of rows: selection sampling (Knuth, TAOCP 2, 3.4.2, algorithm S), without memory. */
#include "base/philox.h"
#include "logitude/eval.h"

enum { STREAM = 0x53414d50 };

int64_t lgt_eval_sample(int64_t n_rows, int64_t most, uint64_t seed, int64_t *rows) {
    lgt_rng rng = {seed, STREAM};
    int64_t count = 0;
    for (int64_t row = 0; row < n_rows && count < most; row++) {
        int64_t left = n_rows - row, wanted = most - count;
        if (left <= wanted || lgt_rng_below(&rng, (uint64_t)row, (uint64_t)left) < (uint64_t)wanted)
            rows[count++] = row;
    }
    return count;
}
