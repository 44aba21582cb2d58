"""Explanation, curvature, evaluation, alignment, lint and reviews against plain NumPy."""
import unittest

import numpy as np

import logitude
from formulas import cosines, differences, problem

EXACT = dict(rtol=1e-10, atol=1e-12)


def hessian(x, w, y, wanted, **options):
    """Column by column, by the rows of x or w."""
    like = x if wanted == 'x' else w
    columns = []
    for index in np.ndindex(like.shape):
        v = np.zeros_like(like)
        v[index] = 1
        columns.append(getattr(logitude.hvp(x, w, y, **{f'direction_{wanted}': v}, **options), wanted).ravel())
    return np.array(columns)


class Explain(unittest.TestCase):
    def test_the_forces_are_the_gradient_and_alpha_that_of_arcface(self):
        x, w, y = problem(1)
        found = logitude.explain(x, w, y, loss='arcface:s=16,m=0.35', forces=True, n_pushers=2)
        exact = logitude.loss_and_gradients(x, w, y, loss='arcface:s=16,m=0.35', reduction='sum')
        np.testing.assert_allclose(found.attraction_x + found.repulsion_x, exact.dx, **EXACT)
        np.testing.assert_allclose(found.gradient, np.linalg.norm(exact.dx, axis=1), **EXACT)
        np.testing.assert_allclose(found.theta, np.arccos(cosines(x, w)[np.arange(9), y]), **EXACT)
        inside = found.theta + 0.35 < np.pi
        np.testing.assert_allclose(found.alpha[inside], (np.sin(found.theta + 0.35) / np.sin(found.theta))[inside], **EXACT)
        np.testing.assert_allclose(found.x_norm, np.linalg.norm(x, axis=1), **EXACT)
        self.assertTrue((found.gradient <= found.tight_bound).all() and (found.tight_bound <= found.bound * (1 + 1e-12)).all())
        self.assertEqual(found.pushers.shape, (9, 2))

    def test_rows_that_are_asked_for_come_in_their_order(self):
        x, w, y = problem(2)
        every, some = logitude.explain(x, w, y), logitude.explain(x, w, y, rows=[5, 0, 5])
        np.testing.assert_array_equal(some.loss, every.loss[[5, 0, 5]])
        self.assertIsNone(some.attraction_x)
        with self.assertRaisesRegex(ValueError, 'explain has no "reduction"'):
            logitude.explain(x, w, y, reduction='sum')
        with self.assertRaisesRegex(ValueError, '9'):
            logitude.explain(x, w, y, rows=[9])


class Curvature(unittest.TestCase):
    def test_the_softmax_and_its_spectrum(self):
        z = np.random.default_rng(3).normal(size=12) * 3
        p = logitude.softmax(z)
        np.testing.assert_allclose(p, np.exp(z) / np.exp(z).sum(), **EXACT)
        s, v = np.diag(p) - np.outer(p, p), np.random.default_rng(4).normal(size=12)
        np.testing.assert_allclose(logitude.softmax_product(p, v), s @ v, **EXACT)
        self.assertAlmostEqual(logitude.softmax_variance(p, v), v @ s @ v, 12)
        values, rows = logitude.softmax_spectrum(p, vectors=True)
        np.testing.assert_allclose(values, np.linalg.eigvalsh(s)[::-1], atol=1e-15)
        np.testing.assert_allclose(rows @ s @ rows.T, np.diag(values), atol=1e-14)
        self.assertIsNone(logitude.softmax_spectrum(p)[1])

    def test_the_spectral_norm_and_its_bound(self):
        w = np.random.default_rng(5).normal(size=(30, 8))
        for kind in (np.float64, np.float32):
            a = w.astype(kind)
            norm, upper = logitude.spectral_norm(a, centred=True)
            wanted = np.linalg.norm(a.astype(float) - a.astype(float).mean(0), 2)
            self.assertAlmostEqual(norm, wanted, 10)
            self.assertTrue(wanted <= upper < wanted * (1 + 1e-8))

    def test_extremal_eigenvalues_are_those_of_the_whole_hessian(self):
        x, w, y = problem(6, 5, 3, 4)
        for by, wanted in (('features', 'x'), ('weights', 'w')):
            full = np.linalg.eigvalsh(hessian(x, w, y, wanted, loss='cosface:s=8'))[::-1]
            found = logitude.spectrum(x, w, y, loss='cosface:s=8', by=by, top=2, bottom=1, vectors=True)
            self.assertTrue(found.converged)
            np.testing.assert_allclose(found.values, full[[0, 1, -1]], atol=1e-9 * abs(full).max())
            np.testing.assert_allclose(np.linalg.norm(found.vectors, axis=1), 1, **EXACT)

    def test_derivatives_along_a_direction(self):
        x, w, y = problem(7)
        v = np.random.default_rng(8).normal(size=w.size)
        found = logitude.derivatives(x, w, y, by='weights', v=v)
        dw = logitude.loss_and_gradients(x, w, y).dw.ravel()
        along = logitude.hvp(x, w, y, direction_w=v.reshape(w.shape)).w.ravel()
        self.assertAlmostEqual(found.first, dw @ v, 11)
        self.assertAlmostEqual(found.second, along @ v, 11)
        self.assertAlmostEqual(found.rayleigh, along @ v / (v @ v), 11)
        self.assertLess(logitude.derivatives(x, w, y, by='weights').first, 0)
        for call, words in ((lambda: logitude.derivatives(x, w, y, by='all'), 'by is'),
                            (lambda: logitude.derivatives(x, w, y, v=v[1:]), 'v has the shape'),
                            (lambda: logitude.spectrum(x.astype('f'), w.astype('f'), y), '')):
            with self.assertRaisesRegex(ValueError, words):
                call()


class Evaluation(unittest.TestCase):
    def setUp(self):
        rng = np.random.default_rng(9)
        self.y = rng.integers(0, 6, 60)
        self.z = (rng.normal(size=(6, 4))[self.y] + rng.normal(size=(60, 4))).astype(np.float32)

    def test_verification_and_roc_over_all_pairs(self):
        c = cosines(self.z.astype(float), self.z.astype(float))
        i, j = np.triu_indices(60, 1)
        same = self.y[i] == self.y[j]
        genuine, impostor = c[i, j][same], c[i, j][~same]
        found = logitude.verification(self.z, self.y)
        self.assertEqual((found.n_genuine, found.n_impostor), (same.sum(), (~same).sum()))
        self.assertAlmostEqual(found.auc, (genuine[:, None] > impostor).mean(), 3)
        threshold = np.sort(impostor)[::-1][int(0.1 * len(impostor))]
        self.assertAlmostEqual(logitude.roc(self.z, self.y, [0.1])[0], (genuine > threshold).mean(), 2)
        self.assertTrue(0 < found.eer < 0.5 and len(found.tar_at_far) == 2)
        with self.assertRaises(logitude.DataError):
            logitude.verification(self.z, np.zeros(60, int))

    def test_retrieval_over_all_queries(self):
        c = cosines(self.z.astype(float), self.z.astype(float))
        np.fill_diagonal(c, -2)
        order = np.argsort(-c, axis=1)
        match = self.y[order] == self.y[:, None]
        found = logitude.retrieval(self.z, self.y)
        self.assertEqual(found.n_queries, 60)
        self.assertAlmostEqual(found.recall_at_1, match[:, 0].mean(), 12)
        self.assertAlmostEqual(found.recall_at_5, match[:, :5].any(1).mean(), 12)

    def test_classification_calibration_and_confusions(self):
        w = np.random.default_rng(10).normal(size=(6, 4)).astype(np.float32)
        predictions = logitude.predict(self.z, w, labels=self.y, k=2)
        found = logitude.classification(predictions, self.y)
        z = self.z.astype(float) @ w.T.astype(float)
        top = z.argmax(1)
        self.assertAlmostEqual(found.accuracy, (top == self.y).mean(), 12)
        self.assertAlmostEqual(found.nll, (np.log(np.exp(z).sum(1)) - z[np.arange(60), self.y]).mean(), 5)
        bins = logitude.calibration(predictions, self.y)
        self.assertEqual(bins.rows.sum(), 60)
        used = bins.rows > 0
        ece = (bins.rows[used] * abs(bins.confidence[used] - bins.accuracy[used])).sum() / 60
        self.assertAlmostEqual(found.ece, ece, 12)
        wrong = logitude.confusions(predictions, self.y, most=100)
        self.assertEqual(sum(n for _, _, n in wrong), (top != self.y).sum())
        self.assertEqual(wrong[0][2], max(((self.y == a) & (top == b)).sum() for a, b, _ in wrong))
        with self.assertRaisesRegex(ValueError, 'label_logits'):
            logitude.classification(logitude.predict(self.z, w), self.y)

    def test_angles_and_the_plane(self):
        w = np.random.default_rng(11).normal(size=(6, 4)).astype(np.float32)
        found, c = logitude.angles(self.z, w, self.y), cosines(self.z.astype(float), w.astype(float))
        np.testing.assert_allclose(found.target, np.arccos(c[np.arange(60), self.y]), atol=1e-9)
        c[np.arange(60), self.y] = -2
        np.testing.assert_array_equal(found.nearest_class, c.argmax(1))
        points, shares = logitude.plane(self.z)
        centred = self.z.astype(float) - self.z.astype(float).mean(0)
        values = np.linalg.svd(centred, compute_uv=False) ** 2
        np.testing.assert_allclose(shares, values[:2] / values.sum(), atol=1e-6)
        np.testing.assert_allclose((points ** 2).sum(0), values[:2], rtol=1e-6)
        with self.assertRaisesRegex(ValueError, 'embeddings is <f8'):
            logitude.plane(centred)


class Align(unittest.TestCase):
    def test_the_gradient_pulls_towards_the_only_neighbour(self):
        # One neighbour each, phi linear: L is the mean of -cos over the aligned rows, the neighbour held constant.
        rng = np.random.default_rng(12)
        x = rng.normal(size=(2, 3))
        x[1] = x[0] + 0.3 * rng.normal(size=3)
        found = logitude.align(x, [4, 4], 'pga:k=1')
        unit = x / np.linalg.norm(x, axis=1, keepdims=True)
        self.assertAlmostEqual(found.loss, -unit[0] @ unit[1], 12)
        slope = differences(lambda a: -(a @ unit[1]) / np.linalg.norm(a) / 2, x[0])
        np.testing.assert_allclose(found.dx[0], slope, atol=1e-8)
        self.assertEqual((found.n_edges, found.n_aligned, found.rows), (2, 2, None))

    def test_conflicts_are_told_row_by_row(self):
        x, w, y = problem(13, 40, 6, 4)
        found = logitude.conflict(x, w, y, loss='cosface:s=8', term='pga:k=3')
        head = logitude.loss_and_gradients(x, w, y, loss='cosface:s=8').dx
        r = (x / np.linalg.norm(x, axis=1, keepdims=True))
        d = -(head - (head * r).sum(1, keepdims=True) * r)
        inner = (d * -found.dx).sum(1)
        there = found.rows['compared'] == 1
        np.testing.assert_allclose(found.rows['inner'][there], inner[there], atol=1e-15)
        self.assertEqual(found.conflict.n_conflicts, (inner[there] < 0).sum())
        self.assertEqual(found.conflict.histogram.sum(), found.conflict.n_compared)

    def test_a_bank_moves_and_is_carried_over(self):
        x, _, y = problem(14, 20, 6, 2)
        first, second = logitude.AlignBank(6, 50), logitude.AlignBank(6, 50)
        run = lambda bank, x: logitude.align(x, y, 'pga:k=2,beta=reliability', ids=np.arange(20), bank=bank).loss
        run(first, x)
        self.assertEqual(len(first), 20)
        second.replace(**first.export())
        self.assertEqual(run(first, x + 0.1), run(second, x + 0.1))
        with self.assertRaises(ValueError):
            logitude.align(x, y, 'pga', bank=first)

    def test_layers_pull_on_one_another(self):
        rng = np.random.default_rng(15)
        layers, y = [rng.normal(size=(40, 5)) for _ in range(2)], rng.integers(0, 3, 40)
        for term in ('k', 'z'):
            found = logitude.align_layers(layers, y, term)
            self.assertEqual([dx.shape for dx in found.dx], [(40, 5)] * 2)
            self.assertTrue(any(abs(dx).max() > 0 for dx in found.dx) and np.isfinite(found.loss))
        with self.assertRaisesRegex(ValueError, 'expected one term'):
            logitude.align_layers(layers, y, 'pga')


class Analysis(unittest.TestCase):
    def test_lint_finds_the_jump_of_a_cosface_tail(self):
        found = logitude.lint('arcface:m=0.5,tail=none')
        self.assertTrue(found.rises and found.n_defects >= 1)
        self.assertAlmostEqual(found.rises[0]['from'], np.pi - 0.5, 6)
        jump = logitude.lint('arcface:m=0.5,tail=cosface').jumps[0]
        self.assertAlmostEqual(jump['theta'], np.pi - 0.5, 6)

    def test_curves_are_the_target_logit(self):
        curve = logitude.lint_curve('arcface:s=2,m=0.5', 181)
        inside = curve.theta < np.pi - 0.51
        np.testing.assert_allclose(curve.logit[inside], 2 * np.cos(curve.theta[inside] + 0.5), **EXACT)
        np.testing.assert_allclose(curve.plain_force, 2 * np.sin(curve.theta), atol=1e-12)

    def test_schedules_are_proposed_and_reviewed(self):
        proposed = logitude.propose_schedules('lsoftmax:m=4', 1000)
        self.assertEqual(len(proposed), 2)
        for loss in proposed:
            review = logitude.review_schedule(loss, 1000, 128)
            self.assertGreater(review.first, review.last)
            self.assertNotIn('dead', review.warnings)
        self.assertIn('dead', logitude.review_schedule('lsoftmax:m=4,lambda=0', 1000, 128).warnings)

    def test_scales_are_reviewed(self):
        small = logitude.review_scale('normalized:s=2', 1000)
        self.assertTrue(small.too_small and not small.too_large)
        self.assertAlmostEqual(small.most_probability, 1 / (1 + 999 * np.exp(-2 * 1000 / 999)), 12)

    def test_gradients_pass_their_check(self):
        found = logitude.check_gradients('arcface', n_problems=3)
        self.assertTrue(found.passed and found.n_problems == 3 and 0 < found.dx < found.tolerance)


if __name__ == '__main__':
    unittest.main()
