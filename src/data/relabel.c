/* Labels renumbered to another order of names: a test set must count classes as the model does. */
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "data/labels.h"

typedef struct named {
    const char *name;
    int64_t place;
} named;

static int compare_named(const void *a, const void *b) {
    return strcmp(((const named *)a)->name, ((const named *)b)->name);
}

static lgt_status sort_names(char *const *names, int64_t n_names, named *out, lgt_error *err) {
    for (int64_t j = 0; j < n_names; j++) out[j] = (named){names[j], j};
    if (n_names) qsort(out, (size_t)n_names, sizeof *out, compare_named);
    for (int64_t j = 1; j < n_names; j++)
        if (strcmp(out[j - 1].name, out[j].name) == 0)
            return lgt_fail(err, LGT_ERR_USAGE, "the label name '%.100s' is given twice", out[j].name);
    return LGT_OK;
}

/* place[j]: where the dataset's label j is among the names, or -1. */
static void find_places(const lgt_dataset *dataset, const named *sorted, int64_t n_names, int64_t *place) {
    for (int64_t j = 0; j < dataset->n_labels; j++) {
        named key = {dataset->label_names[j], 0};
        const named *found = n_names ? bsearch(&key, sorted, (size_t)n_names, sizeof *sorted, compare_named) : NULL;
        place[j] = found ? found->place : -1;
    }
}

static lgt_status check_rows(const lgt_dataset *dataset, const int64_t *place, int64_t n_names, lgt_error *err) {
    for (int64_t i = 0; i < dataset->n_rows; i++)
        if (place[dataset->labels[i]] < 0)
            return lgt_fail(err, LGT_ERR_DATA,
                            "row %lld has the label '%.100s', which is not among the %lld known ones", (long long)i,
                            dataset->label_names[dataset->labels[i]], (long long)n_names);
    return LGT_OK;
}

lgt_status lgt_dataset_relabel(lgt_context *context, lgt_dataset *dataset, char *const *names, int64_t n_names,
                               lgt_error *err) {
    named *sorted = NULL;
    int64_t *place = NULL;
    char **copies = NULL;
    if (!dataset->labels) return lgt_fail(err, LGT_ERR_DATA, "the dataset has no labels");
    lgt_status status = LGT_NEW(context, &sorted, n_names, err);
    if (!status) status = LGT_NEW(context, &place, dataset->n_labels, err);
    if (!status) status = sort_names(names, n_names, sorted, err);
    if (!status) find_places(dataset, sorted, n_names, place);
    if (!status) status = check_rows(dataset, place, n_names, err);
    if (!status) status = lgt_labels_copy_names(context, (const char *const *)names, n_names, &copies, err);
    if (!status) {
        for (int64_t i = 0; i < dataset->n_rows; i++) dataset->labels[i] = place[dataset->labels[i]];
        lgt_release(context, dataset->label_names);
        dataset->label_names = copies;
        dataset->n_labels = n_names;
    }
    lgt_release(context, place);
    lgt_release(context, sorted);
    return status ? status : lgt_succeed(err);
}
