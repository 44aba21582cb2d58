/* What engines are told of a head and its options. */
#ifndef LGT_HEAD_PROBLEM_H
#define LGT_HEAD_PROBLEM_H

#include "engine/engine.h"
#include "head/head.h"

lgt_problem lgt_problem_of(const lgt_head *head, const lgt_plan_options *options);

#endif
