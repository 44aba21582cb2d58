/* What engines are told of a head and its options. */
#include "head/problem.h"

#include <float.h>

lgt_problem lgt_problem_of(const lgt_head *head, const lgt_plan_options *options) {
    lgt_problem p = {.context = head->context,
                     .loss = head->loss,
                     .options = *options,
                     .dim = head->dim,
                     .n_classes = head->n_classes,
                     .centres = lgt_loss_centres(&head->loss),
                     .unit_x = head->loss.info->space == LGT_SPACE_COS,
                     .unit_w = head->loss.info->space != LGT_SPACE_DOT,
                     .bends_crowd = lgt_loss_bends_crowd(&head->loss),
                     .scale = 1,
                     .gradient = (int)lgt_loss_value(&head->loss, "gradient")};
    p.options.second_order = options->second_order != 0; /* it is multiplied by */
    p.comm = options->comm && options->comm->size > 1 ? options->comm : NULL;
    p.stripe_end = lgt_stripes_of(p.n_classes);
    if (p.comm) lgt_stripes_of_rank(p.n_classes, p.comm->size, p.comm->rank, &p.stripe_begin, &p.stripe_end);
    p.first_class = lgt_stripe_begin(p.n_classes, p.stripe_begin);
    p.own_classes = lgt_stripe_begin(p.n_classes, p.stripe_end) - p.first_class;
    if (p.unit_x) p.scale = lgt_loss_value(&head->loss, "s");
    /* A gradient is at most 2 s / |x|, and 8 leaves room for sums: shorter vectors have none that fits (Eq. 14). */
    if (p.unit_w) p.least_norm = 8 * p.scale / (options->dtype == LGT_F64 ? DBL_MAX : (double)FLT_MAX);
    return p;
}
