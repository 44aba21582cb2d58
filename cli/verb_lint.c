/* logitude lint: defects of a loss's target logit over the angle, and plans of its schedule and scale. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lint_plan.h"
#include "logitude/logitude.h"
#include "output.h"
#include "session.h"
#include "verbs.h"

static const cli_option options[] = {
    {.name = "loss",
     .kind = CLI_TEXT,
     .metavar = "SPEC",
     .group = "Loss",
     .help = "the loss, instead of the word: NAME[:key=value,...], see 'logitude losses'"},
    CLI_OPTION_LIKE("Loss"),
    {.name = "step",
     .kind = CLI_INTEGER,
     .metavar = "T",
     .default_text = "0",
     .least = 0,
     .greatest = CLI_INTEGER_MOST,
     .group = "Loss",
     .help = "the step whose lambda or warm-up holds"},
    {.name = "norm",
     .kind = CLI_REAL,
     .metavar = "R",
     .least = 1e-100,
     .greatest = 1e100,
     .group = "Loss",
     .help = "length of the feature; the class has length 1 (default: 1, or inside the range of a loss that reads it)"},
    {.name = "strict", .kind = CLI_FLAG, .group = "Report", .help = "exit with 7 when there is a defect"},
    {.name = "curve",
     .kind = CLI_INTEGER,
     .metavar = "N",
     .least = 2,
     .greatest = 1000000,
     .unit = "points",
     .group = "Report",
     .help = "adds logit and force at N angles from 0 to pi to the JSON object"},
    {.name = "steps",
     .kind = CLI_INTEGER,
     .metavar = "N",
     .least = 8,
     .greatest = CLI_INTEGER_MOST,
     .unit = "steps",
     .group = "Plan",
     .help = "plan a training of N steps: schedules of lambda or of the margin, given and proposed"},
    {.name = "dim",
     .kind = CLI_INTEGER,
     .metavar = "D",
     .default_text = "128",
     .least = 1,
     .greatest = 1000000,
     .group = "Plan",
     .help = "dimension of the embeddings, which start in random directions"},
    {.name = "target",
     .kind = CLI_REAL,
     .metavar = "LAMBDA",
     .default_text = "5",
     .least = 0,
     .greatest = 1e9,
     .group = "Plan",
     .help = "the lambda wanted at the end; 5 is what SphereFace's authors end with"},
    {.name = "classes",
     .kind = CLI_INTEGER,
     .metavar = "C",
     .least = 2,
     .greatest = CLI_INTEGER_MOST,
     .group = "Plan",
     .help = "check the scale s against C classes"},
    {.name = "probability",
     .kind = CLI_REAL,
     .metavar = "P",
     .default_text = "0.99",
     .least = 1e-9,
     .greatest = 1,
     .marks = CLI_BELOW,
     .group = "Plan",
     .help = "the probability that s is to allow"},
};

static double degrees(double theta) {
    return theta * (180 / 3.14159265358979323846);
}

/* A logit or force in units of s; NaN, null in JSON, where there is no s. */
static double in_s(const lgt_loss *loss, const lgt_lint *lint, double value) {
    return loss->info->space == LGT_SPACE_COS ? value / lint->scale : NAN;
}

/* --- The report --- */

static json_t *entry(json_t *list, const char *key, double theta) {
    json_t *object = json_object();
    cli_append(list, object);
    cli_put_real(object, key, theta);
    cli_put_real(object, "degrees", degrees(theta));
    return object;
}

static void put_breaks(json_t *report, const lgt_loss *loss, const lgt_lint *lint) {
    json_t *jumps = json_array(), *kinks = json_array();
    for (int i = 0; i < lint->n_jumps; i++) {
        json_t *object = entry(jumps, "theta", lint->jumps[i].theta);
        cli_put_real(object, "size", lint->jumps[i].size);
        cli_put_real(object, "size_in_s", in_s(loss, lint, lint->jumps[i].size));
    }
    for (int i = 0; i < lint->n_kinks; i++) {
        json_t *object = entry(kinks, "theta", lint->kinks[i].theta);
        cli_put_real(object, "before", lint->kinks[i].before);
        cli_put_real(object, "after", lint->kinks[i].after);
    }
    cli_put(report, "jumps", jumps);
    cli_put(report, "kinks", kinks);
}

static void put_intervals(json_t *report, const lgt_lint *lint) {
    json_t *rises = json_array(), *dead = json_array();
    for (int i = 0; i < lint->n_rises; i++) {
        json_t *object = json_object();
        cli_append(rises, object);
        cli_put_real(object, "from", lint->rises[i].from);
        cli_put_real(object, "to", lint->rises[i].to);
        cli_put_real(object, "rise", lint->rises[i].rise);
    }
    for (int i = 0; i < lint->n_dead; i++) {
        json_t *object = entry(dead, "at", lint->dead[i].at);
        cli_put_real(object, "from", lint->dead[i].from);
        cli_put_real(object, "to", lint->dead[i].to);
        cli_put_real(object, "force_ratio", lint->dead[i].force);
    }
    cli_put(report, "non_monotone", rises);
    cli_put(report, "dead_zones", dead);
}

static void put_rest(json_t *report, const lgt_loss *loss, const lgt_lint *lint) {
    json_t *largest = json_object(), *crowd = json_array();
    cli_put_real(largest, "theta", lint->largest_theta);
    cli_put_real(largest, "degrees", degrees(lint->largest_theta));
    cli_put_real(largest, "force", lint->largest_force);
    cli_put_real(largest, "in_s", in_s(loss, lint, lint->largest_force));
    for (int i = 0; i < lint->n_crowd_jumps; i++) {
        json_t *object = entry(crowd, "theta", lint->crowd_jumps[i].theta);
        cli_put_real(object, "cosine", lint->crowd_jumps[i].cosine);
        cli_put_real(object, "size", lint->crowd_jumps[i].size);
        cli_put_real(object, "size_in_s", in_s(loss, lint, lint->crowd_jumps[i].size));
    }
    cli_put(report, "largest_force", largest);
    cli_put(report, "crowd_jumps", crowd);
    cli_put_integer(report, "n_defects", lint->n_defects);
}

static lgt_status put_curve(json_t *report, const cli_args *args, const lgt_loss *loss, double norm, lgt_error *err) {
    static const char *const keys[] = {"theta", "logit", "force", "plain_logit", "plain_force"};
    int64_t n = cli_integer(args, "curve");
    double *all = cli_alloc(5 * n, sizeof *all);
    lgt_lint_curve curve = {all, all + n, all + 2 * n, all + 3 * n, all + 4 * n};
    lgt_status status = lgt_lint_draw(loss, cli_integer(args, "step"), norm, 1, n, &curve, err);
    json_t *object = json_object();
    for (int k = 0; k < 5; k++) {
        json_t *list = json_array();
        for (int64_t i = 0; i < n; i++) cli_append(list, cli_number(all[k * n + i]));
        cli_put(object, keys[k], list);
    }
    cli_put(report, "curve", object);
    free(all);
    return status;
}

/* --- Text --- */

static void print_breaks(const lgt_loss *loss, const lgt_lint *lint) {
    for (int i = 0; i < lint->n_jumps; i++) {
        const lgt_lint_jump *jump = &lint->jumps[i];
        printf("jump           at %.4f deg (%.6f rad): the logit changes by %.6g", degrees(jump->theta), jump->theta,
               jump->size);
        if (loss->info->space == LGT_SPACE_COS) printf(", %.4f s", jump->size / lint->scale);
        printf("\n");
    }
    for (int i = 0; i < lint->n_rises; i++)
        printf("non-monotone   from %.4f to %.4f deg: the logit rises by %.6g, the force repels\n",
               degrees(lint->rises[i].from), degrees(lint->rises[i].to), lint->rises[i].rise);
    for (int i = 0; i < lint->n_dead; i++)
        printf("dead zone      at %.4f deg: force below 1 %% of the plain head's from %.4f to %.4f deg\n",
               degrees(lint->dead[i].at), degrees(lint->dead[i].from), degrees(lint->dead[i].to));
}

/* A force that vanishes is some 1e-16 of the scale. */
static double rounded(const lgt_lint *lint, double force) {
    return fabs(force) < 1e-12 * lint->scale ? 0 : force;
}

static void print_lint(const lgt_loss *loss, const lgt_lint *lint) {
    print_breaks(loss, lint);
    for (int i = 0; i < lint->n_kinks; i++)
        printf("note: kink     at %.4f deg: the force changes from %.6g to %.6g\n", degrees(lint->kinks[i].theta),
               rounded(lint, lint->kinks[i].before), rounded(lint, lint->kinks[i].after));
    for (int i = 0; i < lint->n_crowd_jumps; i++)
        printf("note: crowd    target at %.4f deg: another class's logit changes by %.6g, %.4f s, at its cosine %.4f\n",
               degrees(lint->crowd_jumps[i].theta), lint->crowd_jumps[i].size, lint->crowd_jumps[i].size / lint->scale,
               lint->crowd_jumps[i].cosine);
    if (lgt_loss_value(loss, "gradient") != 0)
        printf("note: gradient this is the slope of the loss, which its gradient mode does not follow\n");
    printf("largest force  %.6g at %.4f deg", lint->largest_force, degrees(lint->largest_theta));
    if (loss->info->space == LGT_SPACE_COS) printf(", %.4f s", lint->largest_force / lint->scale);
    if (lint->n_defects == 0)
        printf("\nno defect\n");
    else
        printf("\n%d defect%s\n", lint->n_defects, lint->n_defects > 1 ? "s" : "");
}

/* --- The verb --- */

static int is_given(const cli_args *args, const char *name) {
    return cli_text(args, name) != NULL && cli_source_of(args, name) != CLI_DEFAULT;
}

static lgt_status read_loss(const cli_args *args, lgt_loss *loss, lgt_error *err) {
    static const char *const plans[] = {"dim", "target", "classes", "probability"};
    const char *spec = cli_text(args, "loss"), *system = cli_text(args, "like");
    if (!spec == !args->word)
        return cli_fail(err, LGT_ERR_USAGE, "lint needs one SPEC, as a word or by --loss; found %s",
                        spec ? "both" : "none");
    for (size_t i = 0; i < sizeof plans / sizeof *plans; i++)
        if (is_given(args, plans[i]) && !is_given(args, "steps"))
            return cli_fail(err, LGT_ERR_USAGE, "--%s belongs to a plan: give --steps N as well", plans[i]);
    if (is_given(args, "curve") && !cli_flag(args, "json"))
        return cli_fail(err, LGT_ERR_USAGE, "--curve is part of the JSON object: give --json as well");
    if (!spec) spec = args->word;
    return system ? lgt_loss_parse_like(spec, system, loss, err) : lgt_loss_parse(spec, loss, err);
}

static lgt_status fill(json_t *report, const cli_args *args, const lgt_loss *loss, lgt_lint *lint, lgt_error *err) {
    char spec[LGT_LOSS_SPEC_SIZE];
    json_t *plan = NULL;
    double norm = is_given(args, "norm") ? cli_real(args, "norm") : lgt_lint_norm(loss);
    lgt_status status = lgt_lint_run(loss, cli_integer(args, "step"), norm, 1, lint, err);
    if (status) return status;
    lgt_loss_format(loss, spec, sizeof spec);
    cli_put_text(report, "spec", spec);
    cli_put_integer(report, "step", cli_integer(args, "step"));
    cli_put_real(report, "norm", norm);
    put_breaks(report, loss, lint);
    put_intervals(report, lint);
    put_rest(report, loss, lint);
    if (is_given(args, "curve")) status = put_curve(report, args, loss, norm, err);
    if (!status && is_given(args, "steps")) status = cli_lint_plan(args, loss, &plan, err);
    if (plan) cli_put(report, "plan", plan);
    return status;
}

static lgt_status run(const cli_args *args, lgt_error *err) {
    lgt_loss loss;
    lgt_lint lint = {0};
    lgt_status status = read_loss(args, &loss, err);
    if (status) return status;
    json_t *report = cli_report("lint");
    status = fill(report, args, &loss, &lint, err);
    if (!status && cli_flag(args, "json")) {
        cli_report_print(args, json_incref(report));
    } else if (!status) {
        printf("%s at step %lld, |x| = %.6g\n", json_string_value(json_object_get(report, "spec")),
               (long long)cli_integer(args, "step"), json_real_value(json_object_get(report, "norm")));
        print_lint(&loss, &lint);
        if (is_given(args, "steps")) cli_lint_plan_print(json_object_get(report, "plan"));
    }
    if (!status && cli_flag(args, "strict") && lint.n_defects > 0)
        status = cli_fail(err, LGT_ERR_CHECK, "%s has %d defect%s", loss.info->name, lint.n_defects,
                          lint.n_defects > 1 ? "s" : "");
    json_decref(report);
    return status;
}

const cli_verb cli_verb_lint = {
    .name = "lint",
    .summary = "finds jumps, rises and dead zones of a loss over the angle; plans lambda, warm-up and scale",
    .usage = "SPEC [options]",
    .options = options,
    .n_options = sizeof options / sizeof *options,
    .notes = "Kinks of the force and jumps of other classes' logits are notes, no defects.",
    .examples = "  logitude lint arcface:m=0.5,tail=cosface\n"
                "  logitude lint lsoftmax:m=4,lambda=0 --strict\n"
                "  logitude lint sphereface:m=4 --steps 28000 --dim 512\n"
                "  logitude lint arcface:s=64 --steps 20000 --classes 10 --json",
    .max_words = 1,
    .takes_losses = 1,
    .run = run,
};
