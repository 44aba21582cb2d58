/* Sums of forces become gradients: projected once, divided by the norm, the targets' shares added in double (Eq. 9). */

/* g = (g - <g, unit> unit) / norm; nothing is left without a direction. */
static void FN(project)(double *g, const T *unit, double norm, int64_t n) {
    double along = 0, scale = norm > 0 ? 1 / norm : 0;
    for (int64_t k = 0; k < n; k++) along += g[k] * (double)unit[k];
    for (int64_t k = 0; k < n; k++) g[k] = (g[k] - along * (double)unit[k]) * scale;
}

/* The tile is loaded and its sums are in w->dw: writes dw's rows. */
static void FN(finish_dw)(FN(stream) * s, FN(worker) * w, int64_t tile) {
    const lgt_problem *p = s->problem;
    const lgt_batch *b = s->batch;
    int64_t first = w->tile.first, ld = s->layout.ld;
    for (int64_t j = 0; j < w->tile.n; j++) {
        double *g = w->gradient;
        for (int64_t k = 0; k < p->dim; k++) g[k] = (double)w->dw[j * ld + k];
        if (p->loss.info->space == LGT_SPACE_COS) FN(project)(g, w->tile.rows + j * ld, w->tile.norms[j], p->dim);
        int loaded = 0;
        for (int64_t i = s->tile_first[tile]; i >= 0; i = s->tile_next[i]) {
            int64_t at = s->first + i;
            if (b->target[at] != first + j || s->rows[i].target == 0) continue;
            if (!loaded) lgt_ray_load(p, b->w, first + j, &w->w);
            loaded = 1;
            lgt_ray_load(p, b->x, at, &w->x);
            lgt_target_add_dw(p, &s->targets[i], &w->x, &w->w, s->rows[i].target, g, w->scratch);
        }
        lgt_row_store(b->dw, first + j, g, b->accumulate || s->first > 0);
    }
}

static void FN(finish_db)(FN(stream) * s) {
    const lgt_batch *b = s->batch;
    int64_t classes = s->layout.n_tiles * LGT_TILE;
    for (int64_t group = 1; group < s->n_groups; group++)
        for (int64_t j = 0; j < classes; j++) s->db[j] += s->db[group * classes + j];
    for (int64_t i = 0; i < s->n_rows; i++)
        if (b->target[s->first + i] >= 0) s->db[b->target[s->first + i]] += s->rows[i].target;
    lgt_row_store(b->db, 0, s->db, b->accumulate || s->first > 0);
}

static void FN(finish_dx_row)(FN(stream) * s, FN(worker) * w, int64_t i) {
    const lgt_problem *p = s->problem;
    const lgt_batch *b = s->batch;
    int64_t at = s->first + i, y = b->target[at], ld = s->layout.ld;
    double *g = w->gradient;
    for (int64_t k = 0; k < p->dim; k++) g[k] = 0;
    for (int64_t stripe = 0; stripe < s->layout.n_stripes; stripe++) {
        const T *part = s->dx + (stripe * s->layout.panel_rows + i) * ld;
        for (int64_t k = 0; k < p->dim; k++) g[k] += (double)part[k];
    }
    lgt_ray_load(p, b->x, at, &w->x);
    if (p->loss.info->space == LGT_SPACE_COS) FN(project)(g, s->x + i * ld, w->x.norm, p->dim);
    if (y >= 0 && s->rows[i].target != 0) {
        lgt_ray_load(p, b->w, y, &w->w);
        lgt_target_add_dx(p, &s->targets[i], &w->x, &w->w, s->rows[i].target, g, w->scratch);
    }
    lgt_row_store(b->dx, at, g, b->accumulate);
}

static void FN(finish_dx_task)(void *argument, int64_t task, int worker) {
    FN(stream) *s = argument;
    int64_t end = lgt_min64(s->n_rows, (task + 1) * LGT_ROWS_A_TASK);
    for (int64_t i = task * LGT_ROWS_A_TASK; i < end; i++) FN(finish_dx_row)(s, &s->workers[worker], i);
}
