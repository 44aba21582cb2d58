/* The checkpoints of a run's folder: which are kept, and which one a training goes on from. */
#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/text.h"
#include "data/folder.h"
#include "train/checkpoint.h"
#include "train/trainer.h"

static const char prefix[] = "checkpoint-", suffix[] = ".safetensors";

enum { NAME_ROOM = 64 };

static lgt_status path_of(lgt_context *context, const char *folder, int64_t step, char **out, lgt_error *err) {
    size_t size = strlen(folder) + NAME_ROOM;
    lgt_status status = lgt_alloc(context, (int64_t)size, 1, out, err);
    if (!status) lgt_text_format(*out, size, "%s/%s%012lld%s", folder, prefix, (long long)step, suffix);
    return status;
}

static lgt_status remove_step(lgt_context *context, const char *folder, int64_t step, lgt_error *err) {
    char *path = NULL;
    lgt_status status = path_of(context, folder, step, &path, err);
    if (!status) status = lgt_file_remove(path, err);
    lgt_release(context, path);
    return status;
}

/* Those behind `step` are of a training that was cut back. */
static lgt_status prune(lgt_context *context, const char *folder, int64_t step, int64_t keep, lgt_error *err) {
    int64_t *steps = NULL, n = 0, kept = 0;
    lgt_status status = lgt_folder_numbers(context, folder, prefix, suffix, &steps, &n, err);
    for (int64_t i = n - 1; i >= 0 && !status; i--) {
        if (steps[i] <= step && kept < keep)
            kept++;
        else
            status = remove_step(context, folder, steps[i], err);
    }
    lgt_release(context, steps);
    return status;
}

/* Of the ranks of a training one writes. */
static int is_first(const lgt_trainer *t) {
    return !t->ranks.comm || t->ranks.comm->rank == 0;
}

/* What the ranks went on from must be one step. */
static lgt_status agree_on_step(const lgt_trainer *t, lgt_status status, lgt_error *err) {
    const lgt_comm *comm = t->ranks.comm;
    int64_t steps[] = {t->model.step, -t->model.step};
    if (!comm || status == LGT_ERR_COMM) return status;
    if ((status = lgt_comm_agree(comm, status, err)) || (status = comm->max(comm->user, steps, 2, LGT_I64, err)))
        return status;
    if (steps[0] != -steps[1])
        return lgt_fail(err, LGT_ERR_DATA, "ranks found different checkpoints, of steps %lld to %lld",
                        (long long)-steps[1], (long long)steps[0]);
    return LGT_OK;
}

lgt_status lgt_checkpoint_write(lgt_trainer *trainer, const char *folder, int64_t keep, const lgt_checkpoint *about,
                                lgt_error *err) {
    char *path = NULL;
    if (keep < 1) return lgt_fail(err, LGT_ERR_USAGE, "keep is %lld, expected at least 1", (long long)keep);
    const lgt_comm *comm = trainer->ranks.comm;
    lgt_status status = lgt_comm_agree(comm, path_of(trainer->context, folder, trainer->model.step, &path, err), err);
    if (!status) status = lgt_trainer_save(trainer, path, about, err);
    if (!status) {
        if (is_first(trainer)) status = prune(trainer->context, folder, trainer->model.step, keep, err);
        status = lgt_comm_agree(comm, status, err);
    }
    lgt_release(trainer->context, path);
    return status ? status : lgt_succeed(err);
}

lgt_status lgt_checkpoint_clear(lgt_context *context, const char *folder, lgt_error *err) {
    lgt_folder_tidy(folder);
    lgt_status status = prune(context, folder, -1, 0, err);
    return status ? status : lgt_succeed(err);
}

/* Loads the checkpoint of a step; *whole 0: it is not there as it was written, and err says why. */
static lgt_status try_step(lgt_trainer *t, const char *folder, int64_t step, lgt_checkpoint *about, int *whole,
                           lgt_error *err) {
    lgt_tensors tensors;
    char *path = NULL;
    *whole = 1;
    lgt_status status = path_of(t->context, folder, step, &path, err);
    if (!status) {
        status = lgt_checkpoint_open(t, path, about->log_length, &tensors, err);
        *whole = !status || status == LGT_ERR_MEMORY;
        if (!status) {
            status = lgt_checkpoint_take(t, path, &tensors, about, err);
            lgt_tensors_free(t->context, &tensors);
        }
    }
    lgt_release(t->context, path);
    return status;
}

lgt_status lgt_checkpoint_resume(lgt_trainer *trainer, const char *folder, lgt_checkpoint *about,
                                 lgt_checkpoint_watch watch, void *user, int *found, lgt_error *err) {
    int64_t *steps = NULL, n = 0;
    int whole = 0;
    lgt_error own = {0}; /* told to watch, wanted by the caller or not */
    *found = 0;
    if (is_first(trainer)) lgt_folder_tidy(folder);
    lgt_status status = lgt_folder_numbers(trainer->context, folder, prefix, suffix, &steps, &n, &own);
    for (int64_t i = n - 1; i >= 0 && !whole; i--) {
        status = try_step(trainer, folder, steps[i], about, &whole, &own);
        if (!whole && watch) watch(user, own.message);
    }
    if (status && n > 0 && !whole) {
        const lgt_error last = own; /* nobody else may have listened */
        status =
            lgt_fail(&own, LGT_ERR_DATA,
                     "%s: none of its %lld checkpoints is whole; remove them to begin anew; the last one tried: %s",
                     folder, (long long)n, last.message);
    }
    lgt_release(trainer->context, steps);
    status = agree_on_step(trainer, status, &own);
    *found = n > 0 && !status;
    if (status && err) *err = own;
    return status ? status : lgt_succeed(err);
}
