/* Which array of an archive is which: features or labels. */
#ifndef LGT_DATA_MEMBER_H
#define LGT_DATA_MEMBER_H

#include "logitude/io.h"

typedef enum lgt_member { LGT_MEMBER_FEATURES, LGT_MEMBER_LABELS } lgt_member;

/* The first that has one of the usual names, or NULL. */
lgt_array *lgt_member_named(const lgt_tensors *tensors, lgt_member member);

/* The same, or the only array there is. Errors: DATA, listing the names that are there and those that are expected. */
lgt_status lgt_member_find(const lgt_tensors *tensors, lgt_member member, const char *path, lgt_array **out,
                           lgt_error *err);

#endif
