/* Keeps the last steps of a training, and writes them when it fails. */
#include "last_steps.h"

void cli_last_steps_keep(cli_last_steps *last, const lgt_train_record *record, double gradient_norm) {
    last->steps[last->next] = (cli_last_step){*record, gradient_norm};
    last->next = (last->next + 1) % CLI_LAST_STEPS;
    if (last->count < CLI_LAST_STEPS) last->count++;
}

void cli_last_steps_forget(cli_last_steps *last) {
    last->count = last->next = 0;
}

lgt_status cli_last_steps_write(const cli_last_steps *last, cli_run_folder *run, lgt_error *err) {
    lgt_status status = LGT_OK;
    int64_t oldest = last->count < CLI_LAST_STEPS ? 0 : last->next;
    for (int64_t i = 0; i < last->count && !status; i++) {
        const cli_last_step *step = &last->steps[(oldest + i) % CLI_LAST_STEPS];
        cli_measures measures = {.gradient_norm = step->gradient_norm};
        status = cli_metrics_step(run, &step->record, &measures, err);
    }
    return status;
}
