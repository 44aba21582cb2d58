/* logitude plan: what a training over several ranks would take, by the model of the cost of a step. */
#include <stdio.h>

#include "logitude/scaling.h"
#include "machine_file.h"
#include "output.h"
#include "plan_report.h"
#include "session.h"
#include "units.h"
#include "verbs.h"

static const cli_option options[] = {
    {.name = "classes",
     .kind = CLI_INTEGER,
     .metavar = "C",
     .marks = CLI_REQUIRED,
     .least = 2,
     .greatest = CLI_INTEGER_MOST,
     .group = "Job",
     .help = "classes of the head"},
    {.name = "dim",
     .kind = CLI_INTEGER,
     .metavar = "D",
     .default_text = "512",
     .least = 1,
     .greatest = 1e9,
     .group = "Job",
     .help = "dimension of the embeddings"},
    {.name = "batch",
     .kind = CLI_INTEGER,
     .metavar = "N",
     .default_text = "128",
     .least = 1,
     .greatest = 1e9,
     .unit = "rows",
     .group = "Job",
     .help = "samples of a step, of all ranks together"},
    {.name = "dtype",
     .kind = CLI_CHOICE,
     .metavar = "TYPE",
     .default_text = "f32",
     .words = cli_arithmetic_words,
     .group = "Job",
     .help = "what products are made of; W is f32 but for f64"},
    {.name = "optimizer",
     .kind = CLI_CHOICE,
     .metavar = "OPT",
     .default_text = "adamw",
     .words = cli_descent_words,
     .group = "Job",
     .help = "sgd has momentum; none: gradients alone, dw being an array"},
    {.name = "sample-rate",
     .kind = CLI_REAL,
     .metavar = "RATE",
     .default_text = "1",
     .least = 1e-9,
     .greatest = 1,
     .group = "Job",
     .help = "share of the other classes that a step draws"},
    CLI_OPTION_WORKSPACE("Job", "most memory of a rank's head beside W"),
    {.name = "encoder",
     .kind = CLI_TEXT,
     .metavar = "SPEC",
     .default_text = "none",
     .group = "Job",
     .help = "none, linear or mlp:WIDTH[,WIDTH...], as train has them"},
    {.name = "inputs",
     .kind = CLI_INTEGER,
     .metavar = "N",
     .default_text = "784",
     .least = 1,
     .greatest = 2147483647.0,
     .unit = "features",
     .group = "Job",
     .help = "features of a sample, with an encoder"},
    {.name = "ranks",
     .kind = CLI_INTEGER,
     .metavar = "P",
     .default_text = "1",
     .least = 1,
     .greatest = 65536,
     .unit = "ranks",
     .group = "Ranks",
     .help = "machines, a rank on each; --threads says how many threads a rank has"},
    {.name = "network",
     .kind = CLI_TEXT,
     .metavar = "RATE",
     .default_text = "10Gb/s",
     .group = "Ranks",
     .help = "what a rank can receive: bits as 100Gb/s, bytes as 12.5GB/s"},
    {.name = "latency",
     .kind = CLI_REAL,
     .metavar = "US",
     .default_text = "20",
     .least = 0,
     .greatest = 1e9,
     .unit = "microseconds",
     .group = "Ranks",
     .help = "what a message takes, however short"},
    {.name = "memory",
     .kind = CLI_TEXT,
     .metavar = "BYTES",
     .group = "Ranks",
     .help = "what a rank has: 64GB, 64GiB (default: the machine's)"},
    {.name = "machine",
     .kind = CLI_INPUT,
     .metavar = "FILE",
     .group = "Ranks",
     .help = "speeds of the machines, as 'logitude bench machine --json' prints them (default: those of a machine with "
             "2 cores, which the answer names)"},
};

static lgt_status read_machine(const cli_args *args, lgt_machine *machine, lgt_error *err) {
    lgt_status status = LGT_OK;
    lgt_machine_init(machine);
    if (cli_text(args, "machine")) status = cli_machine_read(cli_text(args, "machine"), machine, err);
    if (!status) status = cli_byte_rate(args, "network", &machine->network_bandwidth, err);
    if (!status) status = cli_bytes(args, "memory", &machine->memory, err);
    machine->network_latency = 1e-6 * cli_real(args, "latency");
    return status;
}

static lgt_status read_job(const cli_args *args, lgt_job *job, lgt_error *err) {
    lgt_job_init(job);
    job->n_classes = cli_integer(args, "classes");
    job->dim = cli_integer(args, "dim");
    job->batch = cli_integer(args, "batch");
    job->arithmetic = (lgt_arithmetic)cli_choice(args, "dtype");
    job->descent = (lgt_descent_kind)cli_choice(args, "optimizer");
    job->sample_rate = cli_real(args, "sample-rate");
    job->workspace = cli_integer(args, "workspace");
    job->ranks = (int)cli_integer(args, "ranks");
    job->threads = cli_source_of(args, "threads") == CLI_DEFAULT ? 0 : (int)cli_integer(args, "threads");
    return lgt_job_set_encoder(job, cli_text(args, "encoder"), cli_integer(args, "inputs"), err);
}

static lgt_status run(const cli_args *args, lgt_error *err) {
    lgt_machine machine;
    lgt_job job;
    json_t *report = NULL;
    lgt_status status = read_machine(args, &machine, err);
    if (!status) status = read_job(args, &job, err);
    if (!status) status = cli_plan_report(args, &job, &machine, &report, err);
    if (status) return status;
    if (cli_flag(args, "json")) {
        cli_report_print(args, report);
        return LGT_OK;
    }
    cli_plan_print(report);
    json_decref(report);
    return LGT_OK;
}

const cli_verb cli_verb_plan = {
    .name = "plan",
    .summary = "tells what a training over several machines would take: memory, time, what binds, a layout",
    .usage = "--classes C [options]",
    .options = options,
    .n_options = sizeof options / sizeof *options,
    .notes =
        "Everything is modelled from measured speeds of one machine (docs/scaling.md, \"Planning\"); nothing runs.",
    .examples = "  logitude plan --classes 1000000\n"
                "  logitude plan --classes 100000000 --dim 512 --batch 8192 --ranks 64 --network 100Gb/s\n"
                "  logitude plan --classes 10000000 --dtype bf16 --sample-rate 0.1 --ranks 8 --memory 64GiB --json\n"
                "  logitude bench machine --json > machine.json\n"
                "  logitude plan --classes 10000000 --ranks 16 --threads 32 --machine machine.json",
    .run = run,
};
