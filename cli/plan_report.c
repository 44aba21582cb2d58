/* Tells what lgt_cost_of and lgt_rank_layout_suggest answer. */
#include "plan_report.h"

#include <stdio.h>

#include "machine_file.h"
#include "units.h"

enum { TEXT = 32, SHARED_STRIPES = 16 };

/* --- JSON --- */

static json_t *memory_of(const lgt_memory_cost *m) {
    json_t *object = json_object();
    cli_put_real(object, "weights", m->weights);
    cli_put_real(object, "optimizer", m->optimizer);
    cli_put_real(object, "workspace", m->workspace);
    cli_put_real(object, "batch", m->batch);
    cli_put_real(object, "encoder", m->encoder);
    cli_put_real(object, "total", m->total);
    return object;
}

static json_t *traffic_of(const lgt_traffic *t) {
    json_t *object = json_object();
    cli_put_real(object, "features", t->features);
    cli_put_real(object, "targets", t->targets);
    cli_put_real(object, "crowds", t->crowds);
    cli_put_real(object, "partials", t->partials);
    cli_put_real(object, "encoder", t->encoder);
    cli_put_real(object, "total", t->total);
    return object;
}

static void put_cost(json_t *object, const lgt_cost *c) {
    cli_put_integer(object, "stripes", c->n_stripes);
    cli_put_integer(object, "classes_a_rank", c->n_classes);
    cli_put(object, "memory_bytes", memory_of(&c->memory));
    cli_put(object, "fits", json_boolean(c->fits));
    cli_put(object, "traffic_bytes", traffic_of(&c->traffic));
    cli_put_real(object, "seconds", c->seconds);
    cli_put_real(object, "compute_seconds", c->compute);
    cli_put_real(object, "memory_seconds", c->memory_traffic);
    cli_put_real(object, "network_seconds", c->network);
    cli_put_text(object, "binds", lgt_bound_name(c->binds));
    cli_put_real(object, "steps_per_second", c->steps_per_second);
    cli_put_real(object, "samples_per_second", c->samples_per_second);
    cli_put_real(object, "efficiency", c->efficiency);
}

static void put_job(json_t *report, const cli_args *args, const lgt_job *job) {
    cli_put_integer(report, "classes", job->n_classes);
    cli_put_integer(report, "dim", job->dim);
    cli_put_integer(report, "batch", job->batch);
    cli_put_text(report, "dtype", cli_arithmetic_words[job->arithmetic]);
    cli_put_text(report, "optimizer", cli_descent_words[job->descent]);
    cli_put_real(report, "sample_rate", job->sample_rate);
    cli_put_text(report, "encoder", cli_text(args, "encoder"));
    cli_put_integer(report, "encoder_parameters", job->encoder_params);
}

static json_t *machine_of(const cli_args *args, const lgt_machine *machine) {
    json_t *object = json_object();
    cli_machine_put(object, machine);
    cli_put(object, "built_in", json_boolean(!cli_text(args, "machine")));
    cli_put_real(object, "network_bandwidth", machine->network_bandwidth);
    cli_put_real(object, "network_latency", machine->network_latency);
    return object;
}

static json_t *layout_of(const lgt_rank_layout *layout) {
    json_t *object = json_object();
    cli_put_integer(object, "ranks", layout->ranks);
    cli_put_integer(object, "threads", layout->threads);
    cli_put_real(object, "sample_rate", layout->sample_rate);
    cli_put(object, "needed_ranks", layout->needed ? json_integer(layout->needed) : json_null());
    cli_put_real(object, "exact_seconds", layout->exact);
    put_cost(object, &layout->cost);
    return object;
}

/* Ranks 1, 2, 4, ... and those of the job. */
static lgt_status put_table(json_t *report, const lgt_job *job, const lgt_machine *machine, lgt_error *err) {
    lgt_job tried = *job;
    json_t *table = json_array();
    lgt_status status = LGT_OK;
    cli_put(report, "table", table);
    for (int64_t ranks = 1; !status; ranks = 2 * ranks < job->ranks ? 2 * ranks : job->ranks) {
        lgt_cost cost;
        json_t *line = json_object();
        cli_append(table, line);
        tried.ranks = (int)ranks;
        status = lgt_cost_of(&tried, machine, &cost, err);
        cli_put_integer(line, "ranks", ranks);
        if (!status) put_cost(line, &cost);
        if (ranks == job->ranks) break;
    }
    return status;
}

static json_t *notes_of(const cli_args *args, const lgt_job *job, const lgt_cost *cost, const lgt_machine *machine) {
    char text[400];
    json_t *notes = json_array();
    if (!cli_text(args, "machine")) {
        snprintf(text, sizeof text, "speeds are built in, those of %s; 'logitude bench machine --json' measures others",
                 machine->name);
        cli_append(notes, cli_string(text));
    }
    if (cost->threads > machine->threads) {
        snprintf(text, sizeof text, "%d threads are taken to be %.3g times as fast as the %d that were measured",
                 cost->threads, (double)cost->threads / machine->threads, machine->threads);
        cli_append(notes, cli_string(text));
    }
    if (job->sample_rate < 1)
        cli_append(notes,
                   cli_string("drawing classes is not in the model: with small batches such steps were measured to "
                              "take up to twice as long"));
    if (job->ranks > SHARED_STRIPES)
        cli_append(notes,
                   cli_string("beyond 16 ranks the model cuts the classes into as many stripes as ranks, not 16, and "
                              "partial sums grow with them"));
    return notes;
}

lgt_status cli_plan_report(const cli_args *args, const lgt_job *job, const lgt_machine *machine, json_t **out,
                           lgt_error *err) {
    lgt_cost cost;
    lgt_rank_layout layout;
    lgt_status status = lgt_cost_of(job, machine, &cost, err);
    if (!status) status = lgt_rank_layout_suggest(job, machine, &layout, err);
    if (status) return status;
    json_t *report = cli_report("plan");
    put_job(report, args, job);
    cli_put_integer(report, "ranks", job->ranks);
    cli_put_integer(report, "threads", cost.threads);
    put_cost(report, &cost);
    cli_put(report, "suggested", layout_of(&layout));
    cli_put(report, "machine", machine_of(args, machine));
    cli_put(report, "notes", notes_of(args, job, &cost, machine));
    status = put_table(report, job, machine, err);
    if (status) json_decref(report);
    if (!status) *out = report;
    return status;
}

/* --- Text --- */

static double real_of(const json_t *object, const char *key) {
    return json_number_value(json_object_get(object, key));
}

static long long integer_of(const json_t *object, const char *key) {
    return (long long)json_integer_value(json_object_get(object, key));
}

static const char *text_of(const json_t *object, const char *key) {
    return json_string_value(json_object_get(object, key));
}

typedef struct amount {
    char text[TEXT];
} amount;

static amount bytes_of(const json_t *object, const char *key) {
    amount a;
    cli_bytes_text(real_of(object, key), a.text, sizeof a.text);
    return a;
}

static amount seconds_of(const json_t *object, const char *key) {
    amount a;
    cli_seconds_text(real_of(object, key), a.text, sizeof a.text);
    return a;
}

static void print_parts(const char *title, const json_t *parts, const char *const *keys) {
    printf("%-18s %s: ", title, bytes_of(parts, "total").text);
    for (int i = 0; keys[i]; i++) printf("%s%s %s", i ? ", " : "", keys[i], bytes_of(parts, keys[i]).text);
    printf("\n");
}

static void print_memory(const json_t *report) {
    static const char *const keys[] = {"weights", "optimizer", "workspace", "batch", "encoder", NULL};
    const json_t *machine = json_object_get(report, "machine");
    print_parts("memory a rank", json_object_get(report, "memory_bytes"), keys);
    if (real_of(machine, "memory") > 0)
        printf("%-18s %s %s\n", "", json_is_true(json_object_get(report, "fits")) ? "fits into" : "does not fit into",
               bytes_of(machine, "memory").text);
}

static void print_step(const json_t *report) {
    static const char *const keys[] = {"features", "targets", "crowds", "partials", "encoder", NULL};
    printf("%-18s %s: compute %s, memory %s, network %s\n", "step", seconds_of(report, "seconds").text,
           seconds_of(report, "compute_seconds").text, seconds_of(report, "memory_seconds").text,
           seconds_of(report, "network_seconds").text);
    printf("%-18s %s\n", "binds", text_of(report, "binds"));
    printf("%-18s %.4g steps, %.4g samples a second; efficiency %.3g\n", "speed", real_of(report, "steps_per_second"),
           real_of(report, "samples_per_second"), real_of(report, "efficiency"));
    if (integer_of(report, "ranks") > 1) print_parts("received a step", json_object_get(report, "traffic_bytes"), keys);
}

static void print_layout(const json_t *layout) {
    if (!json_is_true(json_object_get(layout, "fits"))) {
        printf("%-18s nothing: no layout within these ranks fits", "suggested");
        if (json_is_integer(json_object_get(layout, "needed_ranks")))
            printf("; %lld ranks would\n", integer_of(layout, "needed_ranks"));
        else
            printf(", nor does any with more\n");
        return;
    }
    printf("%-18s %lld ranks of %lld threads, sampling %.3g of the other classes: %s a step, %s a rank\n", "suggested",
           integer_of(layout, "ranks"), integer_of(layout, "threads"), real_of(layout, "sample_rate"),
           seconds_of(layout, "seconds").text, bytes_of(json_object_get(layout, "memory_bytes"), "total").text);
    if (real_of(layout, "exact_seconds") != real_of(layout, "seconds"))
        printf("%-18s (%s a step with all classes)\n", "", seconds_of(layout, "exact_seconds").text);
}

static void print_table(const json_t *table) {
    size_t index = 0;
    const json_t *line = NULL;
    printf("\n%6s  %10s  %10s  %10s  %10s  %10s  %10s  %s\n", "ranks", "bytes", "step", "compute", "memory", "network",
           "efficiency", "binds");
    json_array_foreach(table, index, line) {
        printf("%6lld  %10s  %10s  %10s  %10s  %10s  %10.3f  %s%s\n", integer_of(line, "ranks"),
               bytes_of(json_object_get(line, "memory_bytes"), "total").text, seconds_of(line, "seconds").text,
               seconds_of(line, "compute_seconds").text, seconds_of(line, "memory_seconds").text,
               seconds_of(line, "network_seconds").text, real_of(line, "efficiency"), text_of(line, "binds"),
               json_is_true(json_object_get(line, "fits")) ? "" : "; does not fit");
    }
}

void cli_plan_print(const json_t *report) {
    size_t index = 0;
    const json_t *note = NULL, *machine = json_object_get(report, "machine");
    printf("%lld classes x %lld, batch %lld, %s, %s, %lld ranks of %lld threads, network %s/s\n",
           integer_of(report, "classes"), integer_of(report, "dim"), integer_of(report, "batch"),
           text_of(report, "dtype"), text_of(report, "optimizer"), integer_of(report, "ranks"),
           integer_of(report, "threads"), bytes_of(machine, "network_bandwidth").text);
    printf("%-18s %s\n", "machine", text_of(machine, "name"));
    print_memory(report);
    print_step(report);
    print_layout(json_object_get(report, "suggested"));
    print_table(json_object_get(report, "table"));
    if (json_array_size(json_object_get(report, "notes"))) printf("\n");
    json_array_foreach(json_object_get(report, "notes"), index, note) printf("note: %s\n", json_string_value(note));
}
