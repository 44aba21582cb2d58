/* Measures the sample of a training. */
#include "probe.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "output.h"
#include "session.h"

enum { SEED = 0 };

void cli_probe_open(cli_probe *out, lgt_context *context, const lgt_dataset *data, const char *kind, const char *spec,
                    int64_t dim) {
    int64_t most = data->n_rows < CLI_PROBE_ROWS ? data->n_rows : CLI_PROBE_ROWS;
    int64_t *rows = cli_alloc(most, sizeof *rows);
    *out = (cli_probe){.context = context, .data = data, .kind = kind, .spec = spec, .dim = dim};
    out->n_rows = lgt_eval_sample(data->n_rows, most, SEED, rows);
    out->x = cli_alloc(most, (size_t)data->dim * sizeof *out->x);
    out->z = cli_alloc(most, (size_t)dim * sizeof *out->z);
    out->labels = cli_alloc(most, sizeof *out->labels);
    out->angles = (lgt_angles){cli_alloc(most, sizeof(double)), cli_alloc(most, sizeof(double)), NULL,
                               cli_alloc(most, sizeof(double)), cli_alloc(most, sizeof(double))};
    for (int64_t i = 0; i < out->n_rows; i++) {
        memcpy(out->x + i * data->dim, data->x + rows[i] * data->dim, (size_t)data->dim * sizeof *out->x);
        out->labels[i] = data->labels[rows[i]];
    }
    free(rows);
}

void cli_probe_close(cli_probe *probe) {
    free(probe->angles.w_norm);
    free(probe->angles.x_norm);
    free(probe->angles.nearest);
    free(probe->angles.target);
    free(probe->labels);
    free(probe->z);
    free(probe->x);
}

lgt_status cli_probe_measure(cli_probe *probe, lgt_model *model, lgt_error *err) {
    lgt_view z = lgt_view_of(probe->z, probe->n_rows, probe->dim, LGT_F32);
    lgt_dataset sample = {.n_rows = probe->n_rows, .dim = probe->data->dim, .x = probe->x};
    lgt_status status = cli_embed(NULL, model, probe->spec, &sample, probe->z, err);
    if (status) return status;
    return lgt_eval_angles(probe->context, z, lgt_model_weights(model), probe->labels, lgt_model_n_classes(model),
                           lgt_loss_centres(lgt_model_loss(model)), &probe->angles, err);
}

double cli_mean(int64_t n, const double *values) {
    double sum = 0;
    int64_t count = 0;
    for (int64_t i = 0; i < n; i++) {
        if (isnan(values[i])) continue;
        sum += values[i];
        count++;
    }
    return count ? sum / (double)count : NAN;
}

double cli_share(int64_t part, int64_t whole) {
    return whole > 0 ? (double)part / (double)whole : NAN;
}

cli_means cli_probe_means(const cli_probe *probe) {
    return (cli_means){cli_mean(probe->n_rows, probe->angles.target), cli_mean(probe->n_rows, probe->angles.nearest),
                       cli_mean(probe->n_rows, probe->angles.x_norm), cli_mean(probe->n_rows, probe->angles.w_norm)};
}
