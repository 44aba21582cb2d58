"""What the cases share: running the program, and small readers and writers of .npy, IDX and CSV. No NumPy here: the
program is checked against code that shares nothing with it."""

import ast
import json
import os
import random
import re
import shutil
import struct
import subprocess
import tempfile
import unittest

PROGRAM = None  # set by run.py

FORMATS = {"f8": ("<f8", "d"), "f4": ("<f4", "f"), "i8": ("<i8", "q"), "i4": ("<i4", "i"), "u1": ("|u1", "B"),
           "i1": ("|i1", "b"), "i2": ("<i2", "h"), "u2": ("<u2", "H"), "u4": ("<u4", "I"), "u8": ("<u8", "Q")}


def flatten(values):
    if isinstance(values, (list, tuple)):
        return [x for value in values for x in flatten(value)]
    return [values]


def shape_of(values):
    shape = []
    while isinstance(values, (list, tuple)):
        shape.append(len(values))
        values = values[0] if values else None
    return tuple(shape)


def npy_bytes(values, dtype="f8", shape=None):
    descr, letter = FORMATS[dtype]
    shape = shape_of(values) if shape is None else shape
    header = "{'descr': '%s', 'fortran_order': False, 'shape': %r, }" % (descr, shape)
    header += " " * (63 - (10 + len(header)) % 64) + "\n"
    flat = flatten(values)
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header.encode() + struct.pack(
        "<%d%s" % (len(flat), letter), *flat)


def read_npy(path):
    """(dtype, shape, flat list)"""
    with open(path, "rb") as file:
        data = file.read()
    assert data[:8] == b"\x93NUMPY\x01\x00", data[:8]
    length = struct.unpack("<H", data[8:10])[0]
    header = ast.literal_eval(data[10:10 + length].decode())
    assert not header["fortran_order"]
    dtype = header["descr"][1:]
    letter = FORMATS[dtype][1]
    body = data[10 + length:]
    count = len(body) // struct.calcsize(letter)
    return dtype, header["shape"], list(struct.unpack("<%d%s" % (count, letter), body))


def idx_bytes(values, shape):
    return struct.pack(">BBBB", 0, 0, 8, len(shape)) + struct.pack(">%dI" % len(shape), *shape) + bytes(values)


def clusters(n_rows, dim, n_classes, seed, spread=0.3):
    """Rows around one random centre a class: easy to learn."""
    rng = random.Random(seed)
    centres_rng = random.Random(1234)
    centres = [[centres_rng.gauss(0, 1) for _ in range(dim)] for _ in range(n_classes)]
    labels = [i % n_classes for i in range(n_rows)]
    rows = [[c + rng.gauss(0, spread) for c in centres[y]] for y in labels]
    return rows, labels


def behind_opening(stderr):
    """What train says behind its first note, which tells the size of the data."""
    return re.sub(r"\Alogitude: .*: \d+ rows, \d+ features, \d+ classes\n", "", stderr)


class Case(unittest.TestCase):
    """Every test works in an empty folder of its own."""

    maxDiff = None
    PLACE = None  # where the folder is made; None: where temporary files are

    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="logitude-cli-", dir=self.PLACE)
        self.addCleanup(shutil.rmtree, self.folder, True)

    def path(self, name):
        return os.path.join(self.folder, name)

    def write(self, name, content):
        with open(self.path(name), "wb") as file:
            file.write(content if isinstance(content, bytes) else content.encode())
        return name

    def write_npy(self, name, values, dtype="f8", shape=None):
        return self.write(name, npy_bytes(values, dtype, shape))

    def read(self, name):
        with open(self.path(name), encoding="utf-8") as file:
            return file.read()

    def environment(self, **changes):
        env = {k: v for k, v in os.environ.items() if not k.startswith("LOGITUDE_")}
        env.update(changes)
        return env

    def run_program(self, *args, env=None, **options):
        options.setdefault("stdout", subprocess.PIPE)
        options.setdefault("stdin", subprocess.DEVNULL)
        return subprocess.run([PROGRAM, *map(str, args)], cwd=self.folder, env=self.environment(**(env or {})),
                              stderr=subprocess.PIPE, timeout=120, text=True, **options)

    def succeeds(self, *args, **options):
        done = self.run_program(*args, **options)
        self.assertEqual((done.returncode, behind_opening(done.stderr)), (0, ""), args)
        return done.stdout

    def report(self, *args, **options):
        """The JSON object that a verb prints, checked for its schema."""
        report = json.loads(self.succeeds(*args, "--json", "-q", **options))
        self.assertEqual(report["schema"], "logitude.%s/1" % args[0])
        return report

    def fails(self, code, message, *args, **options):
        """message: the exact text behind "logitude: ", or a list of parts that it must hold."""
        done = self.run_program(*args, **options)
        self.assertEqual(done.returncode, code, (args, done.stderr))
        self.assertEqual(done.stdout or "", "", args)
        said = behind_opening(done.stderr)
        if isinstance(message, str):
            self.assertEqual(said, "logitude: %s\n" % message, args)
        else:
            self.assertTrue(said.startswith("logitude: "), (args, said))
            self.assertEqual(said.count("\n"), 1, (args, said))
            for part in message:
                self.assertIn(part, said, args)
        return done

    def names(self):
        """Everything below the folder."""
        found = []
        for at, folders, files in os.walk(self.folder):
            found += [os.path.relpath(os.path.join(at, name), self.folder) for name in folders + files]
        return sorted(found)
