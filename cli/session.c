/* Opens what verbs work on. With ranks.c the only file that reads the environment. */
#include "session.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "output.h"
#include "ranks.h"

/* --- Context --- */

static lgt_status read_threads(const cli_args *args, int *threads, lgt_error *err) {
    const char *environment = getenv("LOGITUDE_NUM_THREADS");
    *threads = (int)cli_integer(args, "threads");
    if (cli_source_of(args, "threads") == CLI_COMMAND || !environment || !*environment) return LGT_OK;
    cli_value value = {CLI_DEFAULT, NULL, 0, 0.0};
    const cli_option *option = cli_option_at(args->verb, cli_option_find(args->verb, "threads", strlen("threads")));
    lgt_status status = cli_value_read(option, "LOGITUDE_NUM_THREADS", environment, &value, err);
    *threads = (int)value.integer;
    return status;
}

/* The ranks of a machine share the processors they may all run on; 0: this process is alone. */
static int share_of_processors(void) {
    int ranks = cli_local_ranks();
    lgt_context *probe = NULL;
    if (ranks == 1 || lgt_context_create(NULL, &probe, NULL)) return 0;
    int threads = lgt_context_threads(probe) / ranks;
    lgt_context_free(probe);
    return threads > 0 ? threads : 1;
}

lgt_status cli_context_open(const cli_args *args, lgt_context **out, lgt_error *err) {
    static const lgt_isa isas[] = {LGT_ISA_GENERIC, LGT_ISA_AVX2, LGT_ISA_AVX512, LGT_ISA_AMX, LGT_ISA_BEST};
    lgt_context_options options;
    lgt_context_options_init(&options);
    lgt_status status = read_threads(args, &options.threads, err);
    options.max_isa = isas[cli_choice(args, "max-isa")];
    if (!status && options.threads == 0) options.threads = share_of_processors();
    if (!status) status = lgt_context_create(&options, out, err);
    if (!status) cli_detail(args, "%d threads, %s", lgt_context_threads(*out), lgt_isa_name(lgt_context_isa(*out)));
    return status;
}

lgt_status cli_loss_open(const cli_args *args, lgt_loss *out, lgt_error *err) {
    const char *spec = cli_text(args, "loss"), *system = cli_text(args, "like");
    return system ? lgt_loss_parse_like(spec, system, out, err) : lgt_loss_parse(spec, out, err);
}

/* --- Data --- */

lgt_status cli_dataset_open(lgt_context *context, const cli_args *args, const char *spec, lgt_split split,
                            int labels_required, lgt_dataset **out, lgt_error *err) {
    const char *folder = getenv("LOGITUDE_DATA");
    lgt_dataset_options options;
    lgt_dataset_options_init(&options);
    options.spec = spec;
    options.split = split;
    options.fashion_mnist = folder && *folder ? folder : NULL;
    options.label_column = cli_text(args, "label-column");
    options.labels_required = labels_required;
    lgt_status status = lgt_dataset_load(context, &options, out, err);
    if (!status)
        cli_detail(args, "%s: %lld rows, %lld features, %lld labels", spec, (long long)(*out)->n_rows,
                   (long long)(*out)->dim, (long long)(*out)->n_labels);
    return status;
}

lgt_status cli_same_dim(const char *spec, const lgt_dataset *data, const char *other, int64_t dim, lgt_error *err) {
    if (data->dim == dim) return LGT_OK;
    return cli_fail(err, LGT_ERR_DATA, "%s: %lld features a row, expected %lld as in %s", spec, (long long)data->dim,
                    (long long)dim, other);
}

lgt_status cli_relabel(lgt_context *context, lgt_dataset *data, const char *spec, char *const *names, int64_t n_names,
                       lgt_error *err) {
    lgt_status status = lgt_dataset_relabel(context, data, names, n_names, err);
    return status ? cli_fail_in(err, status, spec) : LGT_OK;
}

/* --- A model applied to data --- */

lgt_status cli_embed(lgt_model *model, const char *spec, const lgt_dataset *data, float *z, lgt_error *err) {
    int64_t dim = lgt_model_dim(model);
    lgt_status status = lgt_model_embed(model, lgt_view_of(data->x, data->n_rows, data->dim, LGT_F32),
                                        lgt_mut_of(z, data->n_rows, dim, LGT_F32), err);
    for (int64_t i = 0; i < data->n_rows * dim && !status; i++)
        if (!isfinite(z[i]))
            status =
                cli_fail(err, LGT_ERR_NONFINITE,
                         "%s: row %lld: its embedding is not finite: the row is far from what the model was trained "
                         "on, or the training diverged",
                         spec, (long long)(i / dim));
    return status;
}

lgt_status cli_subject_open(const cli_args *args, int labels_required, cli_subject *out, lgt_error *err) {
    const char *model = cli_text(args, "model"), *spec = cli_text(args, "data");
    memset(out, 0, sizeof *out);
    lgt_status status = cli_context_open(args, &out->context, err);
    if (!status) status = lgt_model_load(out->context, model, &out->model, err);
    if (!status) status = cli_dataset_open(out->context, args, spec, LGT_SPLIT_TEST, labels_required, &out->data, err);
    if (!status) status = cli_same_dim(spec, out->data, model, lgt_model_in_dim(out->model), err);
    if (status) return status;
    out->dim = lgt_model_dim(out->model);
    out->z = cli_alloc(out->data->n_rows, (size_t)out->dim * sizeof *out->z);
    return cli_embed(out->model, spec, out->data, out->z, err);
}

void cli_subject_close(cli_subject *subject) {
    free(subject->z);
    if (subject->data) lgt_dataset_free(subject->context, subject->data);
    if (subject->model) lgt_model_free(subject->model);
    lgt_context_free(subject->context);
}

lgt_view cli_subject_view(const cli_subject *subject) {
    return lgt_view_of(subject->z, subject->data->n_rows, subject->dim, LGT_F32);
}

/* Room for the k most likely classes of so many rows, and where that goes. */
static lgt_predictions open_ranking(cli_ranking *out, int64_t n_rows, int64_t k, int has_labels) {
    memset(out, 0, sizeof *out);
    out->k = k;
    out->classes = cli_alloc(n_rows, (size_t)k * sizeof *out->classes);
    out->logits = cli_alloc(n_rows, (size_t)k * sizeof *out->logits);
    out->lse = cli_alloc(n_rows, sizeof *out->lse);
    if (has_labels) out->label_logits = cli_alloc(n_rows, sizeof *out->label_logits);
    return (lgt_predictions){k, out->classes, out->logits, out->lse, out->label_logits};
}

lgt_status cli_rank(lgt_context *context, lgt_model *model, lgt_view z, const int64_t *labels, int64_t k,
                    cli_ranking *out, lgt_error *err) {
    lgt_head *head = NULL;
    lgt_predictions predictions = open_ranking(out, z.rows, k, labels != NULL);
    lgt_status status =
        lgt_head_create(context, lgt_model_loss(model), lgt_model_dim(model), lgt_model_n_classes(model), &head, err);
    if (!status)
        status = lgt_head_predict(head, z, lgt_model_weights(model), lgt_model_bias(model), labels, &predictions, err);
    lgt_head_free(head);
    return status;
}

void cli_ranking_free(cli_ranking *ranking) {
    free(ranking->label_logits);
    free(ranking->lse);
    free(ranking->logits);
    free(ranking->classes);
}

static lgt_status classify(const cli_ranking *top, int64_t n_rows, const int64_t *labels, lgt_classification *out,
                           lgt_error *err) {
    return lgt_eval_classification(n_rows, labels, 1, top->classes, top->logits, top->lse, top->label_logits, out, err);
}

lgt_status cli_classify(lgt_context *context, lgt_model *model, lgt_view z, const int64_t *labels,
                        lgt_classification *out, lgt_error *err) {
    cli_ranking top;
    lgt_status status = cli_rank(context, model, z, labels, 1, &top, err);
    if (!status) status = classify(&top, z.rows, labels, out, err);
    cli_ranking_free(&top);
    return status;
}

lgt_status cli_classify_in_training(lgt_trainer *trainer, lgt_view z, const int64_t *labels, lgt_classification *out,
                                    lgt_error *err) {
    cli_ranking top;
    lgt_predictions predictions = open_ranking(&top, z.rows, 1, 1);
    lgt_status status = lgt_trainer_predict(trainer, z, labels, &predictions, err);
    if (!status) status = classify(&top, z.rows, labels, out, err);
    cli_ranking_free(&top);
    return status;
}
