#!/usr/bin/env python3
"""convert against the programs it speaks with: NumPy, scikit-learn, PyTorch, and ONNX by a parser of our own and, where it is
installed, by its checker. interchange.py PROGRAM. Exits 77 (skipped) without NumPy."""
import importlib.util
import json
import os
import shutil
import struct
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

HAVE = {name: importlib.util.find_spec(name) is not None for name in ('numpy', 'sklearn', 'torch', 'onnx')}
if not HAVE['numpy']:
    print('skipped: there is no NumPy')
    sys.exit(77)
import numpy as np

PROGRAM = os.path.abspath(sys.argv[1]) if len(sys.argv) > 1 else 'logitude'


def read_safetensors(path):
    """docs/formats.md's own lines."""
    blob = Path(path).read_bytes()
    start = 8 + struct.unpack('<Q', blob[:8])[0]
    header = json.loads(blob[8:start])
    kinds = {'F16': '<f2', 'F32': '<f4', 'F64': '<f8', 'I64': '<i8'}
    notes = header.pop('__metadata__', {})
    return {name: np.frombuffer(blob[start + t['data_offsets'][0]:start + t['data_offsets'][1]], kinds[t['dtype']]).reshape(
        t['shape']) for name, t in header.items()}, notes


# --- ONNX without onnx: protocol buffers, then a graph in NumPy ---

def varint(data, at):
    value, shift = 0, 0
    while True:
        byte = data[at]
        value |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128:
            return value, at


def fields(data):
    """{number: [values]} of a message; bytes stay bytes."""
    found, at = {}, 0
    while at < len(data):
        key, at = varint(data, at)
        if key & 7 == 0:
            value, at = varint(data, at)
        else:
            assert key & 7 == 2, key
            length, at = varint(data, at)
            value, at = data[at:at + length], at + length
            assert len(value) == length
        found.setdefault(key >> 3, []).append(value)
    return found


def tensor(data):
    f = fields(data)
    kind = {1: '<f4', 7: '<i8'}[f[2][0]]
    return f[8][0].decode(), np.frombuffer(f[9][0], kind).reshape(f.get(1, []))


def attributes(node):
    found = {}
    for data in node.get(5, []):
        f = fields(data)
        values = [v - (1 << 64) if v >> 63 else v for v in f.get(3, []) + f.get(8, [])]
        found[f[1][0].decode()] = values if f[20][0] == 7 else values[0]
    return found


def evaluate(path, x):
    """(the three outputs by name, the model's fields)."""
    model = fields(Path(path).read_bytes())
    graph = fields(model[7][0])
    at = dict(tensor(t) for t in graph[5])
    names = lambda numbers: [fields(v)[1][0].decode() for v in graph[numbers]]
    assert names(11) == ['x'] and names(12) == ['embedding', 'logits', 'probabilities']
    at['x'] = x
    for node in map(fields, graph[1]):
        given, options = [at[name.decode()] for name in node[1]], attributes(node)
        a, b = given[0], given[1] if len(given) > 1 else None
        kind = node[4][0].decode()
        if kind == 'Gemm':
            assert options == {'transB': 1}
            out = a @ b.T + (given[2] if len(given) > 2 else 0)
        elif kind == 'Softmax':
            e = np.exp(a - a.max(axis=options['axis'], keepdims=True))
            out = e / e.sum(axis=options['axis'], keepdims=True)
        elif kind in ('ReduceL2', 'ReduceMax'):
            how = {'axis': tuple(options['axes']), 'keepdims': bool(options['keepdims'])}
            out = np.sqrt((a * a).sum(**how)) if kind == 'ReduceL2' else a.max(**how)
        else:
            out = {'Sub': lambda: a - b, 'Mul': lambda: a * b, 'Div': lambda: a / b, 'Max': lambda: np.maximum(a, b),
                   'Relu': lambda: np.maximum(a, 0), 'Identity': lambda: a, 'Reshape': lambda: a.reshape(b)}[kind]()
        at[node[2][0].decode()] = out
    return {name: at[name] for name in names(12)}, model


class Case(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name
        rng = np.random.default_rng(3)
        self.y = np.arange(120) % 4
        self.x = (2 * rng.normal(size=(4, 6))[self.y] + rng.normal(size=(120, 6)) + 1).astype('f')
        np.save(self.path('x.npy'), self.x)
        np.save(self.path('y.npy'), self.y)

    def path(self, name):
        return os.path.join(self.folder, name)

    def run_program(self, *args, code=0):
        done = subprocess.run([PROGRAM, *map(str, args)], cwd=self.folder, capture_output=True, text=True, timeout=120)
        self.assertEqual(done.returncode, code, done.stderr)
        return done.stdout if code == 0 else done.stderr

    def convert(self, *args):
        return json.loads(self.run_program('convert', *args, '--json', '-q'))

    def train(self, loss, *options, labels='y.npy'):
        self.run_program('train', '--data', 'x.npy,' + labels, '--loss', loss, '--out', 'run', '--epochs', 3, '--batch', 30,
                         '--no-report', '-q', *options)
        return 'run/model.safetensors'


class Numpy(Case):
    def test_archives_both_ways_are_numpys_own(self):
        rng = np.random.default_rng(0)
        arrays = {'a': rng.normal(size=(3, 4)), 'b.c': np.float32(rng.normal(size=(2, 3, 4))), 'n': np.arange(5),
                  'h': np.float16([1.5, -0.0]), 'none': np.zeros((0, 3)), 'one': np.array(7.0), 'f': np.asfortranarray(np.eye(3))}
        for save in (np.savez, np.savez_compressed):
            save(self.path('in.npz'), **arrays)
            self.convert('in.npz', 'out.safetensors')
            self.convert('out.safetensors', 'out.npz')
            found, _ = read_safetensors(self.path('out.safetensors'))
            with np.load(self.path('out.npz')) as again:
                self.assertEqual(sorted(again), sorted(arrays))
                for name, array in arrays.items():
                    for own in (found[name], again[name]):
                        self.assertEqual((own.dtype, own.shape, own.tobytes()),
                                         (array.dtype, array.shape, np.ascontiguousarray(array).tobytes()), name)

    def test_shards_of_any_number_are_the_matrix(self):
        w = np.random.default_rng(1).normal(size=(11, 5)).astype('f')
        np.save(self.path('w.npy'), w)
        for n in (1, 2, 3, 11):
            files = self.convert('w.npy', 's%d_{rank}.npy' % n, '--shards', n)['files']
            sizes = [11 // n + (rank < 11 % n) for rank in range(n)]  # the remainder to the first ranks
            self.assertEqual([len(np.load(self.path(f))) for f in files], sizes)
            np.testing.assert_array_equal(np.concatenate([np.load(self.path(f)) for f in files]), w)
            self.convert('s%d_{rank}.npy' % n, 'again.npy')
            np.testing.assert_array_equal(np.load(self.path('again.npy')), w)
        self.convert('w.npy', 'turned.npy', '--transpose', '--dtype', 'f64')
        turned = np.load(self.path('turned.npy'))
        self.assertEqual(turned.dtype, np.float64)
        np.testing.assert_array_equal(turned, w.T)

    def test_shards_become_a_model_that_predicts(self):
        w = np.random.default_rng(2).normal(size=(4, 6)).astype('f')
        np.save(self.path('w.npy'), w)
        self.convert('w.npy', 'part_{rank}.npy', '--shards', 3)
        self.convert('part_{rank}.npy', 'm.safetensors', '--to', 'model', '--loss', 'arcface:s=16')
        rows = self.run_program('predict', '--model', 'm.safetensors', '--data', 'x.npy', '--top', 1).splitlines()[1:]
        cosines = self.x @ (w / np.linalg.norm(w, axis=1, keepdims=True)).T
        self.assertEqual([int(row.split(',')[1]) for row in rows], list(cosines.argmax(axis=1)))


@unittest.skipUnless(HAVE['sklearn'], 'there is no scikit-learn')
class Sklearn(Case):
    def fit(self, x, y, **options):
        from sklearn.linear_model import LogisticRegression
        model = LogisticRegression(max_iter=1000, **options).fit(x, y)
        np.savez(self.path('sk.npz'), coef_=model.coef_, intercept_=model.intercept_, classes_=model.classes_)
        return model

    def test_a_logistic_regression_goes_round(self):
        for classes in (2, 4):
            keep = self.y < classes
            model = self.fit(self.x[keep], 10 * self.y[keep] - 7)
            for through in (['t.safetensors', '--to', 'torch'], ['l.txt', '--to', 'liblinear']):
                report = self.convert('sk.npz', *through)
                self.assertEqual((report['from'], report['classes'], report['dim']), ('sklearn', classes, 6))
                self.convert(through[0], 'back.npz', '--to', 'sklearn')
                with np.load(self.path('back.npz')) as back:
                    np.testing.assert_array_equal(back['coef_'], model.coef_)
                    np.testing.assert_array_equal(back['intercept_'], model.intercept_)
                    if through[0] == 'l.txt':
                        np.testing.assert_array_equal(back['classes_'], model.classes_)

    def test_labels_of_other_types_and_a_bias_that_is_a_number(self):
        from sklearn.svm import LinearSVC
        for classes, kind in ((4, np.uint8), (4, np.int16), (4, float), (2, bool)):
            keep = self.y < classes
            x, y = self.x[keep], self.y[keep].astype(kind)
            model = LinearSVC(fit_intercept=False).fit(x, y)
            np.savez(self.path('sk.npz'), coef_=model.coef_, intercept_=model.intercept_, classes_=model.classes_)
            self.convert('sk.npz', 'm.safetensors', '--to', 'model')
            rows = self.run_program('predict', '--model', 'm.safetensors', '--data', 'x.npy', '--top', 1).splitlines()[1:]
            found = np.array([int(row.split(',')[1]) for row in rows])[keep]
            np.testing.assert_array_equal(found, model.predict(x).astype(int))
            self.convert('sk.npz', 'back.npz', '--to', 'sklearn')
            with np.load(self.path('back.npz')) as back:
                np.testing.assert_array_equal(back['classes_'], model.classes_)
                np.testing.assert_array_equal(back['intercept_'], np.zeros(len(model.coef_)))

    def test_it_becomes_a_model_of_the_same_decisions(self):
        for classes in (2, 4):
            keep = self.y < classes
            model = self.fit(self.x[keep], 10 * self.y[keep] - 7)
            self.convert('sk.npz', 'm.safetensors', '--to', 'model')
            rows = self.run_program('predict', '--model', 'm.safetensors', '--data', 'x.npy', '--top', 1).splitlines()[1:]
            self.assertEqual([int(row.split(',')[1]) for row in rows], list(model.predict(self.x)))
            shares = [float(row.split(',')[2]) for row in rows]
            np.testing.assert_allclose(shares, model.predict_proba(self.x).max(axis=1), atol=1e-5)

    def test_a_model_trained_here_serves_there_its_standardisation_included(self):
        from sklearn.linear_model import LogisticRegression
        for standardize in ('none', 'global', 'feature'):
            path = self.train('softmax', '--encoder', 'none', '--standardize', standardize)
            for classes in (4, 2):
                if classes == 2:
                    np.save(self.path('two.npy'), self.y % 2)
                    path = self.train('softmax', '--encoder', 'none', '--standardize', standardize, labels='two.npy')
                self.convert(path, 'm.npz', '--to', 'sklearn')
                with np.load(self.path('m.npz')) as saved:
                    other = LogisticRegression(multi_class='ovr' if classes == 2 else 'multinomial')
                    other.coef_, other.intercept_, other.classes_ = saved['coef_'], saved['intercept_'], saved['classes_']
                rows = self.run_program('predict', '--model', path, '--data', 'x.npy', '--top', 1).splitlines()[1:]
                np.testing.assert_allclose([float(row.split(',')[2]) for row in rows], other.predict_proba(self.x).max(axis=1),
                                           atol=1e-5)
                if standardize == 'none' and classes == 4:
                    own, _ = read_safetensors(self.path(path))
                    np.testing.assert_array_equal(other.coef_, own['head.weight'])


@unittest.skipUnless(shutil.which('liblinear-train'), 'there is no liblinear-train')
class Liblinear(Case):
    def program(self, *args):
        subprocess.run(args, cwd=self.folder, check=True, stdout=subprocess.PIPE, timeout=60)

    def write_rows(self, y):
        with open(self.path('data.txt'), 'w', encoding='ascii') as file:
            for row, label in zip(self.x, y):
                file.write(f'{label} ' + ' '.join(f'{k + 1}:{v:.9g}' for k, v in enumerate(row)) + '\n')

    def predicted(self, model):
        self.program('liblinear-predict', 'data.txt', model, 'out.txt')
        return list(map(int, Path(self.path('out.txt')).read_text().split()))

    def test_models_go_round_and_decide_alike(self):
        for classes, solver, bias in ((2, 0, 1), (4, 0, -1), (4, 4, 2), (2, 4, 1)):
            with self.subTest(classes=classes, solver=solver):
                y = 5 - 3 * (self.y % classes)
                self.write_rows(y)
                self.program('liblinear-train', '-q', '-s', str(solver), '-B', str(bias), 'data.txt', 'model.txt')
                self.convert('model.txt', 'again.txt', '--to', 'liblinear')
                self.assertEqual(self.predicted('again.txt'), self.predicted('model.txt'))
                self.convert('model.txt', 'm.safetensors', '--to', 'model')
                rows = self.run_program('predict', '--model', 'm.safetensors', '--data', 'x.npy', '--top', 1).splitlines()[1:]
                self.assertEqual([int(row.split(',')[1]) for row in rows], self.predicted('model.txt'))

    def test_a_head_trained_here_decides_alike_there(self):
        for classes in (2, 4):
            y = self.y % classes
            np.save(self.path('y.npy'), y)
            self.write_rows(y)
            path = self.train('softmax', '--encoder', 'none', '--standardize', 'feature')
            self.convert(path, 'model.txt', '--to', 'liblinear')
            rows = self.run_program('predict', '--model', path, '--data', 'x.npy', '--top', 1).splitlines()[1:]
            self.assertEqual(self.predicted('model.txt'), [int(row.split(',')[1]) for row in rows])


@unittest.skipUnless(HAVE['torch'], 'there is no PyTorch')
class Torch(Case):
    def test_a_linear_layer_takes_the_head(self):
        import torch
        path = self.train('softmax', '--encoder', 'mlp:8', '--dim', 5)
        self.convert(path, 'fc.safetensors', '--to', 'torch', '--prefix', 'fc.')
        state, notes = read_safetensors(self.path('fc.safetensors'))
        self.assertEqual((sorted(state), notes), (['fc.bias', 'fc.weight'], {'format': 'pt'}))
        net = torch.nn.ModuleDict({'fc': torch.nn.Linear(5, 4)})
        net.load_state_dict({name: torch.from_numpy(array.copy()) for name, array in state.items()})
        self.run_program('embed', '--model', path, '--data', 'x.npy', '--out', 'e.npy')
        rows = self.run_program('predict', '--model', path, '--data', 'x.npy', '--top', 1).splitlines()[1:]
        found = net['fc'](torch.from_numpy(np.load(self.path('e.npy')))).softmax(dim=1).max(dim=1)
        self.assertEqual([int(row.split(',')[1]) for row in rows], found.indices.tolist())
        np.testing.assert_allclose([float(row.split(',')[2]) for row in rows], found.values.detach().numpy(), atol=1e-6)

    def test_the_three_lines_of_the_readme(self):
        """A model trained here opens in NumPy and in PyTorch as docs/formats.md shows."""
        import torch
        banks = 'pga:targets=memory,neighbours=memory+k'  # whole numbers and doubles among the tensors
        path = self.path(self.train('arcface', '--encoder', 'mlp:6', '--dim', 5, '--align', banks))
        self.convert(path, 'model.npz')
        page = (Path(__file__).resolve().parents[2] / 'docs' / 'formats.md').read_text(encoding='utf-8')
        own, _ = read_safetensors(path)
        self.assertEqual({array.dtype.str for array in own.values()}, {'<f4', '<f8', '<i8'})
        blocks = [part.split('```')[0] for part in page.split('```python\n')[1:]]
        self.assertGreaterEqual(len(blocks), 2)
        for block in blocks:
            self.assertLessEqual(len(block.strip().splitlines()), 8)
            here, at = {}, os.getcwd()
            os.chdir(os.path.dirname(path) if 'model.npz' not in block else self.folder)
            try:
                exec(block, here)  # our own page
            finally:
                os.chdir(at)
            model = here['model']
            self.assertEqual(sorted(model), sorted(own))
            for name in own:
                array = np.asarray(model[name])
                self.assertEqual((array.dtype, array.shape), (own[name].dtype, own[name].shape))
                np.testing.assert_array_equal(array, own[name])
        self.assertIsInstance(model['head.weight'], torch.Tensor)


class Onnx(Case):
    SPECS = ['softmax', 'arcface:s=16', 'sphereface', 'lsoftmax', 'subcenter:k=3,s=8', 'adaface', 'magface', 'normalized']

    def check(self, path, wanted):
        found, model = evaluate(self.path('m.onnx'), self.x)
        notes = {fields(e)[1][0].decode(): fields(e)[2][0].decode() for e in model[14]}
        self.assertEqual((model[1], fields(model[8][0])[2], sorted(notes)), ([7], [13], ['label_names', 'loss']))
        self.run_program('embed', '--model', path, '--data', 'x.npy', '--out', 'e.npy')
        np.testing.assert_allclose(found['embedding'], np.load(self.path('e.npy')), rtol=2e-5, atol=2e-5)
        rows = self.run_program('predict', '--model', path, '--data', 'x.npy', '--top', 4).splitlines()[1:]
        names = json.loads(notes['label_names'])
        for i, row in enumerate(rows):
            cells = row.split(',')
            shares = dict(zip(cells[1::2], map(float, cells[2::2])))
            np.testing.assert_allclose(found['probabilities'][i], [shares[name] for name in names], atol=3e-5)
        self.assertTrue(wanted <= {fields(n)[4][0].decode() for n in fields(model[7][0])[1]})
        if HAVE['onnx']:
            import onnx
            whole = onnx.load(self.path('m.onnx'))
            onnx.checker.check_model(whole, full_check=True)
            self.assertEqual([o.type.tensor_type.shape.dim[1].dim_value for o in whole.graph.output][1:], [4, 4])

    def test_every_kind_of_head_and_encoder(self):
        for spec in self.SPECS:
            for encoder in (['none'], ['mlp:9,7', '--dim', 5], ['linear', '--dim', 5]):
                with self.subTest(loss=spec, encoder=encoder):
                    path = self.train(spec, '--encoder', *encoder, '--standardize', 'feature')
                    self.convert(path, 'm.onnx')
                    self.check(path, {'Gemm', 'Softmax'} | ({'Relu'} if 'mlp' in encoder[0] else set()))

    def test_rows_without_a_direction_have_no_cosine(self):
        path = self.train('arcface', '--encoder', 'none', '--standardize', 'none')
        self.convert(path, 'm.onnx')
        found, _ = evaluate(self.path('m.onnx'), np.zeros((2, 6), 'f'))
        np.testing.assert_array_equal(found['logits'], np.zeros((2, 4)))

    def test_without_onnx_it_is_said(self):
        if not HAVE['onnx']:
            self.skipTest('there is no onnx: the files are checked by the parser of this test alone')

    def test_only_a_model_becomes_a_graph(self):
        np.save(self.path('w.npy'), np.eye(3))
        self.assertIn('expected a model', self.run_program('convert', 'w.npy', 'm.onnx', code=3))
        self.assertFalse(os.path.exists(self.path('m.onnx')))


if __name__ == '__main__':
    sys.dont_write_bytecode = True
    unittest.main(warnings='ignore', argv=['interchange.py', '-v', *sys.argv[2:]])
