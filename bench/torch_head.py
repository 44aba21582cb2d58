#!/usr/bin/python3
"""Times PyTorch's ArcFace or softmax head, forward and backward, on the data of `logitude bench head`. ArcFace is written as
in insightface: cosines, the angle of the label moved by the margin, which is a constant to the gradient.

    bench/torch_head.py [--head arcface] [--classes 10000] [--dtype f32|bf16] [--threads 2]
"""
import torch
import torch.nn.functional as F

import peer

SCALE, MARGIN = 64.0, 0.5


def softmax(x, w, y):
    return F.cross_entropy(F.linear(x, w).float(), y)


def arcface(x, w, y):
    cosines = F.linear(F.normalize(x), F.normalize(w)).float().clamp(-1, 1)
    rows = torch.arange(x.shape[0])
    with torch.no_grad():
        target = cosines[rows, y]
        shift = (target.acos() + MARGIN).cos() - target
    cosines = cosines.index_put((rows, y), shift, accumulate=True)
    return F.cross_entropy(SCALE * cosines, y)


def main():
    parser = peer.options(__doc__, ["f32", "f64", "bf16"])
    parser.add_argument("--head", choices=["arcface", "softmax"], default="arcface")
    parser.add_argument("--sgd", action="store_true", help="with a step of SGD with momentum on w")
    a = parser.parse_args()
    torch.set_num_threads(a.threads)
    dtype = torch.float64 if a.dtype == "f64" else torch.float32
    x, w, y = (torch.from_numpy(array) for array in peer.data(a, "f8" if a.dtype == "f64" else "f4"))
    x.requires_grad_(), w.requires_grad_()
    optimizer = torch.optim.SGD([w], lr=1e-3, momentum=0.9, weight_decay=1e-4) if a.sgd else None
    head = {"arcface": arcface, "softmax": softmax}[a.head]

    def step():
        x.grad = w.grad = None
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=a.dtype == "bf16"):
            loss = head(x, w, y)
        loss.backward()
        if optimizer:
            optimizer.step()
        return loss.item()

    peer.serve(a, step, (x.numel() + w.numel()) * torch.finfo(dtype).bits // 8)


main()
