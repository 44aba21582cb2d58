/* The kernels of AMX over tiles in memory, for processors that have the vectors these kernels pack with but no tiles:
 * what the instructions do is written as Intel's manual has it (Software Developer's Manual, volume 2: TDPBF16PS,
 * TDPBSSD). Their speed is not emulated. */
#include <float.h>
#include <immintrin.h>
#include <math.h>
#include <stdint.h>
#include <string.h>

enum { TILES = 8, TILE_ROWS = 16, TILE_BYTES = 64 };

typedef union emulated_tile {
    int8_t bytes[TILE_ROWS][TILE_BYTES];
    uint16_t halves[TILE_ROWS][TILE_BYTES / 2];
    float floats[TILE_ROWS][TILE_BYTES / 4];
    int32_t words[TILE_ROWS][TILE_BYTES / 4];
} emulated_tile;

/* As the hardware's, they hold nothing before they are configured. */
static struct {
    int configured;
    emulated_tile tiles[TILES];
} emulator;

static void configure(const void *configuration) {
    uint16_t row_bytes[TILES];
    const char *bytes = configuration;
    memcpy(row_bytes, bytes + 16, sizeof row_bytes);
    emulator.configured = bytes[0] == 1;
    for (int t = 0; t < TILES; t++) emulator.configured &= row_bytes[t] == TILE_BYTES && bytes[48 + t] == TILE_ROWS;
    memset(emulator.tiles, 0, sizeof emulator.tiles);
}

static void release(void) {
    emulator.configured = 0;
    memset(&emulator.tiles, 0xff, sizeof emulator.tiles);
}

static void load(int t, const void *base, int64_t stride) {
    for (int r = 0; r < TILE_ROWS && emulator.configured; r++)
        memcpy(emulator.tiles[t].bytes[r], (const char *)base + r * stride, TILE_BYTES);
}

static void store(int t, void *base, int64_t stride) {
    for (int r = 0; r < TILE_ROWS && emulator.configured; r++)
        memcpy((char *)base + r * stride, emulator.tiles[t].bytes[r], TILE_BYTES);
}

static void clear(int t) {
    memset(&emulator.tiles[t], 0, sizeof emulator.tiles[t]);
}

static float flushed(float value) {
    return fabsf(value) < FLT_MIN ? copysignf(0, value) : value;
}

static void widen(int t, float out[TILE_ROWS][TILE_BYTES / 2]) {
    for (int r = 0; r < TILE_ROWS; r++)
        for (int k = 0; k < TILE_BYTES / 2; k++) {
            uint32_t bits = (uint32_t)emulator.tiles[t].halves[r][k] << 16;
            memcpy(&out[r][k], &bits, sizeof bits);
            out[r][k] = flushed(out[r][k]);
        }
}

/* The products of the first numbers of pairs and those of the second ones are summed apart. */
static void multiply_pairs_of_tiles(int to, int a, int b) {
    float left[TILE_ROWS][TILE_BYTES / 2], right[TILE_ROWS][TILE_BYTES / 2];
    widen(a, left), widen(b, right);
    for (int m = 0; m < TILE_ROWS; m++) {
        float sum[TILE_BYTES / 2] = {0}, *c = emulator.tiles[to].floats[m];
        for (int k = 0; k < TILE_BYTES / 4; k++)
            for (int n = 0; n < TILE_BYTES / 2; n++)
                sum[n] = flushed(fmaf(left[m][2 * k + n % 2], right[k][n], sum[n]));
        for (int n = 0; n < TILE_BYTES / 4; n++) c[n] = flushed(flushed(c[n]) + flushed(sum[2 * n] + sum[2 * n + 1]));
    }
}

static void multiply_fours_of_tiles(int to, int a, int b) {
    emulated_tile *c = &emulator.tiles[to];
    const emulated_tile *left = &emulator.tiles[a], *right = &emulator.tiles[b];
    for (int m = 0; m < TILE_ROWS; m++)
        for (int k = 0; k < TILE_BYTES / 4; k++)
            for (int n = 0; n < TILE_BYTES / 4; n++)
                for (int h = 0; h < 4; h++) c->words[m][n] += left->bytes[m][4 * k + h] * right->bytes[k][4 * n + h];
}

#undef _tile_loadd
#undef _tile_stored
#undef _tile_zero
#undef _tile_dpbf16ps
#undef _tile_dpbssd
#define _tile_loadconfig configure
#define _tile_release    release
#define _tile_loadd      load
#define _tile_stored     store
#define _tile_zero       clear
#define _tile_dpbf16ps   multiply_pairs_of_tiles
#define _tile_dpbssd     multiply_fours_of_tiles

#define lgt_kernels_f32_amx    emulated_f32_amx
#define lgt_kernels_bf16_amx   emulated_bf16_amx
#define lgt_kernels_bf16x3_amx emulated_bf16x3_amx
#include "kernel/kernels_amx.c"
