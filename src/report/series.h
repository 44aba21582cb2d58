/* Long series with fewer points and the same picture. */
#ifndef LGT_REPORT_SERIES_H
#define LGT_REPORT_SERIES_H

#include <stdint.h>

#define LGT_SERIES_LEAST 8

/* Chooses which of the n values of a series to keep, at most limit >= LGT_SERIES_LEAST of them: all where they fit,
 * else the first and the last and, of every one of equal stretches between, the least, the greatest and, where there is
 * one, a gap (a value that is not finite). Writes their indices in rising order to keep (min(n, limit)) and returns how
 * many.
 */
int64_t lgt_series_thin(int64_t n, const double *values, int64_t limit, int64_t *keep);

#endif
