/* A fixed sample of rows that a training is looked at through: after every epoch, and in full at its end. */
#ifndef LGT_CLI_PROBE_H
#define LGT_CLI_PROBE_H

#include "logitude/logitude.h"

enum { CLI_PROBE_ROWS = 2000 };

typedef struct cli_probe {
    lgt_context *context;
    const lgt_dataset *data;
    const char *kind, *spec; /* "test" or "train"; what messages call the data */
    int64_t n_rows, dim;
    float *x, *z;      /* (n_rows, features), (n_rows, dim) */
    int64_t *labels;   /* (n_rows) indices of the model's classes */
    lgt_angles angles; /* (n_rows) each; where the rows stood when last measured */
} cli_probe;

/* Rows of the test data, or of the training data where `kind` says so; at most CLI_PROBE_ROWS of them. */
void cli_probe_open(cli_probe *out, lgt_context *context, const lgt_dataset *data, const char *kind, const char *spec,
                    int64_t dim);
void cli_probe_close(cli_probe *probe);

/* Embeds the rows and measures their angles with the model as it stands. */
lgt_status cli_probe_measure(cli_probe *probe, lgt_model *model, lgt_error *err);

/* Means over the rows that have a direction; NaN where there are none. */
typedef struct cli_means {
    double theta_target, theta_nearest, x_norm, w_norm;
} cli_means;

cli_means cli_probe_means(const cli_probe *probe);

/* The mean of those that are not NaN, and part / whole; NaN (null in JSON) where there is nothing to count. */
double cli_mean(int64_t n, const double *values);
double cli_share(int64_t part, int64_t whole);

#endif
