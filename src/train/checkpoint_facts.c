/* What must be the same for a training to go on: its facts by name, and which of them differs. */
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/text.h"
#include "engine/engine.h"
#include "train/checkpoint.h"
#include "train/trainer.h"

enum { OWN_FACTS = 40, NUMBER_SIZE = 32, MOST_FACTS = 1000 };

typedef struct collecting {
    lgt_context *context;
    lgt_facts *facts;
    lgt_status status;
    lgt_error *err;
} collecting;

/* Writing and comparing only read keys. */
static void add(collecting *c, const char *key, const char *value) {
    if (c->status) return;
    lgt_metadata *item = &c->facts->items[c->facts->count];
    item->key = (char *)(uintptr_t)key;
    c->status = lgt_alloc_text(c->context, value, &item->value, c->err);
    c->facts->count += !c->status;
}

static void add_real(collecting *c, const char *key, double value) {
    char text[NUMBER_SIZE];
    lgt_text_from_double(text, sizeof text, value);
    add(c, key, text);
}

static void add_bits(collecting *c, const char *key, uint64_t value) {
    char text[NUMBER_SIZE];
    snprintf(text, sizeof text, "%016" PRIx64, value);
    add(c, key, text);
}

static void add_integer(collecting *c, const char *key, int64_t value) {
    char text[NUMBER_SIZE];
    lgt_text_format(text, sizeof text, "%lld", (long long)value);
    add(c, key, text);
}

/* FNV-1a. */
static uint64_t hash_of(const void *data, size_t bytes) {
    uint64_t hash = UINT64_C(14695981039346656037);
    for (size_t i = 0; i < bytes; i++) hash = (hash ^ ((const unsigned char *)data)[i]) * UINT64_C(1099511628211);
    return hash;
}

static uint64_t weights_of(const lgt_trainer *t) {
    return t->weights ? hash_of(t->weights, (size_t)t->dataset->n_rows * sizeof *t->weights) : 0;
}

static void add_data(collecting *c, const lgt_dataset *d) {
    add_integer(c, "data.rows", d->n_rows);
    add_integer(c, "data.dim", d->dim);
    add_integer(c, "data.classes", d->n_labels);
    add_bits(c, "data.fingerprint", d->fingerprint);
}

static void add_optimizer(collecting *c, const lgt_train_options *o) {
    static const char *const optimizers[] = {"sgd", "adamw", "lbfgs", "newton-cg"};
    static const char *const schedules[] = {"constant", "cosine", "step"};
    static const char *const milestones[LGT_MAX_MILESTONES] = {"milestone.1", "milestone.2", "milestone.3",
                                                               "milestone.4", "milestone.5", "milestone.6",
                                                               "milestone.7", "milestone.8"};
    add(c, "optimizer", optimizers[o->optimizer]);
    add_real(c, "lr", o->lr);
    add_real(c, "momentum", o->momentum);
    add_real(c, "beta1", o->beta1);
    add_real(c, "beta2", o->beta2);
    add_real(c, "eps", o->eps);
    add_real(c, "weight_decay", o->weight_decay);
    add_real(c, "l2", o->l2);
    add(c, "schedule", schedules[o->schedule]);
    add_integer(c, "warmup", o->warmup);
    add_real(c, "step_factor", o->step_factor);
    add_integer(c, "milestones", o->n_milestones);
    for (int i = 0; i < o->n_milestones; i++) add_real(c, milestones[i], o->milestones[i]);
}

static void add_options(collecting *c, const lgt_trainer *t) {
    static const char *const standardizes[] = {"none", "global", "feature"};
    static const char *const precisions[] = {"full", "bf16x3", "bf16"};
    static const char *const reduces[] = {"exact", "fast"};
    const lgt_train_options *o = &t->options;
    char spec[LGT_LOSS_SPEC_SIZE], align[LGT_ALIGN_SPEC_SIZE];
    lgt_loss_format(&o->loss, spec, sizeof spec);
    lgt_align_format(&o->align, align, sizeof align);
    add(c, "loss", spec);
    add(c, "align", o->align.n_terms > 0 ? align : "none");
    add(c, "encoder", o->encoder);
    add_integer(c, "dim", lgt_model_dim(&t->model));
    add_integer(c, "epochs", o->epochs);
    add_integer(c, "batch", t->batch);
    add_optimizer(c, o);
    add(c, "standardize", standardizes[o->standardize]);
    add_integer(c, "bias", t->model.b != NULL);
    add_bits(c, "seed", o->seed);
    add_real(c, "label_smoothing", o->label_smoothing);
    add_real(c, "z_loss", o->z_loss);
    add(c, "precision", precisions[o->precision]);
    /* Other precisions have the same bits whatever they keep. */
    int64_t workspace = o->workspace > 0 ? o->workspace : LGT_WORKSPACE;
    add_integer(c, "workspace", o->precision == LGT_PRECISION_BF16 ? workspace : 0);
    add_real(c, "sample_rate", o->sample_rate);
    add_integer(c, "sample_correction", o->sample_correction);
    add_bits(c, "sample_weights", weights_of(t));
    add(c, "reduce", reduces[o->reduce]);
}

lgt_status lgt_facts_of(const lgt_trainer *trainer, const lgt_checkpoint *about, lgt_facts *out, lgt_error *err) {
    collecting c = {trainer->context, out, LGT_OK, err};
    *out = (lgt_facts){0};
    if (about->n_facts < 0 || about->n_facts > MOST_FACTS)
        return lgt_fail(err, LGT_ERR_USAGE, "%lld facts, expected 0 to %d", (long long)about->n_facts, MOST_FACTS);
    c.status = LGT_NEW_ZERO(trainer->context, &out->items, OWN_FACTS + LGT_MAX_MILESTONES + about->n_facts, err);
    add(&c, "version", lgt_version());
    add(&c, "isa", lgt_isa_name(lgt_context_isa(trainer->context)));
    add_data(&c, trainer->dataset);
    add_options(&c, trainer);
    for (int64_t i = 0; i < about->n_facts; i++) add(&c, about->facts[i].key, about->facts[i].value);
    return c.status;
}

void lgt_facts_free(lgt_context *context, lgt_facts *facts) {
    for (int64_t i = 0; facts->items && i < facts->count; i++) lgt_release(context, facts->items[i].value);
    lgt_release(context, facts->items);
}

static lgt_status status_of(const char *key) {
    if (strncmp(key, "data.", 5) == 0) return LGT_ERR_DATA;
    return strcmp(key, "version") == 0 || strcmp(key, "isa") == 0 ? LGT_ERR_UNSUPPORTED : LGT_ERR_USAGE;
}

lgt_status lgt_facts_compare(const lgt_facts *facts, const char *path, const lgt_tensors *tensors, lgt_error *err) {
    for (int64_t i = 0; i < facts->count; i++) {
        const lgt_metadata *fact = &facts->items[i];
        const char *found = lgt_tensors_metadata(tensors, fact->key);
        if (!found || strcmp(found, fact->value) != 0)
            return lgt_fail(err, status_of(fact->key),
                            "%s: %s is %s%.120s%s in the checkpoint and '%.120s' here: it goes on with the same alone",
                            path, fact->key, found ? "'" : "", found ? found : "not there", found ? "'" : "",
                            fact->value);
    }
    return LGT_OK;
}

/* --- Between ranks --- */

lgt_status lgt_facts_agree(const lgt_trainer *trainer, lgt_error *err) {
    const lgt_comm *comm = trainer->ranks.comm;
    const lgt_checkpoint none = {0};
    lgt_facts facts = {0};
    if (!comm) return LGT_OK;
    lgt_status status = lgt_comm_agree(comm, lgt_facts_of(trainer, &none, &facts, err), err);
    for (int64_t i = 0; i < facts.count && !status; i++) {
        const lgt_metadata *fact = &facts.items[i];
        status = lgt_comm_same(comm, fact->key, fact->value, status_of(fact->key), err);
    }
    lgt_facts_free(trainer->context, &facts);
    return status;
}
