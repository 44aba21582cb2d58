/* Training: an encoder and a head, or a head alone, on a dataset; and the model that comes out. */
#ifndef LOGITUDE_TRAIN_H
#define LOGITUDE_TRAIN_H

#include "align.h"
#include "comm.h"
#include "encoder.h"
#include "head.h"
#include "io.h"
#include "loss.h"

#ifdef __cplusplus
extern "C" {
#endif

/* --- Models: normalisation, encoder, head, label names; one safetensors file --- */

typedef struct lgt_model lgt_model;

/* Writes encoder.<l>.weight (out, in), encoder.<l>.bias (out), head.weight (C, D), of k rows a class where the loss has
 * k centres, head.bias (C) if there is one, normalization.mean and normalization.scale (1 or in_dim; x' = (x - mean) *
 * scale), all F32, and string metadata: format, loss, encoder, classes, step, sample_shape ("28,28"), label_names (a
 * JSON list; absent when they are 0 .. C-1), align (absent without alignment); and where `pga` has a bank that is not
 * empty align.ids (n) and align.labels (n), I64, align.scores (n), F64, align.directions (n, D), F32; for every layer l
 * that another one follows in `k` align.k.<l>.ids, .labels and .scores. Errors: those of lgt_tensors_write, NONFINITE
 * (a parameter), DATA (a label name that is not UTF-8). */
LGT_API lgt_status lgt_model_save(const lgt_model *model, const char *path, lgt_error *err);
/* Errors: those of lgt_tensors_read, and DATA for a file that is no model or contradicts itself. */
LGT_API lgt_status lgt_model_load(lgt_context *context, const char *path, lgt_model **out, lgt_error *err);
LGT_API void lgt_model_free(lgt_model *model);

/* Writes an ONNX graph for inference, atomically: x (N, in_dim) to embedding (N, D), logits (N, C) without margin, and
 * probabilities (N, C), float32; IR version 7, operators of version 13. Errors: those of lgt_file_write, UNSUPPORTED (2
 * GiB or more), DATA (a label name that is not UTF-8), MEMORY. */
LGT_API lgt_status lgt_model_export_onnx(const lgt_model *model, const char *path, lgt_error *err);

LGT_API int64_t lgt_model_in_dim(const lgt_model *model);
LGT_API int64_t lgt_model_dim(const lgt_model *model);
LGT_API int64_t lgt_model_n_classes(const lgt_model *model);
LGT_API int64_t lgt_model_step(const lgt_model *model);
LGT_API int64_t lgt_model_n_params(const lgt_model *model); /* of encoder, weights and bias */
LGT_API const char *lgt_model_encoder_spec(const lgt_model *model);
/* The loss; its state, if it has one, is where the last step left it. */
LGT_API const lgt_loss *lgt_model_loss(const lgt_model *model);
/* The alignment it was trained with (n_terms 0: none), and the memory bank of `pga`, or NULL; ids are rows of the
 * training data. */
LGT_API const lgt_align_terms *lgt_model_align(const lgt_model *model);
LGT_API lgt_align_bank *lgt_model_bank(lgt_model *model);
LGT_API char *const *lgt_model_label_names(const lgt_model *model);
LGT_API lgt_view lgt_model_weights(const lgt_model *model); /* (C, D), or (C k, D) */
LGT_API lgt_view lgt_model_bias(const lgt_model *model);    /* (1, C), or data NULL */
/* Hash of all that embeddings and predictions depend on, and of the label names: tells models apart, no more. */
LGT_API uint64_t lgt_model_fingerprint(const lgt_model *model);

/* out (N, D) = encoder(normalise(x)), x (N, in_dim) float32 as a dataset holds it. Works in blocks of rows.
 * Errors: USAGE (shape), MEMORY. */
LGT_API lgt_status lgt_model_embed(lgt_model *model, lgt_view x, lgt_mut out, lgt_error *err);

/* --- Trainer --- */

typedef enum lgt_optimizer {
    LGT_OPTIMIZER_SGD = 0,
    LGT_OPTIMIZER_ADAMW = 1,
    LGT_OPTIMIZER_LBFGS = 2,    /* these two go by lgt_trainer_solve: a head alone, all rows at once */
    LGT_OPTIMIZER_NEWTON_CG = 3 /* by exact Hessian-vector products */
} lgt_optimizer;
typedef enum lgt_standardize {
    LGT_STANDARDIZE_NONE = 0,
    LGT_STANDARDIZE_GLOBAL = 1, /* one mean and one deviation for all features */
    LGT_STANDARDIZE_FEATURE = 2 /* one a feature; a constant feature is only centred */
} lgt_standardize;

/* Learning rate at step t of T, warm-up w: lr (t+1)/w for t < w, then with u = (t-w)/(T-w): CONSTANT lr;
 * COSINE lr (1 + cos(pi u))/2 (Eq. 23); STEP lr step_factor^k, k = milestones (shares of T) that t/T has passed. */
typedef enum lgt_lr_schedule { LGT_LR_CONSTANT = 0, LGT_LR_COSINE = 1, LGT_LR_STEP = 2 } lgt_lr_schedule;

#define LGT_MAX_MILESTONES 8

typedef struct lgt_train_options {
    size_t struct_size;
    lgt_loss loss;            /* must be set */
    const char *encoder;      /* default "mlp:512,512" */
    int64_t dim;              /* embedding dimension; default 128; "none" takes the features' */
    int64_t epochs, batch;    /* default 10, 128 */
    lgt_optimizer optimizer;  /* default ADAMW */
    double lr;                /* default 1e-3 */
    double momentum;          /* SGD; default 0.9 */
    double beta1, beta2, eps; /* ADAMW; default 0.9, 0.999, 1e-8 */
    double weight_decay;      /* decoupled in ADAMW, added to the gradient in SGD, as PyTorch does; default 1e-4 */
    double l2;                /* adds l2/2 |W|^2 of the head to the loss; default 0 */
    lgt_lr_schedule schedule; /* default COSINE */
    int64_t warmup;           /* steps; default 0 */
    double step_factor;       /* default 0.1 */
    double milestones[LGT_MAX_MILESTONES]; /* default 0.5, 0.75 */
    int n_milestones;
    lgt_standardize standardize;    /* default GLOBAL, by the training features */
    int bias;                       /* the head has a bias where its loss allows one; default 1 */
    uint64_t seed;                  /* default 0 */
    double label_smoothing, z_loss; /* default 0 */
    lgt_align_terms align;          /* added to the loss; default none */
    lgt_precision precision;        /* of the head's products while training; default LGT_PRECISION_FULL */
    int64_t workspace;            /* of the head's plan (lgt_plan_options): in a training there is no dw to keep logits,
                                     and what it has no room for is computed twice; default 0: 64 MiB */
    double sample_rate;           /* in (0, 1]: share of the other classes that a step draws; default 1: all of them */
    int sample_correction;        /* log(1/share) is added to the logits of drawn classes; default 1 */
    double tolerance;             /* LBFGS, NEWTON_CG: of the gradient; default 1e-5 */
    int64_t max_iterations;       /* LBFGS, NEWTON_CG; default 1000 */
    const double *sample_weights; /* (n_rows) of the dataset's rows, >= 0, scaled to the mean 1; default NULL: all 1 */
    lgt_view start_w, start_b;    /* F32, (C, D) or (C k, D) and (1, C): where the head starts; default: drawn, 0 */
    const lgt_comm *comm; /* ranks that train together, each with the same options and data; must outlive the trainer.
                             They share the classes (lgt_head_shard), the rows of a batch and the encoder's optimiser,
                             and have the bits of one. SGD and ADAMW only. Default NULL: alone */
    lgt_reduce reduce;    /* how they add; default EXACT. FAST: the bits are those of one training over so many ranks */
} lgt_train_options;

LGT_API void lgt_train_options_init(lgt_train_options *options);

/* What a step reports. */
typedef struct lgt_train_record {
    int64_t step;                        /* steps done, this one included */
    int64_t n_steps;                     /* of the whole training */
    int64_t epoch;                       /* epochs done or under way, from 1 */
    int end_of_epoch;                    /* this step was the epoch's last */
    double loss;                         /* this step's mean loss, l2 term and alignment excluded */
    double align_loss, epoch_align_loss; /* of the alignment terms, weighted: this step's, mean over the epoch so far */
    lgt_conflict conflict;               /* of direction alignment with the head, over the epoch so far */
    double epoch_loss, epoch_accuracy;   /* means over the epoch so far (accuracy of the plain logits among the step's
                                            classes, before each update) */
    double lr;
    double schedule;   /* the loss's lambda, or its margin's factor, at this step; NaN if neither is scheduled */
    double seconds;    /* spent in lgt_trainer_step since the start */
    int64_t samples;   /* seen since the start */
    int64_t zero_rows; /* cosine spaces: rows without a direction since the start (Eq. 14) */
} lgt_train_record;

typedef struct lgt_trainer lgt_trainer;

/* The classes of step `step` of a training with class sampling: those of the labels, and a share `rate` of the others
 * (rounded, at least one), drawn uniformly without replacement by counters of (seed, step) below 2^32. Writes them to
 * classes (lgt_sample_classes_most), rising, and to offsets, or NULL, 0 for labels and log(1/share), with the share
 * that was drawn, for the others: what lgt_head_inputs takes. Errors: USAGE, DATA (a label out of range), MEMORY. */
LGT_API lgt_status lgt_sample_classes(lgt_context *context, uint64_t seed, int64_t step, int64_t n_classes,
                                      const int64_t *labels, int64_t n_labels, double rate, int64_t *classes,
                                      double *offsets, int64_t *n_listed, lgt_error *err);
/* The most classes that n_labels labels can bring about. */
LGT_API int64_t lgt_sample_classes_most(int64_t n_classes, int64_t n_labels, double rate);

/* A step of SGD or ADAMW that rows of w take where their gradient is made: dw never exists. Memory of the caller's;
 * what the other optimizer needs is not read. */
typedef struct lgt_row_step {
    lgt_optimizer optimizer;
    double lr, weight_decay;  /* as lgt_train_options has them; lr may be 0 */
    double momentum;          /* SGD */
    double beta1, beta2, eps; /* ADAMW */
    int64_t number;           /* of this step, from 1 */
    float *w;                 /* (rows of w, D), contiguous: what the run reads as in->w, and what is stepped */
    float *first, *second;    /* of that size, zero before the first step: the buffer of SGD or the moments of ADAMW,
                                 where `second` is needed too */
} lgt_row_step;

/* lgt_plan_run whose rows of dw step w; with listed classes theirs alone, and the others' moments rest. dw and sink
 * must be empty; the plan is float32 and made with `sinks`. Errors: those of lgt_plan_run, before any row is stepped;
 * USAGE; NONFINITE: entries of dw are beyond 2^63, and the rows that have them took no step, or dx does not fit f32. */
LGT_API lgt_status lgt_plan_step(lgt_plan *plan, const lgt_head_inputs *in, const lgt_row_step *step,
                                 lgt_head_outputs *out, lgt_error *err);

/* Sets a training up on a dataset (collective with ranks: USAGE, DATA or UNSUPPORTED where theirs differ), which must
 * stay as it is and outlive the trainer; what the options point to is copied. With weights a_i of the mean 1 "mean
 * loss" is (1/N) sum_i a_i L_i, and a batch of n rows has (1/n) sum a_i L_i; accuracies and the fit of a normalisation
 * count rows alike. Memory: the head's parameters times 3 (ADAMW) or 2 (SGD), since its gradient never exists as a
 * whole, the encoder's times 4 or 3, two batches of features and activations of one. Errors: USAGE (options),
 * UNSUPPORTED (label smoothing and class sampling), DATA (no labels, fewer than two classes, a weight that is negative
 * or not finite), MEMORY. */
LGT_API lgt_status lgt_trainer_create(lgt_context *context, const lgt_train_options *options,
                                      const lgt_dataset *dataset, lgt_trainer **out, lgt_error *err);
LGT_API void lgt_trainer_free(lgt_trainer *trainer);

/* One step of SGD or ADAMW; allocates nothing. Batches walk a permutation drawn from (seed, epoch); an epoch's last
 * batch may be smaller. Returns OK and fills the record; after the last step `record->step == record->n_steps`. Errors:
 * NONFINITE, naming step and rows of the dataset: the parameters are then those before the step. */
LGT_API lgt_status lgt_trainer_step(lgt_trainer *trainer, lgt_train_record *record, lgt_error *err);

/* Where lgt_trainer_solve stands, and at the end what it reached. */
typedef struct lgt_solve_record {
    int64_t iterations, max_iterations;
    int64_t evaluations;                /* of objective and gradient over all rows */
    int64_t products;                   /* of the Hessian with a vector; NEWTON_CG */
    double objective;                   /* mean loss + l2/2 |W|^2 */
    double gradient_norm, gradient_max; /* of it by W and b: the length, the largest entry */
    double goal;                        /* what gradient_norm must not exceed: tolerance max(1, that at the start) */
    double seconds;                     /* since lgt_trainer_solve was called; the certificate's are not in */
    int converged, stopped;             /* gradient_norm <= goal, in double; watch asked to stop */
    /* At the end only: of the model as it will be written, its parameters rounded to float32, all in double. */
    double model_objective, model_train_loss, model_gradient_norm;
    int64_t n_correct;    /* training rows */
    double certified_gap; /* proven: model_objective - inf objective <= this (Eq. 163); NaN where none is */
    int64_t certificate_evaluations;
} lgt_solve_record;

/* Called at the start and after every iteration, the model being at that place; not 0: stop there. */
typedef int (*lgt_solve_watch)(void *user, const lgt_solve_record *record);

/* Minimises mean loss + l2/2 |W|^2 over the head of a trainer that was made for LBFGS or NEWTON_CG, from its present
 * parameters, by all rows (docs/convex.md). Schedules of the loss stand at their end, its state at its own parameters.
 * The iterates are double; head evaluations are float32 until that is no longer exact enough, then float64 in blocks of
 * rows. The same bits for any number of threads. Not to converge within the limits is no error: `record` tells. Memory:
 * 24 vectors of doubles, (D+1)^2 doubles for the preconditioner, a block of rows in double, and a copy of the features
 * where they are standardised. watch may be NULL.
 * Errors: USAGE (another optimizer), DATA (NaN or infinity in the features, naming the row), NONFINITE, MEMORY,
 * UNSUPPORTED (NEWTON_CG where the loss has no Hessian). After an error the parameters are those of the last iterate.
 */
LGT_API lgt_status lgt_trainer_solve(lgt_trainer *trainer, lgt_solve_watch watch, void *user, lgt_solve_record *record,
                                     lgt_error *err);

/* The norm of the last step's gradient over all parameters, that of l2 included, weight decay not; 0 before the first
 * step. With class sampling over the parameters of the step's classes. Collective with ranks; NaN where these fail. */
LGT_API double lgt_trainer_gradient_norm(lgt_trainer *trainer);

/* Mean loss over the whole training set with the present parameters, and that plus the l2 term; alignment,
 * which depends on batches, is in neither. watch may be NULL. Collective with ranks. Errors: NONFINITE, MEMORY, COMM,
 * INTERRUPTED (watch asked to stop). */
LGT_API lgt_status lgt_trainer_objective(lgt_trainer *trainer, lgt_pass_watch watch, void *user, double *train_loss,
                                         double *objective, lgt_error *err);

/* The model as it stands: borrowed, changes with the next step, lives as long as the trainer. With class sampling this
 * call brings the weights of classes up to date that were not drawn lately: call it again after further steps. With
 * ranks its weights and bias are those of the last lgt_trainer_gather, and missing before the first; so is the bank of
 * `pga`, which the first rank alone has whole, until the next step: only there and then can it be saved. */
LGT_API lgt_model *lgt_trainer_model(lgt_trainer *trainer);

/* Brings the weights and the bias of all ranks into this one's model, and the bank of `pga` into the first one's.
 * Collective; alone there is nothing to do. Memory: those of all classes, from the first call on; on the first rank the
 * bank's until the next step. Errors: COMM, MEMORY. */
LGT_API lgt_status lgt_trainer_gather(lgt_trainer *trainer, lgt_error *err);

/* The parameters of encoder, weights and bias, those of all ranks. */
LGT_API int64_t lgt_trainer_n_params(const lgt_trainer *trainer);

/* lgt_head_predict by the head as it stands, x (N, D) being embeddings. Collective with ranks, which bring the same
 * rows and get the same predictions, to the bit those of one. Errors: as lgt_head_predict_shared. */
LGT_API lgt_status lgt_trainer_predict(lgt_trainer *trainer, lgt_view x, const int64_t *labels, lgt_predictions *out,
                                       lgt_error *err);

/* lgt_model_save of the model as it stands; with ranks the first one writes it, and the rows of the others come to it
 * piece by piece, so that none needs room for all of them. Collective. Errors: those of lgt_model_save, COMM. */
LGT_API lgt_status lgt_trainer_save_model(lgt_trainer *trainer, const char *path, lgt_error *err);

/* --- Checkpoints of SGD and ADAMW (docs/checkpoints.md) --- */

enum { LGT_CHECKPOINT_NOTES = 2 };

/* What goes into a checkpoint beside the trainer's own state. */
typedef struct lgt_checkpoint {
    const lgt_metadata *facts; /* what else must be the same for the training to go on, by name; "data..." of data */
    int64_t n_facts;
    int64_t log_length; /* bytes of the caller's log that belong to it. Loading: those that the log has, of which
                           the checkpoint must not have more; then those to which it is to be cut back */
    double notes[LGT_CHECKPOINT_NOTES]; /* numbers of the caller's; loading: those of the file */
    lgt_train_record record;            /* loading: of the last step */
} lgt_checkpoint;

/* Writes all state that later steps depend on, after at least one step, with a checksum, atomically (lgt_file_write):
 * parameters, moments, counters, sums of the epoch, state of the loss, banks. Memory: a copy of the banks; with ranks,
 * whose rows come piece by piece, 4 MiB on the first one, which writes. Collective with ranks. Errors: USAGE (no step
 * yet; a trainer of LBFGS or NEWTON_CG, which have no checkpoints), IO, MEMORY. */
LGT_API lgt_status lgt_trainer_save(lgt_trainer *trainer, const char *path, const lgt_checkpoint *about,
                                    lgt_error *err);

/* Takes a checkpoint into a trainer that was made with the same options and data, on any number of threads: its further
 * steps have the bits of a training that never stopped. Memory: once more what it takes, with ranks the rows of its own
 * classes. Errors: those of lgt_tensors_read; DATA (damaged, of other data), USAGE (other options), UNSUPPORTED
 * (another version of the library, another instruction set), naming what differs; the trainer is then as it was, but
 * for a file that was forged to pass its checksum. */
LGT_API lgt_status lgt_trainer_load(lgt_trainer *trainer, const char *path, lgt_checkpoint *about, lgt_error *err);

/* Saves to FOLDER/checkpoint-<step>.safetensors; once that is durable, removes those of later steps and all but the
 * last `keep` (>= 1). Errors: those of lgt_trainer_save; USAGE. */
LGT_API lgt_status lgt_checkpoint_write(lgt_trainer *trainer, const char *folder, int64_t keep,
                                        const lgt_checkpoint *about, lgt_error *err);

/* Told why a checkpoint is passed over. */
typedef void (*lgt_checkpoint_watch)(void *user, const char *message);

/* Loads the newest checkpoint of a folder that is whole; *found 0 and OK where there is none at all. watch may be NULL.
 * Errors: those of lgt_trainer_load; DATA when no checkpoint is whole. */
LGT_API lgt_status lgt_checkpoint_resume(lgt_trainer *trainer, const char *folder, lgt_checkpoint *about,
                                         lgt_checkpoint_watch watch, void *user, int *found, lgt_error *err);

/* Removes a folder's checkpoints, and temporary files that processes left there which are no more. Errors: IO, MEMORY.
 */
LGT_API lgt_status lgt_checkpoint_clear(lgt_context *context, const char *folder, lgt_error *err);

#ifdef __cplusplus
}
#endif

#endif
