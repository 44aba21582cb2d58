/* The options of train. */
#ifndef LGT_CLI_TRAIN_TABLE_H
#define LGT_CLI_TRAIN_TABLE_H

#include "options.h"

extern const cli_option cli_train_options[];
enum { CLI_TRAIN_OPTIONS = 36 };

/* The words of --optimizer, as in lgt_optimizer. */
extern const char *const cli_optimizers[];

#endif
