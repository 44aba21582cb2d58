/* logitude losses: the list of losses, and one loss in full. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "help.h"
#include "logitude/logitude.h"
#include "loss_curve.h"
#include "nearest.h"
#include "output.h"
#include "verbs.h"

static const char *const kinds[] = {"real", "integer", "angle", "choice", "schedule"};

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
    return object;
}

static json_t *describe_loss(const lgt_loss_info *info) {
    json_t *object = json_object(), *params = json_array();
    cli_put_text(object, "name", info->name);
    cli_put_text(object, "title", info->title);
    cli_put_text(object, "space", info->space == LGT_SPACE_DOT ? "dot" : "cos");
    cli_put(object, "bias", json_boolean(info->has_bias));
    cli_put_text(object, "equation", info->equation);
    cli_put_text(object, "citation", info->citation);
    for (int i = 0; i < info->n_params; i++) cli_append(params, describe_param(&info->params[i]));
    cli_put(object, "parameters", params);
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
    printf("  %-10s %-9s default %-28s %s\n%*s", param->key, kinds[param->kind], param->default_text, range, left, "");
    cli_print_wrapped(param->help, left, left);
}

static void print_loss(const lgt_loss_info *info) {
    printf("%s: %s\n\n  space      %s%s\n  equation   %s\n  source     %s\n", info->name, info->title,
           info->space == LGT_SPACE_DOT ? "dot products" : "cosines", info->has_bias ? ", with a bias" : "",
           info->equation, info->citation);
    printf("\n%s\n", info->n_params ? "Parameters" : "No parameters");
    for (int i = 0; i < info->n_params; i++) print_param(&info->params[i]);
}

static void print_list(void) {
    printf("%-14s %-7s %-38s %s\n", "loss", "space", "title", "parameters and defaults");
    for (int i = 0; i < lgt_loss_count(); i++) {
        const lgt_loss_info *info = lgt_loss_at(i);
        printf("%-14s %-7s %-38s ", info->name, info->space == LGT_SPACE_DOT ? "dot" : "cos", info->title);
        for (int k = 0; k < info->n_params; k++)
            printf("%s%s=%s", k ? "," : "", info->params[k].key, info->params[k].default_text);
        printf("%s\n", info->n_params ? "" : "-");
    }
    printf("\n'logitude losses NAME' shows the equation, the bounds and the source of one.\n");
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
    .examples = "  logitude losses\n"
                "  logitude losses arcface\n"
                "  logitude losses --json",
    .max_words = 1,
    .run = run,
};
