/* What the first bytes of a file say it is. */
#include "data/format.h"

#include <string.h>

static int begins(const unsigned char *head, size_t length, const char *magic, size_t n) {
    return length >= n && memcmp(head, magic, n) == 0;
}

/* A length of 8 bytes, low ones first, and JSON. A header has less than 2^40 bytes; text has no NUL, and IDX the low
 * bytes of its first axis there. */
static int is_safetensors(const unsigned char *head, size_t length) {
    return length > 8 && head[8] == '{' && !head[5] && !head[6] && !head[7];
}

typedef struct text {
    const unsigned char *at, *end;
} text;

static void skip(text *t, const char *set) {
    while (t->at < t->end && *t->at && strchr(set, *t->at)) t->at++;
}

/* A line of LIBSVM: a number, blanks, and an index before a colon; 0 for a line of anything else, -1 for one that
 * leaves it open: empty, a comment, or a label alone. */
static int is_sparse_line(text *t) {
    skip(t, " \t\r");
    if (t->at == t->end || *t->at == '\n' || *t->at == '#') return -1;
    const unsigned char *label = t->at;
    skip(t, "+-.0123456789eE");
    if (t->at == label) return 0;
    const unsigned char *behind = t->at;
    skip(t, " \t\r");
    if (t->at == t->end || *t->at == '\n' || *t->at == '#') return -1;
    const unsigned char *index = t->at;
    skip(t, "0123456789");
    return index > behind && t->at > index && t->at < t->end && *t->at == ':';
}

static int is_libsvm(const unsigned char *head, size_t length) {
    int mark = begins(head, length, "\xEF\xBB\xBF", 3) ? 3 : 0;
    text t = {head + mark, head + length};
    while (t.at < t.end) {
        int sparse = is_sparse_line(&t);
        if (sparse >= 0) return sparse;
        while (t.at < t.end && *t.at != '\n') t.at++;
        if (t.at < t.end) t.at++;
    }
    return 0;
}

lgt_format lgt_format_of(const unsigned char *head, size_t length) {
    if (begins(head, length, "\x93NUMPY", 6)) return LGT_FORMAT_NPY;
    if (begins(head, length, "PK\3\4", 4) || begins(head, length, "PK\5\6", 4)) return LGT_FORMAT_ZIP;
    if (is_safetensors(head, length)) return LGT_FORMAT_SAFETENSORS;
    if (begins(head, length, "\0\0", 2)) return LGT_FORMAT_IDX;
    if (begins(head, length, "solver_type", 11)) return LGT_FORMAT_LIBLINEAR;
    return is_libsvm(head, length) ? LGT_FORMAT_LIBSVM : LGT_FORMAT_OTHER;
}
