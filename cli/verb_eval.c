/* logitude eval: how well a model classifies, verifies and retrieves. */
#include <stdio.h>

#include "logitude/logitude.h"
#include "output.h"
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

static lgt_status classify(cli_subject *subject, json_t *report, lgt_error *err) {
    lgt_classification result;
    lgt_status status = cli_classify(subject->comm, subject->context, subject->model, cli_subject_view(subject),
                                     subject->data->labels, &result, err);
    if (status) return status;
    cli_put_real(report, "accuracy", result.accuracy);
    cli_put_real(report, "nll", result.nll);
    cli_put_real(report, "ece", result.ece);
    return LGT_OK;
}

static lgt_status verify(cli_subject *subject, json_t *report, lgt_error *err) {
    lgt_verification result;
    json_t *tar = json_object();
    lgt_status status = lgt_eval_verification_shared(subject->context, subject->comm, cli_subject_view(subject),
                                                     subject->data->labels, &result, err);
    if (!status) {
        for (int i = 0; i < LGT_FAR_LEVELS; i++) {
            char level[32];
            snprintf(level, sizeof level, "%g", lgt_far_levels[i]);
            cli_put_real(tar, level, result.tar_at_far[i]);
        }
        cli_put_integer(report, "genuine_pairs", result.n_genuine);
        cli_put_integer(report, "impostor_pairs", result.n_impostor);
        cli_put_real(report, "auc", result.auc);
        cli_put_real(report, "eer", result.eer);
        cli_put(report, "tar_at_far", json_incref(tar));
    }
    json_decref(tar);
    return status;
}

static lgt_status retrieve(cli_subject *subject, json_t *report, lgt_error *err) {
    lgt_retrieval result;
    json_t *recall = json_object();
    lgt_status status = lgt_eval_retrieval_shared(subject->context, subject->comm, cli_subject_view(subject),
                                                  subject->data->labels, &result, err);
    if (!status) {
        cli_put_real(recall, "1", result.recall_at_1);
        cli_put_real(recall, "5", result.recall_at_5);
        cli_put_integer(report, "queries", result.n_queries);
        cli_put_integer(report, "lone_queries", result.n_lone);
        cli_put(report, "recall_at", json_incref(recall));
        cli_put_real(report, "map_at_r", result.map_at_r);
    }
    json_decref(recall);
    return status;
}

/* Embeddings are compared with each other, so verification and retrieval take labels that the model has never seen. */
static lgt_status relabel(const cli_args *args, cli_subject *subject, int protocol, int *known, lgt_error *err) {
    *known = 1;
    if (protocol == VERIFICATION || protocol == RETRIEVAL) return LGT_OK;
    lgt_status status = cli_relabel(subject->context, subject->data, cli_text(args, "data"),
                                    lgt_model_label_names(subject->model), lgt_model_n_classes(subject->model), err);
    if (status != LGT_ERR_DATA || protocol != ALL) return status;
    cli_note(args, "no classification: %s", err->message);
    *known = 0;
    return LGT_OK;
}

/* Pairs of rows are those of all ranks' rows. */
static lgt_status gather(cli_subject *subject, lgt_error *err) {
    return cli_rows_gather(subject->comm, subject->z, subject->data->n_rows, (size_t)subject->dim * sizeof *subject->z,
                           err);
}

static lgt_status run(const cli_args *args, lgt_error *err) {
    int protocol = cli_choice(args, "protocol"), known = 0;
    cli_subject subject = {.context = NULL};
    const lgt_comm *comm = NULL;
    json_t *report = cli_report("eval");
    lgt_status status = cli_ranks_join(cli_real(args, "mpi-timeout"), &comm, err);
    if (!status) status = cli_subject_open(args, comm, 1, &subject, err);
    if (!status) status = cli_ranks_agree(comm, relabel(args, &subject, protocol, &known, err), err);
    if (!status) {
        cli_put_text(report, "model", cli_text(args, "model"));
        cli_put_text(report, "data", cli_text(args, "data"));
        cli_put_integer(report, "rows", subject.data->n_rows);
    }
    if (!status && known && (protocol == CLASSIFICATION || protocol == ALL)) status = classify(&subject, report, err);
    if (!status && protocol != CLASSIFICATION) status = gather(&subject, err);
    if (!status && (protocol == VERIFICATION || protocol == ALL)) status = verify(&subject, report, err);
    if (!status && (protocol == RETRIEVAL || protocol == ALL)) status = retrieve(&subject, report, err);
    if (!status) cli_ranks_leave(status, 0);
    if (!status && cli_is_first()) cli_report_print(args, json_incref(report));
    json_decref(report);
    cli_subject_close(&subject);
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
             "Data with a test half are measured on it, unless fashion-mnist:train is asked for.\n" CLI_NOTE_SHARED,
    .examples = "  logitude eval --model runs/arcface-0/model.safetensors --data fashion-mnist --protocol all\n"
                "  logitude eval --model m.safetensors --data x.npy,y.npy --json\n"
                "  mpirun -n 4 logitude eval --model m.safetensors --data x.npy,y.npy --protocol all",
    .is_shared = 1,
    .run = run,
};
