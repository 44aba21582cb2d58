/* The one list of a trainer's state: what a checkpoint writes is what it reads. */
#include "train/trainer_state.h"

#include "base/error.h"
#include "base/sizes.h"
#include "net/encoder.h"

typedef struct listing {
    lgt_state_part *parts;
    int count;
} listing;

static void put(listing *l, const char *name, lgt_dtype dtype, int64_t count, void *data) {
    if (count > 0 && data) l->parts[l->count++] = (lgt_state_part){name, dtype, count, 0, data};
}

/* A rank may have no class, but the part is there. */
static void put_classes(listing *l, const lgt_trainer *t, const char *name, lgt_dtype dtype, int64_t of_class,
                        void *data) {
    if (data) l->parts[l->count++] = (lgt_state_part){name, dtype, t->ranks.count * of_class, of_class, data};
}

static void put_integer(listing *l, const char *name, int64_t *value) {
    put(l, name, LGT_I64, 1, value);
}

static void put_real(listing *l, const char *name, double *value) {
    put(l, name, LGT_F64, 1, value);
}

/* Parameters with the optimiser's memory of them. */
static void put_groups(listing *l, lgt_trainer *t) {
    static const char *const names[LGT_N_GROUPS][3] = {
        {"encoder", "encoder.first_moment", "encoder.second_moment"},
        {"weight", "weight.first_moment", "weight.second_moment"},
        {"bias", "bias.first_moment", "bias.second_moment"},
    };
    const int64_t of_class[LGT_N_GROUPS] = {0, lgt_loss_centres(&t->model.loss) * lgt_model_dim(&t->model), 1};
    for (int g = 0; g < LGT_N_GROUPS; g++) {
        const lgt_param_group *group = &t->groups[g];
        float *const arrays[] = {group->value, group->momentum, group->square};
        for (int i = 0; i < 3; i++)
            if (g == LGT_GROUP_ENCODER)
                put(l, names[g][i], LGT_F32, group->count, arrays[i]);
            else if (g == LGT_GROUP_WEIGHT || t->model.b)
                put_classes(l, t, names[g][i], LGT_F32, of_class[g], arrays[i]);
    }
}

/* What is known of lengths and gradients, from which steps tell whether they may be taken at once. */
static void put_squares(listing *l, lgt_trainer *t) {
    lgt_head_step *head = &t->head_step;
    put(l, "moved", LGT_F64, 2, &t->moved);
    put(l, "moved.bias", LGT_F64, t->model.b ? LGT_STRIPES : 0, t->bias_squares);
    put_classes(l, t, "weight.rows", LGT_F64, 2 * head->centres, head->squares);
    put(l, "classes", LGT_I64, head->classes ? head->sampler.most : 0, head->classes);
    if (head->classes) put_integer(l, "classes.listed", &head->n_listed);
}

static void put_loss(listing *l, lgt_trainer *t) {
    int first = lgt_loss_param_of(t->model.loss.info, LGT_ROLE_STATE);
    if (first >= 0) put(l, "loss.state", LGT_F64, lgt_loss_n_state(t->model.loss.info), t->model.loss.values + first);
}

static void put_conflict(listing *l, lgt_conflict *c) {
    put_integer(l, "conflict.rows", &c->n_rows);
    put_integer(l, "conflict.compared", &c->n_compared);
    put_integer(l, "conflict.neighbours", &c->n_neighbours);
    put_integer(l, "conflict.undefined", &c->n_undefined);
    put_integer(l, "conflict.conflicts", &c->n_conflicts);
    put_integer(l, "conflict.sufficient", &c->n_sufficient);
    put_integer(l, "conflict.sufficient_wrong", &c->n_sufficient_wrong);
    put_integer(l, "conflict.printed", &c->n_printed);
    put_integer(l, "conflict.printed_wrong", &c->n_printed_wrong);
    put_real(l, "conflict.cosine_sum", &c->cosine_sum);
    put(l, "conflict.histogram", LGT_I64, LGT_CONFLICT_BINS, c->histogram);
}

static void put_record(listing *l, lgt_trainer *t) {
    put_integer(l, "step", &t->model.step);
    put_real(l, "record.loss", &t->loss);
    put_real(l, "record.align_loss", &t->alignment.loss);
    put_real(l, "record.seconds", &t->seconds);
    put_integer(l, "record.samples", &t->samples);
    put_integer(l, "record.zero_rows", &t->zero_rows);
    put_real(l, "epoch.loss", &t->epoch_loss);
    put_real(l, "epoch.align_loss", &t->epoch_align_loss);
    put_integer(l, "epoch.correct", &t->epoch_correct);
    put_integer(l, "epoch.rows", &t->epoch_rows);
}

int lgt_trainer_parts(lgt_trainer *trainer, lgt_state_part out[LGT_STATE_PARTS]) {
    listing l = {out, 0};
    lgt_head_step_settle(&trainer->head_step);
    put_record(&l, trainer);
    put_groups(&l, trainer);
    put_squares(&l, trainer);
    put_loss(&l, trainer);
    if (trainer->model.align.n_terms > 0) put_conflict(&l, &trainer->conflict);
    return l.count;
}

lgt_status lgt_trainer_share_state(lgt_trainer *trainer, lgt_error *err) {
    lgt_trainer *t = trainer;
    const lgt_param_group *encoder = &t->groups[LGT_GROUP_ENCODER];
    double ignored;
    lgt_status status = lgt_encoder_gather(t->pass, encoder->momentum, err);
    if (!status && encoder->square) status = lgt_encoder_gather(t->pass, encoder->square, err);
    return status ? status : lgt_ranks_sum(&t->ranks, t->bias_squares, &ignored, err);
}

static int has_sound_classes(const lgt_trainer *t) {
    const lgt_head_step *head = &t->head_step;
    int64_t before = -1;
    if (!head->classes) return 1;
    if (head->n_listed < 0 || head->n_listed > head->sampler.most) return 0;
    for (int64_t i = 0; i < head->n_listed; i++) {
        if (head->classes[i] <= before || head->classes[i] >= t->model.n_classes) return 0;
        before = head->classes[i];
    }
    return 1;
}

lgt_status lgt_trainer_check_state(const lgt_trainer *trainer, const char *path, lgt_error *err) {
    const lgt_trainer *t = trainer;
    int64_t step = t->model.step, n = t->dataset->n_rows;
    if (step < 1 || step > t->n_steps)
        return lgt_fail(err, LGT_ERR_DATA, "%s: step %lld, expected 1 to %lld", path, (long long)step,
                        (long long)t->n_steps);
    int64_t rows = lgt_min64(n, ((step - 1) % t->steps_per_epoch + 1) * t->batch);
    if (t->epoch_rows != rows)
        return lgt_fail(err, LGT_ERR_DATA, "%s: %lld rows of the epoch at step %lld, expected %lld", path,
                        (long long)t->epoch_rows, (long long)step, (long long)rows);
    if (!has_sound_classes(t))
        return lgt_fail(err, LGT_ERR_DATA, "%s: the classes of step %lld are no rising list below %lld", path,
                        (long long)step, (long long)t->model.n_classes);
    return LGT_OK;
}
