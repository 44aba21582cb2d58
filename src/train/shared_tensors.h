/* Files of tensors of which some are cut by classes over the ranks of a training: the first rank writes, and the parts
 * of the others come to it piece by piece, so that no rank ever has room for all. */
#ifndef LGT_TRAIN_SHARED_TENSORS_H
#define LGT_TRAIN_SHARED_TENSORS_H

#include "logitude/io.h"
#include "train/trainer_ranks.h"

/* All ranks list the same ones up to the last that is cut; what comes behind the first one alone need have. */
typedef struct lgt_shared_tensors {
    const lgt_ranks *ranks;
    lgt_tensors all;   /* shapes and counts as the file has them; where they are cut, data are the own classes' */
    int64_t *of_class; /* (n_tensors) elements a class of those that are cut; 0: the first rank's are written */
} lgt_shared_tensors;

/* lgt_tensors_checksum of what lgt_shared_tensors_write would write. Collective. Errors: MEMORY, COMM. */
lgt_status lgt_shared_tensors_checksum(lgt_context *context, const lgt_shared_tensors *tensors, uint32_t *out,
                                       lgt_error *err);

/* lgt_tensors_write of the tensors of all ranks, to the first one's file. Collective: all get the same status. Memory:
 * a piece on the first rank. Errors: those of lgt_tensors_write, of any rank; COMM. */
lgt_status lgt_shared_tensors_write(lgt_context *context, const char *path, const lgt_shared_tensors *tensors,
                                    lgt_error *err);

#endif
