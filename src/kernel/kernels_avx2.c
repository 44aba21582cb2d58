/* Kernels for AVX2 and FMA: 16 registers of 32 bytes. */
#define ISA   avx2
#define BYTES 32
#define ROWS  6
#include "kernel/kernel_set.h"
