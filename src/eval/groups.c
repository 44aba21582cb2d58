/* Rows grouped by label, by sorting (label, row). */
#include "eval/groups.h"

#include <stdlib.h>

#include "base/memory.h"

typedef struct labelled_row {
    int64_t label, row;
} labelled_row;

static int compare(const void *left, const void *right) {
    const labelled_row *a = left, *b = right;
    if (a->label != b->label) return a->label < b->label ? -1 : 1;
    return (a->row > b->row) - (a->row < b->row);
}

lgt_status lgt_groups_create(lgt_context *context, int64_t n_rows, const int64_t *labels, lgt_groups *out,
                             lgt_error *err) {
    labelled_row *rows = NULL;
    *out = (lgt_groups){0};
    lgt_status status = LGT_NEW(context, &rows, n_rows, err);
    if (!status) status = LGT_NEW(context, &out->order, n_rows, err);
    if (!status) status = LGT_NEW(context, &out->end, n_rows, err);
    if (status) goto done;
    for (int64_t row = 0; row < n_rows; row++) rows[row] = (labelled_row){labels[row], row};
    qsort(rows, (size_t)n_rows, sizeof *rows, compare);
    for (int64_t p = n_rows - 1; p >= 0; p--) {
        int last = p == n_rows - 1 || rows[p].label != rows[p + 1].label;
        out->order[p] = rows[p].row;
        out->end[p] = last ? p + 1 : out->end[p + 1];
    }
done:
    lgt_release(context, rows);
    if (status) lgt_groups_free(context, out);
    return status;
}

void lgt_groups_free(lgt_context *context, lgt_groups *groups) {
    lgt_release(context, groups->end);
    lgt_release(context, groups->order);
    *groups = (lgt_groups){0};
}
