/* Numbers in files: bytes of a stated order to numbers of this machine. */
#ifndef LGT_DATA_BYTES_H
#define LGT_DATA_BYTES_H

#include <stddef.h>
#include <stdint.h>

static inline int lgt_host_is_little(void) {
    const uint16_t one = 1;
    return *(const unsigned char *)&one;
}

/* The first n <= 8 bytes as one unsigned number. */
static inline uint64_t lgt_bytes_little(const unsigned char *bytes, int n) {
    uint64_t value = 0;
    while (n > 0) value = value << 8 | bytes[--n];
    return value;
}

static inline uint64_t lgt_bytes_big(const unsigned char *bytes, int n) {
    uint64_t value = 0;
    for (int i = 0; i < n; i++) value = value << 8 | bytes[i];
    return value;
}

/* Turns the bytes of each of the `count` elements around. */
static inline void lgt_bytes_swap(void *data, size_t count, size_t size) {
    unsigned char *element = data;
    for (size_t i = 0; i < count; i++, element += size) {
        for (size_t low = 0, high = size - 1; low < high; low++, high--) {
            unsigned char kept = element[low];
            element[low] = element[high];
            element[high] = kept;
        }
    }
}

#endif
