/* Packing of values rounded to bfloat16, kept as floats: products of two such values are exact in float, so that
 * float's kernels then give what bfloat16 products summed in float give. Included after float's templates. */

static void pack_features_bf16(const lgt_extent *e, const float *const *x, const double *factor, int64_t n, void *out) {
    pack_both_f32(e, x, factor, n, out, 1);
}

static void pack_classes_bf16(const lgt_extent *e, const float *const *w, const double *factor, int64_t n, void *out) {
    pack_vectors_f32(e->dim, w, factor, n, class_panel_f32(e), out, 1);
}

static int64_t weights_size_bf16(const lgt_extent *e) {
    return e->tile * e->ld * (int64_t)sizeof(float);
}

static void pack_weights_bf16(const lgt_extent *e, const float *u, int64_t n_classes, int64_t n_rows,
                              const void *classes, const void *features, void *out) {
    (void)classes, (void)features;
    float *rounded = out;
    for (int64_t j = 0; j < n_classes; j++)
        for (int64_t i = 0; i < n_rows; i++) rounded[j * e->ld + i] = nearest_bf16(u[j * e->ld + i]);
}
