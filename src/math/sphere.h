/* Vectors on the unit sphere, in double: norms, directions, angles and tangents that hold for every finite vector. */
#ifndef LGT_MATH_SPHERE_H
#define LGT_MATH_SPHERE_H

#include <stdint.h>

#define LGT_PI 3.14159265358979323846

/* <a, b>, in eight fixed partial sums: the same bits wherever it is called from. */
double lgt_dot(const double *a, const double *b, int64_t n);

/* unit = v / |v|, returns |v|. Scaled by a power of two first, so that neither 1e200 nor 1e-200 over- or underflows.
 * A zero vector gives zeros and 0. unit may be v. */
double lgt_unit(const double *v, int64_t n, double *unit);

/* The angle between two unit vectors a and b, and the unit tangents at each towards the other:
 *   c = <a, b>,  t_a = (b - c a) / |b - c a|,  t_b = (a - c b) / |a - c b|,  sine = |b - c a|,  theta = atan2(sine, c)
 * (Eq. 4). The tangent's norm is the sine: sqrt(1 - c^2) has lost all digits at theta = 1e-8. Below LGT_SINE_LEAST the
 * direction is rounding noise: sine and both tangents are then 0, theta is 0 or pi. Tangents are orthogonal to their
 * base to rounding at every angle. t_a and t_b may be NULL. */
typedef struct lgt_angle {
    double c, sine, theta;
} lgt_angle;

#define LGT_SINE_LEAST 0x1p-50

lgt_angle lgt_angle_between(const double *a, const double *b, int64_t n, double *t_a, double *t_b);

#endif
