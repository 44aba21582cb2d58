#!/usr/bin/python3
"""The main job in PyTorch, as the yardstick of training.py: Fashion-MNIST through a perceptron 784-512-512-128 with ReLU into an
ArcFace head, AdamW with decay 1e-4, cosine schedule. Prints JSON: seconds of the training alone, test_accuracy."""
import argparse
import gzip
import json
import math
import sys
import time
from pathlib import Path

import numpy
import torch
from torch import nn
from torch.nn import functional


def read_idx(path):
    raw = gzip.decompress(path.read_bytes())
    dims = [int.from_bytes(raw[at:at + 4], "big") for at in range(4, 4 + 4 * raw[3], 4)]
    return numpy.frombuffer(raw[4 + 4 * len(dims):], numpy.uint8).reshape(dims)


def load(folder, half):
    images = torch.from_numpy(read_idx(folder / f"{half}-images-idx3-ubyte.gz").copy()).flatten(1).float() / 255
    return images, torch.from_numpy(read_idx(folder / f"{half}-labels-idx1-ubyte.gz").astype(numpy.int64))


class ArcFace(nn.Module):
    def __init__(self, dim, n_classes, s, m):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(n_classes, dim) * 0.05)
        self.s, self.cos_m, self.sin_m = s, math.cos(m), math.sin(m)

    def cosines(self, features):
        return functional.normalize(features) @ functional.normalize(self.weight).T

    def forward(self, features, labels):
        cosines = self.cosines(features)
        c = cosines.gather(1, labels[:, None]).clamp(-1 + 1e-6, 1 - 1e-6)
        wide = c * self.cos_m - (1 - c * c).sqrt() * self.sin_m
        return functional.cross_entropy(self.s * cosines.scatter(1, labels[:, None], wide), labels)


def main():
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--data", type=Path, required=True, help="folder of Fashion-MNIST")
    options.add_argument("--epochs", type=int, default=10)
    options.add_argument("--threads", type=int, default=2)
    options.add_argument("--batch", type=int, default=128)
    a = options.parse_args()
    torch.set_num_threads(a.threads)
    torch.manual_seed(0)
    (x, y), (test_x, test_y) = load(a.data, "train"), load(a.data, "t10k")
    mean, deviation = x.mean(), x.std()
    x, test_x = (x - mean) / deviation, (test_x - mean) / deviation
    encoder = nn.Sequential(nn.Linear(784, 512), nn.ReLU(), nn.Linear(512, 512), nn.ReLU(), nn.Linear(512, 128))
    head = ArcFace(128, 10, 16, 0.2)
    optimizer = torch.optim.AdamW([*encoder.parameters(), *head.parameters()], lr=1e-3, weight_decay=1e-4)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, a.epochs * math.ceil(len(x) / a.batch))
    start = time.perf_counter()
    for _ in range(a.epochs):
        for rows in torch.randperm(len(x)).split(a.batch):
            optimizer.zero_grad()
            head(encoder(x[rows]), y[rows]).backward()
            optimizer.step()
            schedule.step()
    seconds = time.perf_counter() - start
    with torch.no_grad():
        accuracy = (head.cosines(encoder(test_x)).argmax(1) == test_y).float().mean().item()
    json.dump({"seconds": seconds, "test_accuracy": accuracy}, sys.stdout)


main()
