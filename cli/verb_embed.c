/* logitude embed: what the encoder makes of every row. */
#include <stdio.h>

#include "logitude/logitude.h"
#include "outfile.h"
#include "output.h"
#include "ranks.h"
#include "session.h"
#include "shared_rows.h"
#include "verbs.h"

static const cli_option options[] = {
    CLI_OPTION_MODEL,
    CLI_OPTION_DATA("data to embed"),
    CLI_OPTION_LABEL_COLUMN("no column"),
    {.name = "out",
     .kind = CLI_OUTPUT,
     .metavar = "FILE",
     .default_text = "-",
     .group = "Output",
     .help = "a name that ends in .csv or .npy (float32), or - for CSV on standard output"},
    CLI_OPTION_MPI_TIMEOUT,
};

static void write_csv(FILE *out, const void *user) {
    const cli_subject *subject = user;
    for (int64_t k = 0; k < subject->dim; k++) fprintf(out, "%se%lld", k ? "," : "", (long long)k);
    fputc('\n', out);
    for (int64_t row = 0; row < subject->data->n_rows && !ferror(out); row++) {
        for (int64_t k = 0; k < subject->dim; k++)
            fprintf(out, "%s%.9g", k ? "," : "", (double)subject->z[row * subject->dim + k]);
        fputc('\n', out);
    }
}

static json_t *to_json(const cli_subject *subject) {
    json_t *rows = json_array();
    for (int64_t row = 0; row < subject->data->n_rows; row++) {
        json_t *list = json_array();
        for (int64_t k = 0; k < subject->dim; k++)
            cli_append(list, cli_number((double)subject->z[row * subject->dim + k]));
        cli_append(rows, list);
    }
    return rows;
}

static lgt_status write_out(const cli_args *args, cli_format format, const cli_subject *subject, lgt_error *err) {
    int64_t shape[2] = {subject->data->n_rows, subject->dim};
    const char *path = cli_text(args, "out");
    lgt_status status = LGT_OK;
    if (format == CLI_OUT_NPY)
        status = lgt_npy_write(subject->context, path, LGT_F32, 2, shape, subject->z, err);
    else
        status = cli_out_csv(subject->context, args, format, write_csv, subject, err);
    if (status || (format == CLI_OUT_STDOUT && !cli_flag(args, "json"))) return status;
    json_t *report = cli_report("embed");
    cli_put_integer(report, "rows", shape[0]);
    cli_put_integer(report, "dim", shape[1]);
    if (format == CLI_OUT_STDOUT)
        cli_put(report, "embeddings", to_json(subject));
    else
        cli_put_text(report, "out", path);
    cli_report_print(args, report);
    return LGT_OK;
}

static lgt_status run(const cli_args *args, lgt_error *err) {
    cli_format format;
    cli_subject subject = {.context = NULL};
    const lgt_comm *comm = NULL;
    lgt_status status = cli_ranks_join(cli_real(args, "mpi-timeout"), &comm, err);
    if (!status) status = cli_ranks_agree(comm, cli_out_open(args, &format, err), err);
    if (!status) status = cli_subject_open(args, comm, 0, &subject, err);
    if (!status)
        status = cli_rows_collect(comm, subject.z, subject.data->n_rows, (size_t)subject.dim * sizeof *subject.z, err);
    if (!status) cli_ranks_leave(status, 0);
    if (!status && cli_is_first()) status = write_out(args, format, &subject, err);
    cli_subject_close(&subject);
    return status;
}

const cli_verb cli_verb_embed = {
    .name = "embed",
    .summary = "the embedding of every row",
    .usage = "--model FILE --data D [options]",
    .options = options,
    .n_options = sizeof options / sizeof *options,
    .notes = "CSV: a header e0,e1,... and one line a row. Labels in the data are not needed.\n" CLI_NOTE_SHARED,
    .examples = "  logitude embed --model m.safetensors --data fashion-mnist --out test.npy\n"
                "  logitude embed --model m.safetensors --data x.csv > embeddings.csv",
    .is_shared = 1,
    .run = run,
};
