"""Heads against the plain formulas in NumPy, and against PyTorch's autograd where it is there."""
import threading
import unittest

import numpy as np

import logitude
from formulas import cosines, differences, logits, problem, row_losses

try:
    import torch
except ImportError:
    torch = None

SPECS = {'softmax': 'softmax', 'normalized': 'normalized:s=16', 'cosface': 'cosface:s=16,m=0.35',
         'arcface': 'arcface:s=16,m=0.35'}
# Central differences of step 1e-6 in double: h^2 |J'''| / 6 + 1e-16 |J| / h, both below 1e-8 for logits up to 16.
BY_DIFFERENCES = dict(rtol=1e-6, atol=2e-8)
EXACT = dict(rtol=1e-11, atol=1e-12)  # two formulas in double


class LossAndGradients(unittest.TestCase):
    def test_every_loss_is_its_formula_and_its_gradient_that_of_the_formula(self):
        x, w, y = problem()
        for name, spec in SPECS.items():
            with self.subTest(name):
                found = logitude.loss_and_gradients(x, w, y, loss=spec)
                losses, lse = row_losses(logits(name, x, w, None, y), y)
                np.testing.assert_allclose(found.loss_rows, losses, **EXACT)
                np.testing.assert_allclose(found.lse, lse, **EXACT)
                self.assertAlmostEqual(found.loss, losses.mean(), 11)
                mean = lambda x, w: row_losses(logits(name, x, w, None, y), y)[0].mean()
                np.testing.assert_allclose(found.dx, differences(lambda a: mean(a, w), x), **BY_DIFFERENCES)
                np.testing.assert_allclose(found.dw, differences(lambda a: mean(x, a), w), **BY_DIFFERENCES)
                self.assertIsNone(found.db)

    def test_softmax_has_the_textbook_gradient_with_bias_weights_and_smoothing(self):
        x, w, y = problem(2)
        rng = np.random.default_rng(3)
        b, weights, by_class = rng.normal(size=7), rng.random(9), rng.random(7)
        found = logitude.loss_and_gradients(x, w, y, b=b, sample_weights=weights, class_weights=by_class,
                                            label_smoothing=0.1, z_loss=0.01)
        z = x @ w.T + b
        _, lse = row_losses(z, y)
        p, t, a = np.exp(z - lse[:, None]), 0.9 * np.eye(7)[y] + 0.1 / 7, weights * by_class[y]
        g = a[:, None] * (p - t + 2 * 0.01 * lse[:, None] * p) / a.sum()
        self.assertAlmostEqual(found.loss, (a * (lse - (t * z).sum(1) + 0.01 * lse ** 2)).sum() / a.sum(), 11)
        for mine, theirs in ((found.dx, g @ w), (found.dw, g.T @ x), (found.db, g.sum(0))):
            np.testing.assert_allclose(mine, theirs, **EXACT)
        np.testing.assert_array_equal(found.top1, z.argmax(1))
        self.assertEqual(found.n_correct, (z.argmax(1) == y).sum())

    def test_reductions_and_ignored_rows(self):
        x, w, y = problem(4)
        y[3] = -1
        mean = logitude.loss_and_gradients(x, w, y, ignore_label=-1)
        total = logitude.loss_and_gradients(x, w, y, ignore_label=-1, reduction='sum')
        self.assertEqual((mean.n_used, mean.weight), (8, 8.0))
        self.assertAlmostEqual(total.loss, 8 * mean.loss, 11)
        self.assertTrue((mean.dx[3] == 0).all())
        g = np.arange(9.0)
        rows = logitude.loss_and_gradients(x, w, y, ignore_label=-1, reduction='none', upstream=g)
        np.testing.assert_allclose(rows.dx, g[:, None] * total.dx, **EXACT)

    def test_soft_targets_are_the_mixture_of_labels(self):
        x, w, _ = problem(5)
        t = np.random.default_rng(6).dirichlet(np.ones(7), 9)
        found = logitude.loss_and_gradients(x, w, soft_targets=t)
        p = logitude.loss_and_gradients(x, w, np.zeros(9, int))
        z = x @ w.T
        self.assertAlmostEqual(found.loss, (p.lse - (t * z).sum(1)).mean(), 11)

    def test_listed_classes_are_the_only_ones(self):
        x, w, y = problem(7)
        listed = np.unique(np.append(y, 0))
        inside = np.searchsorted(listed, y)
        some = logitude.loss_and_gradients(x, w, y, classes=listed)
        small = logitude.loss_and_gradients(x, w[listed], inside)
        np.testing.assert_allclose(some.dw, small.dw, **EXACT)
        self.assertEqual(some.dw.shape, (len(listed), 5))

    def test_float32_agrees_with_float64_and_the_reference_engine(self):
        x, w, y = problem(8, 33, 40, 65)
        exact = logitude.loss_and_gradients(x, w, y, loss='arcface', engine='reference')
        fast = logitude.loss_and_gradients(x, w, y, loss='arcface')
        np.testing.assert_allclose(fast.dx, exact.dx, atol=1e-12 * abs(exact.dx).max())
        single = logitude.loss_and_gradients(x.astype('f'), w.astype('f'), y, loss='arcface')
        self.assertEqual(single.dx.dtype, np.float32)
        # Inputs rounded to 2^-24 move logits of 64 by 4e-6 and probabilities by as much.
        np.testing.assert_allclose(single.dx, exact.dx, atol=2e-5 * abs(exact.dx).max())

    def test_the_same_bits_for_any_number_of_threads(self):
        x, w, y = problem(9, 130, 33, 1000, np.float32)
        found = [logitude.loss_and_gradients(x, w, y, loss='cosface', context=logitude.Context(threads=t)) for t in (1, 2, 5)]
        for other in found[1:]:
            self.assertEqual(found[0].loss, other.loss)
            np.testing.assert_array_equal(found[0].dx, other.dx)
            np.testing.assert_array_equal(found[0].dw, other.dw)

    def test_rows_may_lie_apart_and_outputs_may_be_given_and_added_to(self):
        x, w, y = problem(10)
        wide, tall = np.zeros((9, 8)), np.full((14, 5), 3.0)
        wide[:, 2:7] = x
        dx = np.full((9, 11), 2.0)
        plain = logitude.loss_and_gradients(x, w, y)
        found = logitude.loss_and_gradients(wide[:, 2:7], w, y, dx=dx[:, 3:8], dw=tall[::2])
        self.assertIs(found.dx.base, dx)
        np.testing.assert_array_equal(found.dx, plain.dx)
        np.testing.assert_array_equal(tall[::2], plain.dw)
        self.assertTrue((dx[:, :3] == 2).all() and (dx[:, 8:] == 2).all() and (tall[1::2] == 3).all())
        logitude.loss_and_gradients(x, w, y, dx=dx[:, 3:8], dw=False, accumulate=True)
        np.testing.assert_array_equal(dx[:, 3:8], 2 * plain.dx)

    def test_a_loss_alone_and_zero_rows(self):
        x, w, y = problem(11)
        self.assertEqual(logitude.loss_and_gradients(x, w, y, dx=False, dw=False).loss,
                         logitude.loss_and_gradients(x, w, y).loss)
        none = logitude.loss_and_gradients(x[:0], w, y[:0])
        self.assertEqual((none.loss, none.n_used, none.dx.shape), (0.0, 0, (0, 5)))
        self.assertTrue((none.dw == 0).all())

    def test_subcentres_and_carried_state(self):
        x, w, y = problem(12, 8, 4, 6)
        self.assertEqual(logitude.loss_and_gradients(x, w, y % 2, loss='subcenter:k=3').dw.shape, (6, 4))
        first = logitude.loss_and_gradients(x, w, y, loss='adaface')
        second = logitude.loss_and_gradients(x, w, y, loss='adaface', state=first.state)
        kept = logitude.loss_and_gradients(x, w, y, loss='adaface', state=first.state, frozen=True)
        self.assertEqual(first.state.shape, (2,))
        self.assertFalse((first.state == second.state).all())
        np.testing.assert_array_equal(first.state, kept.state)

    def test_plans_are_reused_for_fewer_rows_and_by_many_threads(self):
        x, w, y = problem(13, 64, 32, 3000)
        plan = logitude.Head('arcface', 32, 3000).plan(64, np.float64)
        self.assertGreater(plan.bytes, 0)
        wanted = [logitude.loss_and_gradients(x[:n], w, y[:n], loss='arcface').loss for n in range(1, 9)]  # long enough to meet
        found = {}
        work = lambda n: found.update({n: [plan.run(x[:n], w, y[:n]).loss for _ in range(20)]})
        threads = [threading.Thread(target=work, args=(n,)) for n in range(1, 9)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual([set(found[n]) for n in range(1, 9)], [{loss} for loss in wanted])

    @unittest.skipUnless(torch, 'there is no PyTorch')
    def test_gradients_are_those_of_autograd(self):
        x, w, y = problem(14, 24, 16, 30)
        tx, tw = (torch.tensor(a, requires_grad=True) for a in (x, w))
        c = torch.nn.functional.normalize(tx) @ torch.nn.functional.normalize(tw).T
        rows = torch.arange(24)
        bent = torch.cos(torch.acos(c[rows, y]) + 0.5)
        torch.nn.functional.cross_entropy(16 * c.index_put((rows, torch.tensor(y)), bent), torch.tensor(y)).backward()
        found = logitude.loss_and_gradients(x, w, y, loss='arcface:s=16,m=0.5')
        np.testing.assert_allclose(found.dx, tx.grad.numpy(), **EXACT)
        np.testing.assert_allclose(found.dw, tw.grad.numpy(), **EXACT)

    @unittest.skipUnless(torch, 'there is no PyTorch')
    def test_tensors_are_taken_as_they_are(self):
        x, w, y = problem(15)
        found = logitude.loss_and_gradients(torch.tensor(x), torch.tensor(w), torch.tensor(y))
        self.assertEqual(found.loss, logitude.loss_and_gradients(x, w, y).loss)


class HessianVectorProduct(unittest.TestCase):
    def test_it_is_the_derivative_of_the_gradient(self):
        x, w, y = problem(20)
        b, rng, h = np.random.default_rng(21).normal(size=7), np.random.default_rng(22), 1e-6
        for name, spec in SPECS.items():
            vx, vw = rng.normal(size=x.shape), rng.normal(size=w.shape)
            bias = {'b': b} if name == 'softmax' else {}
            vb = rng.normal(size=7) if bias else None
            at = lambda s: logitude.loss_and_gradients(x + s * vx, w + s * vw, y, loss=spec,
                                                       **({'b': b + s * vb} if bias else {}))
            found = logitude.hvp(x, w, y, loss=spec, direction_x=vx, direction_w=vw, direction_b=vb, **bias)
            for mine, which in ((found.x, 'dx'), (found.w, 'dw'), (found.b, 'db')):
                if mine is not None:
                    slope = (getattr(at(h), which) - getattr(at(-h), which)) / (2 * h)
                    np.testing.assert_allclose(mine, slope, rtol=1e-5, atol=1e-7)

    def test_parts_that_are_not_wanted_are_none_and_given_ones_are_written(self):
        x, w, y = problem(23)
        out = np.empty_like(x)
        found = logitude.hvp(x, w, y, direction_w=w, by_x=out, by_w=False)
        self.assertIs(found.x, out)
        self.assertIsNone(found.w)
        np.testing.assert_array_equal(out, logitude.hvp(x, w, y, direction_w=w).x)

    def test_a_gradient_that_belongs_to_no_function_has_none(self):
        x, w, y = problem(24)
        with self.assertRaises(NotImplementedError):
            logitude.hvp(x, w, y, loss='arcface:gradient=detached', direction_w=w)


class Predict(unittest.TestCase):
    def test_top_classes_logits_and_probabilities(self):
        x, w, y = problem(30, 20, 6, 11, np.float32)
        found = logitude.predict(x, w, loss='arcface:s=8', labels=y, k=4)
        z = 8 * cosines(x.astype(float), w.astype(float))
        order = np.argsort(-z, axis=1, kind='stable')[:, :4]
        np.testing.assert_array_equal(found.classes, order)
        np.testing.assert_allclose(found.logits, np.take_along_axis(z, order, 1), atol=2e-5)  # float32 products
        np.testing.assert_allclose(found.label_logits, z[np.arange(20), y], atol=2e-5)
        p = np.exp(z) / np.exp(z).sum(1, keepdims=True)
        np.testing.assert_allclose(found.probabilities, np.take_along_axis(p, order, 1), atol=2e-5)

    def test_k_beyond_the_classes_is_an_error(self):
        x, w, _ = problem(31, dtype=np.float32)
        for k in (0, 8):
            with self.assertRaisesRegex(ValueError, f'k is {k}, expected 1 to 7'):
                logitude.predict(x, w, k=k)


class Losses(unittest.TestCase):
    def test_the_specification_of_every_loss_parses_back_to_it(self):
        for info in logitude.losses():
            loss = logitude.Loss(info.name)
            self.assertEqual(logitude.Loss(loss.spec), loss)
            self.assertEqual(loss.name, info.name)
            self.assertLessEqual(set(loss.parameters), {p.key for p in info.parameters})

    def test_parameters_are_numbers_words_and_schedules_as_written(self):
        loss = logitude.Loss('lsoftmax:m=3,lambda=geometric/1000/0.99/5')
        self.assertEqual((loss['m'], loss['lambda']), (3, 'geometric/1000/0.99/5'))
        self.assertEqual(logitude.Loss('arcface:m=90deg')['m'], np.pi / 2)
        self.assertEqual(logitude.Loss('arcface')['tail'], 'continuous')
        with self.assertRaises(KeyError):
            loss['s']

    def test_presets_parse(self):
        for preset in logitude.presets():
            self.assertEqual(logitude.Loss(preset.loss, like=preset.system).name, preset.loss)
        self.assertGreaterEqual(len(logitude.presets()), 10)

    def test_the_plain_head_has_no_margin(self):
        x, w, y = problem(40)
        plain = logitude.loss_and_gradients(x, w, y, loss=logitude.Loss('arcface:s=9').plain())
        self.assertEqual(plain.loss, logitude.loss_and_gradients(x, w, y, loss='normalized:s=9').loss)


if __name__ == '__main__':
    unittest.main()
