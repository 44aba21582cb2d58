/* "Did you mean": optimal string alignment distance (Damerau 1964 with adjacent transpositions), words cut to 63 bytes.
 */
#include "nearest.h"

#include <stdio.h>
#include <string.h>

enum { MAX_WORD = 63 };

static int least(int a, int b) {
    return a < b ? a : b;
}

/* Letters of either case are the same. */
static int letter(char c) {
    return c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c;
}

static int starts_with(const char *text, const char *head) {
    for (; *head; head++, text++)
        if (letter(*head) != letter(*text)) return 0;
    return 1;
}

static int distance(const char *a, int n_a, const char *b, int n_b) {
    int rows[3][MAX_WORD + 1]; /* the row before the last, the last, the present one, in turn */
    for (int j = 0; j <= n_b; j++) rows[0][j] = j;
    for (int i = 1; i <= n_a; i++) {
        int *now = rows[i % 3];
        const int *last = rows[(i + 2) % 3], *before = rows[(i + 1) % 3];
        now[0] = i;
        for (int j = 1; j <= n_b; j++) {
            now[j] = least(least(last[j], now[j - 1]) + 1, last[j - 1] + (letter(a[i - 1]) != letter(b[j - 1])));
            if (i > 1 && j > 1 && letter(a[i - 1]) == letter(b[j - 2]) && letter(a[i - 2]) == letter(b[j - 1]))
                now[j] = least(now[j], before[j - 2] + 1);
        }
    }
    return rows[n_a % 3][n_b];
}

void cli_nearest_try(cli_nearest *nearest, const char *candidate) {
    int n_word = (int)strnlen(nearest->word, MAX_WORD), n_candidate = (int)strnlen(candidate, MAX_WORD);
    int found = distance(nearest->word, n_word, candidate, n_candidate);
    if (n_word >= 3 && starts_with(candidate, nearest->word)) found = 1; /* an abbreviation */
    if (found <= (n_word + 2) / 3 && (!nearest->best || found < nearest->distance)) {
        nearest->best = candidate;
        nearest->distance = found;
    }
}

/* Pairs of what other programs say and what it is called here. */
static const char *const synonyms[][2] = {
    {"learning-rate", "lr"},  {"batch-size", "batch"}, {"n-epochs", "epochs"},     {"num-epochs", "epochs"},
    {"max-epochs", "epochs"}, {"output", "out"},       {"output-dir", "out"},      {"embedding-size", "dim"},
    {"wd", "weight-decay"},   {"optim", "optimizer"},  {"num-threads", "threads"}, {"random-seed", "seed"},
};

void cli_nearest_try_option(cli_nearest *nearest, const char *name) {
    cli_nearest_try(nearest, name);
    for (size_t i = 0; i < sizeof synonyms / sizeof *synonyms; i++) {
        cli_nearest other = {.word = nearest->word};
        if (strcmp(synonyms[i][1], name) == 0) cli_nearest_try(&other, synonyms[i][0]);
        if (other.best && (!nearest->best || other.distance < nearest->distance)) {
            nearest->best = name;
            nearest->distance = other.distance;
        }
    }
}

const char *cli_nearest_hint(cli_nearest *nearest, const char *prefix) {
    nearest->hint[0] = '\0';
    if (nearest->best) snprintf(nearest->hint, sizeof nearest->hint, "; did you mean '%s%s'?", prefix, nearest->best);
    return nearest->hint;
}
