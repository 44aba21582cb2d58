/* logitude check: gradients of every loss against differences of the loss, and an engine against the reference. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "logitude/logitude.h"
#include "output.h"
#include "session.h"
#include "verbs.h"

static const char *const engines[] = {"cpu", "reference", NULL};
static const char *const dtypes[] = {"f64", "f32", NULL};
static const char *const dtypes_later[] = {"bf16x3", "bf16", NULL};

static const cli_option options[] = {
    {.name = "loss",
     .kind = CLI_TEXT,
     .metavar = "SPEC",
     .group = "Check",
     .help = "the loss to check (default: every loss, those with tails also with m=2 and every tail)"},
    CLI_OPTION_LIKE("Check"),
    {.name = "engine",
     .kind = CLI_CHOICE,
     .metavar = "ENGINE",
     .default_text = "cpu",
     .words = engines,
     .group = "Check",
     .help = "the engine compared with the reference"},
    {.name = "dtype",
     .kind = CLI_CHOICE,
     .metavar = "TYPE",
     .default_text = "f64",
     .words = dtypes,
     .later = dtypes_later,
     .group = "Check",
     .help = "the type that engine works in"},
    {.name = "problems",
     .kind = CLI_INTEGER,
     .metavar = "N",
     .default_text = "20",
     .least = 1,
     .greatest = 1000000,
     .unit = "problems",
     .group = "Check",
     .help = "random problems a loss"},
    CLI_OPTION_SEED("Check", "what the problems are drawn from"),
};

typedef struct checker {
    const cli_args *args;
    lgt_context *context;
    json_t *losses;
    int n_checked, n_failed;
} checker;

static void print_header(void) {
    printf("%-32s %-9s %-9s %-9s %-9s %-9s %-9s %-9s %-9s\n", "largest relative error", "dx", "dw", "db", "hvp",
           "engine dx", "engine dw", "engine db", "engine hvp");
}

static void record(checker *check, const char *spec, const lgt_loss *loss, const lgt_gradcheck *result) {
    json_t *object = json_object();
    char full[LGT_LOSS_SPEC_SIZE];
    lgt_loss_format(loss, full, sizeof full);
    cli_put_text(object, "name", loss->info->name);
    cli_put_text(object, "spec", full);
    cli_put_integer(object, "problems", result->n_problems);
    cli_put_real(object, "dx", result->dx);
    cli_put_real(object, "dw", result->dw);
    cli_put_real(object, "db", result->db);
    cli_put_real(object, "hvp", result->hvp);
    cli_put_real(object, "engine_dx", result->engine_dx);
    cli_put_real(object, "engine_dw", result->engine_dw);
    cli_put_real(object, "engine_db", result->engine_db);
    cli_put_real(object, "engine_hvp", result->engine_hvp);
    cli_put_real(object, "tolerance", result->tolerance);
    cli_put_real(object, "engine_tolerance", result->engine_tolerance);
    cli_put_real(object, "engine_hvp_tolerance", result->engine_hvp_tolerance);
    cli_put(object, "passed", json_boolean(result->passed));
    cli_append(check->losses, object);
    check->n_checked++;
    check->n_failed += !result->passed;
    if (!cli_flag(check->args, "json"))
        printf("%-32s %-9.2g %-9.2g %-9.2g %-9.2g %-9.2g %-9.2g %-9.2g %-10.2g %s\n", spec, result->dx, result->dw,
               result->db, result->hvp, result->engine_dx, result->engine_dw, result->engine_db, result->engine_hvp,
               result->passed ? "passed" : "FAILED");
}

static lgt_status check_loss(checker *check, const char *spec, const lgt_loss *loss, lgt_error *err) {
    static const lgt_engine engine_values[] = {LGT_ENGINE_CPU, LGT_ENGINE_REFERENCE};
    static const lgt_dtype dtype_values[] = {LGT_F64, LGT_F32};
    lgt_gradcheck result;
    lgt_status status =
        lgt_gradcheck_run(check->context, loss, engine_values[cli_choice(check->args, "engine")],
                          dtype_values[cli_choice(check->args, "dtype")], cli_integer(check->args, "problems"),
                          (uint64_t)cli_integer(check->args, "seed"), &result, err);
    if (!status) record(check, spec, loss, &result);
    return status;
}

static lgt_status check_spec(checker *check, const char *spec, lgt_error *err) {
    lgt_loss loss;
    lgt_status status = lgt_loss_parse(spec, &loss, err);
    return status ? status : check_loss(check, spec, &loss, err);
}

/* The loss as it is by default, then with every tail. A tail begins at pi less the margin, where random problems hardly
 * come: these are checked with a margin of 2 radians, or nearly the largest that the loss allows. */
static lgt_status check_tails(checker *check, const lgt_loss_info *info, lgt_error *err) {
    int margin = lgt_loss_param_of(info, LGT_ROLE_MARGIN);
    char wide[64] = "";
    if (margin >= 0)
        snprintf(wide, sizeof wide, "%s=%.3g,", info->params[margin].key, fmin(2, 0.95 * info->params[margin].high));
    lgt_status status = check_spec(check, info->name, err);
    for (int i = 0; i < info->n_params && !status; i++) {
        const lgt_param_info *param = &info->params[i];
        for (int k = 0; strcmp(param->key, "tail") == 0 && param->words[k] && !status; k++) {
            char spec[128];
            snprintf(spec, sizeof spec, "%s:%stail=%s", info->name, wide, param->words[k]);
            status = check_spec(check, spec, err);
        }
    }
    return status;
}

static lgt_status run(const cli_args *args, lgt_error *err) {
    const char *spec = cli_text(args, "loss");
    checker check = {args, NULL, json_array(), 0, 0};
    json_t *report = cli_report("check");
    cli_put(report, "losses", check.losses);
    lgt_loss loss;
    lgt_status status = spec ? cli_loss_open(args, &loss, err) : LGT_OK;
    if (!spec && cli_text(args, "like"))
        status = cli_fail(err, LGT_ERR_USAGE, "--like is %s, expected --loss with it", cli_text(args, "like"));
    if (!status) status = cli_context_open(args, &check.context, err);
    if (!status && !cli_flag(args, "json")) print_header();
    if (!status && spec) status = check_loss(&check, spec, &loss, err);
    for (int i = 0; !spec && i < lgt_loss_count() && !status; i++) status = check_tails(&check, lgt_loss_at(i), err);
    cli_put(report, "passed", json_boolean(check.n_failed == 0));
    if (!status && cli_flag(args, "json")) cli_report_print(args, json_incref(report));
    if (!status && check.n_failed > 0)
        status = cli_fail(err, LGT_ERR_CHECK, "%d of %d losses are outside their tolerance", check.n_failed,
                          check.n_checked);
    json_decref(report);
    lgt_context_free(check.context);
    return status;
}

const cli_verb cli_verb_check = {
    .name = "check",
    .summary = "checks gradients against differences of the loss, and engines against the reference",
    .usage = "[options]",
    .options = options,
    .n_options = sizeof options / sizeof *options,
    .notes = "Exit code 7 when a check fails.",
    .examples = "  logitude check\n"
                "  logitude check --loss arcface:s=64,m=0.5,tail=fold --problems 100\n"
                "  logitude check --dtype f32 --json",
    .run = run,
};
