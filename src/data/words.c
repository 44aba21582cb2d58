/* Text that is read whole, line by line and word by word. */
#include "data/words.h"

#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "data/growth.h"

enum { SHOWN = 24, PIECE = 1 << 16 };
/* As of tables: far beyond it a few bytes would fill the memory. */
enum { PACKING_LIMIT = 200, PACKING_FREE = 1 << 20 };

lgt_status lgt_words_read(lgt_context *context, lgt_input *input, lgt_words *words, lgt_error *err) {
    words->path = lgt_input_path(input);
    words->line = 1;
    for (;;) {
        size_t got = 0;
        lgt_status status = lgt_grow(context, &words->text, words->length, &words->room, words->length + PIECE, err);
        if (!status) status = lgt_input_read(input, words->text + words->length, PIECE, &got, err);
        if (!status && got == 0 && words->length >= 3 && memcmp(words->text, "\xEF\xBB\xBF", 3) == 0) words->at = 3;
        if (status || got == 0) return status;
        words->length += got;
        if (lgt_input_is_packed(input) &&
            (lgt_input_given(input) - PACKING_FREE) / PACKING_LIMIT > lgt_input_file_size(input))
            return lgt_fail(err, LGT_ERR_MEMORY,
                            "%s: unpacks to more than 200 times its size: unpack it with gzip first", words->path);
    }
}

void lgt_words_free(lgt_context *context, lgt_words *words) {
    lgt_release(context, words->text);
    *words = (lgt_words){.path = NULL};
}

static int is_one_of(char c, const char *set) {
    return c && strchr(set, c);
}

void lgt_words_next(lgt_words *words) {
    while (words->at < words->length && is_one_of(words->text[words->at], " \t\r")) words->at++;
    words->word = words->text + words->at;
    while (words->at < words->length && !is_one_of(words->text[words->at], " \t\r\n") &&
           !(words->comment && words->text[words->at] == words->comment))
        words->at++;
    words->word_length = (size_t)(words->text + words->at - words->word);
}

lgt_status lgt_words_end_line(lgt_words *words, lgt_error *err) {
    lgt_words_next(words);
    if (words->word_length) return lgt_words_unexpected(words, "the end of the line", err);
    while (words->comment && words->at < words->length && words->text[words->at] != '\n') words->at++;
    if (words->at < words->length) words->at++;
    words->line++;
    return LGT_OK;
}

int lgt_words_is(const lgt_words *words, const char *text) {
    return words->word_length == strlen(text) && memcmp(words->word, text, words->word_length) == 0;
}

lgt_status lgt_words_unexpected(const lgt_words *words, const char *expected, lgt_error *err) {
    char shown[SHOWN + 1];
    size_t length = words->word_length < SHOWN ? words->word_length : SHOWN;
    for (size_t i = 0; i < length; i++) shown[i] = words->word[i] < ' ' || words->word[i] > '~' ? '?' : words->word[i];
    shown[length] = '\0';
    return lgt_fail(err, LGT_ERR_DATA, "%s:%lld: found '%s', expected %s", words->path, words->line,
                    length ? shown : "the end of the line", expected);
}
