"""logitude.torch: every loss against its formula in plain PyTorch, derivatives against differences, what modules promise."""
import copy
import inspect
import io
import math
import multiprocessing
import unittest
import warnings

import numpy as np
import torch
from torch.autograd import gradcheck, gradgradcheck
from torch.nn import functional
from torch.utils.data import DataLoader

import logitude
import logitude.torch as heads

C, D = 5, 3
Y = torch.tensor([0, 3, 1, 3])
# Scales of 4: the third derivatives that bound a difference's error grow as the cube of the scale.
LOSSES = {
    'softmax': lambda **o: heads.SoftmaxLoss(C, D, **o),
    'normalized': lambda **o: heads.NormalizedSoftmaxLoss(C, D, temperature=0.25, **o),
    'cosface': lambda **o: heads.CosFaceLoss(C, D, scale=4, **o),
    'arcface': lambda **o: heads.ArcFaceLoss(C, D, scale=4, **o),
    'combined': lambda **o: heads.CombinedMarginLoss(C, D, s=4, m1=1.1, m2=0.2, m3=0.1, **o),
    'lsoftmax': lambda **o: heads.LargeMarginSoftmaxLoss(C, D, scale=0.7, **o),
    'sphereface': lambda **o: heads.SphereFaceLoss(C, D, **o),
    'sphereface-r': lambda **o: heads.SphereFaceRLoss(C, D, s=4, **o),
    'adaface': lambda **o: heads.AdaFaceLoss(C, D, s=4, mean=1, deviation=2, **o),
    'magface': lambda **o: heads.MagFaceLoss(C, D, s=4, l_a=0.5, u_a=3, lambda_g=0.5, **o),
    'curricularface': lambda **o: heads.CurricularFaceLoss(C, D, s=4, t=0.2, **o),
    'subcenter': lambda **o: heads.SubCenterArcFaceLoss(C, D, scale=4, sub_centers=2, **o),
}


def problem(make, n=len(Y), dtype=torch.float64, **options):
    """A head with x; eval mode keeps the state, a constant to every derivative, where it is while x is varied."""
    torch.manual_seed(3)
    head = make(**options).to(dtype).eval()
    return head, torch.randn(n, head.embedding_size, dtype=dtype, requires_grad=True)


def cosines(head, x):
    return functional.normalize(x) @ functional.normalize(head.weight).t()


def bent(z, y, target):
    return functional.cross_entropy(z.scatter(1, y[:, None], target[:, None]), y)


def psi(c, m):
    """(-1)^k cos(m theta) - 2k."""
    theta = torch.acos(c)
    k = (m * theta / math.pi).floor().detach()
    return (1 - 2 * (k % 2)) * torch.cos(m * theta) - 2 * k


def arc(head, x, y, s=4.0, m=math.radians(28.6), tail='cosface'):
    c = cosines(head, x)
    if head.loss.centres > 1:
        c = c.view(len(x), C, -1).amax(2)
    t = c.gather(1, y[:, None])[:, 0]
    theta = torch.acos(t)
    beyond = t - m * math.sin(m) if tail == 'cosface' else t - 1 + math.cos(m)
    return c, torch.where(theta + m > math.pi, beyond, torch.cos(theta + m))


def formula(name, head, x, y):
    """The loss as its authors' code in PyTorch has it; gradients by autograd."""
    s, c = 4.0, cosines(head, x) if head.loss.centres == 1 else None
    t = None if c is None else c.gather(1, y[:, None])[:, 0]
    norm, w_norm = x.norm(dim=1), head.weight.norm(dim=1)
    if name == 'softmax':
        return functional.cross_entropy(functional.linear(x, head.weight, head.bias), y)
    if name == 'normalized':
        return functional.cross_entropy(s * c, y)
    if name == 'cosface':
        return bent(s * c, y, s * (t - 0.35))
    if name in ('arcface', 'subcenter'):
        c, target = arc(head, x, y)
        return bent(s * c, y, s * target)
    if name == 'combined':
        return bent(s * c, y, s * (torch.cos(1.1 * torch.acos(t) + 0.2) - 0.1))
    if name == 'lsoftmax':
        return bent(0.7 * norm[:, None] * w_norm * c, y, 0.7 * norm * w_norm[y] * psi(t, 4))
    if name == 'sphereface':
        return bent(norm[:, None] * c, y, norm * psi(t, 4))
    if name == 'sphereface-r':
        return bent(s * c, y, s * psi(t, 1.7))
    if name == 'adaface':
        h = ((norm.detach() - 1) / (2 + 0.001) * 0.333).clamp(-1, 1)
        return bent(s * c, y, s * (torch.cos((torch.acos(t) - 0.4 * h).clamp(0, math.pi)) - 0.4 * h - 0.4))
    if name == 'magface':
        a = norm.clamp(0.5, 3)
        m = 0.45 + (0.8 - 0.45) / (3 - 0.5) * (a - 0.5)
        theta = torch.acos(t)
        target = torch.where(theta + m > math.pi, t - 1 + torch.cos(m), torch.cos(theta + m))
        return bent(s * c, y, s * target) + 0.5 * (a / 9 + 1 / a).mean()
    _, target = arc(head, x, y, m=0.5, tail='continuous')  # curricularface
    hard = c > target[:, None]
    return bent(s * torch.where(hard, c * (0.2 + c), c), y, s * target)


class Losses(unittest.TestCase):
    def test_the_list_is_the_librarys(self):
        self.assertEqual(list(LOSSES), [info.name for info in logitude.losses()])
        self.assertEqual([make().loss.name for make in LOSSES.values()], list(LOSSES))

    def test_losses_and_gradients_are_those_of_the_formulas(self):
        for name, make in LOSSES.items():
            with self.subTest(name):
                head, x = problem(make, n=60)
                y = torch.arange(60) % C
                parameters = [x, *head.parameters()]
                loss, expected = head(x, y), formula(name, head, x, y)
                self.assertAlmostEqual(loss.item(), expected.item(), delta=1e-12 * abs(expected.item()))
                for found, wanted in zip(torch.autograd.grad(loss, parameters), torch.autograd.grad(expected, parameters)):
                    torch.testing.assert_close(found, wanted, rtol=1e-9, atol=1e-11)  # acos costs digits there

    def test_first_and_second_derivatives_are_those_of_differences(self):
        # Central differences with steps of 1e-5: errors of (1e-5)^2 f''' / 6 and 1e-16 / 1e-5, together below 1e-8.
        for reduction in ('mean', 'sum', 'none'):
            for name, make in LOSSES.items():
                with self.subTest(name, reduction=reduction):
                    head, x = problem(make, reduction=reduction)
                    fixed = {'qualities': torch.tensor([0.5, 2, 1, 3])} if name == 'adaface' else {}
                    weights = torch.tensor([1, 0.5, 0, 2])

                    def loss(x, w, b=None):
                        return head.at(x, w, b, Y, sample_weights=weights, **fixed)

                    for check in (gradcheck, gradgradcheck):
                        self.assertTrue(check(loss, (x, *head.parameters()), eps=1e-5, rtol=1e-7, atol=1e-8))

    def test_derivatives_of_what_goes_beside_a_loss(self):
        torch.manual_seed(1)
        x, targets = torch.randn(4, D, dtype=torch.float64, requires_grad=True), torch.rand(4, C, dtype=torch.float64)
        soft = {'soft_targets': targets / targets.sum(1, keepdim=True)}
        classes = {'class_weights': torch.rand(C) + 0.5}
        for options, labels, inputs in (({'label_smoothing': 0.1, 'z_loss': 0.01}, Y, {}), (classes, Y, {}),
                                        ({'ignore_index': 3}, Y, {}), (classes, None, soft)):
            for reduction in ('mean', 'none'):
                head = heads.SoftmaxLoss(C, D, reduction=reduction, **options).double()
                for check in (gradcheck, gradgradcheck):
                    self.assertTrue(check(lambda x, w, b: head.at(x, w, b, labels, **inputs), (x, *head.parameters()),
                                          eps=1e-5, rtol=1e-7, atol=1e-8))


class Semantics(unittest.TestCase):
    def test_softmax_is_linear_and_cross_entropy(self):
        weights = torch.tensor([1, 2, 0.5, 0, 3], dtype=torch.float64)
        for reduction in ('mean', 'sum', 'none'):
            for theirs, ours in (({}, {}), ({'weight': weights}, {'class_weights': weights}), ({'ignore_index': 3},) * 2,
                                 ({'label_smoothing': 0.2},) * 2):
                with self.subTest(reduction=reduction, **theirs):
                    head, x = problem(LOSSES['softmax'], reduction=reduction, **ours)
                    plain = functional.cross_entropy(head.get_logits(x), Y, reduction=reduction, **theirs)
                    torch.testing.assert_close(head(x, Y), plain, rtol=1e-12, atol=1e-12)
                    factor = torch.linspace(0.5, 2, plain.numel(), dtype=torch.float64).view_as(plain)
                    for found, wanted in zip(torch.autograd.grad((head(x, Y) * factor).sum(), [x, head.weight, head.bias]),
                                             torch.autograd.grad((plain * factor).sum(), [x, head.weight, head.bias])):
                        torch.testing.assert_close(found, wanted, rtol=1e-12, atol=1e-12)

    def test_float32_bfloat16_and_strides(self):
        head, x = problem(lambda **o: heads.ArcFaceLoss(50, 16, **o), n=8, dtype=torch.float32)
        y = torch.arange(8)
        expected = head(x, y)
        expected.backward()
        wide = torch.zeros(8, 40)
        wide[:, 3:19] = x.detach()
        for view in (wide[:, 3:19], x.detach().t().contiguous().t(), wide.repeat_interleave(2, 1)[:, 6:38:2]):
            self.assertEqual(head(view, y).item(), expected.item())
        self.assertEqual(head.at(x, head.weight.t().contiguous().t(), None, y).item(), expected.item())
        self.assertEqual(head(x, y.int()).item(), expected.item())
        low = x.detach().bfloat16().requires_grad_()
        for precision, error in ((None, 0.03), ('bf16', 0.03), ('bf16x3', 0.02), ('full', 0.02)):  # bfloat16 has 8 bits
            head.precision, low.grad = precision, None
            loss = head(low, y)
            loss.backward()
            self.assertEqual((loss.dtype, low.grad.dtype), (torch.float32, torch.bfloat16))
            self.assertLess(abs(loss.item() / expected.item() - 1), error)
            self.assertLess((low.grad.float() - x.grad).norm() / x.grad.norm(), 3 * error)
        half = copy.deepcopy(head).bfloat16()
        half(low, y).backward()
        self.assertEqual(half.weight.grad.dtype, torch.bfloat16)

    def test_gradients_reach_parameters_without_a_copy(self):
        head, x = problem(lambda **o: heads.ArcFaceLoss(50, 16, **o), n=8, dtype=torch.float32)
        loss = head(x, torch.arange(8))
        made = [part.data_ptr() for part in loss.grad_fn.kept[:2]]
        loss.backward()
        self.assertEqual([x.grad.data_ptr(), head.weight.grad.data_ptr()], made)

    def test_memory_of_a_large_gradient_comes_again_when_nobody_has_it(self):
        head, x = heads.ArcFaceLoss(1 << 14, 64), torch.randn(2, 64, requires_grad=True)
        seen = []
        for keep in (True, False, False):
            head.weight.grad = None
            head(x, Y[:2]).backward()
            seen.append(head.weight.grad if keep else head.weight.grad.data_ptr())
        expected = seen[0].clone()
        self.assertNotEqual(seen[0].data_ptr(), seen[1])
        self.assertEqual(seen[1], seen[2])
        self.assertTrue(torch.equal(seen[0], expected) and torch.equal(head.weight.grad, expected))

    def test_backward_twice_and_scaled(self):
        head, x = problem(LOSSES['adaface'])
        head.train()
        loss = head(x, Y)
        once, = torch.autograd.grad(loss, x, retain_graph=True)
        again, = torch.autograd.grad(3 * loss, x)
        torch.testing.assert_close(again, 3 * once, rtol=1e-14, atol=0)

    def test_frozen_parts_get_nothing_and_cost_nothing(self):
        head, x = problem(LOSSES['arcface'])
        head.requires_grad_(False)
        loss = head(x, Y)
        self.assertIsNone(loss.grad_fn.kept[1])
        with torch.no_grad():
            self.assertFalse(head(x, Y).requires_grad)
        self.assertEqual(set(kind for kind, *_ in head.plans.kept), {'gradients', 'loss'})

    def test_no_rows_and_one(self):
        for name, make in LOSSES.items():
            head, x = problem(make, n=0)
            self.assertEqual(head(x, Y[:0]).item(), 0)
            head(x[:0], Y[:0]).backward()
            head, x = problem(make, n=1)
            self.assertTrue(math.isfinite(head(x, Y[:1]).item()), name)

    def test_errors_name_what_was_found(self):
        head = heads.ArcFaceLoss(C, D)
        x = torch.randn(4, D)
        for call, text in ((lambda: head(x[0], Y), r'embeddings has the shape \(3,\), expected 2 axes'),
                           (lambda: head(x[:, :2], Y), r'2.*3'),
                           (lambda: head(x, Y[:3]), r'labels has the shape \(3,\), expected 4'),
                           (lambda: head(x, Y.float()), 'labels are torch.float32, expected torch.int64'),
                           (lambda: head(x, Y + 2), 'labels: row 1 is 5'),
                           (lambda: head(x.long(), Y), 'embeddings is torch.int64'),
                           (lambda: head(x.numpy(), Y), 'embeddings is ndarray, expected a tensor'),
                           (lambda: head(x.to('meta'), Y), 'embeddings is on meta, expected cpu'),
                           (lambda: head(x.to_sparse(), Y), 'embeddings is torch.sparse_coo, expected a dense tensor'),
                           (lambda: head(x), 'neither labels nor soft_targets'),
                           (lambda: head(x, Y, sample_weight=x), 'unknown argument "sample_weight"'),
                           (lambda: head(x, Y, sample_weights=torch.ones(3)), 'sample_weights has the shape'),
                           (lambda: head(x, Y, qualities=torch.ones(4, requires_grad=True)), 'requires a gradient'),
                           (lambda: head(x * math.nan, Y), 'row 0'),
                           (lambda: heads.ArcFaceLoss(C, D, margin=200), 'm'),
                           (lambda: heads.ArcFaceLoss(C, D, tial='easy'), 'the nearest is "tail"'),
                           (lambda: heads.ArcFaceLoss(C, D, reduction='avg'), 'reduction'),
                           (lambda: heads.ArcFaceLoss(C, D, bias=True), 'arcface has no bias')):
            with self.assertRaisesRegex(logitude.Error, text):
                call()

    def test_detached_margins_are_insightfaces(self):
        head, x = problem(lambda **o: heads.CombinedMarginLoss(C, D, gradient='detached', **o))
        cosine = cosines(head, x)
        logits = cosine.clone()
        with torch.no_grad():  # as arcface_torch/losses.py has it
            target = cosine[torch.arange(4), Y]
            logits.arccos_()
            logits[torch.arange(4), Y] = target.arccos() + 0.5
            logits.cos_()
        expected, loss = functional.cross_entropy(64 * logits, Y), head(x, Y)
        torch.testing.assert_close(loss, expected, rtol=1e-12, atol=0)
        for found, wanted in zip(torch.autograd.grad(loss, [x, head.weight]), torch.autograd.grad(expected, [x, head.weight])):
            torch.testing.assert_close(found, wanted, rtol=1e-9, atol=1e-11)

    def test_what_has_no_hessian_says_so(self):
        head, x = problem(LOSSES['arcface'], gradient='detached')
        gradient, = torch.autograd.grad(head(x, Y), x, create_graph=True)
        with self.assertRaisesRegex(logitude.UnsupportedError, 'it has no Hessian'):
            gradient.sum().backward()


    def test_third_derivatives_are_an_error_wherever_they_are_asked_for(self):
        for reduction in ('mean', 'none'):
            head, x = problem(LOSSES['arcface'], reduction=reduction)
            for first, second, third in ((x, x, x), (x, x, head.weight), (head.weight, x, x)):
                along, = torch.autograd.grad(head(x, Y).sum(), first, create_graph=True)
                plain, = torch.autograd.grad(along.square().sum(), second, retain_graph=True)
                curved, = torch.autograd.grad(along.square().sum() + x.pow(4).sum() * (second is x), second, create_graph=True)
                torch.testing.assert_close(curved.detach(), plain + 4 * x.detach() ** 3 if second is x else plain)
                with self.assertRaisesRegex(logitude.UnsupportedError, 'third derivatives of a head'):
                    torch.autograd.grad(curved.sum(), third)

    def test_a_loss_takes_further_keys_and_arguments_by_the_names_of_their_keys(self):
        arcface = logitude.Loss('arcface:m=0.3')
        for head, spec in ((heads.HeadLoss(C, D, arcface, s=12), 'arcface:m=0.3,s=12'),
                           (heads.HeadLoss(C, D, logitude.Loss('lsoftmax'), lambda_='0'), 'lsoftmax:lambda=0'),
                           (heads.ArcFaceLoss(C, D, s=30), 'arcface:s=30,m=28.6deg,tail=cosface'),
                           (heads.ArcFaceLoss(C, D, m=0.5), 'arcface:m=0.5,tail=cosface'),
                           (heads.ArcFaceLoss(C, D, m='20deg', scale=2), 'arcface:s=2,m=20deg,tail=cosface'),
                           (heads.SubCenterArcFaceLoss(C, D, k=2), 'subcenter:k=2,m=28.6deg,tail=cosface'),
                           (heads.CosFaceLoss(C, D, m=0.1, s=3), 'cosface:m=0.1,s=3'),
                           (heads.NormalizedSoftmaxLoss(C, D, s=2), 'normalized:s=2'),
                           (heads.SphereFaceLoss(C, D, m=2), 'sphereface:m=2,lambda=0'),
                           (heads.LargeMarginSoftmaxLoss(C, D, m=2), 'lsoftmax:m=2,lambda=0')):
            self.assertEqual(head.loss, logitude.Loss(spec))
        self.assertEqual(str(inspect.signature(heads.CosFaceLoss).parameters['margin']), "margin: 'float' = 0.35")
        for words, make in (("like is 'insightface', but a Loss has all", lambda: heads.HeadLoss(C, D, arcface, like='insightface')),
                            ('has no parameter "z"', lambda: heads.HeadLoss(C, D, arcface, z=1)),
                            ('m is given twice', lambda: heads.HeadLoss(C, D, 'arcface:m=0.3', m=0.2)),
                            ('margin and m are both given', lambda: heads.ArcFaceLoss(C, D, 28.6, m=0.5)),
                            ('scale and s are both given', lambda: heads.SubCenterArcFaceLoss(C, D, scale=64, s=30)),
                            ('for degrees write', lambda: heads.ArcFaceLoss(C, D, m=28.6)),
                            ("precision is 'fp8', expected one of full", lambda: heads.ArcFaceLoss(C, D, precision='fp8'))):
            with self.assertRaisesRegex(logitude.UsageError, words):
                make()


class State(unittest.TestCase):
    def test_averages_move_in_training_alone_and_are_saved(self):
        for name in ('adaface', 'curricularface'):
            head, x = problem(LOSSES[name])
            first = head.state.clone()
            head(x, Y)
            self.assertTrue(torch.equal(head.state, first))
            head.train()(x, Y)
            self.assertFalse(torch.equal(head.state, first))
            other = LOSSES[name]().double()
            other.load_state_dict(head.state_dict())
            self.assertTrue(torch.equal(other.state, head.state))
            self.assertEqual(other.eval()(x, Y).item(), head.eval()(x, Y).item())

    def test_schedules_count_steps(self):
        head, x = problem(LOSSES['lsoftmax'], lambda_='geometric/10/0.5/0')
        found = [head.train()(x, Y).item() for _ in range(3)]
        self.assertEqual([head.eval()(x, Y, step=t).item() for t in range(3)], found)
        self.assertEqual(head.state_dict()['step'].item(), 3)
        self.assertEqual(head(x, Y).item(), head(x, Y, step=3).item())
        self.assertNotIn('step', LOSSES['lsoftmax']().state_dict())

    def test_copies_and_files(self):
        for name, make in LOSSES.items():
            head, x = problem(make)
            expected = head(x, Y).item()
            file = io.BytesIO()
            torch.save(head, file)
            file.seek(0)
            for other in (copy.deepcopy(head), torch.load(file)):
                self.assertEqual(other(x, Y).item(), expected, name)
                other.weight.data.zero_()
            self.assertEqual(head(x, Y).item(), expected)

    def test_a_state_of_pytorch_metric_learning_is_read(self):
        head = heads.ArcFaceLoss(C, D)
        W = torch.randn(D, C)
        torch.nn.ModuleDict({'loss': head}).load_state_dict({'loss.W': W})
        self.assertTrue(torch.equal(head.W, W))

    def test_logits_and_predictions(self):
        for name, make in LOSSES.items():
            head, x = problem(make, dtype=torch.float32)
            logits, found = head.get_logits(x).detach().numpy(), head.predict(x, k=C)
            np.testing.assert_allclose(np.take_along_axis(logits, found.classes, 1), found.logits, rtol=1e-4, atol=1e-5)


def in_a_child(head, x, queue):
    loss = head(x, Y)
    loss.backward()
    queue.put(loss.item())


class Processes(unittest.TestCase):
    def test_fork_after_a_threaded_call(self):
        head, x = problem(lambda **o: heads.ArcFaceLoss(3000, 64, context=logitude.Context(threads=2), **o))
        expected = head(x, Y)
        expected.backward()
        fork = multiprocessing.get_context('fork')
        queue = fork.Queue()
        child = fork.Process(target=in_a_child, args=(head, x.detach().requires_grad_(), queue), daemon=True)
        child.start()
        self.assertEqual(queue.get(timeout=60), expected.item())
        child.join(60)
        self.assertEqual(child.exitcode, 0)
        self.assertEqual(head(x, Y).item(), expected.item())

    def test_workers_of_a_data_loader_may_use_heads(self):
        head, x = problem(lambda **o: heads.CosFaceLoss(3000, 64, **o), n=32, dtype=torch.float32)
        y = torch.arange(32)
        with torch.no_grad():
            expected = [head(x[i:i + 8], y[i:i + 8]).item() for i in range(0, 32, 8)]

        def collate(rows):
            with torch.no_grad():
                return head(torch.stack([a for a, _ in rows]), torch.tensor([b for _, b in rows])).item()

        with warnings.catch_warnings():
            warnings.simplefilter('ignore')
            loader = DataLoader(list(zip(x.detach(), y.tolist())), batch_size=8, num_workers=2, collate_fn=collate, timeout=60)
            self.assertEqual(list(loader), expected)


if __name__ == '__main__':
    unittest.main()
