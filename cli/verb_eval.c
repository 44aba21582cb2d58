/* logitude eval: how well a model classifies, verifies and retrieves. */
#include <math.h>
#include <stdio.h>

#include "logitude/logitude.h"
#include "output.h"
#include "progress.h"
#include "ranks.h"
#include "session.h"
#include "shared_rows.h"
#include "verbs.h"

enum { CLASSIFICATION, VERIFICATION, RETRIEVAL, ALL };
static const char *const protocols[] = {"classification", "verification", "retrieval", "all", NULL};

static const cli_option options[] = {
    CLI_OPTION_MODEL,
    CLI_OPTION_DATA("labelled data to measure on"),
    CLI_OPTION_LABEL_COLUMN("the last one"),
    {.name = "protocol",
     .kind = CLI_CHOICE,
     .metavar = "P",
     .default_text = "classification",
     .words = protocols,
     .group = "Measure",
     .help = "what to measure"},
    CLI_OPTION_MPI_TIMEOUT,
};

typedef struct measuring {
    const cli_args *args;
    int protocol;
    cli_subject subject;
    lgt_status unknown_label; /* LGT_OK: the model knows all labels, or need not */
    lgt_error label_error;
    json_t *report;
    cli_progress progress;
} measuring;

/* What a watch is told of the pass. */
static cli_progress *begin(measuring *m, const char *pass) {
    cli_progress_start(&m->progress, m->args);
    cli_progress_pass(&m->progress, pass);
    return &m->progress;
}

/* Of NULL, which these labels do not define, every number is null. */
static json_t *count(const void *result, int64_t value) {
    return result ? json_integer(value) : json_null();
}

static void put_classification(json_t *report, const lgt_classification *result) {
    cli_put_real(report, "accuracy", result ? result->accuracy : NAN);
    cli_put_real(report, "nll", result ? result->nll : NAN);
    cli_put_real(report, "ece", result ? result->ece : NAN);
}

static void put_verification(json_t *report, const lgt_verification *result) {
    json_t *tar = json_object();
    for (int i = 0; i < LGT_FAR_LEVELS; i++) {
        char level[32];
        snprintf(level, sizeof level, "%g", lgt_far_levels[i]);
        cli_put_real(tar, level, result ? result->tar_at_far[i] : NAN);
    }
    cli_put(report, "genuine_pairs", count(result, result ? result->n_genuine : 0));
    cli_put(report, "impostor_pairs", count(result, result ? result->n_impostor : 0));
    cli_put_real(report, "auc", result ? result->auc : NAN);
    cli_put_real(report, "eer", result ? result->eer : NAN);
    cli_put(report, "tar_at_far", tar);
}

static void put_retrieval(json_t *report, const lgt_retrieval *result) {
    json_t *recall = json_object();
    cli_put_real(recall, "1", result ? result->recall_at_1 : NAN);
    cli_put_real(recall, "5", result ? result->recall_at_5 : NAN);
    cli_put(report, "queries", count(result, result ? result->n_queries : 0));
    cli_put(report, "lone_queries", count(result, result ? result->n_lone : 0));
    cli_put(report, "recall_at", recall);
    cli_put_real(report, "map_at_r", result ? result->map_at_r : NAN);
}

static lgt_status classify(measuring *m, lgt_error *err) {
    lgt_classification result;
    cli_subject *subject = &m->subject;
    lgt_status status = m->unknown_label;
    if (status) *err = m->label_error;
    if (!status) status = cli_classify(m->args, subject, &result, err);
    put_classification(m->report, status ? NULL : &result);
    return status;
}

/* The library knows labels as numbers, and would name the number. */
static lgt_status check_impostors(const lgt_dataset *data, lgt_error *err) {
    for (int64_t row = 1; row < data->n_rows; row++)
        if (data->labels[row] != data->labels[0]) return LGT_OK;
    if (data->n_rows < 2) return LGT_OK;
    return cli_fail(err, LGT_ERR_DATA, "all %lld rows have label '%s': there is no impostor pair",
                    (long long)data->n_rows, data->label_names[data->labels[0]]);
}

static lgt_status verify(measuring *m, lgt_error *err) {
    lgt_verification result;
    cli_subject *subject = &m->subject;
    lgt_status status = check_impostors(subject->data, err);
    if (!status)
        status = lgt_eval_verification_shared(subject->context, subject->comm, cli_subject_view(subject),
                                              subject->data->labels, cli_progress_watch, begin(m, "verification  pair"),
                                              &result, err);
    cli_progress_stop(&m->progress);
    put_verification(m->report, status ? NULL : &result);
    return status;
}

static lgt_status retrieve(measuring *m, lgt_error *err) {
    lgt_retrieval result;
    cli_subject *subject = &m->subject;
    lgt_status status =
        lgt_eval_retrieval_shared(subject->context, subject->comm, cli_subject_view(subject), subject->data->labels,
                                  cli_progress_watch, begin(m, "retrieval  query"), &result, err);
    cli_progress_stop(&m->progress);
    put_retrieval(m->report, status ? NULL : &result);
    return status;
}

/* Embeddings are compared with each other, so verification and retrieval take labels that the model has never seen. */
static lgt_status relabel(measuring *m, lgt_error *err) {
    cli_subject *subject = &m->subject;
    if (m->protocol == VERIFICATION || m->protocol == RETRIEVAL) return LGT_OK;
    lgt_status status = cli_relabel(subject->context, subject->data, cli_text(m->args, "data"),
                                    lgt_model_label_names(subject->model), lgt_model_n_classes(subject->model), err);
    if (status != LGT_ERR_DATA) return status;
    m->unknown_label = status;
    m->label_error = *err;
    return LGT_OK;
}

/* Pairs of rows are those of all ranks' rows. */
static lgt_status gather(cli_subject *subject, lgt_error *err) {
    return cli_rows_gather(subject->comm, subject->z, subject->data->n_rows, (size_t)subject->dim * sizeof *subject->z,
                           err);
}

/* In the order of the protocols. */
static lgt_status (*const measures[])(measuring *m, lgt_error *err) = {classify, verify, retrieve};

/* Of all protocols those that these labels define, if there is one. */
static lgt_status measure(measuring *m, lgt_error *err) {
    lgt_status status = m->protocol == CLASSIFICATION ? LGT_OK : gather(&m->subject, err);
    if (status || m->protocol != ALL) return status ? status : measures[m->protocol](m, err);
    int n_defined = 0;
    for (int p = 0; p < ALL; p++) {
        status = measures[p](m, err);
        if (status && status != LGT_ERR_DATA) return status;
        if (status) cli_note(m->args, "no %s: %s", protocols[p], err->message);
        n_defined += !status;
    }
    return n_defined ? LGT_OK : status;
}

static lgt_status run(const cli_args *args, lgt_error *err) {
    measuring m = {.args = args, .protocol = cli_choice(args, "protocol"), .report = cli_report("eval")};
    const lgt_comm *comm = NULL;
    lgt_status status = cli_ranks_join(cli_real(args, "mpi-timeout"), &comm, err);
    if (!status) status = cli_subject_open(args, comm, 1, &m.subject, err);
    if (!status) status = cli_ranks_agree(comm, relabel(&m, err), err);
    if (!status) {
        cli_put_text(m.report, "model", cli_text(args, "model"));
        cli_put_text(m.report, "data", cli_text(args, "data"));
        cli_put_integer(m.report, "rows", m.subject.data->n_rows);
        status = measure(&m, err);
    }
    if (!status) cli_ranks_leave(status, 0);
    if (!status && cli_is_first()) cli_report_print(args, json_incref(m.report));
    json_decref(m.report);
    cli_subject_close(&m.subject);
    return status;
}

const cli_verb cli_verb_eval = {
    .name = "eval",
    .summary = "measures a model: classification, verification, retrieval",
    .usage = "--model FILE --data D [options]",
    .options = options,
    .n_options = sizeof options / sizeof *options,
    .notes = "classification  accuracy, nll (nats), ece (15 bins), of the logits without a margin\n"
             "verification    auc, eer, tar_at_far over all pairs of embeddings, by cosine\n"
             "retrieval       recall_at 1 and 5, map_at_r, every row a query against all others\n"
             "all             what the labels define; the rest is null\n"
             "Data with a test half are measured on it, unless fashion-mnist:train is asked for.\n" CLI_NOTE_SHARED,
    .examples = "  logitude eval --model runs/arcface-0/model.safetensors --data fashion-mnist --protocol all\n"
                "  logitude eval --model m.safetensors --data x.npy,y.npy --json\n"
                "  mpirun -n 4 logitude eval --model m.safetensors --data x.npy,y.npy --protocol all",
    .is_shared = 1,
    .run = run,
};
