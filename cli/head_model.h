/* A head alone as a model: what `convert --to model` checks and writes. */
#ifndef LGT_CLI_HEAD_MODEL_H
#define LGT_CLI_HEAD_MODEL_H

#include "head_source.h"

/* The model's loss, `spec` or where it is NULL that of the model that the source is, else softmax; and whether the head
 * fits it: finite numbers, whole classes, no bias that the loss has not. Sets source->n_classes; one row of two classes
 * becomes two. */
lgt_status cli_head_model_check(cli_source_file *source, const char *spec, lgt_loss *loss, lgt_error *err);

/* Writes a head that was checked and has its labels. */
lgt_status cli_head_model_write(const cli_source_file *source, const lgt_loss *loss, const char *path, lgt_error *err);

#endif
