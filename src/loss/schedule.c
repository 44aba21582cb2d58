/* Schedules of lambda and of the margin: pure functions of the global step (Eq. 16, 17, 40, 41). */
#include <math.h>

#include "logitude/loss.h"

/* How far a warm-up has come: exactly 0 up to its start, exactly 1 from its end on. */
static double progress(const lgt_schedule *s, double t) {
    return fmax(0, fmin(1, (t - s->a) / (s->b - s->a)));
}

double lgt_schedule_at(const lgt_schedule *schedule, int64_t step) {
    const lgt_schedule *s = schedule;
    double t = (double)step;
    switch (s->kind) {
    case LGT_SCHEDULE_GEOMETRIC:
        return fmax(s->c, s->a * pow(s->b, t));
    case LGT_SCHEDULE_POWER:
        return fmax(s->d, s->a * pow(1 + s->b * t, -s->c));
    case LGT_SCHEDULE_LINEAR:
        return progress(s, t);
    case LGT_SCHEDULE_EXPONENTIAL:
        return expm1(-log(1000) * progress(s, t)) / expm1(-log(1000));
    case LGT_SCHEDULE_CONSTANT:
        break;
    }
    return s->a;
}
