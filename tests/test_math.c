/* Log-sum-exp, Chebyshev polynomials and angles on the sphere, each against long double. */
#include "support.h"

#include <float.h>
#include <math.h>
#include <string.h>

#include "base/philox.h"
#include "math/chebyshev.h"
#include "math/lse.h"
#include "math/magnitude.h"
#include "math/sphere.h"

static const double eps = DBL_EPSILON;

static double off(double value, long double wanted) {
    return (double)fabsl((long double)value - wanted);
}

/* ---- log-sum-exp ---- */

static long double exact_lse(const double *z, int n) {
    long double max = -INFINITY, sum = 0;
    for (int i = 0; i < n; i++) max = fmaxl(max, z[i]);
    if (isinf(max)) return max;
    for (int i = 0; i < n; i++) sum += expl(z[i] - max);
    return max + logl(sum);
}

/* Every addition rounds the sum once and each exp is within an ULP; the value itself is rounded at its own size. */
static double lse_tolerance(int n, long double wanted) {
    return 2 * eps * (n + (double)fabsl(wanted));
}

static lgt_lse sum_of(const double *z, int n) {
    lgt_lse sum = lgt_lse_empty();
    for (int i = 0; i < n; i++) sum = lgt_lse_merge(sum, (lgt_lse){z[i], 1});
    return sum;
}

static void lse_agrees_with_long_double_however_it_is_split(void **state) {
    static const double sizes[] = {1e-3, 1, 30, 700, 1e4, 1e300};
    static const int counts[] = {1, 2, 3, 17, 100};
    double z[100];
    (void)state;
    for (int s = 0; s < 6; s++) {
        for (int c = 0; c < 5; c++) {
            int n = counts[c];
            test_normal(z, n, 30, (uint64_t)s);
            for (int i = 0; i < n; i++) z[i] *= sizes[s];
            long double wanted = exact_lse(z, n);
            for (int cut = 0; cut <= n; cut++) {
                lgt_lse left = sum_of(z, cut), right = sum_of(z + cut, n - cut);
                double limit = lse_tolerance(n, wanted);
                assert_at_most(off(lgt_lse_value(lgt_lse_merge(left, right)), wanted), limit, "merged lse's error");
                assert_at_most(off(lgt_lse_value(lgt_lse_merge(right, left)), wanted), limit, "swapped lse's error");
            }
        }
    }
}

static void lse_holds_at_the_ends_of_the_range(void **state) {
    static const struct {
        double z[4];
        int n;
    } cases[] = {
        {{0}, 0},
        {{-INFINITY}, 1},
        {{-INFINITY, -INFINITY}, 2},
        {{-INFINITY, -INFINITY, 3}, 3},
        {{3, -INFINITY, -INFINITY}, 3},
        {{-INFINITY, 3, -INFINITY, 4}, 4},
        {{1e308, 1e308, 1e308, 1e308}, 4},
        {{-1e308, -1e308}, 2},
        {{1e308, -1e308}, 2},
        {{-1e308, 1e308}, 2},
        {{-1e308, -INFINITY, 1e308, 0}, 4},
        {{DBL_MAX, -DBL_MAX, DBL_MAX}, 3},
        {{0, -745, -746, -1e9}, 4},
        {{5e-324, -5e-324}, 2},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int n = cases[i].n;
        long double wanted = exact_lse(cases[i].z, n);
        for (int cut = 0; cut <= n; cut++) {
            lgt_lse sum = lgt_lse_merge(sum_of(cases[i].z, cut), sum_of(cases[i].z + cut, n - cut));
            double value = lgt_lse_value(sum);
            if (isinf(wanted))
                assert_true(value == -INFINITY);
            else
                assert_at_most(off(value, wanted), lse_tolerance(n, wanted), "the extreme lse's error");
        }
    }
}

static void the_empty_sum_changes_nothing(void **state) {
    lgt_lse empty = lgt_lse_empty(), some = {3, 1.25};
    lgt_lse both[] = {lgt_lse_merge(empty, some), lgt_lse_merge(some, empty), lgt_lse_merge(empty, empty)};
    (void)state;
    assert_true(lgt_lse_value(empty) == -INFINITY);
    assert_true(both[0].max == 3 && both[0].sum == 1.25);
    assert_true(both[1].max == 3 && both[1].sum == 1.25);
    assert_true(both[2].sum == 0);
    assert_true(lgt_lse_value(lgt_lse_merge(empty, (lgt_lse){-7, 1})) == -7);
}

/* Relative to the normal results, by one subnormal spacing below them. */
static double scaled_error(double value, long double wanted) {
    return off(value, wanted) / fmax((double)fabsl(wanted), DBL_MIN);
}

static void softplus_and_sigmoid_keep_their_digits(void **state) {
    (void)state;
    for (int i = -43000; i <= 43000; i++) {
        double d = i * (800.0 / 43000);
        long double e = expl(-fabsl((long double)d));
        long double softplus = log1pl(e) + (d > 0 ? d : 0), sigmoid = (d < 0 ? e : 1) / (1 + e);
        /* exp, log1p and two more operations, each within one ULP. */
        assert_at_most(scaled_error(lgt_softplus(d), softplus), 3 * eps, "softplus's relative error");
        assert_at_most(scaled_error(lgt_sigmoid(d), sigmoid), 3 * eps, "sigmoid's relative error");
    }
}

static void softplus_and_sigmoid_have_their_limits(void **state) {
    (void)state;
    assert_true(lgt_softplus(-INFINITY) == 0 && lgt_softplus(INFINITY) == INFINITY);
    assert_true(lgt_softplus(-1e308) == 0 && lgt_softplus(1e308) == 1e308);
    assert_true(lgt_sigmoid(-INFINITY) == 0 && lgt_sigmoid(INFINITY) == 1);
    assert_true(lgt_sigmoid(-1e308) == 0 && lgt_sigmoid(1e308) == 1);
    assert_true(lgt_sigmoid(0) == 0.5 && lgt_softplus(0) == log(2));
}

/* ---- Chebyshev polynomials ---- */

/* T_m is even or odd with m and U_m-1 the other way; acos and the sine are taken where theta is small. */
static void check_chebyshev(int m, double c) {
    double t, u;
    long double theta = acosl(fabsl((long double)c)), sine = sinl(theta);
    long double t_wanted = cosl(m * theta), u_wanted = sine == 0 ? m : sinl(m * theta) / sine;
    if (c < 0 && m % 2 == 1) t_wanted = -t_wanted;
    if (c < 0 && m % 2 == 0) u_wanted = -u_wanted;
    lgt_chebyshev(m, c, &t, &u);
    /* Step k's rounding of a term of size |T_k| or |U_k| arrives multiplied by |U_{m-k}| <= m - k: at most m^2 eps in T
     * and m^3 eps / 6 in U, whose sizes are 1 and m. */
    assert_at_most(off(t, t_wanted), eps * m * m, "T_m's error");
    assert_at_most(off(u, u_wanted), eps * m * (1 + m * m / 6.0), "U_m-1's error");
}

static void chebyshev_polynomials_are_cosines_of_multiples(void **state) {
    static const double near_ends[] = {1, -1, 1 - 0x1p-53, 0x1p-53 - 1, 0x1.fffffp-1, 0, 0x1p-60, 0.5, -0.5};
    (void)state;
    for (int m = 1; m <= 64; m++) {
        for (int i = 0; i < 400; i++) check_chebyshev(m, cos(LGT_PI * i / 399));
        for (size_t i = 0; i < sizeof near_ends / sizeof *near_ends; i++) check_chebyshev(m, near_ends[i]);
    }
}

static void chebyshev_polynomials_are_exact_at_the_ends(void **state) {
    (void)state;
    for (int m = 1; m <= 64; m++) {
        double t, u, sign = m % 2 ? -1 : 1;
        lgt_chebyshev(m, 1, &t, &u);
        assert_true(t == 1 && u == m);
        lgt_chebyshev(m, -1, &t, &u);
        assert_true(t == sign && u == -sign * m);
    }
}

/* ---- the sphere ---- */

enum { MOST = 512 };
static const int dims[] = {2, 3, MOST};

static long double long_dot(const long double *a, const long double *b, int n) {
    long double sum = 0;
    for (int k = 0; k < n; k++) sum += a[k] * b[k];
    return sum;
}

static void long_unit(const double *v, int n, long double *unit) {
    long double square = 0;
    for (int k = 0; k < n; k++) square += (long double)v[k] * v[k];
    for (int k = 0; k < n; k++) unit[k] = v[k] / sqrtl(square);
}

static void dots_are_exact_to_rounding_at_every_length(void **state) {
    double a[70], b[70];
    (void)state;
    test_normal(a, 70, 40, 1);
    test_normal(b, 70, 40, 2);
    for (int n = 0; n <= 70; n++) {
        long double wanted = 0, size = 0;
        for (int k = 0; k < n; k++) wanted += (long double)a[k] * b[k], size += fabsl((long double)a[k] * b[k]);
        /* Each product passes n/8 lane additions and three more. */
        assert_at_most(off(lgt_dot(a, b, n), wanted), (n / 8 + 5) * eps / 2 * (double)size, "the dot's error");
    }
}

/* What the doubles a and b, as they are, enclose: theta, its sine and the tangents, in long double. */
typedef struct exact_angle {
    long double theta, sine, t_a[MOST], t_b[MOST];
} exact_angle;

static void measure_exactly(const double *a, const double *b, int n, exact_angle *out) {
    long double la[MOST], lb[MOST], apart = 0, along = 0;
    long_unit(a, n, la);
    long_unit(b, n, lb);
    for (int k = 0; k < n; k++) {
        apart += (la[k] - lb[k]) * (la[k] - lb[k]);
        along += (la[k] + lb[k]) * (la[k] + lb[k]);
    }
    out->theta = 2 * atan2l(sqrtl(apart), sqrtl(along));
    out->sine = sqrtl(apart * along) / 2;
    /* b - cos a = (b -+ a) +- (1 -+ cos) a, with the sign that cancels least, 1 - cos = |a - b|^2 / 2. */
    for (int k = 0; k < n; k++) {
        int near = apart < along;
        out->t_a[k] = ((near ? lb[k] - la[k] : lb[k] + la[k]) + (near ? apart : -along) / 2 * la[k]) / out->sine;
        out->t_b[k] = ((near ? la[k] - lb[k] : la[k] + lb[k]) + (near ? apart : -along) / 2 * lb[k]) / out->sine;
    }
}

/* a random, b at the angle theta from it along a random tangent; both rounded to double. */
static void make_pair(double theta, int n, uint64_t seed, double *a, double *b) {
    double direction[MOST];
    long double la[MOST], lt[MOST], square = 0;
    test_normal(a, n, 41, seed);
    test_normal(direction, n, 42, seed);
    long_unit(a, n, la);
    for (int k = 0; k < n; k++) lt[k] = direction[k];
    for (int twice = 0; twice < 2; twice++) {
        long double along = long_dot(la, lt, n);
        for (int k = 0; k < n; k++) lt[k] -= along * la[k];
    }
    square = long_dot(lt, lt, n);
    for (int k = 0; k < n; k++) {
        a[k] = (double)la[k];
        b[k] = (double)(cosl(theta) * la[k] + sinl(theta) * lt[k] / sqrtl(square));
    }
}

static void check_tangent(const double *t, const double *at, const long double *wanted, long double sine, int n) {
    long double square = 0, along = 0, error = 0;
    for (int k = 0; k < n; k++) {
        square += (long double)t[k] * t[k];
        along += (long double)t[k] * at[k];
        error += (t[k] - wanted[k]) * (t[k] - wanted[k]);
    }
    assert_at_most(off((double)sqrtl(square), 1), 4 * eps, "a tangent's length less 1");
    assert_at_most(off((double)along, 0), 4 * eps, "a tangent's radial part");
    /* The subtraction leaves eps, which the division by the sine enlarges. */
    assert_at_most((double)(sqrtl(error) * sine), 4 * eps, "a tangent's error times the sine");
}

static void check_angle(double theta, int n, uint64_t seed) {
    static exact_angle wanted;
    double a[MOST], b[MOST], t_a[MOST], t_b[MOST];
    make_pair(theta, n, seed, a, b);
    measure_exactly(a, b, n, &wanted);
    assert_at_most(off(theta, wanted.theta), 4 * eps, "the construction's error");
    for (int want = 0; want < 4; want++) {
        lgt_angle angle = lgt_angle_between(a, b, n, want & 1 ? t_a : NULL, want & 2 ? t_b : NULL);
        /* Absolute: theta = 1e-8 keeps 7 digits more than acos of a rounded cosine, which has none. */
        assert_at_most(off(angle.theta, wanted.theta), 4 * eps, "theta's error");
        assert_at_most(off(angle.sine, wanted.sine), 4 * eps, "the sine's error");
        assert_at_most(off(angle.c, cosl(wanted.theta)), 4 * eps, "the cosine's error");
        assert_true(fabs(angle.c) <= 1);
        if (want & 1) check_tangent(t_a, a, wanted.t_a, wanted.sine, n);
        if (want & 2) check_tangent(t_b, b, wanted.t_b, wanted.sine, n);
    }
}

static void angles_and_tangents_hold_from_the_smallest_to_the_largest(void **state) {
    static const double thetas[] = {1e-12,      1e-8, 1e-4,          1e-3,          0.1,          1,
                                    LGT_PI / 2, 2,    LGT_PI - 1e-3, LGT_PI - 1e-4, LGT_PI - 1e-8};
    (void)state;
    for (int d = 0; d < 3; d++)
        for (size_t i = 0; i < sizeof thetas / sizeof *thetas; i++)
            for (uint64_t seed = 0; seed < 10; seed++) check_angle(thetas[i], dims[d], seed);
}

static void assert_no_direction(const double *a, const double *b, int n, double theta) {
    double t_a[MOST], t_b[MOST];
    for (int want = 0; want < 4; want++) {
        memset(t_a, 1, sizeof t_a);
        memset(t_b, 1, sizeof t_b);
        lgt_angle angle = lgt_angle_between(a, b, n, want & 1 ? t_a : NULL, want & 2 ? t_b : NULL);
        assert_true(angle.sine == 0 && angle.theta == theta);
        assert_at_most(fabs(angle.c - cos(theta)), 4 * eps, "the cosine's distance from +-1");
        for (int k = 0; k < n; k++) assert_true((!(want & 1) || t_a[k] == 0) && (!(want & 2) || t_b[k] == 0));
    }
}

/* Rounding moves 3 v off the ray of v by up to two units of 2^-53 in each coordinate: noise, no direction. */
static void parallel_vectors_have_no_tangent_whatever_their_rounding(void **state) {
    static const double factors[] = {1, 3, 0.1, 7e10, 1e-200};
    double v[MOST], w[MOST], a[MOST], b[MOST];
    (void)state;
    for (uint64_t seed = 0; seed < 300; seed++) {
        int n = dims[seed % 3];
        double factor = factors[seed % 5];
        test_normal(v, n, 43, seed);
        for (int k = 0; k < n; k++) w[k] = factor * v[k];
        lgt_unit(v, n, a);
        lgt_unit(w, n, b);
        assert_no_direction(a, b, n, 0);
        for (int k = 0; k < n; k++) b[k] = -b[k];
        assert_no_direction(a, b, n, LGT_PI);
    }
}

/* In high dimension a norm is off by many roundings: along the ray, so that it is no direction either. */
static void a_norm_that_is_off_makes_no_tangent(void **state) {
    enum { N = 100000 };
    static double v[N], a[N], b[N], t_a[N], t_b[N];
    (void)state;
    for (uint64_t seed = 0; seed < 5; seed++) {
        test_normal(v, N, 46, seed);
        lgt_unit(v, N, a);
        for (int k = 0; k < N; k++) v[k] *= 3;
        lgt_unit(v, N, b);
        for (int want = 0; want < 4; want++) {
            lgt_angle angle = lgt_angle_between(a, b, N, want & 1 ? t_a : NULL, want & 2 ? t_b : NULL);
            assert_true(angle.sine == 0 && angle.theta == 0 && angle.c <= 1);
        }
        for (int k = 0; k < N; k++) assert_true(t_a[k] == 0 && t_b[k] == 0);
    }
}

static void check_unit(const double *v, int n) {
    double unit[MOST];
    long double square = 0, length = 0, error = 0, wanted[MOST];
    for (int k = 0; k < n; k++) square += (long double)v[k] * v[k];
    long_unit(v, n, wanted);
    double norm = lgt_unit(v, n, unit);
    for (int k = 0; k < n; k++) {
        length += (long double)unit[k] * unit[k];
        error += (unit[k] - wanted[k]) * (unit[k] - wanted[k]);
    }
    if (sqrtl(square) <= DBL_MAX)
        assert_at_most(scaled_error(norm, sqrtl(square)), 4 * eps, "the norm's relative error");
    else
        assert_true(norm == INFINITY);
    assert_at_most(off((double)sqrtl(length), 1), 4 * eps, "the unit's length less 1");
    assert_at_most((double)sqrtl(error), 4 * eps, "the unit's error");
    memcpy(wanted, v, (size_t)n * sizeof *v); /* in place */
    double *place = (double *)(void *)wanted, again = lgt_unit(place, n, place);
    assert_memory_equal(place, unit, (size_t)n * sizeof *unit);
    assert_true(again == norm);
}

static void directions_are_found_at_every_length(void **state) {
    static const double lengths[] = {1, 1e-3, 1e154, 1e300, 5e307, 1e-154, 1e-300, 1e-308, 1e-312, 1e-322, DBL_MAX / 8};
    double v[MOST];
    (void)state;
    for (int n = 1; n <= MOST; n = n < 4 ? n + 1 : n * 8) {
        for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
            test_normal(v, n, 44, (uint64_t)n);
            v[0] = 1; /* so that it is not zero in the least subnormals */
            for (int k = 0; k < n; k++) v[k] = fmax(-1, fmin(1, v[k])) * lengths[i];
            check_unit(v, n);
        }
    }
    for (int k = 0; k < MOST; k++) v[k] = -1e200; /* no entry has a positive sign */
    check_unit(v, MOST);
    check_unit((const double[]){5e-324, 5e-324}, 2);
    check_unit((const double[]){1e300, 1e-300, 5e-324}, 3);
    check_unit((const double[]){DBL_MAX, DBL_MAX, -DBL_MAX}, 3); /* its norm alone is out of range */
}

static void powers_of_two_change_no_bit_of_a_direction(void **state) {
    double v[17], scaled[17], unit[17], other[17];
    (void)state;
    test_normal(v, 17, 45, 0);
    double norm = lgt_unit(v, 17, unit);
    for (int power = -900; power <= 900; power += 100) {
        for (int k = 0; k < 17; k++) scaled[k] = ldexp(v[k], power);
        assert_true(lgt_unit(scaled, 17, other) == ldexp(norm, power));
        assert_memory_equal(unit, other, sizeof unit);
    }
}

static void a_zero_vector_has_no_direction(void **state) {
    double v[5] = {0, -0.0, 0, 0, -0.0}, unit[5] = {7, 7, 7, 7, 7};
    (void)state;
    assert_true(lgt_unit(v, 5, unit) == 0);
    for (int k = 0; k < 5; k++) assert_true(unit[k] == 0);
    assert_true(lgt_unit(v, 0, unit) == 0);
    assert_true(lgt_dot(v, v, 0) == 0);
}

/* ---- magnitudes ---- */

/* One number at any place of a vector of others is found, or not, as its comparison says. */
static void numbers_are_below_a_limit_as_their_comparison_says(void **state) {
    enum { N = 37 };
    static const float limits[] = {1, 0x1p63f, INFINITY, FLT_MIN},
                       numbers[] = {0,       -0.0f,      1,       -1,     0x1p63f,  -0x1p63f,  0x1.fffffep62f,
                                    FLT_MAX, -FLT_MAX,   FLT_MIN, 1e-45f, INFINITY, -INFINITY, NAN,
                                    -NAN,    0.99999994f};
    (void)state;
    for (size_t l = 0; l < sizeof limits / sizeof *limits; l++)
        for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
            for (int at = 0; at < N; at++) {
                float narrow[N] = {0};
                double wide[N] = {0};
                narrow[at] = numbers[i], wide[at] = (double)numbers[i];
                int below = fabsf(numbers[i]) < limits[l];
                assert_int_equal(lgt_all_below_f32(narrow, N, limits[l]), below);
                assert_int_equal(lgt_all_below_f64(wide, N, (double)limits[l]), below);
                assert_true(lgt_all_below_f32(narrow, at, limits[l]) && lgt_all_below_f64(wide, at, (double)limits[l]));
            }
    const double most[] = {DBL_MAX, -DBL_MAX};
    assert_true(lgt_all_below_f64(most, 2, (double)INFINITY));
    assert_false(lgt_all_below_f64(most, 2, DBL_MAX));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lse_agrees_with_long_double_however_it_is_split),
        cmocka_unit_test(lse_holds_at_the_ends_of_the_range),
        cmocka_unit_test(the_empty_sum_changes_nothing),
        cmocka_unit_test(softplus_and_sigmoid_keep_their_digits),
        cmocka_unit_test(softplus_and_sigmoid_have_their_limits),
        cmocka_unit_test(chebyshev_polynomials_are_cosines_of_multiples),
        cmocka_unit_test(chebyshev_polynomials_are_exact_at_the_ends),
        cmocka_unit_test(dots_are_exact_to_rounding_at_every_length),
        cmocka_unit_test(angles_and_tangents_hold_from_the_smallest_to_the_largest),
        cmocka_unit_test(parallel_vectors_have_no_tangent_whatever_their_rounding),
        cmocka_unit_test(a_norm_that_is_off_makes_no_tangent),
        cmocka_unit_test(directions_are_found_at_every_length),
        cmocka_unit_test(powers_of_two_change_no_bit_of_a_direction),
        cmocka_unit_test(a_zero_vector_has_no_direction),
        cmocka_unit_test(numbers_are_below_a_limit_as_their_comparison_says),
    };
    return cmocka_run_group_tests_name("math", tests, NULL, NULL);
}
