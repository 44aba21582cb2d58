/* Logitude: softmax-family classification heads with exact analytic gradients.
 *
 * A tour. Everything starts with a context (threads, memory, kernels) and a loss read from a specification:
 *
 *     lgt_context *context;  lgt_loss loss;  lgt_head *head;  lgt_plan *plan;  lgt_error err;
 *     lgt_context_create(NULL, &context, &err);
 *     lgt_loss_parse("arcface:s=64,m=0.5", &loss, &err);
 *     lgt_head_create(context, &loss, 512, 100000, &head, &err);       // D = 512, C = 100,000
 *
 * A plan allocates once; runs allocate nothing:
 *
 *     lgt_plan_options options;  lgt_plan_options_init(&options);  options.max_rows = 256;
 *     lgt_plan_create(head, &options, &plan, &err);
 *     lgt_head_inputs in = {.x = lgt_view_of(x, 256, 512, LGT_F32), .w = lgt_view_of(w, 100000, 512, LGT_F32),
 *                           .labels = y};
 *     lgt_head_outputs out = {.dx = lgt_mut_of(dx, 256, 512, LGT_F32), .dw = lgt_mut_of(dw, 100000, 512, LGT_F32)};
 *     if (lgt_plan_run(plan, &in, &out, &err)) puts(err.message);      // out.loss, dx, dw in one pass
 *
 * Free in reverse: plan, head, context. Every call returns a status and fills the caller's lgt_error; the library never
 * prints, exits or reads the environment. docs/maths.md holds the equations that comments cite. */
#ifndef LOGITUDE_LOGITUDE_H
#define LOGITUDE_LOGITUDE_H

#include "align.h"
#include "analysis.h"
#include "bench.h"
#include "comm.h"
#include "context.h"
#include "curvature.h"
#include "custom_loss.h"
#include "encoder.h"
#include "eval.h"
#include "explain.h"
#include "head.h"
#include "io.h"
#include "loss.h"
#include "report.h"
#include "scaling.h"
#include "status.h"
#include "train.h"
#include "types.h"
#include "version.h"

#endif
