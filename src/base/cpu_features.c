/* CPUID leaves 1 and 7 and XCR0; see Intel SDM volume 2, CPUID, and volume 1, chapter 13. */
#define _GNU_SOURCE /* sched_getaffinity: the processors this process may use, not those that exist */
#include "base/cpu_features.h"

#include <sched.h>
#include <stdint.h>
#include <unistd.h>

#if defined(__x86_64__) && defined(__GNUC__)
#include <cpuid.h>

static uint64_t xcr0(void) {
    uint32_t low, high;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return (uint64_t)high << 32 | low;
}

lgt_isa lgt_cpu_best_isa(void) {
    enum { AVX_STATE = 0x6, AVX512_STATE = 0xe6 };
    unsigned a, b, c, d;
    if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & bit_OSXSAVE)) return LGT_ISA_GENERIC;
    int avx = (c & bit_AVX) && (c & bit_FMA);
    uint64_t state = xcr0();
    if (!avx || (state & AVX_STATE) != AVX_STATE) return LGT_ISA_GENERIC;
    if (!__get_cpuid_count(7, 0, &a, &b, &c, &d) || !(b & bit_AVX2)) return LGT_ISA_GENERIC;
    unsigned wide = bit_AVX512F | bit_AVX512DQ | bit_AVX512BW | bit_AVX512VL;
    int avx512 = (b & wide) == wide && (state & AVX512_STATE) == AVX512_STATE;
    return avx512 ? LGT_ISA_AVX512 : LGT_ISA_AVX2;
}
#else
lgt_isa lgt_cpu_best_isa(void) {
    return LGT_ISA_GENERIC;
}
#endif

int64_t lgt_cpu_cache_bytes(void) {
    enum { LEAST = 256 << 10, USUAL = 1 << 20, MOST = 4 << 20 };
    long found = sysconf(_SC_LEVEL2_CACHE_SIZE);
    if (found <= 0) return USUAL;
    return found < LEAST ? LEAST : found > MOST ? MOST : found;
}

int lgt_cpu_count(int most) {
    cpu_set_t set;
    CPU_ZERO(&set);
    int count = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
    return count < 1 ? 1 : count > most ? most : count;
}
