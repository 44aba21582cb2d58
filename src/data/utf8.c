/* Text that ends up in JSON must be UTF-8 (RFC 3629, section 4). */
#include "data/utf8.h"

#include <stdint.h>

/* The length of the character that begins with `lead`, the payload of that byte and the least code of that length. */
static int sequence(unsigned char lead, uint32_t *code, uint32_t *least) {
    static const uint32_t leasts[] = {0, 0, 0x80, 0x800, 0x10000};
    int length = lead < 0x80 ? 1 : lead < 0xC0 ? 0 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : lead < 0xF8 ? 4 : 0;
    *code = length < 2 ? lead : lead & (0x7FU >> length);
    *least = leasts[length];
    return length;
}

int lgt_utf8_valid(const char *text, size_t length) {
    const unsigned char *at = (const unsigned char *)text, *end = at + length;
    while (at < end) {
        uint32_t code, least;
        int n = sequence(*at, &code, &least);
        if (n == 0 || end - at < n) return 0;
        for (int i = 1; i < n; i++) {
            if ((at[i] & 0xC0) != 0x80) return 0;
            code = code << 6 | (at[i] & 0x3FU);
        }
        if (code < least || code > 0x10FFFF || (code >= 0xD800 && code <= 0xDFFF)) return 0;
        at += n;
    }
    return 1;
}
