"""Arrays, tensors, datasets and models on disk, against NumPy's own files."""
import gc
import gzip
import json
import struct
import tempfile
import unittest
from pathlib import Path

import numpy as np

import logitude


class Files(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        self.rng = np.random.default_rng(1)

    def arrays(self):
        for kind in ('f4', 'f8', 'f2', 'u1', 'i4', 'i8'):
            for shape in ((), (0,), (5,), (3, 4), (2, 0, 3), (2, 3, 2)):
                yield (self.rng.random(shape) * 100).astype(kind)

    def test_npy_files_go_both_ways(self):
        for array in self.arrays():
            array = np.asarray(array)
            logitude.write_npy(self.folder / 'a.npy', array)
            theirs, ours = np.load(self.folder / 'a.npy'), logitude.read_array(self.folder / 'a.npy')
            for found in (theirs, ours):
                self.assertEqual((found.dtype, found.shape), (array.dtype, array.shape))
                np.testing.assert_array_equal(found, array)
        np.save(self.folder / 'f.npy', np.asfortranarray(self.rng.random((3, 4))))
        np.testing.assert_array_equal(logitude.read_array(self.folder / 'f.npy'), np.load(self.folder / 'f.npy'))

    def test_gzipped_idx_files(self):
        (self.folder / 'a').write_bytes(gzip.compress(struct.pack('>BBBBII', 0, 0, 8, 2, 2, 3) + bytes(range(6))))
        np.testing.assert_array_equal(logitude.read_array(self.folder / 'a'), np.arange(6, dtype='u1').reshape(2, 3))

    def test_safetensors_with_metadata(self):
        wanted = {f't{i}': np.asarray(array) for i, array in enumerate(self.arrays())}
        logitude.write_tensors(self.folder / 'a.safetensors', wanted, {'note': 'für Ω'})
        found, notes = logitude.read_tensors(self.folder / 'a.safetensors')
        self.assertEqual((list(found), notes), (list(wanted), {'note': 'für Ω'}))
        for name, array in wanted.items():
            self.assertEqual(found[name].dtype, array.dtype)
            np.testing.assert_array_equal(found[name], array)
        np.savez(self.folder / 'z.npz', **wanted)
        with np.load(self.folder / 'z.npz') as lazy:
            logitude.write_tensors(self.folder / 'b.safetensors', lazy, notes)
        self.assertEqual((self.folder / 'b.safetensors').read_bytes(), (self.folder / 'a.safetensors').read_bytes())
        logitude.write_tensors(self.folder / 'none', {})
        self.assertEqual(logitude.read_tensors(self.folder / 'none'), ({}, {}))
        data = (self.folder / 'a.safetensors').read_bytes()
        header = json.loads(data[8:8 + struct.unpack('<Q', data[:8])[0]])
        self.assertEqual(header['t3']['shape'], [3, 4])

    def test_a_nul_is_refused_wherever_text_goes_to_c(self):
        array, bad = np.zeros(3), str(self.folder / 'nul\0a')
        logitude.write_npy(self.folder / 'nul', array)
        model = logitude.train(np.eye(2, dtype='f'), [0, 1], encoder='none', epochs=1, batch=2)
        named = {'path is .*nul.x00a., which has a NUL at byte': (
            lambda: logitude.write_npy(bad, array), lambda: logitude.read_array(bad), lambda: logitude.read_array(bad.encode()),
            lambda: logitude.read_tensors(bad), lambda: logitude.write_tensors(bad, {}), lambda: logitude.load_model(bad),
            lambda: model.save(bad), lambda: model.export_onnx(bad)),
            'spec is': (lambda: logitude.load_dataset(bad),),
            'label_column is': (lambda: logitude.load_dataset('nul', label_column='a\0b'),),
            'tensor name is .a.x00b.': (lambda: logitude.write_tensors(self.folder / 'b', {'a\0b': array}),),
            'metadata key is': (lambda: logitude.write_tensors(self.folder / 'b', {}, {'a\0b': ''}),),
            "metadata 'a' is": (lambda: logitude.write_tensors(self.folder / 'b', {}, {'a': 'c\0'}),),
            r'label_names\[1\] is': (lambda: logitude.train(np.eye(2, dtype='f'), [0, 1], label_names=['a', 'b\0']),),
            'encoder is': (lambda: logitude.train(np.eye(2, dtype='f'), [0, 1], encoder='none\0'),),
            'align is': (lambda: logitude.train(np.eye(2, dtype='f'), [0, 1], align='pga:k=1\0'),),
            'alignment is': (lambda: logitude.align(np.eye(2), [0, 1], 'pga:k=1\0,k=2'),),
            'loss is .arcface.x00:s=3., which has a NUL at byte 7': (lambda: logitude.Loss('arcface\0:s=3'),),
            'like is': (lambda: logitude.Loss('arcface', like='pml\0'),)}
        for words, calls in named.items():
            for i, call in enumerate(calls):
                with self.subTest(words, call=i), self.assertRaisesRegex(logitude.UsageError, words):
                    call()
        self.assertEqual(sorted(path.name for path in self.folder.iterdir()), ['nul'])
        with self.assertRaisesRegex(logitude.UsageError, "metadata 'a' is int, expected text"):
            logitude.write_tensors(self.folder / 'b', {}, {'a': 1})

    def test_errors_name_the_file(self):
        for call in (logitude.read_array, logitude.read_tensors, logitude.load_model):
            with self.assertRaisesRegex(OSError, 'nothing-here'):
                call(self.folder / 'nothing-here')
        (self.folder / 'bad').write_bytes(b'\x93NUMPY\x01\x00')
        with self.assertRaisesRegex(logitude.DataError, 'bad'):
            logitude.read_array(self.folder / 'bad')
        with self.assertRaisesRegex(ValueError, 'expected a C-contiguous array'):
            logitude.write_npy(self.folder / 'a', np.zeros((3, 4)).T)
        with self.assertRaisesRegex(ValueError, 'complex128'):
            logitude.write_tensors(self.folder / 'a', {'t': np.zeros(3, complex)})

    def test_datasets_of_two_files(self):
        x, y = self.rng.random((6, 2, 2)).astype('f4'), np.array([7, 9, 7, 7, 9, 9])
        np.save(self.folder / 'x.npy', x), np.save(self.folder / 'y.npy', y)
        found = logitude.load_dataset(f'{self.folder}/x.npy,{self.folder}/y.npy')
        np.testing.assert_array_equal(found.x, x.reshape(6, 4))
        self.assertEqual((found.label_names, found.shape, found.labels.tolist()), (['7', '9'], (2, 2), [0, 1, 0, 0, 1, 1]))
        self.assertIsNone(logitude.load_dataset(f'{self.folder}/x.npy', labels_required=False).labels)

    def model(self):
        """A model without an encoder, by the rules of docs/formats.md."""
        w, b = self.rng.normal(size=(3, 4)).astype('f4'), self.rng.normal(size=3).astype('f4')
        tensors = {'head.weight': w, 'head.bias': b, 'normalization.mean': np.array([0.5], 'f4'),
                   'normalization.scale': np.array([2.0], 'f4')}
        logitude.write_tensors(self.folder / 'm', tensors, {
            'format': 'logitude-model-1', 'loss': 'softmax', 'encoder': 'none', 'classes': '3', 'step': '5',
            'sample_shape': '4', 'label_names': '["a","b","c"]'})
        return w, b, logitude.load_model(self.folder / 'm')

    def test_a_model_embeds_and_predicts(self):
        w, b, model = self.model()
        x = self.rng.random((5, 4)).astype('f4')
        self.assertEqual((model.in_dim, model.dim, model.n_classes, model.step, model.encoder, model.label_names,
                          model.loss.name), (4, 4, 3, 5, 'none', ['a', 'b', 'c'], 'softmax'))
        z = (x - np.float32(0.5)) * 2
        np.testing.assert_allclose(model.embed(x), z, atol=1e-6)
        np.testing.assert_array_equal(model.predict(x, k=1).classes[:, 0], (z @ w.T + b).argmax(1))
        model.save(self.folder / 'again')
        again = logitude.load_model(self.folder / 'again')
        self.assertEqual((again.label_names, again.loss, again.step), (model.label_names, model.loss, 5))
        np.testing.assert_array_equal(again.embed(x), model.embed(x))

    def test_the_weights_of_a_model_outlive_it_and_are_read_only(self):
        w, b, model = self.model()
        weights, bias = model.weights, model.bias
        del model
        gc.collect()
        np.testing.assert_array_equal(weights, w)
        np.testing.assert_array_equal(bias, b)
        with self.assertRaises(ValueError):
            weights[0, 0] = 1


if __name__ == '__main__':
    unittest.main()
