"""What the peers of `logitude bench head` share: the very numbers it draws, so that losses can be compared, and the loop that
answers a line with a number of steps by their seconds."""
import argparse
import json
import math
import resource
import sys
import time

import numpy as np

STREAM_X, STREAM_W, STREAM_LABELS = 1, 2, 3
LOW = np.uint64(0xFFFFFFFF)
HALF = np.uint64(32)


def philox(first, count, stream, seed):
    """Words (count, 4) of the blocks from `first` on: Philox 4x32-10."""
    index = np.arange(first, first + count, dtype=np.uint64)
    c0, c1 = index & LOW, index >> HALF
    c2, c3 = np.full_like(index, stream), np.zeros_like(index)
    k0, k1 = seed & 0xFFFFFFFF, seed >> 32
    for _ in range(10):
        a, b = np.uint64(0xD2511F53) * c0, np.uint64(0xCD9E8D57) * c2
        c0, c1, c2, c3 = (b >> HALF) ^ c1 ^ np.uint64(k0), b & LOW, (a >> HALF) ^ c3 ^ np.uint64(k1), a & LOW
        k0, k1 = (k0 + 0x9E3779B9) & 0xFFFFFFFF, (k1 + 0xBB67AE85) & 0xFFFFFFFF
    return np.stack([c0, c1, c2, c3], 1)


def numbers(rows, cols, dtype, scale, seed, stream):
    """Uniform in (-scale, scale), none zero."""
    out = np.empty(rows * cols, dtype)
    for at in range(0, out.size, 1 << 20):
        words = philox(at // 4, (min(1 << 20, out.size - at) + 3) // 4, stream, seed).reshape(-1)[:out.size - at]
        out[at:at + words.size] = scale * (((words >> np.uint64(8)).astype(np.float64) + 0.5) * 2.0 ** -23 - 1)
    return out.reshape(rows, cols)


def data(a, dtype):
    """x, w and labels as `logitude bench head` draws them."""
    words = philox(0, a.rows, STREAM_LABELS, a.seed).tolist()
    labels = [((word[1] << 32 | word[0]) * a.classes) >> 64 for word in words]
    return (numbers(a.rows, a.dim, dtype, 1, a.seed, STREAM_X),
            numbers(a.classes, a.dim, dtype, 1 / math.sqrt(a.dim), a.seed, STREAM_W), np.array(labels))


def options(text, dtypes):
    p = argparse.ArgumentParser(description=text, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--rows", type=int, default=256)
    p.add_argument("--dim", type=int, default=512)
    p.add_argument("--classes", type=int, default=10000)
    p.add_argument("--dtype", choices=dtypes, default=dtypes[0])
    p.add_argument("--threads", type=int, default=2)
    p.add_argument("--seed", type=int, default=0)
    p.add_argument("--repeat", type=int, default=10, help="steps; 0: read their number from each line of standard input")
    return p


def peak_bytes():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def serve(a, step, gradient_bytes):
    """step() returns the loss. After one step that does not count, a JSON object for every number of steps."""
    before = peak_bytes()
    step()
    for steps in [a.repeat] if a.repeat else map(int, iter(sys.stdin.readline, "")):
        seconds, loss = [], None
        for _ in range(steps):
            start = time.perf_counter()
            loss = step()
            seconds.append(time.perf_counter() - start)
        print(json.dumps({"seconds": sorted(seconds)[len(seconds) // 2], "seconds_min": min(seconds), "loss": loss,
                          "extra_bytes": max(0, peak_bytes() - before - gradient_bytes)}), flush=True)
