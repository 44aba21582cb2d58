/* Kernels for any processor: four-lane vectors, 16 registers. */
#define ISA   generic
#define BYTES 16
#define ROWS  4
#include "kernel/kernel_set.h"
