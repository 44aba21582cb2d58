/* Steps of SGD with momentum and of AdamW over a vector of parameters. A block of numbers at a time, the last one
 * padded, so that every number goes through the same instructions wherever the vector begins and ends: a row that is
 * stepped later has the bits of one that is stepped at once. Of sums of products each is written so that it can be
 * contracted in one way only. */

enum { UPDATE_BLOCK = 64, UPDATE_LANES = 16 };

/* Moments of a parameter that no longer moves decay for ever; below this they are cut to 0, because arithmetic on
 * subnormal numbers is slow and a moment of this size moves nothing. */
#define LEAST_MOMENT 1e-36f

/* used = g + l2 p, what the step takes for the gradient. */
LGT_INLINE void sgd_block(const lgt_update *u, float *restrict p, const float *restrict g, float *restrict m,
                          float *restrict used) {
    for (int l = 0; l < UPDATE_BLOCK; l++) {
        float gradient = g[l] + u->l2 * p[l];
        float buffer = u->momentum * m[l] + (gradient + u->decay * p[l]);
        buffer = fabsf(buffer) < LEAST_MOMENT ? 0.0f : buffer;
        used[l] = gradient;
        m[l] = buffer;
        p[l] = p[l] - u->rate * buffer;
    }
}

LGT_INLINE void adamw_block(const lgt_update *u, float *restrict p, const float *restrict g, float *restrict m,
                            float *restrict v, float *restrict used) {
    for (int l = 0; l < UPDATE_BLOCK; l++) {
        float gradient = g[l] + u->l2 * p[l];
        float old_mean = m[l] - u->first * m[l], old_square = v[l] - u->second * v[l]; /* exactly 0 where beta is */
        float mean = old_mean + u->first * gradient, square = old_square + u->second * (gradient * gradient);
        mean = fabsf(mean) < LEAST_MOMENT ? 0.0f : mean;
        square = square < LEAST_MOMENT ? 0.0f : square;
        used[l] = gradient;
        m[l] = mean;
        v[l] = square;
        p[l] = p[l] * u->decay - u->rate * mean / (sqrtf(square) + u->eps);
    }
}

LGT_INLINE void add_squares(const float *restrict v, double *restrict lane) {
    for (int k = 0; k < UPDATE_BLOCK; k += UPDATE_LANES)
        for (int l = 0; l < UPDATE_LANES; l++) lane[l] += (double)v[k + l] * (double)v[k + l];
}

/* All updates of one block; g is the gradient of the last of them. */
LGT_INLINE void update_block(int adamw, const lgt_update *u, int64_t n_updates, float *p, const float *g, float *m,
                             float *v, double *lane_g, double *lane_p) {
    static const float none[UPDATE_BLOCK];
    float used[UPDATE_BLOCK] = {0};
    for (int64_t t = 0; t < n_updates; t++) {
        const float *gradient = g && t == n_updates - 1 ? g : none;
        if (adamw)
            adamw_block(u + t, p, gradient, m, v, used);
        else
            sgd_block(u + t, p, gradient, m, used);
    }
    if (!lane_g) return;
    add_squares(used, lane_g);
    add_squares(p, lane_p);
}

LGT_INLINE void update_all(int adamw, const lgt_update *u, int64_t n_updates, int64_t n, float *p, const float *g,
                           float *m, float *v, double *squares) {
    double lanes[2][UPDATE_LANES] = {{0}}, *lane_g = squares ? lanes[0] : NULL, *lane_p = lanes[1];
    int64_t k = 0;
    for (; k + UPDATE_BLOCK <= n; k += UPDATE_BLOCK)
        update_block(adamw, u, n_updates, p + k, g ? g + k : NULL, m + k, v ? v + k : NULL, lane_g, lane_p);
    if (k < n) {
        float padded[4][UPDATE_BLOCK] = {{0}};
        size_t size = (size_t)(n - k) * sizeof(float);
        memcpy(padded[0], p + k, size), memcpy(padded[1], m + k, size);
        if (v) memcpy(padded[2], v + k, size);
        if (g) memcpy(padded[3], g + k, size);
        update_block(adamw, u, n_updates, padded[0], g ? padded[3] : NULL, padded[1], padded[2], lane_g, lane_p);
        memcpy(p + k, padded[0], size), memcpy(m + k, padded[1], size);
        if (v) memcpy(v + k, padded[2], size);
    }
    if (!squares) return;
    squares[0] = squares[1] = 0;
    for (int l = 0; l < UPDATE_LANES; l++) squares[0] += lanes[0][l], squares[1] += lanes[1][l];
}

static void update_sgd(const lgt_update *u, int64_t n_updates, int64_t n, float *p, const float *g, float *m, float *v,
                       double *squares) {
    (void)v;
    update_all(0, u, n_updates, n, p, g, m, NULL, squares);
}

static void update_adamw(const lgt_update *u, int64_t n_updates, int64_t n, float *p, const float *g, float *m,
                         float *v, double *squares) {
    update_all(1, u, n_updates, n, p, g, m, v, squares);
}
