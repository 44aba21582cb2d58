/* Fingerprints that tell data apart: FNV-1a (Fowler, Noll, Vo) on 64-bit words; the shift lets high bits reach low
 * ones. The same on machines of either byte order. */
#ifndef LGT_BASE_FINGERPRINT_H
#define LGT_BASE_FINGERPRINT_H

#include <stdint.h>
#include <string.h>

#define LGT_FINGERPRINT_START UINT64_C(14695981039346656037)

static inline void lgt_fingerprint_word(uint64_t *hash, uint64_t word) {
    *hash = (*hash ^ word) * UINT64_C(1099511628211);
    *hash ^= *hash >> 32;
}

static inline void lgt_fingerprint_floats(uint64_t *hash, const float *values, int64_t count) {
    for (int64_t i = 0; i < count; i++) {
        uint32_t bits;
        memcpy(&bits, &values[i], sizeof bits);
        lgt_fingerprint_word(hash, bits);
    }
}

/* With its end, so that two texts are not one. */
static inline void lgt_fingerprint_text(uint64_t *hash, const char *text) {
    for (const char *c = text; *c; c++) lgt_fingerprint_word(hash, (unsigned char)*c);
    lgt_fingerprint_word(hash, 0);
}

#endif
