/* A head alone as a model. */
#include "head_model.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "output.h"
#include "tensor_list.h"

/* The loss asked for, or that of the model that the source is. */
static lgt_status find_loss(const cli_source_file *s, const char *spec, lgt_loss *loss, lgt_error *err) {
    if (spec || strcmp(s->format, "model") != 0) return lgt_loss_parse(spec ? spec : "softmax", loss, err);
    const char *own = lgt_tensors_metadata(&s->tensors, "loss");
    if (!own) return cli_fail(err, LGT_ERR_DATA, "%s: no metadata \"loss\", expected a model's: give --loss", s->path);
    return lgt_loss_parse(own, loss, err) ? cli_fail_in(err, LGT_ERR_DATA, s->path) : LGT_OK;
}

lgt_status cli_head_model_check(cli_source_file *source, const char *spec, lgt_loss *loss, lgt_error *err) {
    cli_source_file *s = source;
    lgt_status status = find_loss(s, spec, loss, err);
    const lgt_array *parts[] = {&s->weight, &s->bias};
    if (status) return status;
    int64_t centres = lgt_loss_centres(loss);
    if (s->bias.data && !loss->info->has_bias)
        return cli_fail(err, LGT_ERR_USAGE, "%s: has a bias, but %s has none", s->path, loss->info->name);
    if (centres == 1) cli_head_to_two_rows(s);
    if (s->weight.shape[0] % centres)
        return cli_fail(err, LGT_ERR_USAGE, "%s: %s has %lld rows, expected a multiple of the %lld centres of a class",
                        s->path, s->weight_name, (long long)s->weight.shape[0], (long long)centres);
    s->n_classes = s->weight.shape[0] / centres;
    for (int i = 0; i < 2; i++)
        for (int64_t k = 0; k < parts[i]->count; k++)
            if (!isfinite(((const float *)parts[i]->data)[k]))
                return cli_fail(err, LGT_ERR_DATA, "%s: %s: element %lld is not finite", s->path,
                                i == 0 ? s->weight_name : "bias", (long long)k);
    return LGT_OK;
}

/* The names of the classes as a model has them: a JSON list, to be freed; NULL: 0 .. C-1. */
static char *label_names(const cli_source_file *s) {
    int plain = s->labels != NULL;
    json_t *list = json_array();
    for (int64_t j = 0; j < s->n_classes && s->labels; j++) {
        char text[24];
        plain = plain && s->labels[j] == j;
        snprintf(text, sizeof text, "%lld", (long long)s->labels[j]);
        cli_append(list, cli_string(text));
    }
    char *out = plain ? NULL : cli_json_text(s->labels ? list : s->names, 0);
    json_decref(list);
    return out;
}

/* As `train --encoder none` writes it. The format is that of src/train/model_save.c, told here again because a program
 * knows the public headers only, which make no model of plain arrays. It must load: what src/train/model_load.c refuses
 * is refused before by cli_head_find, cli_head_model_check and cli_head_labels, and tests/cli/cases_convert.py
 * (test_a_model_is_written_as_train_writes_it) holds tensors and metadata to those of a trained model, and loads them.
 */
lgt_status cli_head_model_write(const cli_source_file *source, const lgt_loss *loss, const char *path, lgt_error *err) {
    const cli_source_file *s = source;
    float mean = 0, scale = 1;
    lgt_array one = {.dtype = LGT_F32, .n_dims = 1, .shape = {1}, .count = 1};
    lgt_array means = one, scales = one;
    cli_tensor_list t = {.list = {.n_tensors = 0}};
    char spec[LGT_LOSS_SPEC_SIZE], classes[24], dim[24], *names = label_names(s);
    means.data = &mean, scales.data = &scale;
    lgt_loss_format(loss, spec, sizeof spec);
    snprintf(classes, sizeof classes, "%lld", (long long)s->n_classes);
    snprintf(dim, sizeof dim, "%lld", (long long)s->weight.shape[1]);
    cli_tensor_add(&t, "normalization.mean", &means);
    cli_tensor_add(&t, "normalization.scale", &scales);
    cli_tensor_add(&t, "head.weight", &s->weight);
    if (s->bias.data) cli_tensor_add(&t, "head.bias", &s->bias);
    cli_tensor_note(&t, "format", "logitude-model-1");
    cli_tensor_note(&t, "loss", spec);
    cli_tensor_note(&t, "encoder", "none");
    cli_tensor_note(&t, "classes", classes);
    cli_tensor_note(&t, "step", "0");
    cli_tensor_note(&t, "sample_shape", dim);
    if (names) cli_tensor_note(&t, "label_names", names);
    lgt_status status = lgt_tensors_write(s->context, path, &t.list, err);
    free(names);
    return status;
}
