/* What the processor and the operating system offer, from CPUID bits and XCR0, never from model numbers: virtual
 * machines report models that do not exist. */
#ifndef LGT_BASE_CPU_FEATURES_H
#define LGT_BASE_CPU_FEATURES_H

#include <stdint.h>

#include "logitude/context.h"

/* The highest instruction set whose registers the system saves and whose instructions all exist. */
lgt_isa lgt_cpu_best_isa(void);

/* Bytes of the second-level cache of one core, within [256 KiB, 4 MiB]; 1 MiB where the system does not tell. */
int64_t lgt_cpu_cache_bytes(void);

/* Processors this process may run on, in [1, most]. */
int lgt_cpu_count(int most);

#endif
