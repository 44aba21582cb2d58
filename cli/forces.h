/* What a report shows of forces: explanations of the probe's rows, the curvature of the loss, the conflicts of
 * alignment. */
#ifndef LGT_CLI_FORCES_H
#define LGT_CLI_FORCES_H

#include <jansson.h>

#include "probe.h"

/* Means over the probe's rows, or over as many of them as a second allows with many classes. */
typedef struct cli_force_means {
    double attraction, repulsion, radial_share;
} cli_force_means;

lgt_status cli_force_means_measure(const cli_probe *probe, lgt_model *model, cli_force_means *out, lgt_error *err);

/* The parts `explain`, `curvature` and `conflict` of analysis.json (docs/formats.md), into the object. Curvature is
 * left out where the loss has no Hessian or the head is too large for a few seconds, conflict where no directions were
 * aligned; where no row could be compared its rates are null. */
lgt_status cli_put_forces(const cli_probe *probe, lgt_model *model, const lgt_conflict *conflict, json_t *out,
                          lgt_error *err);

json_t *cli_reals(int64_t n, const double *values); /* a list; null for what is not finite */

#endif
