#!/usr/bin/python3
"""Times scikit-learn's multinomial loss and its gradient by the weights (none by the features), on the data of `logitude bench
head --loss softmax`: what LogisticRegression computes in every iteration.

    bench/sklearn_head.py [--classes 10000] [--dtype f64|f32] [--threads 2]
"""
import inspect

import numpy as np
from sklearn._loss import HalfMultinomialLoss
from sklearn.linear_model._linear_loss import LinearModelLoss
from threadpoolctl import threadpool_limits

import peer


def main():
    a = peer.options(__doc__, ["f64", "f32"]).parse_args()
    x, w, y = peer.data(a, "f8" if a.dtype == "f64" else "f4")
    w, y = np.asfortranarray(w), y.astype(x.dtype)
    loss = LinearModelLoss(base_loss=HalfMultinomialLoss(n_classes=a.classes), fit_intercept=False)
    is_mean = "sw_sum" in inspect.getsource(LinearModelLoss.loss_gradient)  # newer versions divide by the rows

    def step():
        value, gradient = loss.loss_gradient(w, x, y, n_threads=a.threads)
        assert gradient.shape == w.shape
        return float(value) / (1 if is_mean else a.rows)

    with threadpool_limits(a.threads):
        peer.serve(a, step, w.nbytes)


main()
