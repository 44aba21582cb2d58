/* Negatives without replacement, uniformly: k of n ranks by Floyd's method (Bentley and Floyd, "A sample of
 * brilliance", CACM 1987) into a set of bits, which is read back in order. O(k + C / 64). */
#include "train/class_sample.h"

#include <math.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/philox.h"
#include "base/sizes.h"

/* One stream a step, of 2^32. */
static const uint64_t class_streams = (uint64_t)0x434C4153u << 32;

enum { WORD = 64 };

static int has(const uint64_t *bits, int64_t i) {
    return bits[i / WORD] >> (i % WORD) & 1;
}

static void put(uint64_t *bits, int64_t i) {
    bits[i / WORD] |= (uint64_t)1 << (i % WORD);
}

/* Takes the lowest of the bits at or above `from` out of the set; n if there is none. */
static int64_t take_next(uint64_t *bits, int64_t n, int64_t from) {
    int64_t word = from / WORD, words = lgt_ceil_div(n, WORD);
    while (word < words && bits[word] == 0) word++;
    if (word == words) return n;
    int64_t bit = 0;
    for (uint64_t rest = bits[word]; !(rest & 1); rest >>= 1) bit++;
    bits[word] &= bits[word] - 1;
    return word * WORD + bit;
}

/* Of the n classes that are no labels: the nearest whole number to the share, at least one. */
static int64_t wanted(double rate, int64_t n) {
    return lgt_min64(n, lgt_max64(1, (int64_t)floor(rate * (double)n + 0.5)));
}

static int64_t most_of(int64_t n_classes, int64_t max_labels, double rate) {
    return lgt_min64(n_classes, lgt_min64(n_classes, max_labels) + wanted(rate, n_classes));
}

int64_t lgt_sample_classes_most(int64_t n_classes, int64_t max_labels, double rate) {
    return most_of(n_classes, max_labels, rate);
}

lgt_status lgt_class_sampler_create(lgt_context *context, int64_t n_classes, int64_t max_labels, double rate,
                                    lgt_class_sampler *out, lgt_error *err) {
    int64_t words = lgt_ceil_div(n_classes, WORD);
    *out = (lgt_class_sampler){.n_classes = n_classes, .most = most_of(n_classes, max_labels, rate)};
    lgt_status status = LGT_NEW_ZERO(context, &out->present, words, err);
    return status ? status : LGT_NEW_ZERO(context, &out->drawn, words, err);
}

void lgt_class_sampler_free(lgt_context *context, lgt_class_sampler *sampler) {
    lgt_release(context, sampler->drawn);
    lgt_release(context, sampler->present);
}

/* Floyd: the j-th draw is below j + 1, and j itself where that is taken; every set of k is as likely as any other. */
static void draw(const lgt_rng *rng, int64_t k, int64_t n, uint64_t *drawn) {
    for (int64_t j = n - k; j < n; j++) {
        int64_t at = (int64_t)lgt_rng_below(rng, (uint64_t)j, (uint64_t)j + 1);
        put(drawn, has(drawn, at) ? j : at);
    }
}

int64_t lgt_class_sampler_draw(lgt_class_sampler *sampler, uint64_t seed, int64_t step, const int64_t *labels,
                               int64_t n_labels, double rate, int64_t *classes, double *offsets) {
    lgt_rng rng = {seed, class_streams + (uint64_t)step};
    int64_t n_classes = sampler->n_classes, n_present = 0, listed = 0, below = 0;
    for (int64_t i = 0; i < n_labels; i++) {
        n_present += !has(sampler->present, labels[i]);
        put(sampler->present, labels[i]);
    }
    int64_t n_others = n_classes - n_present, k = n_others > 0 ? wanted(rate, n_others) : 0;
    double offset = k > 0 ? log((double)n_others / (double)k) : 0;
    draw(&rng, k, n_others, sampler->drawn);
    int64_t label = take_next(sampler->present, n_classes, 0), rank = take_next(sampler->drawn, n_classes, 0);
    while (label < n_classes || rank < n_classes) { /* the class of a rank: `below` labels lie below it */
        int is_label = label < n_classes && label <= rank + below;
        classes[listed] = is_label ? label : rank + below;
        if (offsets) offsets[listed] = is_label ? 0 : offset;
        listed++;
        if (is_label)
            below++, label = take_next(sampler->present, n_classes, label);
        else
            rank = take_next(sampler->drawn, n_classes, rank);
    }
    return listed;
}

lgt_status lgt_sample_classes(lgt_context *context, uint64_t seed, int64_t step, int64_t n_classes,
                              const int64_t *labels, int64_t n_labels, double rate, int64_t *classes, double *offsets,
                              int64_t *n_listed, lgt_error *err) {
    lgt_class_sampler sampler = {0};
    if (n_classes < 1 || n_labels < 0 || step < 0)
        return lgt_fail(err, LGT_ERR_USAGE, "%lld classes, %lld labels and step %lld, expected at least 1, 0 and 0",
                        (long long)n_classes, (long long)n_labels, (long long)step);
    if (!(rate > 0 && rate <= 1)) return lgt_fail(err, LGT_ERR_USAGE, "sample_rate is %g, expected 0 < R <= 1", rate);
    for (int64_t i = 0; i < n_labels; i++)
        if (labels[i] < 0 || labels[i] >= n_classes)
            return lgt_fail(err, LGT_ERR_DATA, "labels: row %lld is %lld, expected 0 to %lld", (long long)i,
                            (long long)labels[i], (long long)n_classes - 1);
    lgt_status status = lgt_class_sampler_create(context, n_classes, n_labels, rate, &sampler, err);
    if (!status) *n_listed = lgt_class_sampler_draw(&sampler, seed, step, labels, n_labels, rate, classes, offsets);
    lgt_class_sampler_free(context, &sampler);
    return status ? status : lgt_succeed(err);
}
