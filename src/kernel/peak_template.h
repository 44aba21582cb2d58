/* What no product can beat: multiply-adds on registers alone. The including file defines T, V (a vector of T) and
 * FN(name). */

/* Twelve independent chains hide the latency of the units, and with two operands fit sixteen registers. They start from
 * what compilers cannot know: gcc computes a chain that starts from a constant itself. */
static double FN(peak)(int64_t turns, T *out) {
    enum { CHAINS = 12 };
    V chain[CHAINS], factor = (V){0} + (T)(1 - 1e-6), term = (V){0} + (T)1e-6;
    for (int i = 0; i < CHAINS; i++) chain[i] = factor * (*out + (T)i);
    for (int64_t n = 0; n < turns; n++)
        for (int i = 0; i < CHAINS; i++) chain[i] = chain[i] * factor + term;
    *out = 0;
    for (int i = 0; i < CHAINS; i++) *out += chain[i][0];
    return 2.0 * CHAINS * FN(lanes) * (double)turns;
}
