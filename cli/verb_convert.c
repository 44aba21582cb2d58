/* logitude convert: heads and tensors between the files of programs. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "head_model.h"
#include "head_source.h"
#include "logitude/logitude.h"
#include "outfile.h"
#include "output.h"
#include "session.h"
#include "shards.h"
#include "streams.h"
#include "tensor_list.h"
#include "verbs.h"

enum { TO_SAFETENSORS, TO_NPZ, TO_NPY, TO_SKLEARN, TO_TORCH, TO_INSIGHTFACE, TO_LIBLINEAR, TO_MODEL, TO_ONNX };
static const char *const formats[] = {"safetensors", "npz",       "npy",   "sklearn", "torch",
                                      "insightface", "liblinear", "model", "onnx",    NULL};
static const char *const dtypes[] = {"keep", "f32", "f64", NULL};

static const cli_option options[] = {
    {.name = "to",
     .kind = CLI_CHOICE,
     .metavar = "FORMAT",
     .words = formats,
     .group = "Output",
     .help = "format of OUT (default: by its suffix .safetensors, .npz, .npy or .onnx, and insightface where it has "
             "{rank})"},
    {.name = "dtype",
     .kind = CLI_CHOICE,
     .metavar = "TYPE",
     .default_text = "keep",
     .words = dtypes,
     .group = "Output",
     .help = "type of all floats in OUT; f32 rounds f64"},
    {.name = "prefix",
     .kind = CLI_TEXT,
     .metavar = "TEXT",
     .group = "Output",
     .help = "torch: what stands before weight and bias, for example fc."},
    {.name = "shards",
     .kind = CLI_INTEGER,
     .metavar = "N",
     .default_text = "1",
     .least = 1,
     .greatest = CLI_SHARDS_MOST,
     .group = "Output",
     .help = "insightface: number of files"},
    {.name = "loss",
     .kind = CLI_TEXT,
     .metavar = "SPEC",
     .group = "Output",
     .help = "model: the loss that the head was trained with (default: that of IN, where it is a model, else softmax)"},
    {.name = "weight",
     .kind = CLI_TEXT,
     .metavar = "NAME",
     .group = "Input",
     .help = "tensor of IN that is the head's matrix (default: head.weight, coef_, weight, fc.weight, or the only one "
             "that ends in weight)"},
    {.name = "bias",
     .kind = CLI_TEXT,
     .metavar = "NAME",
     .group = "Input",
     .help = "tensor of IN that is its bias (default: the one named as the matrix is, where there is one)"},
    {.name = "transpose", .kind = CLI_FLAG, .group = "Input", .help = "the matrix of IN is (D, C), one class a column"},
};

typedef struct conversion {
    const cli_args *args;
    const char *out;
    int to;
    lgt_context *context;
    cli_source_file source;
    json_t *files; /* written */
} conversion;

/* --- what is asked for --- */

static lgt_status choose_format(conversion *c, lgt_error *err) {
    static const struct {
        const char *suffix;
        int to;
    } known[] = {{".safetensors", TO_SAFETENSORS}, {".npz", TO_NPZ}, {".npy", TO_NPY}, {".onnx", TO_ONNX}};
    c->to = -1;
    if (cli_text(c->args, "to"))
        c->to = cli_choice(c->args, "to");
    else if (cli_has_rank(c->out))
        c->to = TO_INSIGHTFACE;
    for (size_t i = 0; i < sizeof known / sizeof *known && c->to < 0; i++)
        if (cli_ends_in(c->out, known[i].suffix)) c->to = known[i].to;
    if (c->to == TO_INSIGHTFACE && cli_is_stdout(c->out))
        return cli_fail(err, LGT_ERR_USAGE,
                        "OUT is -, but insightface is one file a rank, and standard output takes one");
    if (c->to < 0) return cli_fail(err, LGT_ERR_USAGE, "%s: the suffix tells no format, expected --to FORMAT", c->out);
    if (cli_has_rank(c->out) != (c->to == TO_INSIGHTFACE))
        return cli_fail(err, LGT_ERR_USAGE, "%s: %s", c->out,
                        c->to == TO_INSIGHTFACE ? "insightface writes one file a rank, expected {rank} in the name"
                                                : "has {rank}, which only insightface's shards have");
    return LGT_OK;
}

/* Options that say something of another output are mistakes. */
static lgt_status check_options(const conversion *c, lgt_error *err) {
    static const struct {
        const char *option;
        int to;
    } owned[] = {{"prefix", TO_TORCH}, {"shards", TO_INSIGHTFACE}, {"loss", TO_MODEL}};
    static const char *const of_heads[] = {"weight", "bias", "transpose"};
    for (size_t i = 0; i < sizeof owned / sizeof *owned; i++)
        if (cli_source_of(c->args, owned[i].option) != CLI_DEFAULT && c->to != owned[i].to)
            return cli_fail(err, LGT_ERR_USAGE, "--%s is for --to %s, found --to %s", owned[i].option,
                            formats[owned[i].to], formats[c->to]);
    for (size_t i = 0; i < sizeof of_heads / sizeof *of_heads; i++)
        if (cli_source_of(c->args, of_heads[i]) != CLI_DEFAULT &&
            (c->to == TO_SAFETENSORS || c->to == TO_NPZ || c->to == TO_ONNX))
            return cli_fail(err, LGT_ERR_USAGE, "--%s is for formats of a head alone, but %s takes all there is",
                            of_heads[i], formats[c->to]);
    if (c->to == TO_ONNX && cli_choice(c->args, "dtype") != 0)
        return cli_fail(err, LGT_ERR_USAGE, "--dtype is %s, but onnx is f32", cli_text(c->args, "dtype"));
    return LGT_OK;
}

/* OUT means logits that are linear in the features. */
static int is_linear(const conversion *c) {
    return c->to == TO_SKLEARN || c->to == TO_LIBLINEAR;
}

static int dtype_of(const conversion *c) {
    int halves = is_linear(c) || c->to == TO_MODEL;
    static const int given[] = {CLI_KEEP, LGT_F32, LGT_F64};
    int dtype = given[cli_choice(c->args, "dtype")];
    if (is_linear(c) && dtype == LGT_F32) return CLI_NO_HALVES; /* rounded once, after what is computed */
    return dtype == CLI_KEEP && halves ? CLI_NO_HALVES : dtype;
}

/* --- writing --- */

static void wrote(conversion *c, const char *path) {
    cli_append(c->files, cli_string(path));
}

static lgt_array labels_of(const cli_source_file *s) {
    lgt_array a = {.dtype = LGT_I64, .n_dims = 1, .shape = {s->n_classes}, .count = s->n_classes, .data = s->labels};
    return a;
}

static lgt_status write_all(conversion *c, lgt_error *err) {
    cli_source_file *s = &c->source;
    cli_tensor_list single = {.list = {.n_tensors = 0}};
    const lgt_tensors *all = &s->tensors;
    if (all->n_tensors == 0 && s->weight_name) {
        cli_tensor_add(&single, s->weight_name, &s->weight);
        all = &single.list;
    }
    wrote(c, c->out);
    if (c->to == TO_SAFETENSORS) return lgt_tensors_write(c->context, c->out, all, err);
    if (all->n_metadata > 0) cli_note(c->args, "%s: metadata have no place in .npz and are left out", s->path);
    return lgt_npz_write(c->context, c->out, all, err);
}

static lgt_status write_npy(conversion *c, lgt_error *err) {
    const lgt_array *w = &c->source.weight;
    if (c->source.bias.data) cli_note(c->args, "%s: has a bias, which one .npy leaves out", c->source.path);
    wrote(c, c->out);
    return lgt_npy_write(c->context, c->out, w->dtype, w->n_dims, w->shape, w->data, err);
}

/* What was computed in double gets the type that --dtype asks for. */
static lgt_status round_as_asked(conversion *c, lgt_error *err) {
    return strcmp(cli_text(c->args, "dtype"), "f32") == 0 ? cli_head_round(&c->source, err) : LGT_OK;
}

static lgt_status write_sklearn(conversion *c, lgt_error *err) {
    cli_source_file *s = &c->source;
    cli_tensor_list t = {.list = {.n_tensors = 0}};
    lgt_array labels = labels_of(s), zeros;
    cli_head_to_one_row(s);
    lgt_status status = round_as_asked(c, err);
    if (status) return status;
    zeros = s->weight;
    zeros.n_dims = 1;
    zeros.count = zeros.shape[0];
    cli_tensor_add(&t, "coef_", &s->weight);
    if (!s->bias.data) zeros.data = cli_source_own(s, zeros.count, sizeof(double));
    cli_tensor_add(&t, "intercept_", s->bias.data ? &s->bias : &zeros);
    if (s->labels)
        cli_tensor_add(&t, "classes_", &labels);
    else
        cli_note(c->args, "%s: labels are texts; classes_ is left out", s->path);
    wrote(c, c->out);
    return lgt_npz_write(c->context, c->out, &t.list, err);
}

static lgt_status write_torch(conversion *c, lgt_error *err) {
    const char *given = cli_text(c->args, "prefix"), *prefix = given ? given : "";
    size_t size = strlen(prefix) + 8;
    char *weight = cli_alloc((int64_t)size, 1), *bias = cli_alloc((int64_t)size, 1);
    cli_tensor_list t = {.list = {.n_tensors = 0}};
    snprintf(weight, size, "%sweight", prefix);
    snprintf(bias, size, "%sbias", prefix);
    cli_tensor_add(&t, weight, &c->source.weight);
    if (c->source.bias.data) cli_tensor_add(&t, bias, &c->source.bias);
    cli_tensor_note(&t, "format", "pt");
    wrote(c, c->out);
    lgt_status status = lgt_tensors_write(c->context, c->out, &t.list, err);
    free(bias);
    free(weight);
    return status;
}

static lgt_status write_liblinear(conversion *c, lgt_error *err) {
    cli_source_file *s = &c->source;
    const char *solver = lgt_tensors_metadata(&s->tensors, "solver_type");
    if (!s->labels)
        return cli_fail(err, LGT_ERR_DATA, "%s: label 0 is '%s', but those of liblinear are integers", s->path,
                        json_string_value(json_array_get(s->names, 0)));
    if (!solver || strcmp(solver, "MCSVM_CS") != 0) cli_head_to_one_row(s);
    if (!solver) solver = s->weight.shape[0] == 1 ? "L2R_LR" : "MCSVM_CS";
    lgt_array labels = labels_of(s);
    lgt_status status = round_as_asked(c, err);
    if (status) return status;
    wrote(c, c->out);
    return lgt_liblinear_write(c->context, c->out, solver, &s->weight, s->bias.data ? &s->bias : NULL, &labels, err);
}

static lgt_status write_onnx(conversion *c, const char *in, lgt_error *err) {
    lgt_model *model = NULL;
    lgt_status status = cli_read(lgt_model_load(c->context, in, &model, err), err);
    c->source.path = in;
    c->source.format = "model";
    wrote(c, c->out);
    if (status == LGT_ERR_DATA) {
        lgt_error inner = *err;
        return cli_fail(err, status, "%.400s; expected a model: make one by --to model --loss SPEC", inner.message);
    }
    if (!status) status = lgt_model_export_onnx(model, c->out, err);
    lgt_model_free(model);
    return status;
}

/* A head out of a model loses what stands before it. */
static void tell_losses(const conversion *c) {
    const cli_source_file *s = &c->source;
    const char *encoder = lgt_tensors_metadata(&s->tensors, "encoder");
    if (strcmp(s->format, "model") != 0) return;
    if (encoder && strcmp(encoder, "none") != 0)
        cli_note(c->args, "%s: the encoder %s is left out: the head takes its embeddings", s->path, encoder);
    else if (!is_linear(c))
        cli_note(c->args, "%s: the head takes features as the model standardises them", s->path);
}

static lgt_status write_head(conversion *c, lgt_error *err) {
    lgt_loss loss;
    const char *bias = cli_text(c->args, "bias");
    lgt_status status =
        cli_head_find(&c->source, cli_text(c->args, "weight"), bias, cli_flag(c->args, "transpose"), err);
    if (!status && is_linear(c)) status = cli_head_linear(&c->source, err);
    if (!status && c->to == TO_MODEL) status = cli_head_model_check(&c->source, cli_text(c->args, "loss"), &loss, err);
    if (!status && (is_linear(c) || c->to == TO_MODEL)) status = cli_head_labels(&c->source, err);
    if (status) return status;
    tell_losses(c);
    switch (c->to) {
    case TO_NPY:
        return write_npy(c, err);
    case TO_SKLEARN:
        return write_sklearn(c, err);
    case TO_TORCH:
        return write_torch(c, err);
    case TO_INSIGHTFACE:
        return cli_shards_write(c->args, &c->source, c->out, c->files, err);
    case TO_LIBLINEAR:
        return write_liblinear(c, err);
    default:
        wrote(c, c->out);
        return cli_head_model_write(&c->source, &loss, c->out, err);
    }
}

static void print_report(const conversion *c) {
    const cli_source_file *s = &c->source;
    int holds_bias = c->to != TO_NPY && c->to != TO_INSIGHTFACE;
    json_t *report = cli_report("convert");
    cli_put_text(report, "in", s->path);
    cli_put_text(report, "from", s->format);
    cli_put_text(report, "to", formats[c->to]);
    cli_put(report, "files", json_incref(c->files));
    if (s->n_classes > 0) {
        cli_put_integer(report, "classes", s->n_classes);
        cli_put_integer(report, "dim", s->weight.shape[1]);
        cli_put_text(report, "dtype", lgt_dtype_name(s->weight.dtype));
        cli_put(report, "bias", json_boolean(s->bias.data && holds_bias));
    }
    cli_report_print(c->args, report);
}

static lgt_status convert(conversion *c, lgt_error *err) {
    const char *in = c->args->words[0];
    int dtype = c->to == TO_MODEL ? LGT_F32 : dtype_of(c);
    lgt_status status = cli_context_open(c->args, &c->context, err);
    if (!status && c->to == TO_ONNX) return write_onnx(c, in, err);
    if (!status) status = cli_source_read(c->context, in, dtype, &c->source, err);
    if (status) return status;
    if (c->to != TO_SAFETENSORS && c->to != TO_NPZ) return write_head(c, err);
    status = cli_source_convert(&c->source, err);
    return status ? status : write_all(c, err);
}

static lgt_status run(const cli_args *args, lgt_error *err) {
    conversion c = {.args = args, .files = json_array()};
    lgt_status status = LGT_OK;
    if (args->n_words != 2)
        status = cli_fail(err, LGT_ERR_USAGE, "%d files are given, expected IN and OUT", args->n_words);
    c.out = status ? NULL : args->words[1];
    int to_stdout = cli_is_stdout(c.out);
    if (!status) status = choose_format(&c, err);
    if (!status) status = check_options(&c, err);
    if (!status) status = cli_output_check(args, "OUT", c.out, err);
    if (to_stdout) c.out = cli_output_name(c.out);
    if (!status) status = convert(&c, err);
    if (to_stdout) status = cli_stdout_status(status);
    if (!status && !to_stdout) print_report(&c);
    cli_source_close(&c.source);
    lgt_context_free(c.context);
    json_decref(c.files);
    return status;
}

const cli_verb cli_verb_convert = {
    .name = "convert",
    .summary = "heads and tensors between the files of programs",
    .usage = "IN OUT [options]",
    .options = options,
    .n_options = sizeof options / sizeof *options,
    .notes = "IN is told by its content: .safetensors (a model of train, a state of PyTorch), .npz (also\n"
             "scikit-learn's coef_ and intercept_), .npy, IDX, or a model of liblinear; with {rank} in its name\n"
             "the shards 0, 1, ... of insightface. safetensors and npz take all tensors of IN as they are, onnx a\n"
             "whole model, the others the head: a matrix (C, D) and a bias. Bits stay as they are where the type\n"
             "does. - is standard input as IN, and as OUT, with --to, standard output.",
    .examples = "  logitude convert run/model.safetensors model.npz\n"
                "  logitude convert sklearn.npz fc.safetensors --to torch --prefix fc.\n"
                "  logitude convert 'softmax_fc_{rank}.npy' head.safetensors --to model --loss arcface\n"
                "  logitude convert run/model.safetensors model.onnx\n"
                "  ssh host cat model.safetensors | logitude convert - - --to npz > model.npz",
    .max_words = 2,
    .first_word = CLI_INPUT,
    .other_words = CLI_OUTPUT,
    .run = run,
};
