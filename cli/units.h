/* Amounts with units in option values: bytes, and bytes a second. */
#ifndef LGT_CLI_UNITS_H
#define LGT_CLI_UNITS_H

#include "options.h"

/* The text of a byte option as bytes: a number and B, or kB, MB, GB, TB (powers of 1000), KiB, MiB, GiB, TiB (of
 * 1024). Leaves *out where the option is not given. Errors: USAGE. */
lgt_status cli_bytes(const cli_args *args, const char *name, double *out, lgt_error *err);

/* Of a rate as bytes a second: a number and b/s (bits) or B/s (bytes), with the same prefixes. */
lgt_status cli_byte_rate(const cli_args *args, const char *name, double *out, lgt_error *err);

/* "12.3 GB", three digits, powers of 1000. */
void cli_bytes_text(double bytes, char *out, size_t size);

/* "12.3 ms", from microseconds to days. */
void cli_seconds_text(double seconds, char *out, size_t size);

#endif
