/* Writes and reads the rates of a machine. */
#include "machine_file.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "streams.h"

const char *const cli_arithmetic_words[] = {"f32", "f64", "bf16x3", "bf16", NULL};
const char *const cli_descent_words[] = {"none", "sgd", "adamw", NULL};

static void put_rates(json_t *object, const char *key, const double *rates, const char *const *words, int first) {
    json_t *list = json_object();
    for (int i = first; words[i]; i++) cli_put_real(list, words[i], rates[i]);
    cli_put(object, key, list);
}

void cli_machine_put(json_t *object, const lgt_machine *m) {
    cli_put_text(object, "name", m->name);
    cli_put_integer(object, "threads", m->threads);
    cli_put_real(object, "memory", m->memory);
    put_rates(object, "gflops", m->gflops, cli_arithmetic_words, 0);
    put_rates(object, "class_bandwidth", m->class_bandwidth, cli_arithmetic_words, 0);
    put_rates(object, "update_bandwidth", m->update_bandwidth, cli_descent_words, 1);
    cli_put_real(object, "stream_bandwidth", m->stream_bandwidth);
}

static lgt_status take_number(const char *path, const json_t *object, const char *within, const char *key, double *out,
                              lgt_error *err) {
    const json_t *value = json_object_get(object, key);
    if (!json_is_number(value))
        return cli_fail(err, LGT_ERR_DATA,
                        "%.300s: %s%s%s is no number there; 'logitude bench machine --json' writes it", path, within,
                        *within ? "." : "", key);
    *out = json_number_value(value);
    return LGT_OK;
}

static lgt_status take_rates(const char *path, const json_t *object, const char *key, double *rates,
                             const char *const *words, int first, lgt_error *err) {
    lgt_status status = LGT_OK;
    for (int i = first; words[i] && !status; i++)
        status = take_number(path, json_object_get(object, key), key, words[i], &rates[i], err);
    return status;
}

static lgt_status take_machine(const char *path, const json_t *object, lgt_machine *m, lgt_error *err) {
    const char *name = json_string_value(json_object_get(object, "name"));
    double threads = 0;
    lgt_status status = take_number(path, object, "", "threads", &threads, err);
    if (!status && !(threads >= 1 && threads <= 65536))
        status = cli_fail(err, LGT_ERR_DATA, "%.300s: threads is %g, expected 1 to 65536", path, threads);
    if (!status) status = take_number(path, object, "", "memory", &m->memory, err);
    if (!status) status = take_rates(path, object, "gflops", m->gflops, cli_arithmetic_words, 0, err);
    if (!status) status = take_rates(path, object, "class_bandwidth", m->class_bandwidth, cli_arithmetic_words, 0, err);
    if (!status) status = take_rates(path, object, "update_bandwidth", m->update_bandwidth, cli_descent_words, 1, err);
    if (!status) status = take_number(path, object, "", "stream_bandwidth", &m->stream_bandwidth, err);
    if (status) return status;
    m->threads = (int)threads;
    snprintf(m->name, sizeof m->name, "%s", name ? name : path);
    return LGT_OK;
}

lgt_status cli_machine_read(const char *path, lgt_machine *machine, lgt_error *err) {
    json_error_t why;
    FILE *file = cli_file_open(path);
    if (!file) return cli_fail(err, LGT_ERR_IO, "%.300s: cannot open: %s", path, strerror(errno));
    json_t *object = json_loadf(file, JSON_REJECT_DUPLICATES, &why);
    int failed = ferror(file);
    lgt_status status = LGT_OK;
    cli_file_close(file);
    if (failed)
        status = cli_fail(err, LGT_ERR_IO, "%.300s: cannot read", path);
    else if (!object)
        status = cli_fail(err, LGT_ERR_DATA, "%.300s:%d: %.120s, expected JSON", path, why.line, why.text);
    else
        status = take_machine(path, object, machine, err);
    json_decref(object);
    return status;
}
