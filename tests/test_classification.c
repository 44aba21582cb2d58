/* Accuracy, likelihood and calibration of given predictions. */
#include "logitude/eval.h"

#include <float.h>
#include <math.h>
#include <string.h>

#include "base/philox.h"
#include "support.h"

static void hand_computed_cases(void **state) {
    /* probabilities 3/4 (right), 3/4 (wrong) and 1/4 (right) in bins 11, 11 and 3 */
    static const int64_t labels[3] = {1, 0, 2}, classes[6] = {1, 9, 2, 9, 2, 9};
    static const double p[3] = {0.75, 0.75, 0.25};
    double logits[6] = {0}, lse[3], label_logits[3];
    lgt_classification out;
    lgt_error err;
    (void)state;
    for (int i = 0; i < 3; i++) {
        lse[i] = 10 * i;
        logits[2 * i] = lse[i] + log(p[i]);
        label_logits[i] = i == 1 ? lse[i] + log(0.125) : logits[2 * i];
    }
    assert_ok(lgt_eval_classification(3, labels, 2, classes, logits, lse, label_logits, &out, &err), err);
    assert_int_equal(out.n_rows, 3);
    assert_true(out.accuracy == 2.0 / 3);
    /* logs of numbers near 20 are added and taken off again: 20 DBL_EPSILON each */
    assert_at_most(fabs(out.nll - (log(4.0 / 3) + log(8.0) + log(4.0)) / 3), 64 * DBL_EPSILON, "nll error");
    assert_at_most(fabs(out.ece - (fabs(1 - 1.5) + 0.75) / 3), 64 * DBL_EPSILON, "ece error");
}

static void a_probability_of_one_counts_in_the_last_bin(void **state) {
    static const int64_t labels[2] = {0, 0}, classes[2] = {0, 1};
    static const double logits[2] = {5, 5 + 1e-15}, lse[2] = {5, 5}, label_logits[2] = {5, 4};
    lgt_classification out;
    lgt_error err;
    (void)state;
    assert_ok(lgt_eval_classification(2, labels, 1, classes, logits, lse, label_logits, &out, &err), err);
    assert_at_most(fabs(out.ece - 0.5), 4 * DBL_EPSILON, "ece error");
    assert_true(out.accuracy == 0.5 && out.nll == 0.5);
}

/* Bin by bin, as the definition reads. */
static double ece_of(int64_t n, const int64_t *labels, const int64_t *classes, const double *p) {
    double ece = 0;
    for (int bin = 0; bin < 15; bin++) {
        double confidence = 0, right = 0, count = 0;
        for (int64_t i = 0; i < n; i++) {
            if (!(p[i] * 15 >= bin && (p[i] * 15 < bin + 1 || bin == 14))) continue;
            confidence += p[i];
            right += labels[i] == classes[i];
            count++;
        }
        if (count > 0) ece += count / (double)n * fabs(right / count - confidence / count);
    }
    return ece;
}

static void random_predictions_agree_with_the_definitions(void **state) {
    enum { MOST = 500 };
    static const int64_t sizes[] = {1, 2, 17, MOST};
    int64_t labels[MOST], classes[MOST];
    double logits[MOST], lse[MOST], label_logits[MOST], p[MOST];
    lgt_rng rng = {21, 1};
    (void)state;
    print_message("seed 21\n");
    test_labels(labels, MOST, 3, 21);
    test_labels(classes, MOST, 3, 22);
    for (int64_t i = 0; i < MOST; i++) {
        lse[i] = lgt_rng_normal(&rng, (uint64_t)i);
        logits[i] = lse[i] + log(lgt_rng_uniform(&rng, (uint64_t)i + MOST));
        label_logits[i] = logits[i] - lgt_rng_uniform(&rng, (uint64_t)i + 2 * MOST);
        p[i] = exp(logits[i] - lse[i]);
    }
    for (int s = 0; s < 4; s++) {
        int64_t n = sizes[s];
        double right = 0, nll = 0;
        lgt_classification out;
        lgt_error err;
        for (int64_t i = 0; i < n; i++) right += labels[i] == classes[i], nll += (lse[i] - label_logits[i]) / (double)n;
        assert_ok(lgt_eval_classification(n, labels, 1, classes, logits, lse, label_logits, &out, &err), err);
        assert_true(out.accuracy == right / (double)n);
        /* sums of up to 500 terms of order 1, differently rounded */
        assert_at_most(fabs(out.nll - nll), 500 * DBL_EPSILON * nll, "nll error");
        assert_at_most(fabs(out.ece - ece_of(n, labels, classes, p)), 500 * DBL_EPSILON, "ece error");
    }
}

static void wrong_inputs_are_refused_with_their_values(void **state) {
    static const int64_t labels[2] = {0, 0}, classes[2] = {0, 1};
    static const double good[2] = {1, 2}, bad[2] = {1, NAN};
    lgt_classification out;
    lgt_error err;
    (void)state;
    assert_fails(lgt_eval_classification(0, labels, 1, classes, good, good, good, &out, &err), LGT_ERR_DATA, err,
                 "found 0 rows");
    assert_fails(lgt_eval_classification(2, labels, 0, classes, good, good, good, &out, &err), LGT_ERR_USAGE, err,
                 "k = 0");
    assert_fails(lgt_eval_classification(2, NULL, 1, classes, good, good, good, &out, &err), LGT_ERR_USAGE, err,
                 "NULL");
    assert_fails(lgt_eval_classification(2, labels, 1, classes, bad, good, good, &out, &err), LGT_ERR_DATA, err,
                 "row 1 has top logit nan");
    assert_fails(lgt_eval_classification(2, labels, 1, classes, good, good, bad, &out, &err), LGT_ERR_DATA, err,
                 "label logit nan");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hand_computed_cases),
        cmocka_unit_test(a_probability_of_one_counts_in_the_last_bin),
        cmocka_unit_test(random_predictions_agree_with_the_definitions),
        cmocka_unit_test(wrong_inputs_are_refused_with_their_values),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
