#!/usr/bin/env python3
"""ArcFace on Omniglot, by logitude.torch and by plain PyTorch; verified on characters of other alphabets: ... FOLDER [EPOCHS]"""
import math, sys, time
import torch
from torch import nn
from torch.nn import functional as F
import logitude
import logitude.torch as heads


class PlainArcFace(nn.Module):
    def __init__(self, classes, dim, m=math.radians(28.6), s=16.0):
        super().__init__()
        self.weight, self.m, self.s = nn.Parameter(torch.randn(classes, dim) * dim ** -0.5), m, s

    def forward(self, x, y):
        c = F.linear(F.normalize(x), F.normalize(self.weight))
        t = c.gather(1, y[:, None]).clamp(-1 + 1e-6, 1 - 1e-6)  # acos has no slope at 1
        target = torch.where(t > -math.cos(self.m), torch.cos(t.acos() + self.m), t - self.m * math.sin(self.m))
        return F.cross_entropy(self.s * c.scatter(1, y[:, None], target), y)


def load(part):
    images, labels = (logitude.read_array(f'{sys.argv[1]}/{part}-{kind}.gz') for kind in ('images-idx3-ubyte', 'labels-idx1-int'))
    return torch.from_numpy(images).float().div(255)[:, None], torch.from_numpy(labels).long().unique(return_inverse=True)[1]


(x, y), (unseen, other), epochs = load('small1'), load('small2'), int(sys.argv[2]) if len(sys.argv) > 2 else 15
for name, make in (('logitude', lambda c, d: heads.ArcFaceLoss(c, d, scale=16)), ('plain PyTorch', PlainArcFace)):
    torch.manual_seed(0)
    block = lambda i, o: (nn.Conv2d(i, o, 3, padding=1, bias=False), nn.BatchNorm2d(o), nn.ReLU(), nn.MaxPool2d(2))
    encoder = nn.Sequential(*block(1, 16), *block(16, 32), *block(32, 64), nn.Flatten(), nn.Linear(576, 64))
    head, start = make(int(y.max()) + 1, 64), time.perf_counter()
    optimizer = torch.optim.AdamW([*encoder.parameters(), *head.parameters()], 3e-3)
    for rows in (rows for _ in range(epochs) for rows in torch.randperm(len(x)).split(128)):
        optimizer.zero_grad()
        loss = head(encoder(x[rows]), y[rows])
        loss.backward(), optimizer.step()
    seconds, found = time.perf_counter() - start, logitude.verification(encoder.eval()(unseen).detach().numpy(), other.numpy())
    print(f'{name}: {seconds:.1f} s, loss {loss.item():.3f}; unseen characters: AUC {found.auc:.4f}, equal error {found.eer:.4f}')
