/* The cpu engine: streams over class tiles with threads, in the type of the plan. */
#include "engine/cpu/stream.h"

static const lgt_stream_vtable *stream_of(const lgt_problem *problem) {
    return problem->options.dtype == LGT_F64 ? &lgt_stream_f64 : &lgt_stream_f32;
}

static lgt_status supports(const lgt_problem *problem, lgt_error *err) {
    (void)problem;
    return lgt_succeed(err);
}

static lgt_status plan(const lgt_problem *problem, void **state, int64_t *bytes, lgt_error *err) {
    return stream_of(problem)->plan(problem, state, bytes, err);
}

static lgt_status run(const lgt_problem *problem, void *state, lgt_batch *batch, lgt_error *err) {
    return stream_of(problem)->run(problem, state, batch, err);
}

static void release(const lgt_problem *problem, void *state) {
    stream_of(problem)->release(problem, state);
}

const lgt_engine_vtable lgt_engine_cpu = {"cpu", supports, plan, run, release};
