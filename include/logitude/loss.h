/* Losses: the list, their parameters as data, and what each does to the target logit. */
#ifndef LOGITUDE_LOSS_H
#define LOGITUDE_LOSS_H

#include <stddef.h>
#include <stdint.h>

#include "status.h"

#ifdef __cplusplus
extern "C" {
#endif

/* How the plain logit u_j of a class is made (Eq. 2). */
typedef enum lgt_space {
    LGT_SPACE_DOT = 0, /* u_j = <w_j, x> + b_j */
    LGT_SPACE_COS = 1, /* u_j = s <w_j, x> / (|w_j| |x|) */
    LGT_SPACE_COSW = 2 /* u_j = <w_j, x> / |w_j| */
} lgt_space;

typedef enum lgt_param_kind {
    LGT_PARAM_REAL = 0,
    LGT_PARAM_INTEGER = 1,
    LGT_PARAM_ANGLE = 2,    /* radians, or degrees with the suffix "deg" */
    LGT_PARAM_CHOICE = 3,   /* one of a list of words */
    LGT_PARAM_SCHEDULE = 4, /* a function of the global step (Eq. 16, 17) */
    LGT_PARAM_WARMUP = 5    /* how the margin grows with the global step (Eq. 40, 41) */
} lgt_param_kind;

/* What else may stand in a parameter's place during a run. */
typedef enum lgt_param_role {
    LGT_ROLE_FIXED = 0,
    LGT_ROLE_SCALE = 1,  /* the scale of the cosines: class_scales replace it */
    LGT_ROLE_MARGIN = 2, /* the margin: class_margins replace it */
    LGT_ROLE_STATE = 3   /* carried from step to step; the parameter is what the first step starts from */
} lgt_param_role;

/* One parameter of a loss, as data for help, documentation and checks. */
typedef struct lgt_param_info {
    const char *key;
    lgt_param_kind kind;
    const char *default_text; /* as it is written in a specification */
    double low, high;         /* REAL, INTEGER: the least and the largest value allowed; ANGLE: 0 and pi, pi excluded */
    const char *const *words; /* CHOICE: the words, ended by NULL */
    const char *help;
    lgt_param_role role;
} lgt_param_info;

typedef struct lgt_loss_info {
    const char *name;
    const char *title;
    const char *equation; /* of the target logit z_y */
    const char *citation;
    lgt_space space;
    int has_bias; /* whether the head may carry a bias */
    const lgt_param_info *params;
    int n_params;
} lgt_loss_info;

/* The losses of this build, in the order of the list; NULL when index is outside [0, lgt_loss_count()). */
LGT_API int lgt_loss_count(void);
LGT_API const lgt_loss_info *lgt_loss_at(int index);

/* Most parameters that one loss has. */
#define LGT_LOSS_MAX_PARAMS 12
/* Most parameters of the role STATE that one loss has. */
#define LGT_LOSS_MAX_STATE 2

/* A schedule of lambda, or of the margin's factor (warm-up), a pure function of the global step t >= 0, so that a
 * resumed run continues exactly: CONSTANT a; GEOMETRIC max(c, a b^t) (Eq. 16); POWER max(d, a (1 + b t)^-c) (Eq. 17);
 * LINEAR u (Eq. 40), EXPONENTIAL (1 - 1000^-u) / (1 - 1/1000) (Eq. 41), with u = (t - a) / (b - a), 0 before a, 1 from
 * b on. */
typedef enum lgt_schedule_kind {
    LGT_SCHEDULE_CONSTANT = 0,
    LGT_SCHEDULE_GEOMETRIC = 1,
    LGT_SCHEDULE_POWER = 2,
    LGT_SCHEDULE_LINEAR = 3,
    LGT_SCHEDULE_EXPONENTIAL = 4
} lgt_schedule_kind;

typedef struct lgt_schedule {
    lgt_schedule_kind kind;
    double a, b, c, d;
} lgt_schedule;

LGT_API double lgt_schedule_at(const lgt_schedule *schedule, int64_t step);

/* A loss with its parameters: a plain value, to be made by lgt_loss_parse and copied freely. */
typedef struct lgt_loss {
    const lgt_loss_info *info;
    double values[LGT_LOSS_MAX_PARAMS]; /* in the order of info->params; a CHOICE by its index */
    lgt_schedule schedule;              /* of the SCHEDULE or WARMUP parameter, if there is one */
} lgt_loss;

/* Reads `NAME[:key=value,...]`, for example "arcface:s=64,m=0.5,tail=continuous,gradient=exact" or
 * "lsoftmax:m=4,lambda=geometric/1000/0.99/5". Errors: USAGE (unknown name or key, with the nearest one; a value out of
 * bounds, with the bounds; a key given twice; parameters that together break the loss, with the reason). */
LGT_API lgt_status lgt_loss_parse(const char *spec, lgt_loss *out, lgt_error *err);

/* What another system makes of one of these losses. */
typedef struct lgt_loss_preset {
    const char *system, *loss;
    const char *settings;   /* key=value,...: what the system sets; all else is as by default here */
    const char *difference; /* what it does otherwise than the loss by its definition, and what no setting reproduces */
} lgt_loss_preset;

/* Every pair of a system and a loss that is known, system by system; NULL when index is outside the count. */
LGT_API int lgt_loss_preset_count(void);
LGT_API const lgt_loss_preset *lgt_loss_preset_at(int index);

/* lgt_loss_parse with the settings of `system` ("insightface", "opensphere", ...) in the place of the defaults; keys in
 * spec win over them. Errors: USAGE as lgt_loss_parse; an unknown system, with the nearest; a loss that the system does
 * not have, with those it has. */
LGT_API lgt_status lgt_loss_parse_like(const char *spec, const char *system, lgt_loss *out, lgt_error *err);

/* Writes the full specification, every parameter included; it parses back to the same loss. Returns its length, or
 * size when it was cut. LGT_LOSS_SPEC_SIZE bytes are enough for every loss. */
#define LGT_LOSS_SPEC_SIZE 384
LGT_API size_t lgt_loss_format(const lgt_loss *loss, char *out, size_t size);

/* The value of the parameter named key; NaN when the loss has none of that name. */
LGT_API double lgt_loss_value(const lgt_loss *loss, const char *key);

/* The index of the first parameter of a role, or -1. Those of the role STATE follow one another. */
LGT_API int lgt_loss_param_of(const lgt_loss_info *info, lgt_param_role role);
/* How many parameters are carried from step to step. */
LGT_API int lgt_loss_n_state(const lgt_loss_info *info);

/* Rows of w that a class has: 1, or the parameter k of a loss with sub-centres (class j has rows j k to j k + k - 1).
 */
LGT_API int64_t lgt_loss_centres(const lgt_loss *loss);

/* The head that predicts: the same plain logits without a margin. */
LGT_API lgt_loss lgt_loss_plain(const lgt_loss *loss);

/* Where a sample stands relative to its class: c = cos(theta), sine = sin(theta), both kept because neither can be had
 * from the other without loss; r = |x|, q = |w_y|; quality: what a margin that adapts to the sample reads, |x| unless
 * the caller knows better, and a constant to every derivative. */
typedef struct lgt_pair {
    double c, sine, theta, r, q, quality;
} lgt_pair;

/* How a loss bends the target logit: z_y = u_y + value(theta, r, q), with first derivatives (Eq. 5) and second ones;
 * and what it adds to the row's loss for the feature's norm, L = lse - z_y + penalty(r). theta in radians. All fields
 * are finite when r, q and r q are below 1e300. */
typedef struct lgt_bend {
    double value;
    double d_theta, d_r, d_q;
    double d_theta_theta, d_theta_r, d_theta_q, d_r_r, d_r_q; /* no loss is curved in q alone */
    double penalty, penalty_r, penalty_r_r;
} lgt_bend;

/* The bend of the loss at a pair and a global step: a pure scalar function, about 50 flops. */
LGT_API void lgt_loss_bend(const lgt_loss *loss, const lgt_pair *pair, int64_t step, lgt_bend *out);

/* How a loss bends the other logits of the row (COS only): z_j = s c_j (linear + square c_j) where c_j > above. */
typedef struct lgt_crowd_bend {
    double above, linear, square;
} lgt_crowd_bend;

/* Whether the loss bends other logits than the target's. */
LGT_API int lgt_loss_bends_crowd(const lgt_loss *loss);
/* That bend for a row at `pair`; above = infinity where there is none. */
LGT_API void lgt_loss_crowd(const lgt_loss *loss, const lgt_pair *pair, int64_t step, lgt_crowd_bend *out);

#ifdef __cplusplus
}
#endif

#endif
