/* What verbs print: results on standard output as text or JSON, notes and errors on standard error. */
#ifndef LGT_CLI_OUTPUT_H
#define LGT_CLI_OUTPUT_H

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

#include "logitude/status.h"
#include "options.h"

#if defined(__GNUC__)
#define CLI_PRINTF(text, first) __attribute__((format(printf, text, first)))
#else
#define CLI_PRINTF(text, first)
#endif

/* The program owns its process: running out of memory here ends it with code 6, a defect with code 1. */
void *cli_alloc(int64_t count, size_t size); /* zeroed; count 0 gives a block as well */
char *cli_copy(const char *text);
_Noreturn void cli_out_of_memory(void);
_Noreturn void cli_exit(int code);
_Noreturn void cli_defect(const char *what);

/* Fills err and returns status. */
lgt_status cli_fail(lgt_error *err, lgt_status status, const char *format, ...) CLI_PRINTF(3, 4);

/* Puts "place: " before the message that err holds, and gives it another status. */
lgt_status cli_fail_in(lgt_error *err, lgt_status status, const char *place);

/* The status of reading a file: of a kind that is not read it is bad data, not a bad command. */
lgt_status cli_read(lgt_status status, lgt_error *err);

/* "logitude: text" on standard error, control characters replaced; a note is silent with -q, a detail without -v. */
void cli_say(const char *text);
void cli_note(const cli_args *args, const char *format, ...) CLI_PRINTF(2, 3);
void cli_detail(const cli_args *args, const char *format, ...) CLI_PRINTF(2, 3);

/* --- Reports: a JSON object that --json prints as it is, and text shows as aligned lines --- */

json_t *cli_report(const char *verb);                         /* {"schema": "logitude.VERB/1"} */
void cli_put(json_t *object, const char *key, json_t *value); /* takes the value */
json_t *cli_number(double value);                             /* null when it is not finite: JSON has no such numbers */
void cli_put_real(json_t *object, const char *key, double value);
void cli_put_integer(json_t *object, const char *key, int64_t value);
void cli_put_text(json_t *object, const char *key, const char *value); /* null for NULL */
void cli_append(json_t *list, json_t *value);
json_t *cli_string(const char *text);                  /* bytes that are not UTF-8 become '?' */
char *cli_json_text(const json_t *object, int pretty); /* to be freed */

/* One name-and-value line a member; objects within are flattened, lists show one line an element, true and
 * false as yes and no, null as "-". */
void cli_print_lines(json_t *object);

/* Prints the report by --json or as lines, and frees it. */
void cli_report_print(const cli_args *args, json_t *report);

/* Flushes and closes standard output: IO when something could not be written, OK when the reader has left. */
lgt_status cli_stdout_close(lgt_error *err);

#endif
