/* CPUID leaves 1 and 7 and XCR0; see Intel SDM volume 2, CPUID, and volume 1, chapter 13. */
#define _GNU_SOURCE /* sched_getaffinity: the processors this process may use, not those that exist; syscall */
#include "base/cpu_features.h"

#include <sched.h>
#include <stdint.h>
#include <unistd.h>

#if defined(__x86_64__) && defined(__GNUC__)
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>

static uint64_t xcr0(void) {
    uint32_t low, high;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return (uint64_t)high << 32 | low;
}

/* Linux saves the tiles of processes that asked for it, in all threads and for good: asking again is harmless. */
static int tiles_granted(void) {
    enum { REQUEST_PERMISSION = 0x1023, TILE_DATA = 18 };
    return syscall(SYS_arch_prctl, REQUEST_PERMISSION, TILE_DATA) == 0;
}

/* What a processor with AVX-512 has beyond it; ecx and edx of leaf 7 are c and d. */
static lgt_isa beyond_avx512(unsigned c, unsigned d, uint64_t state) {
    enum { TILES = 1 << 22 | 1 << 24 | 1 << 25, AVX512_VBMI = 1 << 1, AVX512_BF16 = 1 << 5, TILE_STATE = 0x60000 };
    unsigned more, other[3];
    if (!__get_cpuid_count(7, 1, &more, &other[0], &other[1], &other[2]) || !(more & AVX512_BF16))
        return LGT_ISA_AVX512;
    int tiles = (d & TILES) == TILES && (c & AVX512_VBMI) && (state & TILE_STATE) == TILE_STATE;
    return tiles && tiles_granted() ? LGT_ISA_AMX : LGT_ISA_AVX512BF16;
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
    if ((b & wide) != wide || (state & AVX512_STATE) != AVX512_STATE) return LGT_ISA_AVX2;
    return beyond_avx512(c, d, state);
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
