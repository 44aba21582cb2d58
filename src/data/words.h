/* Text that is read whole, line by line and word by word: what stands between blanks. */
#ifndef LGT_DATA_WORDS_H
#define LGT_DATA_WORDS_H

#include "data/input.h"

typedef struct lgt_words {
    const char *path;
    char *text; /* the whole file */
    size_t length, room, at;
    long long line;   /* of the next byte, from 1 */
    char comment;     /* what follows it is no part of the line; 0: nothing */
    const char *word; /* the one taken last; not ended by NUL */
    size_t word_length;
} lgt_words;

/* Reads all of the input; a byte order mark is left out. `words` is to be freed also after an error. Errors: those of
 * reading; MEMORY for packed text of more than 200 times its size. */
lgt_status lgt_words_read(lgt_context *context, lgt_input *input, lgt_words *words, lgt_error *err);
void lgt_words_free(lgt_context *context, lgt_words *words);

/* Takes the next word of the line; an empty one at its end. */
void lgt_words_next(lgt_words *words);
/* Goes on to the next line; DATA if there is another word. */
lgt_status lgt_words_end_line(lgt_words *words, lgt_error *err);

int lgt_words_is(const lgt_words *words, const char *text);
/* DATA: "PATH:LINE: found 'WORD', expected WHAT". */
lgt_status lgt_words_unexpected(const lgt_words *words, const char *expected, lgt_error *err);

#endif
