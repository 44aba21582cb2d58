/* A machine's rates as a JSON object: what `bench machine` prints and `plan --machine` reads. */
#ifndef LGT_CLI_MACHINE_FILE_H
#define LGT_CLI_MACHINE_FILE_H

#include "logitude/scaling.h"
#include "output.h"

/* Puts name, threads, memory and all rates but the network's into the object. */
void cli_machine_put(json_t *object, const lgt_machine *machine);

/* Takes them out of a file; the network stays as it is. Errors: IO, DATA. */
lgt_status cli_machine_read(const char *path, lgt_machine *machine, lgt_error *err);

/* The words of lgt_arithmetic and lgt_descent_kind, ended by NULL. */
extern const char *const cli_arithmetic_words[], *const cli_descent_words[];

#endif
