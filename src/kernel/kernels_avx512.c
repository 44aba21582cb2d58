/* Kernels for AVX-512: 32 registers of 64 bytes. */
#define ISA   avx512
#define BYTES 64
#define ROWS  14
#include "kernel/kernel_set.h"
