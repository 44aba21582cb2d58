/* The folder of a training: model.safetensors, best.safetensors, metrics.jsonl, run.json, analysis.json, report.html.
 */
#ifndef LGT_CLI_RUN_FOLDER_H
#define LGT_CLI_RUN_FOLDER_H

#include <jansson.h>

#include "forces.h"
#include "logitude/train.h"
#include "options.h"
#include "probe.h"

typedef struct cli_run_folder {
    char *model, *best, *metrics, *run, *analysis, *report; /* paths */
    char *folder;
    lgt_log *log;
} cli_run_folder;

/* Names the folder (NULL: runs/LOSS-SEED) and checks that it and its files could be made; makes nothing yet. */
lgt_status cli_run_folder_plan(cli_run_folder *out, const char *folder, const char *loss, int64_t seed, lgt_error *err);
/* Makes the folder, keeps other trainings out of it until the process ends, opens metrics.jsonl, cut back to `cut`
 * bytes or (-1: the training begins) empty, and clears the folder of an earlier analysis and report and, unless the run
 * has one already, best model. Of a training that begins also its checkpoints, model and run.json go. */
lgt_status cli_run_folder_create(lgt_context *context, cli_run_folder *run, int64_t cut, int has_best, lgt_error *err);
void cli_run_folder_free(cli_run_folder *run);

/* Removes a file of the folder, if there is one: of a link what it leads to, and no device or pipe. */
void cli_run_file_remove(const char *path);

/* What is known beside a step's or an epoch's record; NaN where it is not. */
typedef struct cli_measures {
    double gradient_norm;           /* of a step */
    double test_accuracy, test_nll; /* of an epoch */
    cli_means means;
    cli_force_means forces;
} cli_measures;

/* Lines of metrics.jsonl. */
lgt_status cli_metrics_step(cli_run_folder *run, const lgt_train_record *record, const cli_measures *measures,
                            lgt_error *err);
lgt_status cli_metrics_epoch(cli_run_folder *run, const lgt_train_record *record, const cli_measures *measures,
                             lgt_error *err);
lgt_status cli_metrics_solve(cli_run_folder *run, const lgt_solve_record *record, lgt_error *err);
lgt_status cli_metrics_failure(cli_run_folder *run, const lgt_error *failure, lgt_error *err);

/* run.json: the effective configuration, the versions and machine, the data, and what came out. Takes the objects. */
lgt_status cli_run_write(lgt_context *context, const cli_args *args, const cli_run_folder *run, const lgt_loss *loss,
                         json_t *data, json_t *results, lgt_error *err);

/* report.html of what the folder holds by now. */
lgt_status cli_run_report(lgt_context *context, const cli_run_folder *run, lgt_error *err);

/* Rates and histogram of an epoch's conflicts, or of the verb's. */
json_t *cli_describe_conflict(const lgt_conflict *conflict);

/* What run.json says of a dataset. */
json_t *cli_describe_dataset(const char *spec, const lgt_dataset *data);

#endif
