/* logitude predict: the most likely classes of every row. */
#include <math.h>
#include <stdio.h>

#include "logitude/logitude.h"
#include "outfile.h"
#include "output.h"
#include "ranks.h"
#include "session.h"
#include "verbs.h"

static const cli_option options[] = {
    CLI_OPTION_MODEL,
    CLI_OPTION_DATA("data to classify"),
    CLI_OPTION_LABEL_COLUMN("no column"),
    {.name = "top",
     .kind = CLI_INTEGER,
     .metavar = "K",
     .default_text = "1",
     .least = 1,
     .greatest = INFINITY,
     .group = "Output",
     .help = "classes to return a row, at most those of the model"},
    {.name = "out",
     .kind = CLI_OUTPUT,
     .metavar = "FILE",
     .default_text = "-",
     .group = "Output",
     .help = "a name that ends in .csv or .npy (class indices, int64), or - for CSV on standard output"},
    CLI_OPTION_MPI_TIMEOUT,
};

typedef struct predictions {
    int64_t n_rows;
    char *const *names;
    const cli_ranking *ranking;
} predictions;

static double probability(const cli_ranking *ranking, int64_t row, int64_t rank) {
    return exp(ranking->logits[row * ranking->k + rank] - ranking->lse[row]);
}

static const char *name_of(const predictions *table, int64_t row, int64_t rank) {
    return table->names[table->ranking->classes[row * table->ranking->k + rank]];
}

static void write_csv(FILE *out, const void *user) {
    const predictions *table = user;
    int64_t k = table->ranking->k;
    fprintf(out, "row");
    for (int64_t rank = 1; rank <= k; rank++)
        fprintf(out, ",label_%lld,probability_%lld", (long long)rank, (long long)rank);
    fprintf(out, "\n");
    for (int64_t row = 0; row < table->n_rows && !ferror(out); row++) {
        fprintf(out, "%lld", (long long)row);
        for (int64_t rank = 0; rank < k; rank++) {
            fputc(',', out);
            cli_csv_field(out, name_of(table, row, rank));
            fprintf(out, ",%.9g", probability(table->ranking, row, rank));
        }
        fputc('\n', out);
    }
}

static json_t *to_json(const predictions *table) {
    json_t *rows = json_array();
    for (int64_t row = 0; row < table->n_rows; row++) {
        json_t *object = json_object(), *labels = json_array(), *probabilities = json_array();
        for (int64_t rank = 0; rank < table->ranking->k; rank++) {
            cli_append(labels, cli_string(name_of(table, row, rank)));
            cli_append(probabilities, cli_number(probability(table->ranking, row, rank)));
        }
        cli_put_integer(object, "row", row);
        cli_put(object, "labels", labels);
        cli_put(object, "probabilities", probabilities);
        cli_append(rows, object);
    }
    return rows;
}

static lgt_status write_out(lgt_context *context, const cli_args *args, cli_format format, const predictions *table,
                            lgt_error *err) {
    int64_t shape[2] = {table->n_rows, table->ranking->k};
    const char *path = cli_text(args, "out");
    lgt_status status = LGT_OK;
    if (format == CLI_OUT_NPY)
        status = lgt_npy_write(context, path, LGT_I64, 2, shape, table->ranking->classes, err);
    else
        status = cli_out_csv(context, args, format, write_csv, table, err);
    if (status || (format == CLI_OUT_STDOUT && !cli_flag(args, "json"))) return status;
    json_t *report = cli_report("predict");
    cli_put_integer(report, "rows", shape[0]);
    cli_put_integer(report, "top", shape[1]);
    if (format == CLI_OUT_STDOUT)
        cli_put(report, "predictions", to_json(table));
    else
        cli_put_text(report, "out", path);
    cli_report_print(args, report);
    return LGT_OK;
}

static lgt_status run(const cli_args *args, lgt_error *err) {
    int64_t top = cli_integer(args, "top");
    cli_format format;
    cli_subject subject = {.context = NULL};
    cli_ranking ranking = {.k = 0};
    const lgt_comm *comm = NULL;
    lgt_status status = cli_ranks_join(cli_real(args, "mpi-timeout"), &comm, err);
    if (!status) status = cli_ranks_agree(comm, cli_out_open(args, &format, err), err);
    if (!status) status = cli_subject_open(args, comm, 0, &subject, err);
    if (!status && top > lgt_model_n_classes(subject.model))
        status = cli_fail(err, LGT_ERR_USAGE, "--top is %lld, expected at most %lld, the classes of %s", (long long)top,
                          (long long)lgt_model_n_classes(subject.model), cli_text(args, "model"));
    if (!status) status = cli_subject_rank(args, &subject, NULL, top, &ranking, err);
    if (!status) cli_ranks_leave(status, 0);
    if (!status && cli_is_first()) {
        predictions table = {subject.data->n_rows, lgt_model_label_names(subject.model), &ranking};
        status = write_out(subject.context, args, format, &table, err);
    }
    cli_ranking_free(&ranking);
    cli_subject_close(&subject);
    return status;
}

const cli_verb cli_verb_predict = {
    .name = "predict",
    .summary = "the most likely classes of every row",
    .usage = "--model FILE --data D [options]",
    .options = options,
    .n_options = sizeof options / sizeof *options,
    .notes = "CSV: row (from 0), then label and probability of each of the K classes, the likeliest first.\n"
             "Probabilities are the softmax of the logits without a margin. Labels in the data are not "
             "needed.\n" CLI_NOTE_SHARED,
    .examples = "  logitude predict --model m.safetensors --data x.npy --top 3\n"
                "  logitude predict --model m.safetensors --data fashion-mnist --out classes.npy",
    .is_shared = 1,
    .run = run,
};
