/* The curve of a loss: target logit and force over the angle. */
#ifndef LGT_CLI_LOSS_CURVE_H
#define LGT_CLI_LOSS_CURVE_H

#include <jansson.h>

#include "logitude/loss.h"

/* Puts "curve" into the object: the target logit z_y and the force -dz_y/dtheta of the loss with its defaults at theta
 * = 0, 1 .. 180 degrees, given in radians (Eq. 2, 9); and the step and the norms they hold for. */
void cli_put_curve(json_t *object, const lgt_loss_info *info);

#endif
