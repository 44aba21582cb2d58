/* Which array of an archive is which: features or labels. */
#include "data/member.h"

#include <stdio.h>
#include <string.h>

#include "base/error.h"

enum { NAMES = 6, SHOWN = 200 };

/* Ours, scikit-learn's, numpy.savez's without names. */
static const char *const names[][NAMES] = {
    [LGT_MEMBER_FEATURES] = {"features", "x", "X", "data", "embeddings", "arr_0"},
    [LGT_MEMBER_LABELS] = {"labels", "y", "Y", "target", "targets", "arr_1"},
};

lgt_array *lgt_member_named(const lgt_tensors *tensors, lgt_member member) {
    for (int k = 0; k < NAMES; k++)
        for (int64_t i = 0; i < tensors->n_tensors; i++)
            if (strcmp(tensors->tensors[i].name, names[member][k]) == 0) return &tensors->tensors[i].array;
    return NULL;
}

lgt_status lgt_member_find(const lgt_tensors *tensors, lgt_member member, const char *path, lgt_array **out,
                           lgt_error *err) {
    char found[SHOWN] = "";
    const char *const *n = names[member];
    size_t used = 0;
    *out = lgt_member_named(tensors, member);
    /* Labels alone are no features. */
    int other = member == LGT_MEMBER_FEATURES && lgt_member_named(tensors, LGT_MEMBER_LABELS);
    if (!*out && tensors->n_tensors == 1 && !other) *out = &tensors->tensors[0].array;
    if (*out) return LGT_OK;
    for (int64_t i = 0; i < tensors->n_tensors && used < sizeof found; i++)
        used += (size_t)snprintf(found + used, sizeof found - used, "%s%s", i ? ", " : "", tensors->tensors[i].name);
    return lgt_fail(err, LGT_ERR_DATA, "%s: has the arrays %s%s, expected one named %s, %s, %s, %s, %s or %s", path,
                    used ? found : "(none)", used < sizeof found ? "" : " ...", n[0], n[1], n[2], n[3], n[4], n[5]);
}
