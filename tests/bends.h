/* Every field of a bend against four-point differences of the field below it, for the tests of the losses. */
#ifndef LGT_TESTS_BENDS_H
#define LGT_TESTS_BENDS_H

#include "logitude/loss.h"

/* A pair at an angle, its quality the norm r. */
lgt_pair pair_at(double theta, double r, double q);
lgt_bend bend_at(const lgt_loss *loss, const lgt_pair *pair);

/* Fails where a derivative of the bend at `pair` disagrees with differences, steps being 1e-3 of r, of q and of
 * 1 / turns radians; the quality stays as it is. `size`: that of the bend's values; turns: how many times as fast as
 * theta the target's angle changes. No kink may lie within 2.1e-3 of those scales. */
void check_bend(const char *spec, const lgt_loss *loss, const lgt_pair *pair, double turns, double size);

#endif
