/* What verbs share: the context, datasets, and a model applied to a dataset. */
#ifndef LGT_CLI_SESSION_H
#define LGT_CLI_SESSION_H

#include "logitude/logitude.h"
#include "options.h"

/* Entries of option tables. */
#define CLI_OPTION_MODEL                                                                                               \
    {                                                                                                                  \
        .name = "model", .kind = CLI_PATH, .metavar = "FILE", .marks = CLI_REQUIRED, .group = "Input",                 \
        .help = "model.safetensors that train wrote"                                                                   \
    }
#define CLI_OPTION_DATA(text)                                                                                          \
    {                                                                                                                  \
        .name = "data", .kind = CLI_TEXT, .metavar = "D", .marks = CLI_REQUIRED, .group = "Input",                     \
        .help = text ": fashion-mnist, a folder, or FEATURES[,LABELS] (.npy, IDX or CSV)"                              \
    }
#define CLI_OPTION_LABEL_COLUMN(text)                                                                                  \
    {                                                                                                                  \
        .name = "label-column", .kind = CLI_TEXT, .metavar = "NAME", .group = "Input",                                 \
        .help = "CSV: name or number (from 1) of the label column (default: " text ")"                                 \
    }

#define CLI_OPTION_LOSS(place)                                                                                         \
    {                                                                                                                  \
        .name = "loss", .kind = CLI_TEXT, .metavar = "SPEC", .marks = CLI_REQUIRED, .group = place,                    \
        .help = "the loss: NAME[:key=value,...], see 'logitude losses'"                                                \
    }
#define CLI_OPTION_LIKE(place)                                                                                         \
    {                                                                                                                  \
        .name = "like", .kind = CLI_TEXT, .metavar = "SYSTEM", .group = place,                                         \
        .help = "settings of --loss as in SYSTEM, where SPEC does not give them: insightface, opensphere, pml, "       \
                "paddle, mx-lsoftmax, caffe or wespeaker; 'logitude losses --like SYSTEM' tells the differences"       \
    }
#define CLI_OPTION_ALIGN(place, text)                                                                                  \
    {                                                                                                                  \
        .name = "align", .kind = CLI_TEXT, .metavar = "SPEC", .marks = CLI_JOINED, .group = place,                     \
        .help = "alignment with neighbours of the same label: pga, k or z[:key=value,...], several joined by + or "    \
                "given one by one; 'logitude conflict --terms' tells their parameters " text                           \
    }
#define CLI_OPTION_LABEL_SMOOTHING(place)                                                                              \
    {                                                                                                                  \
        .name = "label-smoothing", .kind = CLI_REAL, .metavar = "E", .marks = CLI_BELOW, .default_text = "0",          \
        .least = 0, .greatest = 1, .group = place, .help = "share of the target spread over all classes"               \
    }
#define CLI_OPTION_Z_LOSS(place)                                                                                       \
    {                                                                                                                  \
        .name = "z-loss", .kind = CLI_REAL, .metavar = "ZETA", .default_text = "0", .least = 0, .greatest = 1e6,       \
        .group = place, .help = "adds ZETA lse^2 to the loss of every row"                                             \
    }

/* A context by --threads ($LOGITUDE_NUM_THREADS) and --max-isa. */
lgt_status cli_context_open(const cli_args *args, lgt_context **out, lgt_error *err);

/* The loss of --loss and --like; --loss must be given. */
lgt_status cli_loss_open(const cli_args *args, lgt_loss *out, lgt_error *err);

lgt_status cli_dataset_open(lgt_context *context, const cli_args *args, const char *spec, lgt_split split,
                            int labels_required, lgt_dataset **out, lgt_error *err);

/* Fails with DATA unless both take samples of the same dimension. */
lgt_status cli_same_dim(const char *spec, const lgt_dataset *data, const char *other, int64_t dim, lgt_error *err);

/* lgt_dataset_relabel, naming the dataset in the message. */
lgt_status cli_relabel(lgt_context *context, lgt_dataset *data, const char *spec, char *const *names, int64_t n_names,
                       lgt_error *err);

/* z (n_rows, dim) = the embeddings of the data. Fails with NONFINITE, naming dataset and row. */
lgt_status cli_embed(lgt_model *model, const char *spec, const lgt_dataset *data, float *z, lgt_error *err);

/* --model and --data: the model and its embeddings of the data. */
typedef struct cli_subject {
    lgt_context *context;
    lgt_model *model;
    lgt_dataset *data;
    float *z; /* (n_rows, dim) */
    int64_t dim;
} cli_subject;

lgt_status cli_subject_open(const cli_args *args, int labels_required, cli_subject *out, lgt_error *err);
void cli_subject_close(cli_subject *subject);
lgt_view cli_subject_view(const cli_subject *subject);

/* The k most likely classes of every row, by the model's head; labels may be NULL with want_labels 0. */
typedef struct cli_ranking {
    int64_t k;
    int64_t *classes;     /* (n_rows, k) */
    double *logits, *lse; /* (n_rows, k), (n_rows) */
    double *label_logits; /* (n_rows), or NULL */
} cli_ranking;

lgt_status cli_rank(lgt_context *context, lgt_model *model, lgt_view z, const int64_t *labels, int64_t k,
                    cli_ranking *out, lgt_error *err);
void cli_ranking_free(cli_ranking *ranking);

/* Classification of embeddings z; labels are indices of the model's classes. */
lgt_status cli_classify(lgt_context *context, lgt_model *model, lgt_view z, const int64_t *labels,
                        lgt_classification *out, lgt_error *err);
/* The same by a trainer's head as it stands. Collective with ranks, which all get the result. */
lgt_status cli_classify_in_training(lgt_trainer *trainer, lgt_view z, const int64_t *labels, lgt_classification *out,
                                    lgt_error *err);

#endif
