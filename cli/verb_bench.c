/* logitude bench: the speed of a head on random data, beside the processor's own limit, and of its training. */
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "logitude/logitude.h"
#include "machine_file.h"
#include "output.h"
#include "processor.h"
#include "session.h"
#include "verbs.h"

static const char *const dtypes[] = {"f32", "f64", "bf16x3", "bf16", NULL};
static const char *const wants[] = {"grad", "loss", NULL};
static const char *const optimizers[] = {"sgd", "adamw", NULL};

#define SIZE(text, letters, value, unit_text, about)                                                                   \
    {                                                                                                                  \
        .name = text, .kind = CLI_INTEGER, .metavar = letters, .default_text = value, .least = 1, .greatest = 1e12,    \
        .unit = unit_text, .group = "Head", .help = about                                                              \
    }

static const cli_option options[] = {
    {.name = "loss",
     .kind = CLI_TEXT,
     .metavar = "SPEC",
     .default_text = "arcface",
     .group = "Head",
     .help = "the loss: NAME[:key=value,...], see 'logitude losses'"},
    CLI_OPTION_LIKE("Head"),
    SIZE("rows", "N", "256", "rows", "samples of a batch"),
    SIZE("dim", "D", "512", NULL, "dimension of the features"),
    SIZE("classes", "C", "10000", "classes", "classes of the head"),
    {.name = "dtype",
     .kind = CLI_CHOICE,
     .metavar = "TYPE",
     .default_text = "f32",
     .words = dtypes,
     .group = "Head",
     .help = "the type to work in; bf16x3 and bf16: arrays of f32, products of two or one bfloat16 a number"},
    {.name = "repeat",
     .kind = CLI_INTEGER,
     .metavar = "R",
     .default_text = "10",
     .least = 1,
     .greatest = 1000000,
     .unit = "runs",
     .group = "Head",
     .help = "timed runs, after one that does not count"},
    CLI_OPTION_SEED("Head", "what the data are drawn from"),
    CLI_OPTION_WORKSPACE("Head", "most memory beside inputs and outputs"),
    {.name = "want",
     .kind = CLI_CHOICE,
     .metavar = "WHAT",
     .default_text = "grad",
     .words = wants,
     .group = "Of bench head",
     .help = "loss and gradients, or the loss alone"},
    {.name = "optimizer",
     .kind = CLI_CHOICE,
     .metavar = "OPT",
     .default_text = "sgd",
     .words = optimizers,
     .group = "Of bench step",
     .help = "sgd has momentum 0.9"},
    {.name = "sample-rate",
     .kind = CLI_REAL,
     .metavar = "RATE",
     .default_text = "1",
     .least = 1e-9,
     .greatest = 1,
     .group = "Of bench step",
     .help = "share of the other classes that a step draws"},
};

static lgt_precision precision_of(const cli_args *args) {
    static const lgt_precision precisions[] = {LGT_PRECISION_FULL, LGT_PRECISION_FULL, LGT_PRECISION_BF16X3,
                                               LGT_PRECISION_BF16};
    return precisions[cli_choice(args, "dtype")];
}

/* What head and step tell first. */
static json_t *report_of(const cli_args *args, lgt_context *context, const lgt_loss *loss) {
    char spec[LGT_LOSS_SPEC_SIZE];
    json_t *report = cli_report("bench");
    lgt_loss_format(loss, spec, sizeof spec);
    cli_put_text(report, "spec", spec);
    cli_put_integer(report, "rows", cli_integer(args, "rows"));
    cli_put_integer(report, "dim", cli_integer(args, "dim"));
    cli_put_integer(report, "classes", cli_integer(args, "classes"));
    cli_put_text(report, "dtype", dtypes[cli_choice(args, "dtype")]);
    cli_put_integer(report, "threads", lgt_context_threads(context));
    cli_put_text(report, "isa", lgt_isa_name(lgt_context_isa(context)));
    cli_put_integer(report, "repeat", cli_integer(args, "repeat"));
    return report;
}

static const char *text_of(const json_t *report, const char *key) {
    return json_string_value(json_object_get(report, key));
}

static void print_subject(const cli_args *args, const json_t *report, const char *what) {
    printf("%s, %lld x %lld, %lld classes, %s, %s, %d threads, %s, median of %lld\n", text_of(report, "spec"),
           (long long)cli_integer(args, "rows"), (long long)cli_integer(args, "dim"),
           (long long)cli_integer(args, "classes"), text_of(report, "dtype"), what,
           (int)json_integer_value(json_object_get(report, "threads")), text_of(report, "isa"),
           (long long)cli_integer(args, "repeat"));
}

/* --- bench head --- */

static void read_head_options(const cli_args *args, lgt_bench_head_options *o) {
    lgt_bench_head_options_init(o);
    o->n_rows = cli_integer(args, "rows");
    o->dim = cli_integer(args, "dim");
    o->n_classes = cli_integer(args, "classes");
    o->dtype = cli_choice(args, "dtype") == 1 ? LGT_F64 : LGT_F32;
    o->precision = precision_of(args);
    o->loss_only = cli_choice(args, "want") == 1;
    o->workspace = cli_integer(args, "workspace");
    o->repeat = (int)cli_integer(args, "repeat");
    o->seed = (uint64_t)cli_integer(args, "seed");
}

static void put_head(const cli_args *args, json_t *report, const lgt_bench_head_result *r) {
    cli_put_text(report, "want", wants[cli_choice(args, "want")]);
    cli_put_real(report, "seconds", r->seconds);
    cli_put_real(report, "seconds_min", r->seconds_min);
    cli_put_real(report, "gflops", r->gflops);
    cli_put_real(report, "roof_gflops", r->roof_gflops);
    cli_put_real(report, "roof_gflops_max", r->roof_gflops_max);
    cli_put_real(report, "roof_share", r->gflops / r->roof_gflops);
    cli_put_integer(report, "extra_bytes", r->extra_bytes);
    cli_put_real(report, "loss", r->loss);
}

static void print_head(const lgt_bench_head_result *r) {
    printf("time           %.4g ms (least %.4g)\n", 1e3 * r->seconds, 1e3 * r->seconds_min);
    printf("speed          %.4g GFLOP/s of use\n", r->gflops);
    printf("roof           %.4g GFLOP/s at the same time: %.3g of it\n", r->roof_gflops, r->gflops / r->roof_gflops);
    printf("extra memory   %.4g MiB\n", (double)r->extra_bytes / 0x1p20);
}

static lgt_status bench_head(const cli_args *args, lgt_context *context, const lgt_loss *loss, json_t **report,
                             lgt_error *err) {
    lgt_bench_head_options o;
    lgt_bench_head_result result;
    read_head_options(args, &o);
    lgt_status status = lgt_bench_head_run(context, loss, &o, &result, err);
    if (status) return status;
    *report = report_of(args, context, loss);
    put_head(args, *report, &result);
    if (cli_flag(args, "json")) return LGT_OK;
    print_subject(args, *report, wants[cli_choice(args, "want")]);
    print_head(&result);
    return LGT_OK;
}

/* --- bench step --- */

static void read_step_options(const cli_args *args, lgt_bench_step_options *o) {
    static const lgt_optimizer values[] = {LGT_OPTIMIZER_SGD, LGT_OPTIMIZER_ADAMW};
    lgt_bench_step_options_init(o);
    o->n_rows = cli_integer(args, "rows");
    o->dim = cli_integer(args, "dim");
    o->n_classes = cli_integer(args, "classes");
    o->precision = precision_of(args);
    o->optimizer = values[cli_choice(args, "optimizer")];
    o->workspace = cli_integer(args, "workspace");
    o->sample_rate = cli_real(args, "sample-rate");
    o->repeat = (int)cli_integer(args, "repeat");
    o->seed = (uint64_t)cli_integer(args, "seed");
}

static void put_step(const cli_args *args, json_t *report, const lgt_bench_step_result *r) {
    cli_put_text(report, "optimizer", optimizers[cli_choice(args, "optimizer")]);
    cli_put_real(report, "sample_rate", cli_real(args, "sample-rate"));
    cli_put_real(report, "seconds", r->seconds);
    cli_put_real(report, "seconds_min", r->seconds_min);
    cli_put_real(report, "steps_per_second", 1 / r->seconds);
    cli_put_real(report, "loss_first", r->loss_first);
    cli_put_real(report, "loss_last", r->loss_last);
}

static lgt_status bench_step(const cli_args *args, lgt_context *context, const lgt_loss *loss, json_t **report,
                             lgt_error *err) {
    lgt_bench_step_options o;
    lgt_bench_step_result result;
    if (cli_choice(args, "dtype") == 1)
        return cli_fail(err, LGT_ERR_UNSUPPORTED, "--dtype f64: heads train in one of f32, bf16x3, bf16");
    read_step_options(args, &o);
    lgt_status status = lgt_bench_step_run(context, loss, &o, &result, err);
    if (status) return status;
    *report = report_of(args, context, loss);
    put_step(args, *report, &result);
    if (cli_flag(args, "json")) return LGT_OK;
    print_subject(args, *report, optimizers[cli_choice(args, "optimizer")]);
    printf("step           %.4g ms (least %.4g)\n", 1e3 * result.seconds, 1e3 * result.seconds_min);
    printf("speed          %.4g steps a second\n", 1 / result.seconds);
    return LGT_OK;
}

/* --- bench machine --- */

/* "Intel(R) Xeon(R) Processor, amx"; what cannot be read is left out. */
static void name_machine(const lgt_context *context, lgt_machine *machine) {
    char model[CLI_PROCESSOR_NAME];
    cli_processor_name(model);
    snprintf(machine->name, sizeof machine->name, "%s%s%s", model, *model ? ", " : "",
             lgt_isa_name(lgt_context_isa(context)));
    long pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGESIZE);
    machine->memory = pages > 0 && page > 0 ? (double)pages * (double)page : 0;
}

static void print_machine(const lgt_machine *m) {
    printf("%s, %d threads, %.3g GB of memory\n", m->name, m->threads, 1e-9 * m->memory);
    printf("a thread       GFLOP/s of products   GB/s of classes\n");
    for (int a = 0; cli_arithmetic_words[a]; a++)
        printf("%-14s %19.4g   %15.3g\n", cli_arithmetic_words[a], m->gflops[a], 1e-9 * m->class_bandwidth[a]);
    printf("sgd, adamw     %.3g, %.3g GB/s of updates\n", 1e-9 * m->update_bandwidth[LGT_DESCENT_SGD],
           1e-9 * m->update_bandwidth[LGT_DESCENT_ADAMW]);
    printf("stream         %.3g GB/s\n", 1e-9 * m->stream_bandwidth);
}

/* Classes and repeats are the calibration's own unless given. */
static lgt_status bench_machine(const cli_args *args, lgt_context *context, const lgt_loss *loss, json_t **report,
                                lgt_error *err) {
    lgt_bench_machine_options o;
    lgt_machine machine;
    (void)loss;
    lgt_bench_machine_options_init(&o);
    o.dim = cli_integer(args, "dim");
    o.seed = (uint64_t)cli_integer(args, "seed");
    if (cli_source_of(args, "classes") != CLI_DEFAULT) o.n_classes = cli_integer(args, "classes");
    if (cli_source_of(args, "repeat") != CLI_DEFAULT) o.repeat = (int)cli_integer(args, "repeat");
    lgt_status status = lgt_bench_machine_run(context, &o, &machine, err);
    if (status) return status;
    name_machine(context, &machine);
    *report = cli_report("bench");
    cli_put_integer(*report, "dim", o.dim);
    cli_put_integer(*report, "classes", o.n_classes);
    cli_put_integer(*report, "repeat", o.repeat);
    cli_machine_put(*report, &machine);
    if (!cli_flag(args, "json")) print_machine(&machine);
    return LGT_OK;
}

/* --- The verb --- */

typedef struct subject {
    const char *name;
    lgt_status (*run)(const cli_args *args, lgt_context *context, const lgt_loss *loss, json_t **report,
                      lgt_error *err);
    const char *const *foreign; /* options of the other subjects */
} subject;

static const char *const not_head[] = {"optimizer", "sample-rate", NULL}, *const not_step[] = {"want", NULL},
                         *const not_machine[] = {"loss",      "like",      "rows",        "dtype", "want",
                                                 "workspace", "optimizer", "sample-rate", NULL};
static const subject subjects[] = {
    {"head", bench_head, not_head}, {"step", bench_step, not_step}, {"machine", bench_machine, not_machine}};
enum { N_SUBJECTS = sizeof subjects / sizeof *subjects };

static lgt_status find_subject(const cli_args *args, const subject **out, lgt_error *err) {
    *out = NULL;
    if (!args->word) return cli_fail(err, LGT_ERR_USAGE, "bench needs what to time: logitude bench head|step|machine");
    for (int i = 0; i < N_SUBJECTS; i++)
        if (strcmp(args->word, subjects[i].name) == 0) *out = &subjects[i];
    if (!*out) return cli_fail(err, LGT_ERR_USAGE, "bench times one of head, step, machine, found '%s'", args->word);
    for (int i = 0; (*out)->foreign[i]; i++)
        if (cli_source_of(args, (*out)->foreign[i]) != CLI_DEFAULT)
            return cli_fail(err, LGT_ERR_USAGE, "--%s is no option of bench %s", (*out)->foreign[i], (*out)->name);
    return LGT_OK;
}

static lgt_status run(const cli_args *args, lgt_error *err) {
    lgt_context *context = NULL;
    json_t *report = NULL;
    const subject *what = NULL;
    lgt_loss loss;
    lgt_status status = find_subject(args, &what, err);
    if (!status) status = cli_loss_open(args, &loss, err);
    if (!status) status = cli_context_open(args, &context, err);
    if (!status) status = what->run(args, context, &loss, &report, err);
    if (!status && cli_flag(args, "json")) cli_report_print(args, json_incref(report));
    json_decref(report);
    lgt_context_free(context);
    return status;
}

static const char *const subject_words[] = {"head", "step", "machine", NULL};

const cli_verb cli_verb_bench = {
    .name = "bench",
    .summary = "times a head, or its training, on random data, beside the roof; a machine for plan",
    .usage = "head|step|machine [options]",
    .options = options,
    .n_options = sizeof options / sizeof *options,
    .notes = "head: before every run the roof is measured, multiply-adds of the same type on registers, on as many\n"
             "threads. Speeds count useful operations, 6 N C D with gradients and 2 N C D without, whatever is\n"
             "computed twice. Outputs are NaN before a run and must be finite after it. extra_bytes is the\n"
             "memory beside features, weights and their gradients.\n"
             "step: whole steps of a training, products and optimizer, of a head on features of its own.\n"
             "machine: in some ten seconds the speeds that 'logitude plan' reckons with; classes [default: 65536] and\n"
             "repeats [default: 5] as given, --json for 'plan --machine'.",
    .examples = "  logitude bench head\n"
                "  logitude bench head --loss arcface:s=64,m=0.5 --classes 100000 --threads 2 --json\n"
                "  logitude bench head --classes 100000 --dtype bf16 --repeat 20\n"
                "  logitude bench head --loss softmax --want loss --rows 1024\n"
                "  logitude bench step --rows 128 --classes 1000000 --dtype bf16 --sample-rate 0.1\n"
                "  logitude bench machine --json > machine.json",
    .words = subject_words,
    .max_words = 1,
    .run = run,
};
