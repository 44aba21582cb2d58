/* Alignment terms: their parameters as data, and specifications NAME[:key=value,...]+... read and written back. */
#include <limits.h>
#include <math.h>
#include <string.h>

#include "align/align_terms.h"
#include "base/error.h"
#include "base/text.h"
#include "loss/parameters.h"

static const char *const phi_words[] = {"linear", "square", "hinge", "log", "exp", NULL};
static const char *const beta_words[] = {"uniform", "similarity", "reliability", NULL};
static const char *const target_words[] = {"batch", "memory", "layer", NULL};
static const char *const neighbour_words[] = {"batch", "memory", NULL};
static const char *const resolve_words[] = {"none", "project", "scale", NULL};
static const char *const toward_words[] = {"lower", "upper", NULL};
static const char *const layer_words[] = {"all", "hidden", NULL};
static const char *const switch_words[] = {"off", "on", NULL};

#define CHOICE(key, text, words, help)                                                                                 \
    { key, LGT_PARAM_CHOICE, text, 0, 0, words, help, LGT_ROLE_FIXED }
#define REAL(key, text, low, high, help)                                                                               \
    { key, LGT_PARAM_REAL, text, low, high, NULL, help, LGT_ROLE_FIXED }
#define INTEGER(key, text, low, high, help)                                                                            \
    { key, LGT_PARAM_INTEGER, text, low, high, NULL, help, LGT_ROLE_FIXED }
#define NEIGHBOURS                                                                                                     \
    INTEGER("k", "5", 1, 256, "neighbours: the k of largest positive cosine among rows of the same label"),            \
        CHOICE("symmetric", "on", switch_words, "a row is also a neighbour of its neighbours"),                        \
        CHOICE("full_rows", "on", switch_words, "a row with fewer than k candidates has no neighbours and is none")
#define RELIABILITY                                                                                                    \
    REAL("momentum", "0.9", 0, 1, "of reliabilities, which move once a time their sample is seen"),                    \
        INTEGER("capacity", "16384", 1, 1e9, "most samples in the bank")
#define WEIGHT(text, help) REAL("weight", text, 0, 1e6, help)

static const lgt_param_info pga_params[] = {
    CHOICE("phi", "linear", phi_words, "of the cosine u: -u, (1-u)^2, max(0, tau-u), -log((1+u)/2), exp(-u/tau)"),
    CHOICE("beta", "uniform", beta_words,
           "weights of neighbours: equal, by cosine, or by reliability; they add up to 1"),
    CHOICE("targets", "batch", target_words,
           "what is aligned with: the neighbour's direction now, as the bank remembers it, or in the layer below"),
    CHOICE("neighbours", "batch", neighbour_words, "where they come from; memory: the bank, with targets=memory"),
    NEIGHBOURS,
    REAL("tau", "0.5", 0.02, 10, "of phi=hinge and exp"),
    REAL("min_reliability", "0", 0, 1, "least product of the reliabilities of a row and its neighbour"),
    RELIABILITY,
    REAL("memory_momentum", "0.9", 0, 1, "of the bank's directions"),
    CHOICE("resolve", "none", resolve_words,
           "conflicts with the head: left, the opposing part taken out, or the pull scaled down"),
    REAL("lose", "0.5", 0, 1, "resolve=scale: the most of the head's own force that the sum may lose"),
    WEIGHT("1", "of the term"),
};
static const lgt_param_info k_params[] = {
    NEIGHBOURS,
    CHOICE("normalise", "off", switch_words, "affinities divided by the roots of their rows' sums"),
    INTEGER("diffuse", "1", 1, 16, "powers of the affinity matrix that are compared; 1: itself"),
    CHOICE("toward", "lower", toward_words, "the layer that is followed"),
    RELIABILITY,
    REAL("affinity_momentum", "0.9", 0, 1, "toward=upper over the same rows: of the affinities that are followed"),
    CHOICE("layers", "all", layer_words, "train: hidden layers and embedding, or hidden layers alone"),
    WEIGHT("4", "of the term"),
};
static const lgt_param_info z_params[] = {
    NEIGHBOURS,
    CHOICE("layers", "hidden", layer_words, "train: hidden layers and embedding, or hidden layers alone; equal widths"),
    WEIGHT("4", "of the term"),
};

#define COUNT(array) ((int)(sizeof(array) / sizeof *(array)))
static const lgt_align_info infos[] = {
    {"pga", "direction alignment", "L = 1/N sum_i sum_a beta_ia phi(<x^_i, t_a>)", LGT_ALIGN_PGA, pga_params,
     COUNT(pga_params)},
    {"k", "affinities between layers", "L = 1/(L-1) sum_l sum_ij W_ij (K_ij - K'_ij)^2 / sum_ij W_ij", LGT_ALIGN_K,
     k_params, COUNT(k_params)},
    {"z", "smoothed features between layers", "L = 1/(L-1) sum_l 1/N sum_i |z_i - z'_i|^2", LGT_ALIGN_Z, z_params,
     COUNT(z_params)},
};

int lgt_align_count(void) {
    return COUNT(infos);
}

const lgt_align_info *lgt_align_at(int index) {
    return index >= 0 && index < COUNT(infos) ? &infos[index] : NULL;
}

double lgt_align_value(const lgt_align *term, const char *key) {
    for (int i = 0; i < term->info->n_params; i++)
        if (strcmp(term->info->params[i].key, key) == 0) return term->values[i];
    return NAN;
}

const lgt_align *lgt_align_of(const lgt_align_terms *terms, lgt_align_kind kind) {
    for (int i = 0; i < terms->n_terms; i++)
        if (terms->terms[i].info->kind == kind) return &terms->terms[i];
    return NULL;
}

/* --- Reading --- */

static lgt_param_table table_of(const lgt_align_info *info) {
    return (lgt_param_table){info->name, info->params, info->n_params};
}

static lgt_status read_value(void *target, int index, lgt_piece text, lgt_error *err) {
    lgt_align *term = target;
    lgt_param_table table = table_of(term->info);
    return lgt_param_read(&table, index, text, &term->values[index], err);
}

/* Values that are each within their bounds may still not go together. */
static lgt_status check(const lgt_align *term, lgt_error *err) {
    if (term->info->kind != LGT_ALIGN_PGA) return LGT_OK;
    if (lgt_align_value(term, "neighbours") == LGT_NEIGHBOURS_MEMORY &&
        lgt_align_value(term, "targets") != LGT_TARGETS_MEMORY)
        return lgt_fail(err, LGT_ERR_USAGE,
                        "pga: neighbours=memory with targets=%s, expected targets=memory: a sample of the bank is not "
                        "in the batch",
                        target_words[(int)lgt_align_value(term, "targets")]);
    return LGT_OK;
}

static lgt_status unknown_term(lgt_piece name, lgt_error *err) {
    char typed[LGT_WORD_MAX + 1];
    lgt_nearest nearest = {typed, "", INT_MAX};
    lgt_piece_quote(name, typed);
    for (int i = 0; i < COUNT(infos); i++) lgt_nearest_try(&nearest, infos[i].name);
    return lgt_fail(err, LGT_ERR_USAGE, "there is no alignment \"%s\"; the nearest is \"%s\"", typed, nearest.word);
}

static lgt_status read_term(lgt_piece text, lgt_align *out, lgt_error *err) {
    lgt_piece pairs, name = lgt_piece_split(text, ':', &pairs);
    *out = (lgt_align){0};
    for (int i = 0; i < COUNT(infos); i++)
        if (lgt_piece_is(name, infos[i].name)) out->info = &infos[i];
    if (!out->info) return unknown_term(name, err);
    lgt_param_table table = table_of(out->info);
    lgt_status status = lgt_params_default(&table, read_value, out, err);
    if (!status) status = lgt_params_read(&table, pairs, read_value, out, err);
    return status ? status : check(out, err);
}

lgt_status lgt_align_parse(const char *spec, lgt_align_terms *out, lgt_error *err) {
    lgt_align_terms terms = {.n_terms = 0};
    lgt_piece rest = lgt_piece_of(spec);
    while (rest.at) {
        lgt_align term;
        lgt_piece text = lgt_piece_split(rest, '+', &rest);
        lgt_status status = read_term(text, &term, err);
        if (status) return status;
        if (lgt_align_of(&terms, term.info->kind))
            return lgt_fail(err, LGT_ERR_USAGE, "the alignment %s is given twice", term.info->name);
        terms.terms[terms.n_terms++] = term;
    }
    *out = terms;
    return lgt_succeed(err);
}

/* --- Writing --- */

static size_t format_term(const lgt_align *term, char *out, size_t size) {
    size_t used = lgt_text_format(out, size, "%s", term->info->name);
    for (int i = 0; i < term->info->n_params; i++) {
        const lgt_param_info *param = &term->info->params[i];
        used += lgt_text_format(out + used, size - used, "%c%s=", i ? ',' : ':', param->key);
        used += lgt_param_format(param, term->values[i], out + used, size - used);
    }
    return used;
}

size_t lgt_align_format(const lgt_align_terms *terms, char *out, size_t size) {
    size_t used = 0;
    if (size > 0) out[0] = '\0';
    for (int i = 0; i < terms->n_terms; i++) {
        if (i) used += lgt_text_format(out + used, size - used, "+");
        used += format_term(&terms->terms[i], out + used, size - used);
    }
    return used;
}
