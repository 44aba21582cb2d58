/* Plans lambda, warm-up and scale, and says why. */
#include "lint_plan.h"

#include <math.h>
#include <stdio.h>

#include "help.h"
#include "output.h"

/* --- Schedules --- */

static json_t *warnings_of(const cli_args *args, const lgt_loss *loss, const lgt_schedule_review *r) {
    json_t *list = json_array();
    char text[400];
    if (r->warnings & LGT_SCHEDULE_DEAD) {
        snprintf(text, sizeof text,
                 "dead start: features start near 90 degrees, where the force %s; %.3g %% of random directions in %lld "
                 "dimensions feel under 10 %% of the plain head's, and all of them %.3g of it on average; the logit "
                 "there is %.3g times its scale",
                 fmod(lgt_loss_value(loss, "m"), 2) == 0 ? "of an even m vanishes" : "is small", 100 * r->dead_starts,
                 (long long)cli_integer(args, "dim"), r->start_force, r->start_logit);
        cli_append(list, cli_string(text));
    }
    if (r->warnings & LGT_SCHEDULE_FAST) {
        snprintf(text, sizeof text,
                 "fast: one step multiplies lambda by %.6g and gives the margin %.2g more of the logit; with m = 4 on "
                 "CASIA-WebFace 1.4e-3 a step (times 0.99) diverged, 4.2e-5 (times 0.9997) trained",
                 r->fastest_factor, r->fastest);
        cli_append(list, cli_string(text));
    }
    if (r->warnings & LGT_SCHEDULE_LATE) {
        snprintf(text, sizeof text, "late: at the last step the schedule stands at %.4g, short of its own end",
                 r->last);
        cli_append(list, cli_string(text));
    }
    if (r->warnings & LGT_SCHEDULE_WEAK) {
        snprintf(text, sizeof text,
                 "weak: lambda ends at %.4g, which leaves the margin %.3g %% of the logit; wanted is %.4g, %.3g %%",
                 r->last, 100 / (1 + r->last), cli_real(args, "target"), 100 / (1 + cli_real(args, "target")));
        cli_append(list, cli_string(text));
    }
    return list;
}

static lgt_status review(const cli_args *args, const lgt_loss *loss, json_t **out, lgt_error *err) {
    char spec[LGT_LOSS_SPEC_SIZE];
    lgt_schedule_review r;
    lgt_status status = lgt_schedule_review_run(loss, cli_integer(args, "steps"), cli_integer(args, "dim"),
                                                cli_real(args, "target"), &r, err);
    if (status) return status;
    lgt_loss_format(loss, spec, sizeof spec);
    *out = json_object();
    cli_put_text(*out, "spec", spec);
    cli_put_real(*out, "first", r.first);
    cli_put_real(*out, "last", r.last);
    cli_put_real(*out, "arrives", r.arrives);
    cli_put_real(*out, "start_force", r.start_force);
    cli_put_real(*out, "end_force", r.end_force);
    cli_put_real(*out, "start_logit", r.start_logit);
    cli_put_real(*out, "dead_starts", r.dead_starts);
    cli_put_real(*out, "dead_share", r.dead_share);
    cli_put_real(*out, "fastest", r.fastest);
    cli_put_real(*out, "fastest_factor", r.fastest_factor);
    cli_put(*out, "warnings", warnings_of(args, loss, &r));
    return LGT_OK;
}

static const char *reason(const lgt_loss *loss) {
    if (!lgt_schedule_is_lambda(loss))
        return "No margin for the first eighth of the steps, while the classes part; the whole margin from a quarter "
               "on, "
               "so that it is trained with before the learning rate falls. linear adds the same every step, "
               "exponential most of it at once.";
    return "Lambda starts at 100 (m^2 - 1), where no force differs from the plain head's by 1 %, and is at the target "
           "at "
           "half of the steps, which leaves the other half, where the learning rate falls, to the final loss. "
           "geometric "
           "multiplies lambda by the same factor every step, so that most of the margin comes last; power "
           "(exponent 1, or 4 towards a target below 1) brings it in earlier and more evenly.";
}

static lgt_status plan_schedule(const cli_args *args, const lgt_loss *loss, json_t *plan, lgt_error *err) {
    lgt_loss proposals[2];
    int count = 0;
    json_t *object = NULL, *list = json_array();
    cli_put(plan, "proposals", list);
    if (!lgt_schedule_is_lambda(loss) && !lgt_schedule_is_factor(loss)) return LGT_OK;
    cli_put_integer(plan, "dim", cli_integer(args, "dim"));
    if (lgt_schedule_is_lambda(loss)) cli_put_real(plan, "target", cli_real(args, "target"));
    lgt_status status =
        lgt_schedule_propose(loss, cli_integer(args, "steps"), cli_real(args, "target"), proposals, &count, err);
    if (!status) status = review(args, loss, &object, err);
    if (!status) cli_put(plan, "given", object);
    for (int i = 0; i < count && !status; i++) {
        status = review(args, &proposals[i], &object, err);
        if (!status) cli_append(list, object);
    }
    if (count) cli_put_text(plan, "reason", reason(loss));
    return status;
}

/* --- Scale --- */

static json_t *scale_notes(const lgt_scale_review *r, int64_t n_classes, double probability) {
    json_t *list = json_array();
    char text[400];
    if (r->too_small && r->scale >= r->needed)
        snprintf(text, sizeof text, "small: under the margin no sample can have the probability %.4g with s = %.4g",
                 probability, r->scale);
    else if (r->too_small)
        snprintf(
            text, sizeof text,
            "small: with s = %.4g and %lld classes no sample can have the probability %.4g; the least loss is %.3g",
            r->scale, (long long)n_classes, probability, r->least_loss);
    if (r->too_large)
        snprintf(text, sizeof text, "large: s = %.4g is %.3g times what %lld classes need; try about %.2g", r->scale,
                 r->scale / r->needed_with_margin, (long long)n_classes, r->suggested);
    if (r->too_small || r->too_large) cli_append(list, cli_string(text));
    return list;
}

static lgt_status plan_scale(const cli_args *args, const lgt_loss *loss, json_t *plan, lgt_error *err) {
    lgt_scale_review r;
    int64_t n_classes = cli_integer(args, "classes");
    double probability = cli_real(args, "probability");
    if (loss->info->space != LGT_SPACE_COS) {
        cli_put(plan, "scale", json_null());
        return LGT_OK;
    }
    lgt_status status = lgt_scale_review_run(loss, cli_integer(args, "steps") - 1, n_classes, probability, &r, err);
    if (status) return status;
    json_t *scale = json_object();
    cli_put_integer(scale, "classes", n_classes);
    cli_put_real(scale, "probability", probability);
    cli_put_real(scale, "scale", r.scale);
    cli_put_real(scale, "most_probability", r.most_probability);
    cli_put_real(scale, "least_loss", r.least_loss);
    cli_put_real(scale, "needed", r.needed);
    cli_put_real(scale, "needed_with_margin", r.needed_with_margin);
    cli_put_real(scale, "suggested", r.suggested);
    cli_put_real(scale, "satisfied", r.satisfied);
    cli_put(scale, "warnings", scale_notes(&r, n_classes, probability));
    cli_put(plan, "scale", scale);
    return LGT_OK;
}

lgt_status cli_lint_plan(const cli_args *args, const lgt_loss *loss, json_t **out, lgt_error *err) {
    json_t *plan = json_object();
    cli_put_integer(plan, "steps", cli_integer(args, "steps"));
    lgt_status status = plan_schedule(args, loss, plan, err);
    if (!status && cli_text(args, "classes")) status = plan_scale(args, loss, plan, err);
    if (status) json_decref(plan);
    if (!status) *out = plan;
    return status;
}

/* --- Text --- */

static double real_of(const json_t *object, const char *key) {
    const json_t *value = json_object_get(object, key);
    return json_is_real(value) ? json_real_value(value) : NAN;
}

static void print_warnings(const json_t *object) {
    size_t index = 0;
    const json_t *warning = NULL;
    json_array_foreach(json_object_get(object, "warnings"), index, warning) {
        printf("  warning: ");
        cli_print_wrapped(json_string_value(warning), 11, 11);
    }
}

static void print_review(const char *title, const json_t *r) {
    double arrives = real_of(r, "arrives");
    printf("\n%s: %s\n", title, json_string_value(json_object_get(r, "spec")));
    printf("  from %.4g to %.4g; ", real_of(r, "first"), real_of(r, "last"));
    if (isnan(arrives))
        printf("never arrives\n");
    else
        printf("arrives at %.1f %% of the steps\n", 100 * arrives);
    printf("  force on random directions, in plain ones: %.3g at first, %.3g at last; dead for %.1f %% of the steps\n",
           real_of(r, "start_force"), real_of(r, "end_force"), 100 * real_of(r, "dead_share"));
    printf("  fastest step: %.2g of the margin\n", real_of(r, "fastest"));
    print_warnings(r);
}

static void print_scale(const json_t *scale) {
    double satisfied = real_of(scale, "satisfied"), needed = real_of(scale, "needed_with_margin");
    printf("\nscale: s = %.4g, %lld classes, probability %.4g wanted\n", real_of(scale, "scale"),
           (long long)json_integer_value(json_object_get(scale, "classes")), real_of(scale, "probability"));
    printf("  without margin s >= %.4g is needed; this s allows %.6g, a loss of %.3g\n", real_of(scale, "needed"),
           real_of(scale, "most_probability"), real_of(scale, "least_loss"));
    if (isnan(needed))
        printf("  with the margin no scale will do\n");
    else
        printf("  with the margin s >= %.4g is needed; suggested is twice that, %.2g\n", needed, 2 * needed);
    if (!isnan(satisfied))
        printf("  a sample has it at %.1f deg from its class, while the other classes are at 90\n",
               satisfied * 180 / 3.14159265358979323846);
    print_warnings(scale);
}

void cli_lint_plan_print(const json_t *plan) {
    size_t index = 0;
    const json_t *given = json_object_get(plan, "given"), *scale = json_object_get(plan, "scale"),
                 *reason_text = json_object_get(plan, "reason"), *proposal = NULL;
    printf("\nplan of %lld steps\n", (long long)json_integer_value(json_object_get(plan, "steps")));
    if (given)
        print_review("given", given);
    else
        printf("  neither lambda nor warm-up: no schedule to plan\n");
    json_array_foreach(json_object_get(plan, "proposals"), index, proposal) print_review("proposed", proposal);
    if (reason_text) {
        printf("\n");
        cli_print_wrapped(json_string_value(reason_text), 0, 0);
    }
    if (json_is_object(scale)) print_scale(scale);
    if (json_is_null(scale)) printf("\nscale: the loss has none\n");
}
