/* logitude bench: the speed of a head on random data, beside the processor's own limit. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "logitude/logitude.h"
#include "output.h"
#include "session.h"
#include "verbs.h"

static const char *const dtypes[] = {"f32", "f64", "bf16x3", "bf16", NULL};
static const char *const wants[] = {"grad", "loss", NULL};

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
    SIZE("rows", "N", "256", "rows", "samples of the batch"),
    SIZE("dim", "D", "512", NULL, "dimension of the features"),
    SIZE("classes", "C", "10000", "classes", "classes of the head"),
    {.name = "dtype",
     .kind = CLI_CHOICE,
     .metavar = "TYPE",
     .default_text = "f32",
     .words = dtypes,
     .group = "Head",
     .help = "the type to work in; bf16x3 and bf16: arrays of f32, products of two or one bfloat16 a number"},
    {.name = "want",
     .kind = CLI_CHOICE,
     .metavar = "WHAT",
     .default_text = "grad",
     .words = wants,
     .group = "Measurement",
     .help = "loss and gradients, or the loss alone"},
    {.name = "repeat",
     .kind = CLI_INTEGER,
     .metavar = "R",
     .default_text = "10",
     .least = 1,
     .greatest = 1000000,
     .unit = "runs",
     .group = "Measurement",
     .help = "timed runs, after one that does not count"},
    {.name = "workspace",
     .kind = CLI_INTEGER,
     .metavar = "BYTES",
     .default_text = "0",
     .least = 0,
     .greatest = 1e15,
     .unit = "bytes",
     .group = "Measurement",
     .help = "most memory beside inputs and outputs; 0: 64 MiB, or what the work needs if that is more"},
    {.name = "seed",
     .kind = CLI_INTEGER,
     .metavar = "S",
     .default_text = "0",
     .least = 0,
     .greatest = 9007199254740992.0,
     .group = "Measurement",
     .help = "what the data are drawn from"},
};

static void read_options(const cli_args *args, lgt_bench_head_options *o) {
    static const lgt_precision precisions[] = {LGT_PRECISION_FULL, LGT_PRECISION_FULL, LGT_PRECISION_BF16X3,
                                               LGT_PRECISION_BF16};
    int dtype = cli_choice(args, "dtype");
    lgt_bench_head_options_init(o);
    o->n_rows = cli_integer(args, "rows");
    o->dim = cli_integer(args, "dim");
    o->n_classes = cli_integer(args, "classes");
    o->dtype = dtype == 1 ? LGT_F64 : LGT_F32;
    o->precision = precisions[dtype];
    o->loss_only = cli_choice(args, "want") == 1;
    o->workspace = cli_integer(args, "workspace");
    o->repeat = (int)cli_integer(args, "repeat");
    o->seed = (uint64_t)cli_integer(args, "seed");
}

static json_t *report_of(const cli_args *args, lgt_context *context, const lgt_loss *loss,
                         const lgt_bench_head_options *o, const lgt_bench_head_result *r) {
    char spec[LGT_LOSS_SPEC_SIZE];
    json_t *report = cli_report("bench");
    lgt_loss_format(loss, spec, sizeof spec);
    cli_put_text(report, "spec", spec);
    cli_put_integer(report, "rows", o->n_rows);
    cli_put_integer(report, "dim", o->dim);
    cli_put_integer(report, "classes", o->n_classes);
    cli_put_text(report, "dtype", dtypes[cli_choice(args, "dtype")]);
    cli_put_text(report, "want", wants[cli_choice(args, "want")]);
    cli_put_integer(report, "threads", lgt_context_threads(context));
    cli_put_text(report, "isa", lgt_isa_name(lgt_context_isa(context)));
    cli_put_integer(report, "repeat", o->repeat);
    cli_put_real(report, "seconds", r->seconds);
    cli_put_real(report, "seconds_min", r->seconds_min);
    cli_put_real(report, "gflops", r->gflops);
    cli_put_real(report, "roof_gflops", r->roof_gflops);
    cli_put_real(report, "roof_gflops_max", r->roof_gflops_max);
    cli_put_real(report, "roof_share", r->gflops / r->roof_gflops);
    cli_put_integer(report, "extra_bytes", r->extra_bytes);
    cli_put_real(report, "loss", r->loss);
    return report;
}

static void print_table(const json_t *report, const lgt_bench_head_options *o, const lgt_bench_head_result *r) {
    printf("%s, %lld x %lld, %lld classes, %s, %s, %d threads, %s, median of %d\n",
           json_string_value(json_object_get(report, "spec")), (long long)o->n_rows, (long long)o->dim,
           (long long)o->n_classes, json_string_value(json_object_get(report, "dtype")),
           json_string_value(json_object_get(report, "want")),
           (int)json_integer_value(json_object_get(report, "threads")),
           json_string_value(json_object_get(report, "isa")), o->repeat);
    printf("time           %.4g ms (least %.4g)\n", 1e3 * r->seconds, 1e3 * r->seconds_min);
    printf("speed          %.4g GFLOP/s of use\n", r->gflops);
    printf("roof           %.4g GFLOP/s at the same time: %.3g of it\n", r->roof_gflops, r->gflops / r->roof_gflops);
    printf("extra memory   %.4g MiB\n", (double)r->extra_bytes / 0x1p20);
}

static lgt_status run(const cli_args *args, lgt_error *err) {
    lgt_context *context = NULL;
    lgt_loss loss;
    lgt_bench_head_options o;
    lgt_bench_head_result result;
    if (!args->word) return cli_fail(err, LGT_ERR_USAGE, "bench needs what to time: logitude bench head");
    if (strcmp(args->word, "head") != 0)
        return cli_fail(err, LGT_ERR_USAGE, "bench times one of head, found '%s'", args->word);
    read_options(args, &o);
    lgt_status status = cli_loss_open(args, &loss, err);
    if (!status) status = cli_context_open(args, &context, err);
    if (!status) status = lgt_bench_head_run(context, &loss, &o, &result, err);
    if (!status) {
        json_t *report = report_of(args, context, &loss, &o, &result);
        if (!cli_flag(args, "json")) print_table(report, &o, &result);
        if (cli_flag(args, "json")) cli_report_print(args, json_incref(report));
        json_decref(report);
    }
    lgt_context_free(context);
    return status;
}

const cli_verb cli_verb_bench = {
    .name = "bench",
    .summary = "times a head on random data, beside the processor's own limit",
    .usage = "head [options]",
    .options = options,
    .n_options = sizeof options / sizeof *options,
    .notes = "Before every run the roof is measured: multiply-adds of the same type on registers, on as many\n"
             "threads. Speeds count useful operations, 6 N C D with gradients and 2 N C D without, whatever is\n"
             "computed twice. Outputs are NaN before a run and must be finite after it. extra_bytes is the\n"
             "memory beside features, weights and their gradients.",
    .examples = "  logitude bench head\n"
                "  logitude bench head --loss arcface:s=64,m=0.5 --classes 100000 --threads 2 --json\n"
                "  logitude bench head --classes 100000 --dtype bf16 --repeat 20\n"
                "  logitude bench head --loss softmax --want loss --rows 1024",
    .max_words = 1,
    .run = run,
};
