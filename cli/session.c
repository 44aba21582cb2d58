/* Opens what verbs work on. With ranks.c the only file that reads the environment. */
#include "session.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "output.h"
#include "processor.h"
#include "progress.h"
#include "ranks.h"
#include "shared_rows.h"

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
    if (ranks == 1) return 0;
    int threads = cli_processors() / ranks;
    return threads > 0 ? threads : 1;
}

lgt_status cli_context_open(const cli_args *args, lgt_context **out, lgt_error *err) {
    static const lgt_isa isas[] = {LGT_ISA_GENERIC,    LGT_ISA_AVX2, LGT_ISA_AVX512,
                                   LGT_ISA_AVX512BF16, LGT_ISA_AMX,  LGT_ISA_BEST};
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
                            int labels_required, int64_t least_dim, lgt_dataset **out, lgt_error *err) {
    const char *folder = getenv("LOGITUDE_DATA");
    lgt_dataset_options options;
    lgt_dataset_options_init(&options);
    options.spec = spec;
    options.split = split;
    options.fashion_mnist = folder && *folder ? folder : NULL;
    options.label_column = cli_text(args, "label-column");
    options.labels_required = labels_required;
    options.least_dim = least_dim;
    lgt_status status = cli_read(lgt_dataset_load(context, &options, out, err), err);
    if (!status && cli_flag(args, "verbose")) cli_tell_data(args, spec, *out);
    return status;
}

void cli_tell_data(const cli_args *args, const char *spec, const lgt_dataset *data) {
    char classes[48] = "";
    if (data->labels) snprintf(classes, sizeof classes, ", %lld classes", (long long)data->n_labels);
    cli_note(args, "%s: %lld rows, %lld features%s", spec, (long long)data->n_rows, (long long)data->dim, classes);
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

typedef struct embedding {
    lgt_model *model;
    const char *spec;
    const lgt_dataset *data;
    float *z;
} embedding;

static lgt_status embed_rows(void *user, int64_t first, int64_t count, lgt_error *err) {
    const embedding *e = user;
    int64_t dim = lgt_model_dim(e->model);
    float *z = e->z + first * dim;
    lgt_status status =
        lgt_model_embed(e->model, lgt_view_of(e->data->x + first * e->data->dim, count, e->data->dim, LGT_F32),
                        lgt_mut_of(z, count, dim, LGT_F32), err);
    for (int64_t i = 0; i < count * dim && !status; i++)
        if (!isfinite(z[i]))
            status =
                cli_fail(err, LGT_ERR_NONFINITE,
                         "%s: row %lld: its embedding is not finite: the row is far from what the model was trained "
                         "on, or the training diverged",
                         e->spec, (long long)(first + i / dim));
    return status;
}

lgt_status cli_embed(const lgt_comm *comm, lgt_model *model, const char *spec, const lgt_dataset *data, float *z,
                     lgt_error *err) {
    embedding own = {model, spec, data, z};
    lgt_status status = cli_rows_share(comm, data->n_rows, embed_rows, &own, NULL, err);
    if (status) return status;
    return cli_rows_gather(comm, z, data->n_rows, (size_t)lgt_model_dim(model) * sizeof *z, err);
}

static lgt_status load_subject(const cli_args *args, int labels_required, cli_subject *out, lgt_error *err) {
    const char *model = cli_text(args, "model"), *spec = cli_text(args, "data");
    lgt_status status = cli_context_open(args, &out->context, err);
    if (!status) status = cli_read(lgt_model_load(out->context, model, &out->model, err), err);
    if (!status)
        status = cli_dataset_open(out->context, args, spec, LGT_SPLIT_TEST, labels_required,
                                  lgt_model_in_dim(out->model), &out->data, err);
    return status ? status : cli_same_dim(spec, out->data, model, lgt_model_in_dim(out->model), err);
}

static lgt_status compare_fingerprint(const lgt_comm *comm, const char *name, uint64_t own, lgt_error *err) {
    char text[24];
    snprintf(text, sizeof text, "%016" PRIx64, own);
    return lgt_comm_same(comm, name, text, LGT_ERR_DATA, err);
}

/* All that results depend on. Paths may differ from machine to machine; options with a number or a word may not. */
static lgt_status compare_ranks(const cli_args *args, const cli_subject *s, lgt_error *err) {
    const lgt_comm *comm = s->comm;
    const char *isa = lgt_isa_name(lgt_context_isa(s->context));
    if (!comm) return LGT_OK;
    lgt_status status = lgt_comm_same(comm, "version", lgt_version(), LGT_ERR_UNSUPPORTED, err);
    if (!status) status = lgt_comm_same(comm, "isa", isa, LGT_ERR_UNSUPPORTED, err);
    if (!status) status = compare_fingerprint(comm, "model.fingerprint", lgt_model_fingerprint(s->model), err);
    if (!status) status = compare_fingerprint(comm, "data.fingerprint", s->data->fingerprint, err);
    for (int i = 0; i < args->verb->n_options && !status; i++) {
        const cli_option *o = &args->verb->options[i];
        if (o->kind == CLI_INTEGER || o->kind == CLI_CHOICE)
            status = lgt_comm_same(comm, o->name, cli_text(args, o->name), LGT_ERR_USAGE, err);
    }
    return status;
}

lgt_status cli_subject_open(const cli_args *args, const lgt_comm *comm, int labels_required, cli_subject *out,
                            lgt_error *err) {
    *out = (cli_subject){.comm = comm};
    lgt_status status = cli_ranks_agree(comm, load_subject(args, labels_required, out, err), err);
    if (!status) status = compare_ranks(args, out, err);
    if (status) return status;
    out->dim = lgt_model_dim(out->model);
    out->z = cli_alloc(out->data->n_rows, (size_t)out->dim * sizeof *out->z);
    embedding own = {out->model, cli_text(args, "data"), out->data, out->z};
    cli_progress progress;
    cli_progress_start(&progress, args);
    cli_progress_pass(&progress, "embedding  row");
    status = cli_rows_share(comm, out->data->n_rows, embed_rows, &own, &progress, err);
    cli_progress_stop(&progress);
    return status;
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

typedef struct prediction {
    lgt_context *context;
    lgt_model *model;
    lgt_view z;
    const int64_t *labels;
    cli_ranking *out;
} prediction;

/* The library counts rows from the first that it is given. */
static lgt_status rank_rows(void *user, int64_t first, int64_t count, lgt_error *err) {
    const prediction *p = user;
    const lgt_model *m = p->model;
    int64_t k = p->out->k, *classes = p->out->classes + first * k;
    double *own = p->labels ? p->out->label_logits + first : NULL;
    lgt_predictions to = {k, classes, p->out->logits + first * k, p->out->lse + first, own};
    lgt_view z = p->z;
    lgt_head *head = NULL;
    z.rows = count;
    z.data = (const float *)z.data + first * z.ld;
    lgt_status status =
        lgt_head_create(p->context, lgt_model_loss(m), lgt_model_dim(m), lgt_model_n_classes(m), &head, err);
    if (!status)
        status = lgt_head_predict(head, z, lgt_model_weights(m), lgt_model_bias(m),
                                  p->labels ? p->labels + first : NULL, &to, err);
    lgt_head_free(head);
    if (!status || first == 0) return status;
    char place[64];
    snprintf(place, sizeof place, "counted from row %lld", (long long)first);
    return cli_fail_in(err, status, place);
}

/* Room for the k most likely classes of so many rows. */
static void open_ranking(cli_ranking *out, int64_t n_rows, int64_t k, int has_labels) {
    size_t lists = (size_t)k * sizeof(int64_t), number = sizeof(double);
    _Static_assert(sizeof(int64_t) == sizeof(double), "lists of classes and logits");
    *out = (cli_ranking){.k = k};
    out->classes = cli_alloc(n_rows, lists);
    out->logits = cli_alloc(n_rows, lists);
    out->lse = cli_alloc(n_rows, number);
    if (has_labels) out->label_logits = cli_alloc(n_rows, number);
}

static lgt_status rank(const lgt_comm *comm, prediction *own, int64_t k, cli_progress *progress, lgt_error *err) {
    size_t lists = (size_t)k * sizeof(int64_t), number = sizeof(double);
    const int64_t *labels = own->labels;
    cli_ranking *out = own->out;
    lgt_view z = own->z;
    open_ranking(out, z.rows, k, labels != NULL);
    lgt_status status = cli_rows_share(comm, z.rows, rank_rows, own, progress, err);
    if (!status) status = cli_rows_collect(comm, out->classes, z.rows, lists, err);
    if (!status) status = cli_rows_collect(comm, out->logits, z.rows, lists, err);
    if (!status) status = cli_rows_collect(comm, out->lse, z.rows, number, err);
    if (!status && labels) status = cli_rows_collect(comm, out->label_logits, z.rows, number, err);
    return status;
}

lgt_status cli_rank(const lgt_comm *comm, lgt_context *context, lgt_model *model, lgt_view z, const int64_t *labels,
                    int64_t k, cli_ranking *out, lgt_error *err) {
    prediction own = {context, model, z, labels, out};
    return rank(comm, &own, k, NULL, err);
}

lgt_status cli_subject_rank(const cli_args *args, const cli_subject *subject, const int64_t *labels, int64_t k,
                            cli_ranking *out, lgt_error *err) {
    cli_progress progress;
    prediction own = {subject->context, subject->model, cli_subject_view(subject), labels, out};
    cli_progress_start(&progress, args);
    cli_progress_pass(&progress, "classification  row");
    lgt_status status = rank(subject->comm, &own, k, &progress, err);
    cli_progress_stop(&progress);
    return status;
}

void cli_ranking_free(cli_ranking *ranking) {
    free(ranking->label_logits);
    free(ranking->lse);
    free(ranking->logits);
    free(ranking->classes);
}

lgt_status cli_classify(const cli_args *args, const cli_subject *subject, lgt_classification *out, lgt_error *err) {
    cli_ranking top;
    const lgt_comm *comm = subject->comm;
    int64_t n_rows = subject->data->n_rows, *labels = subject->data->labels;
    *out = (lgt_classification){0};
    lgt_status status = cli_subject_rank(args, subject, labels, 1, &top, err), evaluated = LGT_OK;
    if (!status && (!comm || comm->rank == 0))
        evaluated =
            lgt_eval_classification(n_rows, labels, 1, top.classes, top.logits, top.lse, top.label_logits, out, err);
    cli_ranking_free(&top);
    return status ? status : cli_ranks_agree(comm, evaluated, err);
}

lgt_status cli_classify_in_training(lgt_trainer *trainer, lgt_view z, const int64_t *labels, lgt_classification *out,
                                    lgt_error *err) {
    cli_ranking top;
    open_ranking(&top, z.rows, 1, 1);
    lgt_predictions found = {1, top.classes, top.logits, top.lse, top.label_logits};
    lgt_status status = lgt_trainer_predict(trainer, z, labels, &found, err);
    if (!status)
        status =
            lgt_eval_classification(z.rows, labels, 1, top.classes, top.logits, top.lse, top.label_logits, out, err);
    cli_ranking_free(&top);
    return status;
}
