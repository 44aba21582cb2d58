/* The cosine continued beyond pi so that it keeps falling (Eq. 12). */
#include "math/fold.h"

#include <math.h>

#include "math/sphere.h"

lgt_fold lgt_fold_at(double phi) {
    double k = phi > 0 ? ceil(phi / LGT_PI) - 1 : 0, sign = fmod(k, 2) == 0 ? 1 : -1;
    return (lgt_fold){sign * cos(phi) - 2 * k, -sign * sin(phi), -sign * cos(phi)};
}
