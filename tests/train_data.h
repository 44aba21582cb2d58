/* Small labelled datasets for tests of training. */
#ifndef LGT_TESTS_TRAIN_DATA_H
#define LGT_TESTS_TRAIN_DATA_H

#include "logitude/train.h"

/* Clusters of unit width around one random centre a class, centres about `spread` apart from the origin in each
 * dimension; labels by turns. test_clusters_free gives it back. */
lgt_dataset test_clusters(int64_t n_rows, int64_t dim, int64_t n_classes, double spread, uint64_t seed);
void test_clusters_free(lgt_dataset *dataset);

/* Default options with this loss, a small encoder and few steps. */
lgt_train_options test_train_options(const char *loss, const char *encoder, int64_t dim);

lgt_trainer *test_trainer(lgt_context *context, const lgt_train_options *options, const lgt_dataset *dataset);

/* Steps to the end; returns the last record. */
lgt_train_record test_train(lgt_trainer *trainer);

#endif
