"""Training: one step is the gradient's, a minimum has no gradient, and a model is what was trained."""
import os
import tempfile
import unittest

import numpy as np

import logitude
from formulas import row_losses


def data(seed=1, n=60, d=5, c=4):
    rng = np.random.default_rng(seed)
    y = np.arange(n) % c
    return (rng.normal(size=(c, d))[y] + 0.8 * rng.normal(size=(n, d))).astype(np.float32), y


class Train(unittest.TestCase):
    def test_a_step_of_gradient_descent_is_minus_the_gradient(self):
        x, y = data()
        trainer = logitude.Trainer(x, y, loss='cosface:s=8', encoder='none', optimizer='sgd', momentum=0, weight_decay=0,
                                   lr=0.5, schedule='constant', standardize='none', batch=60, epochs=1)
        before = trainer.model.weights.copy()
        exact = logitude.loss_and_gradients(x, before, y, loss='cosface:s=8')
        record = trainer.step()
        self.assertAlmostEqual(record.loss, exact.loss, 6)
        np.testing.assert_allclose(trainer.model.weights, before - np.float32(0.5) * exact.dw, atol=1e-6)
        self.assertAlmostEqual(trainer.gradient_norm, np.linalg.norm(exact.dw), 5)
        self.assertEqual((record.step, record.n_steps, record.end_of_epoch, list(trainer)), (1, 1, True, []))

    def test_at_the_minimum_the_gradient_is_zero_and_the_gap_is_proven(self):
        x, y = data(2)
        for optimizer in ('lbfgs', 'newton-cg'):
            trainer = logitude.Trainer(x, y, encoder='none', optimizer=optimizer, l2=0.1, standardize='none', tolerance=1e-7)
            seen = []
            found = trainer.solve(lambda record: seen.append(record.objective))
            w, b = trainer.model.weights.astype(float), trainer.model.bias.astype(float)
            exact = logitude.loss_and_gradients(x.astype(float), w, y, b=b)
            # Weights are rounded to float32, 6e-8 of values up to 2, and the curvature is below 10.
            np.testing.assert_allclose(exact.dw + 0.1 * w, 0, atol=2e-6)
            np.testing.assert_allclose(exact.db, 0, atol=2e-6)
            objective = row_losses(x @ w.T + b, y)[0].mean() + 0.05 * (w ** 2).sum()
            self.assertTrue(found.converged and 0 <= found.certified_gap < 1e-6)
            self.assertAlmostEqual(found.model_objective, objective, 10)
            self.assertAlmostEqual(trainer.objective()[1], objective, 5)
            self.assertGreater(len(seen), 2)

    def test_a_watch_may_stop_and_its_exceptions_arrive(self):
        x, y = data(3)
        make = lambda: logitude.Trainer(x, y, encoder='none', optimizer='lbfgs', l2=0.1)
        found = make().solve(lambda record: record.iterations == 2)
        self.assertEqual((found.iterations, found.stopped, found.converged), (2, True, False))
        with self.assertRaises(KeyboardInterrupt):
            make().solve(self.interrupt)

    @staticmethod
    def interrupt(_):
        raise KeyboardInterrupt

    def test_the_same_model_from_any_number_of_threads_and_from_its_file(self):
        x, y = data(4)
        models = [logitude.train(x, y, loss='arcface:s=8', encoder='mlp:16', dim=4, epochs=20, batch=15, lr=0.02,
                                 label_names='abcd', context=logitude.Context(threads=t)) for t in (1, 3)]
        np.testing.assert_array_equal(models[0].weights, models[1].weights)
        with tempfile.TemporaryDirectory() as folder:
            models[0].save(os.path.join(folder, 'm'))
            again = logitude.load_model(os.path.join(folder, 'm'))
            again.export_onnx(os.path.join(folder, 'onnx'))  # what is in it: tests/cli/interchange.py
            with open(os.path.join(folder, 'onnx'), 'rb') as graph:
                self.assertEqual(graph.read(12), b'\x08\x07\x12\x08logitude')
        np.testing.assert_array_equal(again.embed(x), models[1].embed(x))
        self.assertEqual((again.label_names, again.step, again.loss.name), (['a', 'b', 'c', 'd'], 80, 'arcface'))
        self.assertGreater((again.predict(x).classes[:, 0] == y).mean(), 0.5)

    def test_weights_of_rows_and_a_start(self):
        x, y = data(8)
        weights = np.random.default_rng(0).uniform(0, 3, len(y))
        start = np.random.default_rng(1).normal(size=(4, 5)).astype('f'), np.ones(4, 'f')
        trainer = logitude.Trainer(x, y, encoder='none', optimizer='sgd', momentum=0, weight_decay=0, lr=0.5, batch=60,
                                   schedule='constant', standardize='none', sample_weights=weights, start=start)
        np.testing.assert_array_equal(trainer.model.weights, start[0])
        np.testing.assert_array_equal(trainer.model.bias, start[1])
        exact = logitude.loss_and_gradients(x, start[0], y, b=start[1], sample_weights=weights)
        self.assertAlmostEqual(trainer.step().loss, exact.loss, 6)
        np.testing.assert_allclose(trainer.model.weights, start[0] - np.float32(0.5) * exact.dw, atol=2e-6)
        for error, words, more in ((ValueError, 'row 2 has -1', {'sample_weights': np.where(np.arange(60) == 2, -1, 1)}),
                                   (ValueError, 'sample_weights has the shape', {'sample_weights': weights[1:]}),
                                   (ValueError, 'start w has the shape', {'start': (start[1], None)}),
                                   (ValueError, r'start_w is \(4, 4\)', {'start': (start[0][:, 1:], None)})):
            with self.assertRaisesRegex(error, words):
                logitude.Trainer(x, y, encoder='none', **more)

    def test_names_of_labels_are_written_by_str(self):
        x, y = data(9)
        trained = logitude.train(x, y, encoder='none', epochs=1, label_names=[3, 5, np.int64(7), 'nine'])
        self.assertEqual(trained.label_names, ['3', '5', '7', 'nine'])

    def test_alignment_and_every_option_are_taken(self):
        x, y = data(5)
        records = []
        logitude.train(x, y, encoder='mlp:8', dim=4, epochs=2, batch=20, optimizer='sgd', schedule='step', milestones=[0.5],
                       step_factor=0.5, lr=0.1, align='pga:k=2', label_smoothing=0.1, seed=7, watch=records.append)
        self.assertEqual([r.lr for r in records], [0.1] * 3 + [0.05] * 3)
        self.assertTrue(all(r.conflict.n_rows == 20 * (i % 3 + 1) for i, r in enumerate(records)))

    def test_what_is_wrong_is_said(self):
        x, y = data(6)
        bad = x.copy()
        bad[7, 1] = np.inf
        for error, words, call in (
                (ValueError, 'unknown argument "learning_rate"', lambda: logitude.Trainer(x, y, learning_rate=1)),
                (ValueError, 'unknown argument "ephocs", the nearest is "epochs"', lambda: logitude.Trainer(x, y, ephocs=1)),
                (ValueError, 'unknown argument "comm"', lambda: logitude.Trainer(x, y, comm=1)),
                (ValueError, 'epochs is 2.5: ', lambda: logitude.Trainer(x, y, epochs=2.5)),
                (ValueError, f'seed is {2 ** 64}, which 64 bits do not', lambda: logitude.Trainer(x, y, seed=2 ** 64)),
                (ValueError, 'align is 3, expected text', lambda: logitude.Trainer(x, y, align=3)),
                (ValueError, "optimizer is 'adam', expected one of sgd", lambda: logitude.Trainer(x, y, optimizer='adam')),
                (ValueError, 'labels reach from 0 to 3, expected 0 to 1', lambda: logitude.Trainer(x, y, label_names='ab')),
                (ValueError, 'labels reach from -1', lambda: logitude.Trainer(x, y - 1)),
                (ValueError, 'row 7 is not finite', lambda: logitude.Trainer(bad, y)),
                (ValueError, 'x is <f8', lambda: logitude.Trainer(x.astype(float), y)),
                (ValueError, 'mlp', lambda: logitude.Trainer(x, y, encoder='cnn')),
                (ValueError, 'milestones', lambda: logitude.Trainer(x, y, milestones=[0.1] * 9)),
                (ValueError, '', lambda: logitude.Trainer(x, y, encoder='none').solve()),
                (ValueError, '', lambda: logitude.Trainer(x[:0], y[:0]))):
            with self.assertRaisesRegex(error, words) as caught:
                call()
            self.assertIsInstance(caught.exception, logitude.Error)

    def test_a_trainer_of_before_a_fork_is_an_error_there(self):
        x, y = data(7)
        trainer = logitude.Trainer(x, y, encoder='none')
        child = os.fork()
        if child == 0:
            try:
                trainer.step()
            except logitude.Error as error:
                os._exit(0 if 'before a fork' in str(error) else 1)
            os._exit(2)
        self.assertEqual(os.waitpid(child, 0)[1], 0)
        self.assertEqual(trainer.step().step, 1)


if __name__ == '__main__':
    unittest.main()
