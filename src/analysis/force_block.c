/* Two passes over W for a block of rows (Eq. 100, 101): logits first, then, with the loss known, the forces. */
#include "analysis/force_block.h"

#include <math.h>
#include <string.h>

#include "base/sizes.h"
#include "engine/element.h"
#include "math/sphere.h"

/* --- Memory --- */

int lgt_force_block_size(int64_t ld, int64_t *n_numbers) {
    const int64_t per_dim = 1 + 2 * LGT_FORCE_TILE + 4 * LGT_FORCE_ROWS;
    if (!lgt_count_mul(ld, per_dim, n_numbers) || *n_numbers > INT64_MAX - 3 * LGT_FORCE_ROWS * LGT_FORCE_TILE)
        return 0;
    *n_numbers += 3 * LGT_FORCE_ROWS * LGT_FORCE_TILE;
    return 1;
}

void lgt_force_block_place(lgt_force_block *block, int64_t ld, double *numbers, lgt_pusher *pushers) {
    const struct {
        double **array;
        int64_t size;
    } all[] = {{&block->w_value, ld},
               {&block->w, LGT_FORCE_TILE * ld},
               {&block->w_turned, ld * LGT_FORCE_TILE},
               {&block->x_values, LGT_FORCE_ROWS * ld},
               {&block->x, LGT_FORCE_ROWS * ld},
               {&block->repulsion, LGT_FORCE_ROWS * ld},
               {&block->attraction, LGT_FORCE_ROWS * ld},
               {&block->cosines, LGT_FORCE_ROWS * LGT_FORCE_TILE},
               {&block->to_repulsion, LGT_FORCE_ROWS * LGT_FORCE_TILE},
               {&block->to_attraction, LGT_FORCE_ROWS * LGT_FORCE_TILE}};
    for (size_t k = 0; k < sizeof all / sizeof *all; k++) *all[k].array = numbers, numbers += all[k].size;
    block->pushers = pushers;
}

/* --- Rows --- */

static void load_row(lgt_force_block *block, int64_t k, int64_t i) {
    const lgt_force_field *f = block->field;
    lgt_force_sums *s = &block->rows[k];
    lgt_ray w = {block->w_value, block->w, 0};
    *s = (lgt_force_sums){.i = i,
                          .y = f->batch->target[i],
                          .x = {block->x_values + k * f->ld, block->x + k * f->ld, 0},
                          .target = {.row = -1, .crowd = {INFINITY, 1, 0}},
                          .crowd = lgt_crowd_empty(),
                          .nearest = -1,
                          .nearest_row = -1,
                          .nearest_cosine = NAN,
                          .pushers = block->pushers + k * f->n_pushers,
                          .attraction = block->attraction + k * f->ld,
                          .repulsion = block->repulsion + k * f->ld};
    for (int64_t rank = 0; rank < f->n_pushers; rank++) s->pushers[rank] = (lgt_pusher){0, -1};
    if (!lgt_ray_load(f->problem, f->batch->x, i, &s->x)) {
        s->verdict = LGT_FORCE_BAD_X;
        memset(s->x.unit, 0, (size_t)f->ld * sizeof *s->x.unit); /* the kernels meet it */
        return;
    }
    if (s->y == LGT_TARGET_IGNORED) s->verdict = LGT_FORCE_IGNORED;
    if (s->y < 0) return;
    int64_t row = lgt_target_load(f->problem, f->batch, &s->x, s->y, &w);
    s->target = lgt_target_measure(f->problem, f->batch, i, &s->x, &w);
    s->target.row = row;
}

/* --- Tiles --- */

/* The kernels want one factor of the cosines by columns. Eight rows at once fill a cache line. */
static void turn(const double *rows, int64_t n_rows, int64_t ld, int64_t dim, double *out) {
    for (int64_t r = 0; r < n_rows; r += 8)
        for (int64_t k = 0; k < dim; k++)
            for (int64_t l = 0; l < 8; l++) out[k * LGT_FORCE_TILE + r + l] = rows[(r + l) * ld + k];
}

/* Directions of the next classes, as many as have room with all their centres, and their cosines with the rows. */
static void load_tile(lgt_force_block *block, int64_t first) {
    const lgt_force_field *f = block->field;
    const lgt_problem *p = f->problem;
    block->first = first;
    block->n_classes = lgt_min64(LGT_FORCE_TILE / p->centres, p->n_classes - first);
    block->n_tile = block->n_classes * p->centres;
    for (int64_t r = 0; r < block->n_tile; r++) {
        lgt_ray w = {block->w_value, block->w + r * f->ld, 0};
        lgt_ray_load(p, f->batch->w, first * p->centres + r, &w);
        block->norms[r] = w.norm;
    }
    turn(block->w, block->n_tile, f->ld, p->dim, block->w_turned);
    f->kernels->product(block->n_rows, LGT_FORCE_TILE, p->dim, block->x, f->ld, 1, block->w_turned, LGT_FORCE_TILE,
                        block->cosines, LGT_FORCE_TILE, 0);
}

/* One class before a row. */
typedef struct sight {
    int64_t at; /* in the tile: the class's only row, or the nearest */
    double cosine, z, soft;
    double slope; /* dz/d product */
} sight;

/* The loss's rule for the other classes (Eq. 30): bent logits. */
static void bend_crowd(const lgt_crowd_bend *bend, double scale, double c, sight *s) {
    if (c <= bend->above) return;
    s->slope = scale * (bend->linear + 2 * bend->square * c);
    s->z += scale * (c * (bend->linear + bend->square * c) - c);
}

static sight see(const lgt_force_block *block, int64_t k, int64_t j) {
    const lgt_problem *p = block->field->problem;
    const lgt_batch *batch = block->field->batch;
    const lgt_force_sums *row = &block->rows[k];
    const double *cosines = block->cosines + k * LGT_FORCE_TILE;
    sight s = {.at = (j - block->first) * p->centres, .slope = lgt_class_scale(p, batch, j)};
    for (int64_t r = s.at, end = s.at + p->centres; r < end; r++)
        if (cosines[r] > cosines[s.at]) s.at = r;
    double w_norm = block->norms[s.at], c = cosines[s.at];
    double product = c * (p->unit_w ? 1 : w_norm) * (p->unit_x ? 1 : row->x.norm);
    s.cosine = row->x.norm > 0 && w_norm > 0 ? c : NAN;
    s.z = s.slope * product + block->field->bias[j];
    if (row->y == LGT_TARGET_SOFT) s.soft = lgt_element(batch->soft, row->i, j);
    if (p->bends_crowd && j != row->y) bend_crowd(&row->target.crowd, s.slope, product, &s);
    return s;
}

/* --- The first pass: logits --- */

static void add_logits(lgt_force_block *block, int64_t k) {
    lgt_force_sums *row = &block->rows[k];
    for (int64_t j = block->first; j < block->first + block->n_classes; j++) {
        if (j == row->y) continue;
        sight s = see(block, k, j);
        lgt_crowd one = {{s.z, 1}, s.z, s.soft * s.z, 0, 0, j};
        lgt_crowd_merge(&row->crowd, &one);
        if (row->nearest < 0 ? isnan(s.cosine) : !(s.cosine > row->nearest_cosine)) continue;
        row->nearest = j;
        row->nearest_row = block->first * block->field->problem->centres + s.at;
        row->nearest_cosine = s.cosine;
    }
}

static void finish_logits(const lgt_force_field *f, lgt_force_sums *s) {
    s->row = lgt_row_finish(f->problem, &s->crowd, s->y, s->target.z, 0, 1);
    s->row.loss += s->target.penalty;
    if (!isfinite(s->row.lse) || !isfinite(s->row.loss)) s->verdict = LGT_FORCE_OVERFLOW;
}

/* --- The second pass: forces --- */

static void add_coefficient(lgt_force_coefficients *c, double h, const sight *s) {
    *(h > 0 ? &c->up : &c->down) += fabs(h);
    c->length = hypot(c->length, h);
    c->steepest = fmax(c->steepest, fabs(s->slope));
    c->targets += s->soft;
}

/* |d product_j/dx|: sin(theta) / |x| where the direction of x alone counts. */
static double reach_of(const lgt_force_block *block, const lgt_force_sums *row, const sight *s) {
    const lgt_problem *p = block->field->problem;
    double w_norm = block->norms[s->at], c = s->cosine;
    if (w_norm == 0) return 0;
    if (!p->unit_x) return p->unit_w ? 1 : w_norm;
    /* The root has lost two digits at c = 0.99, and all of them at 1. */
    double sine = fabs(c) < 0.99
                      ? sqrt((1 - c) * (1 + c))
                      : lgt_angle_between(row->x.unit, block->w + s->at * block->field->ld, p->dim, NULL, NULL).sine;
    return sine / row->x.norm;
}

/* Keeps the list falling; classes arrive in rising order, so that equals stay in theirs. */
static void insert_pusher(lgt_pusher *list, int64_t n, lgt_pusher one) {
    int64_t at = n;
    while (at > 0 && one.push > list[at - 1].push) at--;
    if (at == n) return;
    memmove(list + at + 1, list + at, (size_t)(n - 1 - at) * sizeof *list);
    list[at] = one;
}

/* Coefficients of the tile's directions in the forces on one row. */
static void weigh_classes(lgt_force_block *block, int64_t k) {
    const lgt_problem *p = block->field->problem;
    lgt_force_sums *row = &block->rows[k];
    double *repulsion = block->to_repulsion + k * LGT_FORCE_TILE,
           *attraction = block->to_attraction + k * LGT_FORCE_TILE;
    int feels = !(p->unit_w && row->x.norm == 0); /* a feature of no length feels nothing (Eq. 14) */
    memset(repulsion, 0, LGT_FORCE_TILE * sizeof *repulsion);
    memset(attraction, 0, LGT_FORCE_TILE * sizeof *attraction);
    if (row->verdict) return;
    for (int64_t j = block->first; j < block->first + block->n_classes; j++) {
        sight s = see(block, k, j);
        double g =
            row->row.crowd_scale * exp(fmin(s.z - row->row.lse, 0)) + row->row.crowd_shift + row->row.soft * s.soft;
        if (j == row->y) g = row->row.target;
        double h = g * s.slope;
        add_coefficient(&row->coefficients, h, &s);
        if (j == row->y || !feels) continue; /* its own class pulls with its margin: forces.c */
        double *to = row->y == LGT_TARGET_SOFT && g < 0 ? attraction : repulsion;
        to[s.at] = h * (p->unit_w ? 1 : block->norms[s.at]);
        double push = h > 0 ? h * reach_of(block, row, &s) : 0;
        row->push += push;
        insert_pusher(row->pushers, block->field->n_pushers, (lgt_pusher){push, j});
    }
}

static void add_forces(lgt_force_block *block) {
    const lgt_force_field *f = block->field;
    for (int64_t k = 0; k < block->n_rows; k++) weigh_classes(block, k);
    f->kernels->product(block->n_rows, f->ld, block->n_tile, block->to_repulsion, LGT_FORCE_TILE, 1, block->w, f->ld,
                        block->repulsion, f->ld, 1);
    if (f->batch->soft.data)
        f->kernels->product(block->n_rows, f->ld, block->n_tile, block->to_attraction, LGT_FORCE_TILE, 1, block->w,
                            f->ld, block->attraction, f->ld, 1);
}

/* What a sum of directions does to x where only the direction of x counts: its part across x, by 1 / |x|. */
static void turn_across(const lgt_force_field *f, const lgt_ray *x, double *force) {
    if (!f->problem->unit_x || x->norm == 0) return;
    double radial = lgt_dot(force, x->unit, f->problem->dim);
    for (int64_t k = 0; k < f->problem->dim; k++) force[k] = (force[k] - radial * x->unit[k]) / x->norm;
}

/* --- Both --- */

void lgt_force_block_measure(lgt_force_block *block, const lgt_force_field *field, const int64_t *rows, int64_t first,
                             int64_t n_rows) {
    int64_t n_classes = field->problem->n_classes, used = n_rows * field->ld;
    block->field = field;
    block->n_rows = n_rows;
    for (int64_t k = 0; k < n_rows; k++) load_row(block, k, rows ? rows[first + k] : first + k);
    memset(block->repulsion, 0, (size_t)used * sizeof *block->repulsion);
    memset(block->attraction, 0, (size_t)used * sizeof *block->attraction);
    for (int64_t j = 0; j < n_classes; j += block->n_classes) {
        load_tile(block, j);
        for (int64_t k = 0; k < n_rows; k++)
            if (!block->rows[k].verdict) add_logits(block, k);
    }
    for (int64_t k = 0; k < n_rows; k++)
        if (!block->rows[k].verdict) finish_logits(field, &block->rows[k]);
    for (int64_t j = 0; j < n_classes; j += block->n_classes) {
        load_tile(block, j);
        add_forces(block);
    }
    for (int64_t k = 0; k < n_rows; k++) {
        turn_across(field, &block->rows[k].x, block->rows[k].repulsion);
        turn_across(field, &block->rows[k].x, block->rows[k].attraction);
    }
}
