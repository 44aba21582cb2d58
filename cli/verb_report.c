/* logitude report: the runs in folders that train has written, as one HTML file. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "logitude/logitude.h"
#include "outfile.h"
#include "output.h"
#include "run_files.h"
#include "session.h"
#include "streams.h"
#include "verbs.h"

static const cli_option options[] = {
    {.name = "out",
     .kind = CLI_OUTPUT,
     .metavar = "FILE",
     .group = "Output",
     .help = "file to write, or - for the page on standard output (default: report.html in the folder of the run; of "
             "several runs, in the current folder)"},
};

/* Runs of one name are told apart by their whole paths. */
static void name_apart(const cli_args *args, lgt_report_run *runs) {
    for (int i = 0; i < args->n_words; i++)
        for (int j = 0; j < args->n_words; j++)
            if (i != j && strcmp(runs[i].name, runs[j].name) == 0 && strcmp(args->words[i], args->words[j]) != 0) {
                cli_run_name(&runs[i], args->words[i]);
                cli_run_name(&runs[j], args->words[j]);
            }
}

static lgt_status read_runs(const cli_args *args, lgt_report_run *runs, lgt_error *err) {
    lgt_status status = LGT_OK;
    for (int i = 0; i < args->n_words && !status; i++) status = cli_run_files_read(args->words[i], &runs[i], err);
    if (!status) name_apart(args, runs);
    return status;
}

static void print(const cli_args *args, const lgt_report_run *runs, const char *path) {
    struct stat about;
    json_t *report = cli_report("report"), *names = json_array();
    for (int i = 0; i < args->n_words; i++) cli_append(names, cli_string(runs[i].name));
    cli_put(report, "runs", names);
    cli_put_text(report, "report", path);
    cli_put_integer(report, "bytes", stat(path, &about) ? 0 : (int64_t)about.st_size);
    cli_report_print(args, report);
}

static lgt_status run(const cli_args *args, lgt_error *err) {
    lgt_context *context = NULL;
    lgt_report_run runs[LGT_REPORT_MOST_RUNS] = {{0}};
    const char *out = cli_text(args, "out");
    if (args->n_words == 0)
        return cli_fail(err, LGT_ERR_USAGE, "report needs the folder of a run: logitude report RUN...");
    char *path = out                  ? cli_copy(out)
                 : args->n_words == 1 ? cli_path_join(args->words[0], "report.html")
                                      : cli_copy("report.html");
    lgt_status status = read_runs(args, runs, err);
    int to_stdout = cli_is_stdout(path);
    if (!status) status = cli_output_check(args, "--out", path, err);
    if (!status) status = cli_context_open(args, &context, err);
    if (!status) status = lgt_report_write(context, runs, args->n_words, cli_output_name(path), err);
    if (to_stdout) status = cli_stdout_status(status);
    if (!status && !to_stdout) print(args, runs, path);
    for (int i = 0; i < args->n_words; i++) cli_run_files_free(&runs[i]);
    lgt_context_free(context);
    free(path);
    return status;
}

const cli_verb cli_verb_report = {
    .name = "report",
    .summary = "shows one run, or several over one another, as one HTML file",
    .usage = "RUN... [options]",
    .options = options,
    .n_options = sizeof options / sizeof *options,
    .notes = "RUN is a folder that train has written, also one whose training failed or was interrupted: what its\n"
             "run.json, metrics.jsonl and analysis.json hold is shown. The file needs no network and no other file.",
    .examples = "  logitude report runs/arcface-0\n"
                "  logitude report runs/softmax-0 runs/arcface-0 --out comparison.html",
    .max_words = LGT_REPORT_MOST_RUNS,
    .first_word = CLI_FOLDER,
    .other_words = CLI_FOLDER,
    .run = run,
};
