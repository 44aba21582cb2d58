"""plan: what it reports, against the same arithmetic written once more; units, files of machines, errors."""

import json
import os

from tools import Case

COST = ["stripes", "classes_a_rank", "memory_bytes", "fits", "traffic_bytes", "seconds", "compute_seconds", "memory_seconds",
        "network_seconds", "binds", "steps_per_second", "samples_per_second", "efficiency"]
KEYS = ["schema", "classes", "dim", "batch", "dtype", "optimizer", "sample_rate", "encoder", "encoder_parameters", "ranks",
        "threads"] + COST + ["suggested", "machine", "notes", "table"]
CONTRACT = ["--classes", 100000000, "--dim", 512, "--batch", 8192, "--ranks", 64, "--network", "100Gb/s"]
MACHINE = {"name": "paper", "threads": 4, "memory": 1e12, "gflops": {"f32": 100, "f64": 50, "bf16x3": 150, "bf16": 400},
           "class_bandwidth": {"f32": 4e9, "f64": 4e9, "bf16x3": 4e9, "bf16": 4e9},
           "update_bandwidth": {"sgd": 8e9, "adamw": 5e9}, "stream_bandwidth": 6e9}


class Plan(Case):
    def plan(self, *args):
        return self.report("plan", *args)

    def test_the_question_of_a_hundred_million_classes_is_answered(self):
        report = self.plan(*CONTRACT)
        self.assertEqual(list(report), KEYS)
        self.assertEqual([report[key] for key in KEYS[1:11]],
                         [100000000, 512, 8192, "f32", "adamw", 1.0, "none", 0, 64, report["machine"]["threads"]])
        self.assertEqual(report["stripes"], 64)
        self.assertEqual(report["classes_a_rank"], 12208 * 128)  # of 781,250 times 128
        memory = report["memory_bytes"]
        self.assertEqual(memory["weights"], 12208 * 128 * 512 * 4)
        self.assertEqual(memory["optimizer"], 2 * memory["weights"])
        self.assertEqual(memory["total"], sum(value for key, value in memory.items() if key != "total"))
        self.assertEqual(report["machine"]["network_bandwidth"], 12.5e9)
        self.assertIn(report["binds"], ("compute", "memory", "network"))
        self.assertEqual([line["ranks"] for line in report["table"]], [1, 2, 4, 8, 16, 32, 64])
        self.assertEqual({key: report[key] for key in COST}, {key: report["table"][-1][key] for key in COST})
        self.assertEqual(list(report["suggested"]),
                         ["ranks", "threads", "sample_rate", "needed_ranks", "exact_seconds"] + COST)
        self.assertEqual(len(report["notes"]), 2)

    def test_traffic_is_of_rows(self):
        report = self.plan(*CONTRACT)
        n, d, p = 8192, 512, 64
        wanted = {"features": n * d * 4 + 8 * n, "targets": n * d * 4, "crowds": p * n * 56, "partials": p * n * d * 4,
                  "encoder": 0}
        for key, value in wanted.items():
            self.assertAlmostEqual(report["traffic_bytes"][key], value * (p - 1) / p, delta=1e-3, msg=key)
        self.assertAlmostEqual(report["network_seconds"], report["traffic_bytes"]["total"] / 12.5e9 + 4 * 63 * 20e-6, delta=1e-9)
        other = self.plan("--classes", 10 ** 12, *CONTRACT[2:])
        self.assertEqual(other["traffic_bytes"], report["traffic_bytes"])

    def test_a_step_follows_from_the_machine(self):
        self.write("m.json", json.dumps(MACHINE))
        report = self.plan("--classes", 1 << 20, "--dim", 64, "--batch", 256, "--ranks", 4, "--machine", "m.json", "--workspace", 1,
                           "--network", "1GB/s", "--latency", 10, "--optimizer", "sgd")
        self.assertEqual((report["threads"], report["machine"]["name"], report["notes"]), (4, "paper", []))
        entries, rows = 2 ** 18 * 64, 256 * 64 * 4
        self.assertAlmostEqual(report["compute_seconds"], 8 * 256 * entries / 400e9, delta=1e-12)
        memory = 2 * 4 * entries / 16e9 + 2 * 2 * 4 * entries / 32e9 + (2 * 16 + 4) * rows / 24e9
        self.assertAlmostEqual(report["memory_seconds"], memory, delta=1e-12)
        received = 0.75 * (2 * rows + 8 * 256 + 16 * rows + 16 * 256 * 56)
        self.assertAlmostEqual(report["network_seconds"], received / 1e9 + 4 * 3 * 10e-6, delta=1e-12)
        half = self.plan("--classes", 1 << 20, "--dim", 64, "--batch", 256, "--machine", "m.json", "--threads", 8)
        self.assertEqual(half["threads"], 8)
        self.assertEqual(half["notes"], ["8 threads are taken to be 2 times as fast as the 4 that were measured"])

    def test_the_machine_that_was_measured_is_read(self):
        measured = self.succeeds("bench", "machine", "--dim", 5, "--classes", 70, "--repeat", 1, "--threads", 2, "--json")
        self.write("m.json", measured)
        report = self.plan("--classes", 1000, "--machine", "m.json")
        for key in MACHINE:
            self.assertEqual(report["machine"][key], json.loads(measured)[key])
        self.assertEqual((report["machine"]["built_in"], report["threads"]), (False, 2))

    def test_units(self):
        for text, rate in (("100Gb/s", 12.5e9), ("25 Gb/s", 3.125e9), ("10GB/s", 10e9), ("1.5MiB/s", 1.5 * 2 ** 20),
                           ("800Kb/s", 1e5), ("8b/s", 1), (".5kB/s", 500)):
            machine = self.plan("--classes", 1000, "--network", text)["machine"]
            self.assertAlmostEqual(machine["network_bandwidth"] / rate, 1, delta=1e-15, msg=text)
        for text, size in (("64GiB", 64 * 2 ** 30), ("64GB", 64e9), ("0.5TB", 5e11), ("5000000000B", 5e9)):
            self.assertEqual(self.plan("--classes", 1000, "--memory", text)["machine"]["memory"], size)

    def test_notes_tell_what_is_not_modelled(self):
        notes = self.plan("--classes", 1000, "--sample-rate", 0.5, "--ranks", 17)["notes"]
        self.assertEqual([note.split()[0] for note in notes], ["speeds", "drawing", "beyond"])

    def test_memory_decides_how_many_ranks_are_needed(self):
        report = self.plan("--classes", 100000000, "--ranks", 2, "--memory", "100GB")
        self.assertFalse(report["fits"] or report["suggested"]["fits"])
        self.assertEqual(report["suggested"]["needed_ranks"], 8)  # 614 GB of 16 stripes: three a rank would be too many
        text = self.succeeds("plan", "--classes", 100000000, "--ranks", 2, "--memory", "100GB")
        self.assertIn("does not fit into 100 GB\n", text)
        self.assertIn("suggested          nothing: no layout within these ranks fits; 8 ranks would\n", text)
        report = self.plan("--classes", 1000, "--memory", "1kB")
        self.assertIsNone(report["suggested"]["needed_ranks"])
        self.assertIn("nor does any with more\n", self.succeeds("plan", "--classes", 1000, "--memory", "1kB"))

    def test_an_encoder_is_counted(self):
        report = self.plan("--classes", 1000, "--dim", 128, "--ranks", 2, "--encoder", "mlp:512,512", "--inputs", 784)
        parameters = 784 * 512 + 512 + 512 * 512 + 512 + 512 * 128 + 128
        self.assertEqual(report["encoder_parameters"], parameters)
        outputs = 2 * 128 * (512 + 512 + 128) * 4
        self.assertEqual(report["memory_bytes"]["encoder"], 16 * parameters + outputs)
        self.assertEqual(report["traffic_bytes"]["encoder"], (4 * parameters + outputs) / 2)

    def test_text_is_short_and_says_where_speeds_come_from(self):
        text = self.succeeds("plan", *CONTRACT)
        lines = text.splitlines()
        self.assertRegex(lines[0], r"^100000000 classes x 512, batch 8192, f32, adamw, 64 ranks of \d+ threads, network 12.5 GB/s$")
        self.assertEqual([line[:18].strip() for line in lines[1:9]],
                         ["machine", "memory a rank", "", "step", "binds", "speed", "received a step", "suggested"])
        self.assertEqual(len([line for line in lines[1:] if line[:6].strip().isdigit()]), 7)
        self.assertIn("note: speeds are built in, those of 2 cores of an Intel Xeon", text)
        self.assertLess(len(lines), 24)

    def test_what_is_asked_wrongly(self):
        rate = "expected a number and a unit, as in 100Gb/s (bits) or 12.5GB/s (bytes)"
        size = "expected a number and a unit, as in 64GB or 64GiB"
        for args, message in (
            ([], "plan needs --classes C; see 'logitude plan --help'"),
            (["--classes", "1"], "--classes is '1', expected an integer from 2 to 9007199254740992"),
            (["--classes", "9007199254740993"],
             "--classes is '9007199254740993', expected an integer from 2 to 9007199254740992"),
            (["--classes", "9", "--ranks", "0"], "--ranks is '0', expected an integer from 1 to 65536"),
            (["--classes", "9", "--network", "100"], "--network is '100', " + rate),
            (["--classes", "9", "--network", "100Gbps"], "--network is '100Gbps', " + rate),
            (["--classes", "9", "--network", "Gb/s"], "--network is 'Gb/s', " + rate),
            (["--classes", "9", "--network", "-1Gb/s"], "--network is '-1Gb/s', " + rate),
            (["--classes", "9", "--network", "0Gb/s"], "--network is '0Gb/s', " + rate),
            (["--classes", "9", "--network", "1e3Gb/s"], "--network is '1e3Gb/s', " + rate),
            (["--classes", "9", "--network", "1.2.3Gb/s"], "--network is '1.2.3Gb/s', " + rate),
            (["--classes", "9", "--network", "9" * 50 + "Gb/s"], "--network is '%sGb/s', %s" % ("9" * 50, rate)),
            (["--classes", "9", "--memory", "64Gb"], "--memory is '64Gb', " + size),
            (["--classes", "9", "--memory", "64"], "--memory is '64', " + size),
            (["--classes", "9", "--memory", "64GB/s"], "--memory is '64GB/s', " + size),
            (["--classes", "9", "--encoder", "cnn"], 'encoder "cnn", expected none, linear or mlp:WIDTH[,WIDTH...]'),
            (["--classes", "9", "--sample-rate", "2"], "--sample-rate is '2', expected a number from 1e-09 to 1"),
            (["--classes", "9", "--dtype", "f16"],
             "--dtype is 'f16', expected one of f32, f64, bf16x3, bf16; did you mean 'bf16'?"),
        ):
            self.fails(2, message, "plan", *args)

    def test_files_that_are_no_machines(self):
        self.fails(5, "gone.json: cannot open: No such file or directory", "plan", "--classes", 9, "--machine", "gone.json")
        os.mkdir(self.path("folder"))
        self.fails(5, ["folder: cannot read"], "plan", "--classes", 9, "--machine", "folder")
        self.write("m.json", "{")
        self.fails(3, ["m.json:1: ", ", expected JSON"], "plan", "--classes", 9, "--machine", "m.json")
        for change, message in (({"threads": 0}, "m.json: threads is 0, expected 1 to 65536"),
                                ({"threads": "2"}, "m.json: threads is no number there; 'logitude bench machine --json' writes it"),
                                ({"gflops": {"f32": 1}},
                                 "m.json: gflops.f64 is no number there; 'logitude bench machine --json' writes it"),
                                ({"update_bandwidth": 3},
                                 "m.json: update_bandwidth.sgd is no number there; 'logitude bench machine --json' writes it"),
                                ({"memory": None}, "m.json: memory is no number there; 'logitude bench machine --json' writes it")):
            self.write("m.json", json.dumps(dict(MACHINE, **change)))
            self.fails(3, message, "plan", "--classes", 9, "--machine", "m.json")
        self.write("m.json", json.dumps(dict(MACHINE, stream_bandwidth=0)))
        self.fails(2, "a machine's stream_bandwidth is 0, expected 1e-9 to 1e30", "plan", "--classes", 9, "--machine", "m.json")
