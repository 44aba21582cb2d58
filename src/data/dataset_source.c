/* Which files a dataset specification means: a name, a folder, or one or two files. */
#include "data/dataset_source.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/error.h"
#include "base/memory.h"
#include "data/folder.h"
#include "data/output.h"

static const char fashion_name[] = "fashion-mnist";
static const char fashion_folder[] = "/usr/share/datasets/fashion-mnist";

/* A specification without its ":train" or ":test". */
typedef struct request {
    char *path;
    lgt_split split;
    int split_named;
} request;

static int exists(const char *path) {
    struct stat info;
    return stat(path, &info) == 0;
}

static lgt_status join(lgt_context *context, const char *folder, const char *name, char **out, lgt_error *err) {
    size_t a = strlen(folder), b = strlen(name);
    lgt_status status = lgt_alloc(context, (int64_t)(a + b + 2), 1, out, err);
    if (status) return status;
    memcpy(*out, folder, a);
    (*out)[a] = '/';
    memcpy(*out + a + 1, name, b + 1);
    return LGT_OK;
}

/* The file of the folder whose name begins with prefix, the first by bytes if there are several (so the unpacked one
 * when both are there); *out stays NULL if there is none. */
static lgt_status find_by_prefix(lgt_context *context, const char *folder, const char *prefix, char **out,
                                 lgt_error *err) {
    struct dirent *entry;
    char best[sizeof entry->d_name] = "";
    DIR *directory = opendir(folder);
    if (!directory) return lgt_fail_system(err, folder, "open the folder");
    while ((errno = 0, entry = readdir(directory)) != NULL) {
        if (strncmp(entry->d_name, prefix, strlen(prefix)) != 0) continue;
        if (!best[0] || strcmp(entry->d_name, best) < 0) memcpy(best, entry->d_name, strlen(entry->d_name) + 1);
    }
    lgt_status status = errno ? lgt_fail_system(err, folder, "read the folder") : LGT_OK;
    closedir(directory);
    if (!status && best[0]) status = join(context, folder, best, out, err);
    return status;
}

static lgt_status find_mnist(lgt_context *context, const request *r, lgt_dataset_source *out, int *any,
                             lgt_error *err) {
    static const char *const prefixes[][2] = {{"train-images", "train-labels"}, {"t10k-images", "t10k-labels"}};
    const char *const *own = prefixes[r->split];
    char *other = NULL;
    lgt_status status = find_by_prefix(context, r->path, own[0], &out->features, err);
    if (!status) status = find_by_prefix(context, r->path, own[1], &out->labels, err);
    if (!status && !out->features) status = find_by_prefix(context, r->path, prefixes[!r->split][0], &other, err);
    *any = out->features || other;
    lgt_release(context, other);
    if (!status && *any && !out->features)
        return lgt_fail(err, LGT_ERR_DATA, "%s: has no %s* file, only the other half of a dataset", r->path, own[0]);
    return status;
}

static lgt_status find_arrays(lgt_context *context, const request *r, lgt_dataset_source *out, lgt_error *err) {
    lgt_status status = join(context, r->path, "features.npy", &out->features, err);
    if (status) return status;
    if (!exists(out->features))
        return lgt_fail(
            err, LGT_ERR_DATA,
            "%s: holds no dataset, expected train-images*, train-labels*, t10k-images* and t10k-labels*, or "
            "features.npy and labels.npy",
            r->path);
    if (r->split_named)
        return lgt_fail(err, LGT_ERR_USAGE, "%s: features.npy is no half of a dataset: leave out :train or :test",
                        r->path);
    lgt_release(context, out->labels); /* of a folder with labels by the other naming */
    out->labels = NULL;
    status = join(context, r->path, "labels.npy", &out->labels, err);
    if (!status && !exists(out->labels)) {
        lgt_release(context, out->labels);
        out->labels = NULL;
    }
    return status;
}

static lgt_status find_in_folder(lgt_context *context, const request *r, lgt_dataset_source *out, lgt_error *err) {
    int any = 0;
    lgt_status status = find_mnist(context, r, out, &any, err);
    return status || any ? status : find_arrays(context, r, out, err);
}

static lgt_status find_fashion_mnist(lgt_context *context, const lgt_dataset_options *options, request *r,
                                     lgt_dataset_source *out, lgt_error *err) {
    const char *folder = options->fashion_mnist ? options->fashion_mnist : fashion_folder;
    if (!lgt_is_folder(folder))
        return lgt_fail(err, LGT_ERR_IO,
                        "%s: there is no such folder: install Debian's package dataset-fashion-mnist, or name the "
                        "folder of the four files by the option fashion_mnist (LOGITUDE_DATA on the command line)",
                        folder);
    lgt_release(context, r->path);
    r->path = NULL;
    lgt_status status = lgt_alloc_text(context, folder, &r->path, err);
    return status ? status : find_in_folder(context, r, out, err);
}

/* FEATURES or FEATURES,LABELS; the last comma separates. */
static lgt_status split_files(lgt_context *context, const char *spec, lgt_dataset_source *out, lgt_error *err) {
    lgt_status status = lgt_alloc_text(context, spec, &out->features, err);
    char *comma = status || exists(spec) ? NULL : strrchr(out->features, ',');
    if (comma) {
        *comma = '\0';
        status = lgt_alloc_text(context, comma + 1, &out->labels, err);
    }
    if (!status && !exists(out->features))
        return lgt_fail(err, LGT_ERR_IO,
                        "%s: there is no such file, expected fashion-mnist, a folder, or FEATURES[,LABELS]",
                        out->features);
    return status;
}

/* Cuts ":train" or ":test" off what does not exist under its whole name. */
static void take_split(request *r) {
    static const char *const suffixes[] = {[LGT_SPLIT_TRAIN] = ":train", [LGT_SPLIT_TEST] = ":test"};
    size_t length = strlen(r->path);
    for (int split = 0; split < 2; split++) {
        size_t cut = strlen(suffixes[split]);
        if (length <= cut || strcmp(r->path + length - cut, suffixes[split]) != 0) continue;
        r->path[length - cut] = '\0';
        r->split = (lgt_split)split;
        r->split_named = 1;
        return;
    }
}

lgt_status lgt_dataset_source_find(lgt_context *context, const lgt_dataset_options *options, lgt_dataset_source *out,
                                   lgt_error *err) {
    request r = {.split = options->split};
    *out = (lgt_dataset_source){.features = NULL};
    if (!options->spec || !options->spec[0])
        return lgt_fail(err, LGT_ERR_USAGE,
                        "no dataset is named, expected fashion-mnist, a folder, or "
                        "FEATURES[,LABELS]");
    if ((int)r.split < 0 || (int)r.split > 1)
        return lgt_fail(err, LGT_ERR_USAGE, "the split is %d, expected 0 (train) or 1 (test)", (int)r.split);
    lgt_status status = lgt_alloc_text(context, options->spec, &r.path, err);
    if (status) return status;
    if (!exists(r.path)) take_split(&r);
    if (strcmp(r.path, fashion_name) == 0)
        status = find_fashion_mnist(context, options, &r, out, err);
    else if (lgt_is_folder(r.path))
        status = find_in_folder(context, &r, out, err);
    else
        status = split_files(context, options->spec, out, err);
    lgt_release(context, r.path);
    if (status) lgt_dataset_source_free(context, out);
    return status;
}

void lgt_dataset_source_free(lgt_context *context, lgt_dataset_source *source) {
    lgt_release(context, source->labels);
    lgt_release(context, source->features);
    *source = (lgt_dataset_source){.features = NULL};
}
