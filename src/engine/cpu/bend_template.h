/* From products to logits where one scale is not enough: classes with scales of their own, and crowds that a loss bends
 * (Eq. 30, 34). Elementwise over the n rows of a crossing from row `first` of the panel on; z = scale * u + bias as
 * elsewhere. */

/* u: products c, become u = factor (linear + square c) c above the row's threshold and factor c below; slope = du/dc.
 */
static void FN(bend)(const FN(stream) * s, const FN(tile) * tile, int64_t first, int64_t n, T *u, T *slope) {
    for (int64_t j = 0; j < tile->n; j++, u += s->layout.extent.ld, slope += s->layout.extent.ld) {
        T factor = tile->factor[j];
        for (int64_t i = 0; i < n; i++) {
            const lgt_crowd_bend *rule = &s->targets[first + i].crowd;
            T c = u[i], linear = (T)rule->linear, square = (T)rule->square;
            int hard = c > (T)rule->above;
            slope[i] = factor * (hard ? linear + 2 * square * c : 1);
            u[i] = factor * c * (hard ? linear + square * c : 1);
        }
    }
}

/* d2u/dc2 at the product c of row i of the panel with class j of the tile. */
static double FN(curvature)(const FN(stream) * s, const FN(tile) * tile, int64_t i, int64_t j, T c) {
    const lgt_crowd_bend *rule = &s->targets[i].crowd;
    return c > (T)rule->above ? (double)tile->factor[j] * 2 * rule->square : 0;
}

/* The largest plain logits of a tile whose products are in u, the targets' left out. */
static void FN(find_tops)(const FN(tiling) * g, const FN(tile) * tile, const T *u, int64_t n, const int64_t *place,
                          lgt_crowd *parts) {
    T scale = (T)g->problem->scale;
    for (int64_t j = 0; j < tile->n; j++, u += g->extent.ld)
        for (int64_t i = 0; i < n; i++) {
            double z = (double)(scale * (tile->factor[j] * u[i]) + tile->bias[j]);
            if (j != place[i] && z > parts[i].best) parts[i].best = z, parts[i].top = FN(class_at)(g, tile->first + j);
        }
}
