/* What verbs share: the context, datasets, and a model applied to a dataset. */
#ifndef LGT_CLI_SESSION_H
#define LGT_CLI_SESSION_H

#include "logitude/logitude.h"
#include "options.h"

/* Entries of option tables. */
#define CLI_OPTION_MODEL                                                                                               \
    {                                                                                                                  \
        .name = "model", .kind = CLI_INPUT, .metavar = "FILE", .marks = CLI_REQUIRED, .group = "Input",                \
        .help = "model.safetensors that train wrote"                                                                   \
    }
#define CLI_OPTION_DATA(text)                                                                                          \
    {                                                                                                                  \
        .name = "data", .kind = CLI_DATA, .metavar = "D", .marks = CLI_REQUIRED, .group = "Input",                     \
        .help = text ": fashion-mnist, a folder, or FEATURES[,LABELS]"                                                 \
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
#define CLI_OPTION_SEED(place, text)                                                                                   \
    {                                                                                                                  \
        .name = "seed", .kind = CLI_INTEGER, .metavar = "S", .default_text = "0", .least = 0,                          \
        .greatest = CLI_INTEGER_MOST, .group = place, .help = text                                                     \
    }

#define CLI_OPTION_WORKSPACE(place, text)                                                                              \
    {                                                                                                                  \
        .name = "workspace", .kind = CLI_INTEGER, .metavar = "BYTES", .default_text = "0", .least = 0,                 \
        .greatest = 1e15, .unit = "bytes", .group = place,                                                             \
        .help = text "; 0: 64 MiB, or what the work needs if that is more"                                             \
    }

/* What the help of verbs says whose rows ranks share. */
#define CLI_NOTE_SHARED                                                                                                \
    "Under mpirun the ranks share the rows, with the results of one process; the first writes and\n"                   \
    "speaks. A rank that is lost ends the job with exit code 10 or its own."

#define CLI_OPTION_MPI_TIMEOUT                                                                                         \
    {                                                                                                                  \
        .name = "mpi-timeout", .kind = CLI_REAL, .metavar = "SECONDS", .default_text = "300", .least = 0.1,            \
        .greatest = 1e6, .unit = "seconds", .group = "Ranks of mpirun",                                                \
        .help = "how long a rank that does not answer is waited for"                                                   \
    }

/* A context by --threads ($LOGITUDE_NUM_THREADS) and --max-isa. */
lgt_status cli_context_open(const cli_args *args, lgt_context **out, lgt_error *err);

/* The loss of --loss and --like; --loss must be given. */
lgt_status cli_loss_open(const cli_args *args, lgt_loss *out, lgt_error *err);

/* Rows of LIBSVM have `least_dim` features at least. */
lgt_status cli_dataset_open(lgt_context *context, const cli_args *args, const char *spec, lgt_split split,
                            int labels_required, int64_t least_dim, lgt_dataset **out, lgt_error *err);

/* A note of what was read: rows, features and, with labels, classes. With -v cli_dataset_open has made it. */
void cli_tell_data(const cli_args *args, const char *spec, const lgt_dataset *data);

/* Fails with DATA unless both take samples of the same dimension. */
lgt_status cli_same_dim(const char *spec, const lgt_dataset *data, const char *other, int64_t dim, lgt_error *err);

/* lgt_dataset_relabel, naming the dataset in the message. */
lgt_status cli_relabel(lgt_context *context, lgt_dataset *data, const char *spec, char *const *names, int64_t n_names,
                       lgt_error *err);

/* z (n_rows, dim) = the embeddings of the data, of which each rank makes its part. Fails with NONFINITE, naming dataset
 * and row. comm NULL: alone. Collective. */
lgt_status cli_embed(const lgt_comm *comm, lgt_model *model, const char *spec, const lgt_dataset *data, float *z,
                     lgt_error *err);

/* --model and --data: the model and its embeddings of the data. */
typedef struct cli_subject {
    const lgt_comm *comm; /* of the ranks that share the rows (shared_rows.h); NULL: alone, with all of them */
    lgt_context *context;
    lgt_model *model;
    lgt_dataset *data;
    float *z; /* (n_rows, dim); of these a rank has made its own rows */
    int64_t dim;
} cli_subject;

/* Collective where comm is given: what one rank lacks, or has otherwise than the first, fails on all. */
lgt_status cli_subject_open(const cli_args *args, const lgt_comm *comm, int labels_required, cli_subject *out,
                            lgt_error *err);
void cli_subject_close(cli_subject *subject);
lgt_view cli_subject_view(const cli_subject *subject);

/* The k most likely classes of every row, by the model's head; labels may be NULL. Of ranks that share the rows each
 * needs its own rows of z, and the first gets the whole. */
typedef struct cli_ranking {
    int64_t k;
    int64_t *classes;     /* (n_rows, k) */
    double *logits, *lse; /* (n_rows, k), (n_rows) */
    double *label_logits; /* (n_rows), or NULL */
} cli_ranking;

lgt_status cli_rank(const lgt_comm *comm, lgt_context *context, lgt_model *model, lgt_view z, const int64_t *labels,
                    int64_t k, cli_ranking *out, lgt_error *err);
/* The same of a subject's rows, telling how far it is. */
lgt_status cli_subject_rank(const cli_args *args, const cli_subject *subject, const int64_t *labels, int64_t k,
                            cli_ranking *out, lgt_error *err);
void cli_ranking_free(cli_ranking *ranking);

/* Classification of a subject whose labels are indices of the model's classes. The first rank gets the result, others
 * zeros. */
lgt_status cli_classify(const cli_args *args, const cli_subject *subject, lgt_classification *out, lgt_error *err);
/* The same by a trainer's head as it stands. Collective with ranks, which all get the result. */
lgt_status cli_classify_in_training(lgt_trainer *trainer, lgt_view z, const int64_t *labels, lgt_classification *out,
                                    lgt_error *err);

#endif
