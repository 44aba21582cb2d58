/* logitude losses: the list of losses, one loss in full, and what other systems make of them. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "help.h"
#include "logitude/logitude.h"
#include "loss_curve.h"
#include "nearest.h"
#include "output.h"
#include "verbs.h"

/* By lgt_param_kind, lgt_param_role and lgt_space. */
static const char *const kinds[] = {"real", "integer", "angle", "choice", "schedule", "warmup"};
static const char *const roles[] = {"fixed", "scale", "margin", "state"};
static const char *const spaces[] = {"dot", "cos", "cosw"};
static const char *const space_titles[] = {"dot products", "cosines", "unit classes, features as they are"};

static const cli_option options[] = {
    {.name = "like",
     .kind = CLI_TEXT,
     .metavar = "SYSTEM",
     .group = "Losses",
     .help =
         "the settings of SYSTEM (insightface, opensphere, pml, paddle, mx-lsoftmax, caffe, wespeaker) for NAME, or "
         "for every loss it has, and what remains different"},
};

static int has_bounds(const lgt_param_info *param) {
    return param->kind == LGT_PARAM_REAL || param->kind == LGT_PARAM_INTEGER || param->kind == LGT_PARAM_ANGLE;
}

static json_t *describe_param(const lgt_param_info *param) {
    json_t *object = json_object(), *words = json_array();
    cli_put_text(object, "key", param->key);
    cli_put_text(object, "kind", kinds[param->kind]);
    cli_put_text(object, "default", param->default_text);
    if (has_bounds(param)) {
        cli_put_real(object, "low", param->low);
        cli_put_real(object, "high", param->high);
    }
    for (int i = 0; param->kind == LGT_PARAM_CHOICE && param->words[i]; i++)
        cli_append(words, cli_string(param->words[i]));
    if (param->kind == LGT_PARAM_CHOICE) cli_put(object, "words", json_incref(words));
    json_decref(words);
    cli_put_text(object, "help", param->help);
    cli_put_text(object, "role", roles[param->role]);
    return object;
}

/* The full specification of a preset. */
static void format_preset(const lgt_loss_preset *preset, char *out, size_t size) {
    lgt_loss loss;
    if (lgt_loss_parse_like(preset->loss, preset->system, &loss, NULL)) cli_defect("a preset that does not parse");
    lgt_loss_format(&loss, out, size);
}

static json_t *describe_preset(const lgt_loss_preset *preset) {
    char spec[LGT_LOSS_SPEC_SIZE];
    json_t *object = json_object();
    format_preset(preset, spec, sizeof spec);
    cli_put_text(object, "system", preset->system);
    cli_put_text(object, "spec", spec);
    cli_put_text(object, "difference", preset->difference);
    return object;
}

/* The presets of a loss, of a system, or of both; NULL: of any. */
static int is_preset_of(const lgt_loss_preset *preset, const lgt_loss_info *info, const char *system) {
    return (!info || strcmp(preset->loss, info->name) == 0) && (!system || strcmp(preset->system, system) == 0);
}

static json_t *describe_presets(const lgt_loss_info *info, const char *system) {
    json_t *list = json_array();
    for (int i = 0; i < lgt_loss_preset_count(); i++)
        if (is_preset_of(lgt_loss_preset_at(i), info, system)) cli_append(list, describe_preset(lgt_loss_preset_at(i)));
    return list;
}

static json_t *describe_loss(const lgt_loss_info *info) {
    json_t *object = json_object(), *params = json_array();
    cli_put_text(object, "name", info->name);
    cli_put_text(object, "title", info->title);
    cli_put_text(object, "space", spaces[info->space]);
    cli_put(object, "bias", json_boolean(info->has_bias));
    cli_put_text(object, "equation", info->equation);
    cli_put_text(object, "citation", info->citation);
    for (int i = 0; i < info->n_params; i++) cli_append(params, describe_param(&info->params[i]));
    cli_put(object, "parameters", params);
    cli_put(object, "presets", describe_presets(info, NULL));
    return object;
}

static void print_param(const lgt_param_info *param) {
    enum { left = 13 };
    char range[160] = "";
    size_t used = 0;
    if (has_bounds(param)) snprintf(range, sizeof range, "%.6g to %.6g", param->low, param->high);
    for (int i = 0; param->kind == LGT_PARAM_CHOICE && param->words[i] && used < sizeof range; i++)
        used += (size_t)snprintf(range + used, sizeof range - used, "%s%s", i ? "|" : "", param->words[i]);
    if (param->kind == LGT_PARAM_SCHEDULE) snprintf(range, sizeof range, "constant or a schedule");
    if (param->kind == LGT_PARAM_WARMUP) snprintf(range, sizeof range, "none or a schedule");
    printf("  %-10s %-9s default %-28s %s%s%s\n%*s", param->key, kinds[param->kind], param->default_text, range,
           param->role == LGT_ROLE_FIXED ? "" : "; role: ", param->role == LGT_ROLE_FIXED ? "" : roles[param->role],
           left, "");
    cli_print_wrapped(param->help, left, left);
}

static void print_systems(const lgt_loss_info *info) {
    int n_shown = 0;
    for (int i = 0; i < lgt_loss_preset_count(); i++) {
        const lgt_loss_preset *preset = lgt_loss_preset_at(i);
        if (!is_preset_of(preset, info, NULL)) continue;
        if (!n_shown++)
            printf("\nLike other systems ('logitude losses %s --like SYSTEM' tells the differences)\n", info->name);
        printf("  %-12s %s\n", preset->system, preset->settings);
    }
}

static void print_loss(const lgt_loss_info *info) {
    printf("%s: %s\n\n  space      %s%s\n  equation   %s\n  source     %s\n", info->name, info->title,
           space_titles[info->space], info->has_bias ? ", with a bias" : "", info->equation, info->citation);
    printf("\n%s\n", info->n_params ? "Parameters" : "No parameters");
    for (int i = 0; i < info->n_params; i++) print_param(&info->params[i]);
    print_systems(info);
}

static void print_list(void) {
    printf("%-14s %-7s %-38s %s\n", "loss", "space", "title", "parameters and defaults");
    for (int i = 0; i < lgt_loss_count(); i++) {
        const lgt_loss_info *info = lgt_loss_at(i);
        printf("%-14s %-7s %-38s ", info->name, spaces[info->space], info->title);
        for (int k = 0; k < info->n_params; k++)
            printf("%s%s=%s", k ? "," : "", info->params[k].key, info->params[k].default_text);
        printf("%s\n", info->n_params ? "" : "-");
    }
    printf("\n'logitude losses NAME' shows the equation, the bounds and the source of one.\n");
}

static void print_presets(const lgt_loss_info *info, const char *system) {
    int n_shown = 0;
    for (int i = 0; i < lgt_loss_preset_count(); i++) {
        const lgt_loss_preset *preset = lgt_loss_preset_at(i);
        char spec[LGT_LOSS_SPEC_SIZE];
        if (!is_preset_of(preset, info, system)) continue;
        format_preset(preset, spec, sizeof spec);
        printf("%s%s\n  ", n_shown++ ? "\n" : "", spec);
        cli_print_wrapped(preset->difference, 2, 2);
    }
}

/* The presets of a system: of the loss `wanted`, or of all losses. */
static lgt_status run_like(const cli_args *args, const lgt_loss_info *wanted, const char *system, lgt_error *err) {
    lgt_loss ignored;
    int is_known = 0;
    for (int i = 0; i < lgt_loss_preset_count(); i++) is_known |= is_preset_of(lgt_loss_preset_at(i), wanted, system);
    /* What is not there, the library explains. */
    if (!is_known) return lgt_loss_parse_like(wanted ? wanted->name : lgt_loss_at(0)->name, system, &ignored, err);
    if (cli_flag(args, "json")) {
        json_t *report = cli_report("losses");
        cli_put(report, "presets", describe_presets(wanted, system));
        cli_report_print(args, report);
    } else {
        print_presets(wanted, system);
    }
    return LGT_OK;
}

static lgt_status run(const cli_args *args, lgt_error *err) {
    const lgt_loss_info *wanted = NULL;
    cli_nearest nearest = {.word = args->word ? args->word : ""};
    json_t *losses = NULL;
    for (int i = 0; i < lgt_loss_count(); i++) {
        cli_nearest_try(&nearest, lgt_loss_at(i)->name);
        if (args->word && strcmp(args->word, lgt_loss_at(i)->name) == 0) wanted = lgt_loss_at(i);
    }
    if (args->word && !wanted)
        return cli_fail(err, LGT_ERR_USAGE, "unknown loss '%.60s'%s", args->word, cli_nearest_hint(&nearest, ""));
    if (cli_text(args, "like")) return run_like(args, wanted, cli_text(args, "like"), err);
    if (cli_flag(args, "json")) {
        json_t *report = cli_report("losses");
        losses = json_array();
        for (int i = 0; i < lgt_loss_count(); i++)
            if (!wanted || wanted == lgt_loss_at(i)) cli_append(losses, describe_loss(lgt_loss_at(i)));
        if (wanted) cli_put_curve(json_array_get(losses, 0), wanted);
        cli_put(report, "losses", losses);
        cli_report_print(args, report);
    } else if (wanted) {
        print_loss(wanted);
    } else {
        print_list();
    }
    return LGT_OK;
}

const cli_verb cli_verb_losses = {
    .name = "losses",
    .summary = "lists the losses, or one of them with equation, bounds and source",
    .usage = "[NAME] [options]",
    .options = options,
    .n_options = sizeof options / sizeof *options,
    .examples = "  logitude losses\n"
                "  logitude losses arcface\n"
                "  logitude losses arcface --like insightface\n"
                "  logitude losses --json",
    .max_words = 1,
    .takes_losses = 1,
    .run = run,
};
