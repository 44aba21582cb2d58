/* Numbers and words in text, the same in every locale. */
#ifndef LGT_BASE_TEXT_H
#define LGT_BASE_TEXT_H

#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"

/* Reads the whole of text[0..length) as a decimal number: optional sign, digits with at most one '.', optional
 * exponent, at most 511 characters. No blanks, hexadecimal, "inf" or "nan". Returns 1, or 0 when the text is anything
 * else; a number beyond the range of double gives 0 as well, one below it rounds towards zero. */
int lgt_text_double(const char *text, size_t length, double *out);

/* Reads the whole of text[0..length) as a decimal integer that fits. Returns 1 or 0. */
int lgt_text_int64(const char *text, size_t length, int64_t *out);

/* The same of an integer that may be written as 3.0 or 3e0. */
int lgt_text_whole(const char *text, size_t length, int64_t *out);

/* snprintf for numbers: '.' is the decimal point whatever the locale. Returns the length, or size when cut. */
size_t lgt_text_format(char *out, size_t size, const char *format, ...) LGT_PRINTF(3, 4);

/* The decimal text of fewest digits that reads back as the same double, whole numbers below 1e15 without an exponent;
 * "nan", "inf", "-inf" otherwise. 32 bytes are enough. */
size_t lgt_text_from_double(char *out, size_t size, double value);

/* Edit distance with transpositions, for "did you mean"; letters of either case are the same, and words longer than 63
 * are compared by their heads. */
int lgt_text_distance(const char *a, const char *b);

/* For qsort over texts (const char *): by their bytes. */
int lgt_text_compare(const void *a, const void *b);

#endif
