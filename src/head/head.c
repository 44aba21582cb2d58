/* Heads: a loss with its dimensions. */
#include "head/head.h"

#include "base/error.h"
#include "base/memory.h"
#include "engine/stripes.h"

lgt_status lgt_head_create(lgt_context *context, const lgt_loss *loss, int64_t dim, int64_t n_classes, lgt_head **out,
                           lgt_error *err) {
    lgt_head *head = NULL;
    if (dim < 1 || n_classes < 1)
        return lgt_fail(err, LGT_ERR_USAGE, "a head of dim %lld and %lld classes: both must be at least 1",
                        (long long)dim, (long long)n_classes);
    lgt_status status = LGT_NEW(context, &head, 1, err);
    if (status) return status;
    *head = (lgt_head){context, *loss, dim, n_classes};
    *out = head;
    return lgt_succeed(err);
}

lgt_status lgt_head_shard(const lgt_head *head, int size, int rank, int64_t *first, int64_t *count, lgt_error *err) {
    if (size < 1 || rank < 0 || rank >= size)
        return lgt_fail(err, LGT_ERR_USAGE, "there is no rank %d of %d", rank, size);
    int64_t begin, end;
    lgt_stripes_of_rank(head->n_classes, size, rank, &begin, &end);
    *first = lgt_stripe_begin(head->n_classes, begin);
    *count = lgt_stripe_begin(head->n_classes, end) - *first;
    return lgt_succeed(err);
}

void lgt_head_free(lgt_head *head) {
    if (head) lgt_release(head->context, head);
}
