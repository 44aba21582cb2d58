/* SHA-256 (FIPS 180-4), by which a page's policy names the scripts and the style it allows. */
#ifndef LGT_REPORT_SHA256_H
#define LGT_REPORT_SHA256_H

#include <stddef.h>
#include <stdint.h>

void lgt_sha256(const void *bytes, size_t length, uint8_t out[32]);

/* "sha256-" and the digest in base64, as a content security policy wants it. */
#define LGT_SHA256_SOURCE_SIZE 52
void lgt_sha256_source(const void *bytes, size_t length, char out[LGT_SHA256_SOURCE_SIZE]);

#endif
