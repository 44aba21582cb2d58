/* Schedules of lambda: pure functions of the global step (Eq. 16, 17). */
#include <math.h>

#include "logitude/loss.h"

double lgt_schedule_at(const lgt_schedule *schedule, int64_t step) {
    const lgt_schedule *s = schedule;
    double t = (double)step;
    switch (s->kind) {
    case LGT_SCHEDULE_GEOMETRIC:
        return fmax(s->c, s->a * pow(s->b, t));
    case LGT_SCHEDULE_POWER:
        return fmax(s->d, s->a * pow(1 + s->b * t, -s->c));
    case LGT_SCHEDULE_CONSTANT:
        break;
    }
    return s->a;
}
