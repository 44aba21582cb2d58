/* Text that ends up in JSON must be UTF-8. */
#ifndef LGT_DATA_UTF8_H
#define LGT_DATA_UTF8_H

#include <stddef.h>

/* Whether text[0..length) is UTF-8 (RFC 3629: shortest forms, no surrogates, at most U+10FFFF). */
int lgt_utf8_valid(const char *text, size_t length);

#endif
