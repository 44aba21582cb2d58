/* Top-k prediction of a head. */
#include "engine/predict.h"
#include "base/error.h"
#include "base/memory.h"
#include "head/checks.h"
#include "head/problem.h"

static lgt_status check(const lgt_head *head, const lgt_problem *p, lgt_view x, lgt_view w, lgt_view b,
                        const int64_t *labels, const lgt_predictions *out, lgt_error *err) {
    lgt_status status;
    if ((status = lgt_check_view("x", x, x.rows, head->dim, LGT_F32, err)) ||
        (status = lgt_check_view("w", w, p->own_classes * p->centres, head->dim, LGT_F32, err)) ||
        (status = lgt_check_bias(head, b, p->own_classes, LGT_F32, err)))
        return status;
    if (out->k < 1 || out->k > head->n_classes)
        return lgt_fail(err, LGT_ERR_USAGE, "k is %lld, expected 1 to %lld classes", (long long)out->k,
                        (long long)head->n_classes);
    if (out->label_logits && !labels) return lgt_fail(err, LGT_ERR_USAGE, "label_logits need labels");
    for (int64_t i = 0; labels && i < x.rows; i++)
        if (labels[i] < 0 || labels[i] >= head->n_classes)
            return lgt_fail(err, LGT_ERR_DATA, "labels: row %lld is %lld, expected 0 to %lld", (long long)i,
                            (long long)labels[i], (long long)head->n_classes - 1);
    return LGT_OK;
}

lgt_status lgt_head_predict(const lgt_head *head, lgt_view x, lgt_view w, lgt_view b, const int64_t *labels,
                            lgt_predictions *out, lgt_error *err) {
    return lgt_head_predict_shared(head, NULL, x, w, b, labels, out, err);
}

lgt_status lgt_head_predict_shared(const lgt_head *head, const lgt_comm *comm, lgt_view x, lgt_view w, lgt_view b,
                                   const int64_t *labels, lgt_predictions *out, lgt_error *err) {
    lgt_plan_options options;
    lgt_predictions all = *out; /* with a place for what the caller does not want */
    int64_t *classes = NULL;
    double *logits = NULL, *lse = NULL;
    lgt_context *context = head->context;
    lgt_plan_options_init(&options);
    options.comm = comm;
    lgt_problem problem = lgt_problem_of(head, &options);
    lgt_status status = check(head, &problem, x, w, b, labels, out, err);
    if (!status && !all.classes) status = LGT_NEW(context, &classes, x.rows * all.k, err), all.classes = classes;
    if (!status && !all.logits) status = LGT_NEW(context, &logits, x.rows * all.k, err), all.logits = logits;
    if (!status && !all.lse) status = LGT_NEW(context, &lse, x.rows, err), all.lse = lse;
    status = lgt_comm_agree(problem.comm, status, err);
    if (!status) status = lgt_cpu_predict(&problem, x, w, b, labels, &all, err);
    lgt_release(context, lse);
    lgt_release(context, logits);
    lgt_release(context, classes);
    return status ? status : lgt_succeed(err);
}
