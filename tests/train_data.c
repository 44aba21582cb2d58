/* Small labelled datasets for tests of training. */
#include "train_data.h"

#include <stdlib.h>

#include "base/philox.h"
#include "support.h"

lgt_dataset test_clusters(int64_t n_rows, int64_t dim, int64_t n_classes, double spread, uint64_t seed) {
    lgt_dataset d = {.n_rows = n_rows, .dim = dim, .n_labels = n_classes, .n_dims = 1, .shape = {dim}};
    lgt_rng centres = {seed, 1}, noise = {seed, 2};
    d.x = malloc((size_t)(n_rows * dim + 1) * sizeof *d.x);
    d.labels = malloc((size_t)(n_rows + 1) * sizeof *d.labels);
    assert_true(d.x && d.labels);
    for (int64_t i = 0; i < n_rows; i++) {
        int64_t label = i % n_classes;
        d.labels[i] = label;
        for (int64_t k = 0; k < dim; k++)
            d.x[i * dim + k] = (float)(spread * lgt_rng_normal(&centres, (uint64_t)(label * dim + k)) +
                                       lgt_rng_normal(&noise, (uint64_t)(i * dim + k)));
    }
    return d;
}

void test_clusters_free(lgt_dataset *dataset) {
    free(dataset->x);
    free(dataset->labels);
}

lgt_train_options test_train_options(const char *loss, const char *encoder, int64_t dim) {
    lgt_train_options o;
    lgt_error err;
    lgt_train_options_init(&o);
    assert_ok(lgt_loss_parse(loss, &o.loss, &err), err);
    o.encoder = encoder;
    o.dim = dim;
    o.epochs = 3;
    o.batch = 32;
    o.seed = 5;
    return o;
}

lgt_trainer *test_trainer(lgt_context *context, const lgt_train_options *options, const lgt_dataset *dataset) {
    lgt_trainer *trainer = NULL;
    lgt_error err;
    assert_ok(lgt_trainer_create(context, options, dataset, &trainer, &err), err);
    return trainer;
}

lgt_train_record test_train(lgt_trainer *trainer) {
    lgt_train_record record = {0};
    lgt_error err;
    do assert_ok(lgt_trainer_step(trainer, &record, &err), err);
    while (record.step < record.n_steps);
    return record;
}
