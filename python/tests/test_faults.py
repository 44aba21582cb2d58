"""What is refused and how it is said; memory, threads, locks and forks; a library that is missing or another."""
import copy
import gc
import multiprocessing
import os
import pickle
import signal
import subprocess
import sys
import tempfile
import threading
import time
import unittest
import weakref
from pathlib import Path

import numpy as np

import logitude
from formulas import problem

PACKAGE = Path(logitude.__file__).resolve().parent


class WhatIsRefused(unittest.TestCase):
    def setUp(self):
        self.x, self.w, self.y = problem()

    def refused(self, error, words, *arguments, call=logitude.loss_and_gradients, **options):
        with self.assertRaisesRegex(error, words) as caught:
            call(*arguments, **options)
        self.assertIsInstance(caught.exception, logitude.Error)
        return caught.exception

    def test_element_types_and_byte_orders(self):
        x, w, y = self.x, self.w, self.y
        self.refused(ValueError, r'x is <i8 \(int64\), expected float32 or float64', x.astype(int), w, y)
        self.refused(ValueError, r'x is >f8', x.astype('>f8'), w, y)
        self.refused(ValueError, r'x is <f2', x.astype('f2'), w, y)
        self.refused(ValueError, r'w is <f4 \(float32\), expected float64', x, w.astype('f'), y)
        self.refused(ValueError, r'b is <f4', x, w, y, b=np.zeros(7, 'f'))
        self.refused(ValueError, 'labels is float64, expected int64', x, w, y + 0.5)
        self.refused(ValueError, r'x is \|O', np.array([[object()]]), w, y)
        self.refused(ValueError, 'x is masked', np.ma.masked_less(x, 0), w, y)

    def test_labels_of_other_integer_types_are_taken(self):
        wanted = logitude.loss_and_gradients(self.x, self.w, self.y).loss
        for labels in (self.y.astype('i1'), self.y.astype('u4'), self.y.astype('>i4'), self.y.tolist(), self.y[::-1][::-1]):
            self.assertEqual(logitude.loss_and_gradients(self.x, self.w, labels).loss, wanted)

    def test_labels_that_int64_does_not_hold_are_refused(self):
        for kind in ('u8', '>u8'):
            labels = self.y.astype(kind)
            wanted = logitude.loss_and_gradients(self.x, self.w, self.y).loss
            self.assertEqual(logitude.loss_and_gradients(self.x, self.w, labels).loss, wanted)
            labels[2] = 2 ** 64 - 100  # that of ignored rows, if it wraps
            self.refused(ValueError, f'labels.2. is {2 ** 64 - 100}, expected {2 ** 63 - 1} at most', self.x, self.w, labels)

    def test_integers_that_wrap_are_refused(self):
        x, w, y, beyond = self.x, self.w, self.y, 2 ** 64 + 50
        self.refused(ValueError, f'step is {beyond}, which 64 bits do not hold', x, w, y, step=beyond)
        for name, value, call, arguments in (
                ('threads', np.int64(2 ** 32), logitude.Context, ()), ('seed', -1, logitude.spectrum, (x, w, y)),
                ('max_products', beyond, logitude.spectrum, (x, w, y)), ('n_pushers', beyond, logitude.explain, (x, w, y)),
                ('least_dim', beyond, logitude.load_dataset, ('x.npy',)), ('capacity', beyond, logitude.AlignBank, (3,)),
                ('step', beyond, logitude.lint, ('arcface',)), ('seed', -1, logitude.check_gradients, ('arcface',))):
            self.refused(ValueError, f'{name} is {value}, which .* bits do not hold', *arguments, call=call, **{name: value})
        self.refused(ValueError, "dim is 'a': ", 'a', 5, call=logitude.AlignBank)
        found = logitude.loss_and_gradients(x, w, y, loss='lsoftmax', step=np.int32(50))
        self.assertEqual(found.loss, logitude.loss_and_gradients(x, w, y, loss='lsoftmax', step=50).loss)

    def test_layouts(self):
        x, w, y = self.x, self.w, self.y
        self.refused(ValueError, r'x has the strides .*, expected contiguous rows; .*ascontiguousarray\(x\)',
                     np.asfortranarray(x), w, y)
        self.refused(ValueError, 'x has the strides', np.zeros((9, 10))[:, ::2], w, y)
        self.refused(ValueError, 'x has the strides', x[::-1], w, y)
        self.refused(ValueError, 'x has the strides', np.broadcast_to(x[:1], (9, 5)), w, y)
        raw = np.zeros(9 * 5 * 8 + 1, 'u1')[1:].view(np.float64).reshape(9, 5)
        self.refused(ValueError, 'x is not aligned', raw, w, y)

    def test_shapes(self):
        x, w, y = self.x, self.w, self.y
        self.refused(ValueError, r'x has the shape \(9, 4\), expected \(any, 5\)', x[:, :4].copy(), w, y)
        self.refused(ValueError, r'labels has the shape \(8,\), expected \(9,\)', x, w, y[:8])
        self.refused(ValueError, r'sample_weights has the shape \(7,\), expected \(9,\)', x, w, y, sample_weights=np.ones(7))
        self.refused(ValueError, r'class_weights has the shape \(9,\), expected \(7,\)', x, w, y, class_weights=np.ones(9))
        self.refused(ValueError, r'dx has the shape \(8, 5\)', x, w, y, dx=np.zeros((8, 5)))
        self.refused(ValueError, 'expected two axes each', x[0], w, y)
        self.refused(ValueError, 'neither labels nor soft_targets', x, w)
        self.refused(ValueError, 'expected a multiple of 3', x, w, y, loss='subcenter:k=3')
        self.refused(ValueError, 'dim', np.zeros((3, 0)), np.zeros((2, 0)), [0, 1, 0])

    def test_outputs(self):
        x, w, y = self.x, self.w, self.y
        fixed = np.zeros_like(x)
        fixed.flags.writeable = False
        self.refused(ValueError, 'dx is read-only', x, w, y, dx=fixed)
        self.refused(ValueError, 'dx overlaps x', x, w, y, dx=x)
        both = np.zeros((16, 5))
        self.refused(ValueError, 'dw overlaps dx', x, w, y, dx=both[:9], dw=both[8:15])
        side = np.zeros((9, 10))
        side[:, :5] = x
        found = logitude.loss_and_gradients(side[:, :5], w, y, dx=side[:, 5:])
        np.testing.assert_array_equal(found.dx, logitude.loss_and_gradients(x, w, y).dx)
        self.refused(ValueError, 'dx overlaps x', side[:, :5], w, y, dx=side[:, 4:9])
        self.refused(ValueError, 'dx is list, expected a NumPy array', x, w, y, dx=[[0.0] * 5] * 9, dw=[])
        self.refused(ValueError, 'accumulate adds to arrays', x, w, y, accumulate=True)
        self.refused(ValueError, 'dw is <f4', x, w, y, dw=np.zeros((7, 5), 'f'))

    def test_values_and_words(self):
        x, w, y = self.x, self.w, self.y
        bad = x.copy()
        bad[4, 2] = np.nan
        self.assertEqual(self.refused(ValueError, 'row 4', bad, w, y).status, 3)
        self.assertIsInstance(self.refused(ValueError, 'row 0 is 8, expected 0 to 6', x, w, y + 7), logitude.DataError)
        self.assertIsInstance(self.refused(FloatingPointError, 'row', 1e200 * x, 1e200 * w, y), logitude.NonFiniteError)
        self.assertEqual(self.refused(ValueError, 'arcface', x, w, y, loss='arcfaec').status, 2)
        self.refused(ValueError, "reduction is 'avg', expected one of mean, sum, none", x, w, y, reduction='avg')
        self.refused(ValueError, 'unknown argument "weights"', x, w, y, weights=1)
        self.refused(NotImplementedError, 'smoothing', x, w, y, classes=np.arange(7), label_smoothing=0.1)
        self.refused(ValueError, "max_isa is 'sse'", call=logitude.Context, max_isa='sse')
        self.refused(ValueError, '1024', call=logitude.Context, threads=2000)

    def test_options_that_there_are_not_are_refused_and_the_nearest_is_named(self):
        x, w, y = self.x, self.w, self.y
        head = logitude.Head('softmax', 5, 7)
        nearest = 'unknown argument "label_smoothng", the nearest is "label_smoothing"; expected one of engine, reduction'
        self.refused(ValueError, nearest, 20, 'f8', call=head.plan, label_smoothng=0.5)
        self.refused(ValueError, nearest, head, 20, call=logitude.Plan, label_smoothng=0.5)
        self.refused(ValueError, 'unknown argument "step"', 20, call=head.plan, step=3)
        self.refused(ValueError, '"sample_weight", the nearest is "sample_weights"', x, w, y, sample_weight=np.ones(9))
        for call in (logitude.hvp, logitude.spectrum, logitude.derivatives, logitude.explain, logitude.conflict):
            self.refused(ValueError, nearest, x, w, y, call=call, label_smoothng=0.5)
        self.refused(ValueError, "label_smoothing is 'a': must be real number", 20, call=head.plan, label_smoothing='a')
        self.refused(ValueError, "threads is 'a'", call=logitude.Context, threads='a')

    def test_targets_of_a_layer_that_is_missing(self):
        self.refused(ValueError, 'targets=layer needs the layer below, found none', self.x, self.y, 'pga:targets=layer',
                     call=logitude.align)

    def test_what_holds_memory_of_the_library_is_not_pickled_and_says_what_to_do(self):
        head, x = logitude.Head('softmax', 5, 7), self.x.astype('f')
        trainer = logitude.Trainer(x, self.y % 3, encoder='none')
        for held, remedy in ((head, r'make it again by Head\('), (head.plan(9), r'Head\(.*\)\.plan\('),
                             (head.context, r'by Context\('), (logitude.AlignBank(3, 4), r'by export\(\)'),
                             (trainer, r'by trainer.model.save\(path\)'), (trainer.model, r'save\(path\), .* load_model\(path\)')):
            self.assertIs(copy.copy(held), held)
            for call in (pickle.dumps, copy.deepcopy):
                with self.assertRaisesRegex(TypeError, f'{type(held).__name__} holds memory .* cannot be pickled .*{remedy}'):
                    call(held)

    def test_a_closed_context_says_so(self):
        with logitude.Context(threads=1) as context:
            plan = logitude.Head('softmax', 5, 7, context).plan(9, np.float64)
        self.refused(ValueError, 'closed', self.x, self.w, self.y, call=plan.run)
        self.refused(ValueError, 'closed', self.x, self.w, self.y, context=context)


class Memory(unittest.TestCase):
    def test_results_outlive_everything_they_were_made_from(self):
        x, w, y = problem(2)
        wanted = logitude.loss_and_gradients(x, w, y).dx.copy()
        context = logitude.Context(threads=2)
        plan = logitude.Head('softmax', 5, 7, context).plan(9, np.float64)
        found = plan.run(x.copy(), w.copy(), y.copy())
        del plan, context
        gc.collect()
        np.testing.assert_array_equal(found.dx, wanted)

    def test_temporary_arrays_live_as_long_as_the_call(self):
        x, w, y = problem(3, 200, 64, 300)
        wanted = logitude.loss_and_gradients(x, w, y).loss
        for _ in range(20):
            self.assertEqual(logitude.loss_and_gradients(x * 1.0, w * 1.0, (y + 0).tolist(), b=np.zeros(300)).loss, wanted)
        along = logitude.hvp(x, w, y, direction_x=x).w
        for _ in range(20):
            np.testing.assert_array_equal(logitude.hvp(x.tolist(), w.tolist(), y, direction_x=x.tolist()).w, along)

    def test_what_is_dropped_is_freed_before_its_owner(self):
        context = logitude.Context(threads=1)
        plan = logitude.Head('softmax', 5, 7, context).plan(9)
        handles = [weakref.ref(h) for h in (plan._handle, plan.head._handle, context._handle)]
        del context
        self.assertTrue(all(handle() for handle in handles))
        del plan
        gc.collect()
        self.assertEqual([handle() for handle in handles], [None] * 3)

    def test_a_context_goes_with_the_plans_that_it_keeps(self):
        x, w, y = problem(3)
        context = logitude.Context(threads=1)
        logitude.loss_and_gradients(x, w, y, context=context)
        handles = [weakref.ref(plan._handle) for plan in context._plans.values()] + [weakref.ref(context._handle)]
        del context
        gc.collect()
        self.assertEqual([handle() for handle in handles], [None] * 2)

    def test_many_plans_take_no_more_memory_than_one(self):
        import resource
        x, w, y = problem(4, 64, 64, 2000)
        make = lambda: logitude.Head('arcface', 64, 2000).plan(64, np.float64).run(x, w, y, dx=False, dw=False)
        for _ in range(5):
            make()
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        for _ in range(60):
            make()
        self.assertLess(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before, 20 << 10)  # KiB; one plan has 1 MiB


class Threads(unittest.TestCase):
    def test_other_python_threads_run_during_a_call(self):
        rng = np.random.default_rng(5)
        x, w, y = rng.normal(size=(256, 256)), rng.normal(size=(6000, 256)), rng.integers(0, 6000, 256)
        plan = logitude.Head('arcface', 256, 6000, logitude.Context(threads=1)).plan(256, np.float64)
        ticks, stop = [0], threading.Event()

        def tick():
            while not stop.wait(0.001):
                ticks[0] += 1

        thread = threading.Thread(target=tick)
        thread.start()
        seconds = during = 0
        for _ in range(20):  # on a machine with other work the thread may not get its turn in one call
            start, before = time.perf_counter(), ticks[0]
            plan.run(x, w, y)
            seconds, during = max(seconds, time.perf_counter() - start), max(during, ticks[0] - before)
            if during > 3:
                break
        stop.set()
        thread.join()
        self.assertGreater(seconds, 0.02, 'the calls are too short to tell')
        self.assertGreater(during, 3)  # with the lock held it would be 0 or 1, however long the call

    def test_many_threads_on_the_default_context_get_the_same_bits(self):
        x, w, y = problem(6, 64, 32, 500)
        wanted = logitude.loss_and_gradients(x, w, y, loss='arcface')
        found = []

        def work():
            for _ in range(10):
                got = logitude.loss_and_gradients(x, w, y, loss='arcface')
                found.append(got.loss == wanted.loss and (got.dw == wanted.dw).all())

        threads = [threading.Thread(target=work) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(found, [True] * 60)


def in_a_child(work, seconds=60):
    """The exit code of a fork that does the work; a hang ends by SIGALRM."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            signal.alarm(seconds)
            code = 0 if work() else 2
        finally:
            os._exit(code)
    return os.waitpid(child, 0)[1]


class Forks(unittest.TestCase):
    def setUp(self):
        self.x, self.w, self.y = problem(7, 64, 32, 2000)
        self.wanted = logitude.loss_and_gradients(self.x, self.w, self.y).loss  # starts threads

    def same(self):
        return logitude.loss_and_gradients(self.x, self.w, self.y).loss == self.wanted

    def test_a_hundred_forks_after_a_threaded_call(self):
        self.assertEqual([in_a_child(self.same) for _ in range(100)], [0] * 100)
        self.assertTrue(self.same())

    def test_plans_of_before_a_fork_are_made_anew(self):
        context = logitude.Context(threads=3)
        plan = logitude.Head('softmax', 32, 2000, context).plan(64, np.float64)
        again = lambda: plan.run(self.x, self.w, self.y).loss == self.wanted
        self.assertTrue(again())
        self.assertEqual(in_a_child(again), 0)
        self.assertEqual(in_a_child(lambda: in_a_child(again) == 0), 0)
        self.assertTrue(again())

    def test_a_fork_while_another_thread_computes(self):
        stop, plan = threading.Event(), logitude.Head('softmax', 32, 2000, logitude.Context(threads=2)).plan(64, np.float64)
        again = lambda: plan.run(self.x, self.w, self.y).loss == self.wanted

        def work():
            while not stop.is_set():
                again()

        thread = threading.Thread(target=work)
        thread.start()
        codes = [in_a_child(again) for _ in range(20)]
        stop.set()
        thread.join()
        self.assertEqual(codes, [0] * 20)

    def test_a_bank_of_before_a_fork_is_an_error_there(self):
        bank = logitude.AlignBank(4, 10)

        def refused():
            try:
                len(bank)
            except logitude.Error as error:
                return 'before a fork' in str(error)

        self.assertEqual(in_a_child(refused), 0)
        self.assertEqual(len(bank), 0)

    def test_multiprocessing_works_with_fork_and_with_spawn_of_losses(self):
        self.assertEqual(pickle.loads(pickle.dumps(logitude.Loss('arcface:m=0.3'))), logitude.Loss('arcface:m=0.3'))
        with multiprocessing.get_context('fork').Pool(2) as pool:
            self.assertEqual(pool.map(child_names, [1, 2]), ['arcface', 'arcface'])


def child_names(_):
    return logitude.losses()[3].name


class TheLibrary(unittest.TestCase):
    """In a copy of the package that lies in no build tree."""

    def imports(self, library=None, beside=None):
        with tempfile.TemporaryDirectory() as folder:
            package = Path(folder, 'logitude')
            package.mkdir()
            for path in PACKAGE.glob('*.py'):
                (package / path.name).write_bytes(path.read_bytes())
            if beside:
                (package / 'liblogitude.so').symlink_to(beside)
            names = {k: v for k, v in os.environ.items() if k not in ('LOGITUDE_LIBRARY', 'PYTHONPATH')}
            if library:
                names['LOGITUDE_LIBRARY'] = library
            use = 'import logitude; print(logitude.Loss("softmax").name)'
            done = subprocess.run([sys.executable, '-B', '-c', use], cwd=folder, env=names, capture_output=True, text=True,
                                  check=False)
            return done.stdout.strip(), done.stderr.strip().split('\n')[-1]

    def compiled(self, folder, text):
        source, library = Path(folder, 'x.c'), Path(folder, 'x.so')
        source.write_text(text)
        subprocess.run(['cc', '-shared', '-fPIC', '-o', library, source], check=True)
        return str(library)

    def test_one_that_is_named_or_lies_beside_the_package_is_taken(self):
        ours = os.path.abspath(logitude._library.LIB._name)
        self.assertEqual(self.imports(library=ours), ('softmax', ''))
        self.assertEqual(self.imports(beside=ours), ('softmax', ''))

    def test_a_missing_one_is_an_import_error_that_says_where_it_was_sought(self):
        self.assertRegex(self.imports(library='/nowhere/x.so')[1], 'ImportError: LOGITUDE_LIBRARY names /nowhere/x.so')
        out, error = self.imports()
        if out == 'softmax':
            self.skipTest('the system has a Logitude of its own')
        self.assertRegex(error, r'ImportError: liblogitude.so was found neither at .*/liblogitude.so .*LOGITUDE_LIBRARY')

    def test_what_is_no_library_or_another_version_is_an_import_error(self):
        with tempfile.TemporaryDirectory() as folder:
            broken = Path(folder, 'broken.so')
            broken.write_text('not a library')
            self.assertRegex(self.imports(library=str(broken))[1], 'ImportError: .*broken.so does not load')
            other = self.compiled(folder, 'const char *lgt_version(void) { return "7.1.0"; }\n')
            self.assertRegex(self.imports(library=other)[1], 'ImportError: .* is Logitude 7.1.0, this package is 0')
            poor = self.compiled(folder, f'const char *lgt_version(void) {{ return "{logitude.__version__}"; }}\n')
            self.assertRegex(self.imports(library=poor)[1], 'ImportError: .* has no lgt_')
            alien = self.compiled(folder, 'int f(void) { return 1; }\n')
            self.assertRegex(self.imports(library=alien)[1], 'ImportError: .* is no Logitude')


if __name__ == '__main__':
    unittest.main()
