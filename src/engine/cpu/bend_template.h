/* From products to logits where one scale is not enough: classes with scales of their own, and crowds that a loss bends
 * (Eq. 30, 34). Elementwise, over one row of a tile; z = scale * u + bias as elsewhere. */

/* How logits follow products: u' = slope / factor..., all relative to the problem's scale. */
typedef struct FN(bent) {
    T slope[LGT_TILE], curvature[LGT_TILE]; /* du/dc and d2u/dc2 at the product c */
} FN(bent);

/* u: products c, become u = factor (linear + square c) c above the row's threshold and factor c below. */
static void FN(bend)(const FN(stream) * s, const FN(tile) * tile, int64_t i, T *u, FN(bent) * bent) {
    const lgt_crowd_bend *rule = &s->targets[i].crowd;
    T above = (T)rule->above, linear = (T)rule->linear, square = (T)rule->square;
    for (int64_t j = 0; j < LGT_TILE; j++) {
        T c = u[j], factor = tile->factor[j];
        int hard = c > above;
        bent->slope[j] = factor * (hard ? linear + 2 * square * c : 1);
        bent->curvature[j] = factor * (hard ? 2 * square : 0);
        u[j] = factor * c * (hard ? linear + square * c : 1);
    }
}

/* The largest plain logit of a tile whose products are in u, the target's left out. */
static void FN(find_top)(const FN(tile) * tile, const T *u, T scale, int64_t target, lgt_crowd *crowd) {
    for (int64_t j = 0; j < tile->n; j++) {
        double z = (double)(scale * (tile->factor[j] * u[j]) + tile->bias[j]);
        if (j != target && z > crowd->best) crowd->best = z, crowd->top = tile->first + j;
    }
}
