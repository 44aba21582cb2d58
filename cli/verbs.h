/* The verbs of the program: one file, one option table each. */
#ifndef LGT_CLI_VERBS_H
#define LGT_CLI_VERBS_H

#include "options.h"

extern const cli_verb cli_verb_train, cli_verb_eval, cli_verb_predict, cli_verb_embed, cli_verb_grad, cli_verb_check,
    cli_verb_report, cli_verb_lint, cli_verb_explain, cli_verb_curvature, cli_verb_conflict, cli_verb_bench,
    cli_verb_plan, cli_verb_losses, cli_verb_info, cli_verb_convert, cli_verb_completion;

/* In the order of the help, ended by NULL. */
extern const cli_verb *const cli_verbs[];

#endif
