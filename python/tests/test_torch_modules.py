"""logitude.torch beside the losses: heads that step their own weights, and alignment."""
import copy
import doctest
import os
import re
import tempfile
import unittest
from pathlib import Path

import numpy as np
import torch

import logitude
import logitude.torch as heads

C, D, N = 40, 8, 12


def stepped(optimizer, seed=0, **options):
    torch.manual_seed(seed)
    return heads.SteppedHead(heads.ArcFaceLoss(C, D, scale=16), optimizer, lr=0.1, weight_decay=0.01, **options)


def batches(count):
    rng = torch.Generator().manual_seed(5)
    return [(torch.randn(N, D, generator=rng), torch.randint(C, (N,), generator=rng)) for _ in range(count)]


class Steps(unittest.TestCase):
    def test_steps_are_those_of_pytorch(self):
        for name, optimizer in (('sgd', lambda p: torch.optim.SGD(p, 0.1, momentum=0.9, weight_decay=0.01)),
                                ('adamw', lambda p: torch.optim.AdamW(p, 0.1, weight_decay=0.01))):
            with self.subTest(name):
                ours = stepped(name)
                plain = heads.ArcFaceLoss(C, D, scale=16)
                plain.weight.data.copy_(ours.head.weight)
                theirs = optimizer(plain.parameters())
                for x, y in batches(6):
                    mine, other = x.clone().requires_grad_(), x.clone().requires_grad_()
                    loss, expected = ours(mine, y), plain(other, y)
                    self.assertAlmostEqual(loss.item(), expected.item(), delta=1e-4)
                    loss.backward()
                    theirs.zero_grad()
                    expected.backward()
                    theirs.step()
                    torch.testing.assert_close(mine.grad, other.grad, rtol=1e-3, atol=1e-5)
                    torch.testing.assert_close(ours.head.weight, plain.weight, rtol=1e-4, atol=1e-5)
                self.assertIsNone(ours.head.weight.grad)
                self.assertFalse(list(p for p in ours.parameters() if p.requires_grad))

    def test_a_sampled_step_leaves_the_other_rows_alone(self):
        ours, (x, y) = stepped('sgd', sample_rate=0.25), batches(1)[0]
        before = ours.head.weight.clone()
        ours(x, y)
        moved = (ours.head.weight != before).any(1)
        present = len(y.unique())
        self.assertTrue(moved[y].all())
        self.assertEqual(int(moved.sum()), present + round(0.25 * (C - present)))
        ours(x, y)
        self.assertGreater(int((ours.head.weight != before).any(1).sum()), int(moved.sum()))  # others are drawn
        ours.sample_rate = 1.0
        ours(x, y)
        self.assertTrue((ours.head.weight != before).any(1).all())

    def test_evaluation_takes_no_step(self):
        ours, (x, y) = stepped('sgd', sample_rate=0.25).eval(), batches(1)[0]
        before = copy.deepcopy(ours.state_dict())
        self.assertEqual(ours(x, y).item(), ours.head(x, y).item())
        self.assertTrue(all(torch.equal(before[k], v) for k, v in ours.state_dict().items()))

    def test_a_resumed_training_goes_on_with_the_same_bits(self):
        for options in ({}, {'sample_rate': 0.25}):
            for optimizer in ('sgd', 'adamw'):
                whole, first = stepped(optimizer, **options), stepped(optimizer, **options)
                data = batches(6)
                for x, y in data[:3]:
                    first(x, y)
                second = stepped(optimizer, seed=9, **options)
                second.load_state_dict(first.state_dict())
                for x, y in data[3:]:
                    second(x, y)
                for x, y in data:
                    whole(x, y)
                self.assertTrue(torch.equal(second.head.weight, whole.head.weight))

    def test_ignored_rows_bring_no_class_and_no_gradient(self):
        (x, y), ignored = batches(1)[0], torch.arange(N) % 3 == 0
        for optimizer in ('sgd', 'adamw'):
            whole, part = stepped(optimizer, sample_rate=0.25), stepped(optimizer, sample_rate=0.25)
            mine = x.clone().requires_grad_()
            loss = whole(mine, torch.where(ignored, -100, y))
            loss.backward()
            self.assertAlmostEqual(loss.item(), part(x[~ignored], y[~ignored]).item(), delta=1e-5)
            torch.testing.assert_close(whole.head.weight, part.head.weight, rtol=1e-5, atol=1e-6)
            self.assertEqual(mine.grad[ignored].abs().max().item(), 0)
            self.assertGreater(mine.grad[~ignored].norm(dim=1).min().item(), 0)
        self.assertEqual(whole(x, torch.full_like(y, -100)).item(), 0)
        before = whole.head.weight.clone()
        with self.assertRaisesRegex(logitude.DataError, 'labels: row 3 is 77, expected 0 to 39'):
            whole(x, torch.where(ignored, -100, y).index_fill(0, torch.tensor([3]), 77))
        self.assertTrue(torch.equal(whole.head.weight, before))

    def test_numbers_outside_their_range_are_refused(self):
        head = heads.ArcFaceLoss(C, D)
        for words, options in (('lr is -1, expected a number >= 0 and <= 1e6', {'lr': -1}), ('lr is nan', {'lr': float('nan')}),
                               ('momentum is 1.5, expected a number >= 0 and < 1', {'momentum': 1.5}),
                               (r'betas is \(0.9, 1\), expected two numbers >= 0 and < 1', {'betas': (0.9, 1)}),
                               ('betas is 3, expected two', {'betas': 3}), ('betas is .0.9,., expected two', {'betas': (0.9,)}),
                               ("betas is 'ab'", {'betas': 'ab'}), ("lr is 'a', expected a number", {'lr': 'a'}),
                               ('lr is None', {'lr': None}), ('lr is tensor', {'lr': torch.ones(2)}),
                               ("momentum is '1'", {'momentum': '1'}), ("sample_rate is 'all'", {'sample_rate': 'all'}),
                               ("seed is 'a', expected an integer >= 0 and < 2.64", {'seed': 'a'}),
                               ('seed is 1.5', {'seed': 1.5}), ('seed is -1', {'seed': -1}),
                               (f'seed is {2 ** 64}', {'seed': 2 ** 64}),
                               ('eps is 0, expected a number >= 1e-30 and <= 1e6', {'eps': 0}),
                               ('eps is 1e-44', {'eps': 1e-44}), ('lr is 1e.39', {'lr': 1e39}),
                               ('weight_decay is -1', {'weight_decay': -1}),
                               ('sample_rate is 2, expected a number > 0 and <= 1', {'sample_rate': 2}),
                               ('sample_rate is 0', {'sample_rate': 0})):
            with self.assertRaisesRegex(logitude.UsageError, words):
                heads.SteppedHead(head, **{'lr': 0.1, **options})
        self.assertTrue(head.weight.requires_grad)
        ours, (x, y) = stepped('sgd'), batches(1)[0]
        ours.lr = -0.1
        with self.assertRaisesRegex(logitude.UsageError, 'lr is -0.1'):
            ours(x, y)
        ours.lr, ours.seed = torch.tensor(0.1), 'b'
        with self.assertRaisesRegex(logitude.UsageError, "seed is 'b'"):
            ours(x, y)
        for seed in (2 ** 64 - 1, np.int64(3)):
            ours.seed, ours.sample_rate = seed, 0.5
            ours(x, y)

    def test_a_graph_that_has_saved_w_is_told_of_the_step(self):
        x, y = batches(1)[0]
        for optimizer in ('sgd', 'adamw'):
            losses = {'evaluation': lambda ours, x: ours.eval()(x, y),
                      'product': lambda ours, x: torch.nn.functional.cross_entropy(x @ ours.head.weight.t(), y)}
            for name, loss in losses.items():
                ours, mine = stepped(optimizer), x.clone().requires_grad_()
                kept = loss(ours, mine)
                ours.train()
                stays = kept + ours(x, y)
                with self.subTest(name), self.assertRaisesRegex(RuntimeError, 'modified by an inplace operation'):
                    stays.backward()
                loss(ours, mine).backward()  # of W as it is now
                self.assertIsNotNone(mine.grad)
            ours = stepped(optimizer)
            moved = [t for t in (ours.head.weight, ours.first, ours.second) if t is not None]
            before = [t._version for t in moved]
            two = [x.clone().requires_grad_() for _ in range(2)]
            (ours(two[0], y) + ours(two[1], y)).backward()  # steps keep no W
            self.assertTrue(all(t.grad is not None for t in two))
            self.assertEqual([t._version for t in moved], [version + 2 for version in before])

    def test_what_it_cannot_do_is_refused(self):
        ours, (x, y) = stepped('sgd'), batches(1)[0]
        with self.assertRaisesRegex(logitude.UsageError, 'the loss counts 2.0 times'):
            (2 * ours(x.requires_grad_(), y)).backward()
        with self.assertRaisesRegex(logitude.UsageError, 'W steps in float32'):
            ours(x.double(), y)
        for head, optimizer in ((heads.SoftmaxLoss(C, D), 'sgd'), (heads.CosFaceLoss(C, D, reduction='none'), 'sgd'),
                                (heads.CosFaceLoss(C, D).double(), 'sgd'), (heads.CosFaceLoss(C, D), 'lbfgs')):
            with self.assertRaises(logitude.UsageError):
                heads.SteppedHead(head, optimizer, lr=0.1)
        with self.assertRaisesRegex(logitude.UsageError, 'W is torch.bfloat16, expected torch.float32'):
            stepped('sgd').bfloat16()(x.bfloat16(), y)
        for taker in (heads.SteppedHead, heads.AlignedLoss):
            with self.assertRaisesRegex(logitude.UsageError, f'the head of {taker.__name__} is SteppedHead, expected a HeadLoss'):
                taker(ours, **({'lr': 0.1} if taker is heads.SteppedHead else {}))
        with self.assertRaisesRegex(logitude.UsageError, 'needs labels'):
            sampled = heads.SteppedHead(heads.NormalizedSoftmaxLoss(C, D), lr=0.1, sample_rate=0.5)
            sampled(x, None, soft_targets=torch.full((N, C), 1 / C))
        before = ours.head.weight.clone()
        with self.assertRaises(logitude.DataError):
            ours(x * float('nan'), y)
        self.assertTrue(torch.equal(ours.head.weight, before))


def clusters(n=20, dtype=torch.float64):
    torch.manual_seed(2)
    y = torch.arange(n) % 4
    return (torch.randn(4, D, dtype=dtype)[y] + 0.8 * torch.randn(n, D, dtype=dtype)).requires_grad_(), y


class Alignment(unittest.TestCase):
    def test_directions(self):
        for dtype in (torch.float32, torch.float64):
            x, y = clusters(dtype=dtype)
            pull = heads.AlignLoss('pga:k=3,weight=2')
            (pull(x, y) * 0.5).backward()
            expected = logitude.align(x.detach().numpy(), y.numpy(), 'pga:k=3,weight=2')
            self.assertEqual(pull.last.loss, expected.loss)
            np.testing.assert_allclose(x.grad.numpy(), 0.5 * expected.dx, rtol=1e-6)

    def test_layers(self):
        for term in ('k', 'z'):
            x, y = clusters()
            deep = torch.randn(20, D, dtype=torch.float64, requires_grad=True)
            heads.LayersAlignLoss(term)([x, deep], y).backward()
            expected = logitude.align_layers([x.detach().numpy(), deep.detach().numpy()], y.numpy(), term)
            for layer, dx in zip((x, deep), expected.dx):
                np.testing.assert_allclose(layer.grad.numpy(), dx, rtol=1e-12)

    def test_beside_a_head_conflicts_are_told_and_resolved(self):
        x, y = clusters()
        for resolve in ('none', 'project'):
            module = heads.AlignedLoss(heads.ArcFaceLoss(4, D, scale=8).double(), f'pga:k=3,resolve={resolve},weight=5')
            x.grad = None
            loss = module(x, y)
            loss.backward()
            head = module.head
            told = logitude.loss_and_gradients(x.detach().numpy(), head.weight.detach().numpy(), y.numpy(), loss=head.loss)
            pull = logitude.align(x.detach().numpy(), y.numpy(), module.term, head=told.dx)
            self.assertAlmostEqual(loss.item(), told.loss + pull.loss, delta=1e-12 * abs(told.loss + pull.loss))
            np.testing.assert_allclose(x.grad.numpy(), told.dx + pull.dx, rtol=1e-9, atol=1e-12)
            np.testing.assert_allclose(head.weight.grad.numpy(), told.dw, rtol=1e-9, atol=1e-12)
            self.assertEqual(module.last.conflict.n_compared, pull.conflict.n_compared)
            self.assertGreater(module.last.conflict.n_conflicts, 0)

    def test_rows_that_the_head_ignores_are_as_if_they_were_not_there(self):
        x, y = clusters()
        ids, used = torch.arange(20), torch.arange(20) % 3 > 0
        for term in ('pga:k=3,weight=5,resolve=project', 'pga:k=3,targets=memory,neighbours=memory'):
            found = []
            for rows, labels in ((torch.arange(20), torch.where(used, y, -100)), (torch.arange(20)[used], y[used])):
                torch.manual_seed(1)
                module = heads.AlignedLoss(heads.ArcFaceLoss(4, D, scale=8).double(), term, capacity=100)
                mine = x.detach()[rows].requires_grad_()
                for _ in range(2):  # the second has a bank
                    loss = module(mine, labels, ids[rows])
                loss.backward()
                found.append((module, loss.item(), mine.grad))
            (whole, loss, gradient), (part, wanted, expected) = found
            self.assertAlmostEqual(loss, wanted, delta=1e-12)
            torch.testing.assert_close(gradient[used], expected, rtol=1e-12, atol=1e-14)
            self.assertEqual(gradient[~used].abs().max().item(), 0)
            self.assertEqual((len(whole.bank), whole.last.conflict.n_rows), (len(part.bank), int(used.sum())))
            self.assertEqual((len(whole.last.rows), len(whole.last.dx)), (20, 20))
            self.assertTrue(np.isnan(whole.last.rows['cosine'][~used.numpy()]).all())
            for name in part.last.rows.dtype.names:
                np.testing.assert_allclose(whole.last.rows[name][used.numpy()], part.last.rows[name], rtol=1e-9, atol=1e-12)
        self.assertEqual(whole(x, torch.full_like(y, -100), ids).item(), 0)

    def test_second_derivatives_are_an_error_wherever_they_are_asked_for(self):
        x, y = clusters(dtype=torch.float32)
        deep = torch.randn(20, D, requires_grad=True)
        kinds = {'an alignment': (lambda: heads.AlignLoss('pga:k=1')(x, y),
                                  lambda: heads.AlignedLoss(heads.ArcFaceLoss(4, D, scale=8), 'pga:k=1')(x, y),
                                  lambda: heads.LayersAlignLoss('k')([x, deep], y)),
                 'a head that steps its W': (lambda: heads.SteppedHead(heads.ArcFaceLoss(4, D), lr=0.1)(x, y),)}
        for kind, losses in kinds.items():
            for make in losses:
                loss = make()
                plain, = torch.autograd.grad(loss, x, retain_graph=True)
                slope, = torch.autograd.grad(loss, x, create_graph=True)
                self.assertTrue(torch.equal(slope, plain))
                self.assertTrue(slope.requires_grad and not plain.requires_grad)
                with self.assertRaisesRegex(logitude.UnsupportedError, f'second derivatives of {kind}'):
                    (loss + 10 * slope.square().sum()).backward()
        module = heads.AlignedLoss(heads.ArcFaceLoss(4, D, scale=8), 'pga:k=1')
        slope, = torch.autograd.grad(module(x, y), module.head.weight, create_graph=True)
        with self.assertRaises(logitude.UnsupportedError):
            slope.sum().backward()

    def test_a_bank_is_saved_and_moves_in_training_alone(self):
        x, y = clusters(dtype=torch.float32)
        ids, term = torch.arange(20), 'pga:k=3,targets=memory'
        pull = heads.AlignLoss(term, embedding_size=D, capacity=100)
        pull(x, y, ids)
        other = heads.AlignLoss(term, embedding_size=D, capacity=100)
        other.load_state_dict(pull.state_dict())
        for same in (other, copy.deepcopy(pull)):
            same.eval()
            again = same(2 * x + 0.1, y, ids).item()
            self.assertEqual(again, same(2 * x + 0.1, y, ids).item())
            self.assertEqual(again, pull.eval()(2 * x + 0.1, y, ids).item())
        self.assertEqual(len(other.bank), 20)
        with self.assertRaises(logitude.UsageError):
            heads.AlignLoss(term, capacity=100)


class Examples(unittest.TestCase):
    def test_docstrings_and_the_page(self):
        page = Path(__file__).resolve().parents[2] / 'docs' / 'torch.md'
        text = page.read_text(encoding='utf-8')
        tests = [test for module in (heads, logitude._torch_steps, logitude._torch_align)
                 for test in doctest.DocTestFinder().find(module)]
        tests.append(doctest.DocTestParser().get_doctest(re.sub(r'^```.*$', '', text, flags=re.M), {}, page.name, str(page), 0))
        runner, before = doctest.DocTestRunner(), os.getcwd()
        with tempfile.TemporaryDirectory() as folder:  # the page writes a file
            os.chdir(folder)
            try:
                for test in tests:
                    runner.run(test)
            finally:
                os.chdir(before)
        self.assertEqual(runner.failures, 0)
        self.assertGreater(runner.tries, 25)
        for name in heads.__all__:
            self.assertTrue((getattr(heads, name).__doc__ or '').strip(), name)
            self.assertIn(f'`{name}`', text)


if __name__ == '__main__':
    unittest.main()
