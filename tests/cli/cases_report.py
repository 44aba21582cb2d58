"""train's report.html and analysis.json, and the verb report: what is in the page, and runs that are not whole."""

import base64
import hashlib
import json
import math
import os
import re
import struct

from cases_train import ALL_FILES, Training


class Page:
    """A report taken apart by its text alone."""

    def __init__(self, text):
        self.text = text
        self.record = json.loads(re.search(r'<script type="application/json" id="record">(.*?)</script>', text, re.S).group(1))
        self.runs = self.record["runs"]
        self.policy = re.search(r'Content-Security-Policy" content="([^"]*)"', text).group(1)
        self.style = re.findall(r"<style>(.*?)</style>", text, re.S)
        self.scripts = re.findall(r"<script>(.*?)</script>", text, re.S)


class Reports(Training):
    def page(self, name):
        return Page(self.read(name))

    def test_training_leaves_a_page_with_its_whole_record(self):
        self.report(*self.small())
        page = self.page("run/report.html")
        self.assertEqual([run["name"] for run in page.runs], ["run"])
        run = page.runs[0]
        self.assertEqual(run["run"]["results"]["status"], "finished")
        self.assertEqual(run["steps"]["loss"]["x"], list(range(10, 79, 10)))
        self.assertEqual(run["epochs"]["test_accuracy"]["x"], [1, 2, 3, 4, 5, 6])
        self.assertIsNone(run["failure"])
        self.assertEqual(list(run["analysis"]), ["schema", "data", "rows", "of_rows", "step", "angles", "health", "curve",
                                                 "classification", "calibration", "confusion", "verification", "map", "explain",
                                                 "curvature"])

    def assert_same_numbers(self, shown, written, where):
        """Of the same shape and keys; a page holds numbers to 8 digits."""
        if isinstance(written, dict):
            self.assertEqual(list(shown), list(written), where)
            for key in written:
                self.assert_same_numbers(shown[key], written[key], "%s.%s" % (where, key))
        elif isinstance(written, list):
            self.assertEqual(len(shown), len(written), where)
            for i, (one, other) in enumerate(zip(shown, written)):
                self.assert_same_numbers(one, other, "%s[%d]" % (where, i))
        elif isinstance(written, float):
            self.assertAlmostEqual(shown, written, delta=1e-7 * abs(written), msg=where)
        else:
            self.assertEqual(shown, written, where)

    def test_the_numbers_of_a_page_are_those_of_its_files(self):
        args = self.small("--align", "pga:full_rows=off,k=2", "--align", "k:k=2", loss="arcface:s=16,m=0.2,warmup=linear/0/20")
        args[args.index("--epochs") + 1], args[args.index("--log-every") + 1] = "2", "1"
        self.report(*args)
        run = self.page("run/report.html").runs[0]
        self.assert_same_numbers(run["run"], json.loads(self.read("run/run.json")), "run")
        self.assert_same_numbers(run["analysis"], json.loads(self.read("run/analysis.json")), "analysis")
        lines = [json.loads(line) for line in self.read("run/metrics.jsonl").splitlines()]
        for kind, n_lines, needed in (("step", 26, {"loss", "lr", "schedule", "gradient_norm", "align_loss"}),
                                      ("epoch", 2, {"test_accuracy", "theta_target", "attraction", "conflict_rate"})):
            rows = [line for line in lines if line["kind"] == kind]
            keys = [key for key, value in rows[0].items() if not isinstance(value, (str, dict))]
            self.assertEqual(len(rows), n_lines)
            self.assertLessEqual(needed, set(keys))
            self.assertEqual(set(run[kind + "s"]), set(keys))
            for key in keys:
                self.assert_same_numbers(run[kind + "s"][key], {"x": [row[kind] for row in rows], "y": [row[key] for row in rows]}, key)

    def test_rows_without_neighbours_leave_gaps_and_a_count_of_none(self):
        for term, neighbours in (("pga:k=15", False), ("pga:k=15,full_rows=off", True)):
            self.report(*self.small("--align", term))
            run = self.page("run/report.html").runs[0]
            conflict = run["analysis"]["conflict"]
            self.assertEqual(list(conflict), ["rows", "neighbours", "compared", "cosines_histogram", "rate", "conditions"])
            self.assertEqual((conflict["rows"], conflict["neighbours"] > 0, conflict["compared"] > 0), (200, neighbours, neighbours))
            self.assertEqual(sum(conflict["cosines_histogram"]), conflict["compared"])
            for value in (conflict["rate"], *conflict["conditions"].values()):
                self.assertEqual(value is not None, neighbours)
            self.assertEqual(run["epochs"]["conflict_rate"]["x"], [1, 2, 3, 4, 5, 6])
            self.assertEqual([rate is not None for rate in run["epochs"]["conflict_rate"]["y"]], [neighbours] * 6)
        self.report(*self.small("--align", "k:k=2"))
        self.assertNotIn("conflict", json.loads(self.read("run/analysis.json")))

    def test_the_policy_names_the_hashes_of_what_the_page_holds(self):
        self.report(*self.small())
        page = self.page("run/report.html")
        self.assertEqual((len(page.style), len(page.scripts)), (1, 2))
        sources = ["'sha256-%s'" % base64.b64encode(hashlib.sha256(part.encode()).digest()).decode()
                   for part in page.style + page.scripts]
        self.assertEqual(page.policy, "default-src 'none'; base-uri 'none'; form-action 'none'; style-src %s; script-src %s %s"
                         % tuple(sources))
        outside = re.sub(r"<script>.*?</script>", "", page.text, flags=re.S)
        self.assertNotRegex(outside, r"\b(?:src|href)\s*=|url\(|@import|https?:")

    def test_the_analysis_agrees_with_the_evaluation(self):
        report = self.report(*self.small())
        analysis = json.loads(self.read("run/analysis.json"))
        evaluation = self.report("eval", "--model", report["model"], "--data", "test-x.npy,test-y.npy", "--protocol", "all")
        self.assertEqual((analysis["data"], analysis["rows"], analysis["of_rows"]), ("test", 80, 80))
        for key, value in analysis["classification"].items():
            self.assertAlmostEqual(value, evaluation[key], 6)
        for key in ("genuine_pairs", "impostor_pairs"):
            self.assertEqual(analysis["verification"][key], evaluation[key])
        self.assertAlmostEqual(analysis["verification"]["auc"], evaluation["auc"], 6)
        self.assertEqual(set(analysis["verification"]["tar_at_far"]), {"0.01", "0.001"})
        counts = analysis["confusion"]["counts"]
        self.assertEqual([sum(row) for row in counts], [20] * 4)
        self.assertAlmostEqual(sum(counts[j][j] for j in range(4)) / 80, evaluation["accuracy"], 6)
        self.assertEqual(sum(analysis["calibration"]["rows"]), 80)
        roc = analysis["verification"]["roc"]
        self.assertEqual((roc["far"][-1], roc["tar"][-1]), (1, 1))
        self.assertEqual(roc["tar"], sorted(roc["tar"]))
        self.assertEqual(analysis["map"]["kind"], "pca")
        self.assertEqual((len(analysis["map"]["x"]), analysis["map"]["classes"]), (80, ["0", "1", "2", "3"]))
        for key in ("target", "nearest", "x_norm"):
            self.assertEqual(len(analysis["angles"][key]), 80)
        self.assertEqual((analysis["curve"]["theta"][0], len(analysis["curve"]["logit"])), (0, 361))
        self.assertAlmostEqual(analysis["curve"]["plain_logit"][0], 16, 5)

    def test_norms_of_many_classes_are_thinned_by_rank_between_their_extremes(self):
        for n, loss in ((20, "softmax"), (2100, "softmax"), (1050, "subcenter:k=2")):
            self.write_npy("x.npy", [[1 + i % 7, i % 11, 1] for i in range(n)], "f4")
            self.write_npy("y.npy", list(range(n)), "i8")
            report = self.report("train", "--data", "x.npy,y.npy", "--loss", loss, "--encoder", "none", "--epochs", 1, "--out", "run")
            angles = json.loads(self.read("run/analysis.json"))["angles"]
            with open(self.path(report["model"]), "rb") as file:
                data = file.read()
            body = 8 + struct.unpack("<Q", data[:8])[0]
            tensor = json.loads(data[8:body])["head.weight"]
            begin, end = (body + at for at in tensor["data_offsets"])
            norms = [math.hypot(*row) for row in struct.iter_unpack("<%df" % tensor["shape"][-1], data[begin:end])]
            falling = sorted(norms, reverse=True)
            expected = norms if n == 20 else [falling[i * (len(norms) - 1) // 1999] for i in range(2000)]
            self.assertEqual((angles["w_rows"], len(angles["w_norm"])), (len(norms), len(expected)))
            for value, norm in zip(angles["w_norm"], expected):
                self.assertAlmostEqual(value, norm, 5)

    def test_embeddings_of_two_dimensions_are_their_own_map(self):
        args = self.small(loss="softmax")
        args[args.index("--dim") + 1] = "2"
        report = self.report(*args)
        self.report("embed", "--model", report["model"], "--data", "test-x.npy", "--out", "z.csv")
        rows = [line.split(",") for line in self.read("z.csv").splitlines()[1:]]
        shown = json.loads(self.read("run/analysis.json"))["map"]
        self.assertEqual((shown["kind"], shown["shares"]), ("embedding", [None, None]))
        for i, (x, y) in enumerate(rows):
            self.assertAlmostEqual(shown["x"][i], float(x), 4)
            self.assertAlmostEqual(shown["y"][i], float(y), 4)

    def test_without_test_data_the_training_data_are_looked_at(self):
        args = self.small("-q")
        where = args.index("--test-data")
        del args[where:where + 2]
        self.report(*args)
        analysis = json.loads(self.read("run/analysis.json"))
        self.assertEqual((analysis["data"], analysis["rows"]), ("train", 200))

    def test_no_report_means_none_and_none_of_its_measures(self):
        report = self.report(*self.small("--no-report"))
        self.assertIsNone(report["report"])
        self.assertEqual(sorted(os.listdir(self.path("run"))), ["best.safetensors", "metrics.jsonl", "model.safetensors",
                                                                "run.json"])
        self.assertNotIn("theta_target", self.read("run/metrics.jsonl"))
        with_report = self.report(*self.small(out="other"))
        self.assertEqual(with_report["objective"], report["objective"])

    def test_what_an_earlier_training_left_does_not_stand_beside_a_later_one(self):
        self.report(*self.small())
        self.assertEqual(sorted(os.listdir(self.path("run"))), ALL_FILES)
        self.report(*self.small("--no-report"))
        self.assertNotIn("analysis.json", os.listdir(self.path("run")))
        self.assertNotIn("report.html", os.listdir(self.path("run")))

    def test_the_verb_writes_the_same_page_again(self):
        self.report(*self.small())
        first = self.read("run/report.html")
        report = self.report("report", "run/")
        self.assertEqual((report["runs"], report["report"], report["bytes"]), (["run"], "run//report.html", len(first.encode())))
        self.assertEqual(self.read("run/report.html"), first)
        self.report("report", "run", "--out", "x.html", "--threads", 3)
        self.assertEqual(self.read("x.html"), first)

    def test_several_runs_stand_on_one_page(self):
        self.report(*self.small(out="a/run"))
        self.report(*self.small(out="b/run", loss="softmax"))
        report = self.report("report", "a/run", "b/run")
        self.assertEqual((report["runs"], report["report"]), (["a/run", "b/run"], "report.html"))
        page = self.page("report.html")
        self.assertEqual([run["run"]["loss"].split(":")[0] for run in page.runs], ["arcface", "softmax"])
        self.assertIn("<title>Comparison of runs", page.text)

    def test_what_exists_of_a_run_is_shown(self):
        self.report(*self.small())
        os.mkdir(self.path("part"))
        for keep in ("run.json", "metrics.jsonl", "analysis.json"):
            self.write("part/" + keep, self.read("run/" + keep))
            self.report("report", "part")
            run = self.page("part/report.html").runs[0]
            found = [run["run"] is not None, run["steps"] != {}, run["analysis"] is not None]
            self.assertEqual(found, [keep == name for name in ("run.json", "metrics.jsonl", "analysis.json")])
            os.remove(self.path("part/" + keep))

    def test_a_run_that_is_still_writing_is_shown_to_its_last_whole_line(self):
        os.mkdir(self.path("live"))
        self.write("live/metrics.jsonl", '{"kind":"step","step":1,"loss":2.5}\n{"kind":"step","step":2,"lo')
        self.report("report", "live")
        self.assertEqual(self.page("live/report.html").runs[0]["steps"]["loss"], {"x": [1], "y": [2.5]})

    def test_files_that_are_damaged_are_errors_that_name_them(self):
        os.mkdir(self.path("bad"))
        self.write("bad/metrics.jsonl", "{}\nnonsense\n{}\n")
        self.fails(3, ["logitude: bad/metrics.jsonl:2: "], "report", "bad")
        self.write("bad/metrics.jsonl", b"{}\n\0\n")
        self.fails(3, ["bad/metrics.jsonl: a NUL byte"], "report", "bad")
        os.remove(self.path("bad/metrics.jsonl"))
        self.write("bad/run.json", "[1]")
        self.fails(3, ["logitude: bad/run.json:1: "], "report", "bad")
        self.fails(3, ["logitude: ./bad/run.json:1: "], "report", "./bad", "--out", "r.html")
        os.remove(self.path("bad/run.json"))
        os.mkdir(self.path("bad/run.json"))
        self.fails(5, ["bad/run.json: "], "report", "bad")
        self.assertEqual(self.names(), ["bad", "bad/run.json"])

    def test_a_folder_without_a_run_is_an_error(self):
        os.mkdir(self.path("hollow"))
        for name in ("gone", "hollow"):
            self.fails(5, "%s: no run.json, metrics.jsonl or analysis.json there, expected the folder of a training" % name,
                       "report", name)

    def test_a_place_that_cannot_be_written_is_an_error(self):
        os.mkdir(self.path("r"))
        self.write("r/run.json", "{}")
        self.fails(5, ["no/such/x.html"], "report", "r", "--out", "no/such/x.html")
        self.fails(5, "r: cannot write there: it is a folder", "report", "r", "--out", "r")

    def test_names_of_classes_and_folders_cannot_leave_their_texts(self):
        hostile = "</script><img src=x onerror=alert(1)>"
        rows = ["1,0,%s" % hostile, "0,1,<!--"] * 20
        self.write("t.csv", "a,b,kind\n" + "\n".join(rows) + "\n")
        self.report("train", "--data", "t.csv", "--loss", "softmax", "--encoder", "none", "--epochs", 2, "--out",
                    "<b onclick='x'>")
        page = self.page("<b onclick='x'>/report.html")
        self.assertEqual(page.runs[0]["analysis"]["map"]["classes"], sorted([hostile, "<!--"]))
        self.assertEqual(page.runs[0]["name"], "<b onclick='x'>")
        self.assertEqual(page.text.count("<script"), 3)
        self.assertEqual(page.text.count("</script"), 3)
        self.assertNotIn("<img", page.text)
        self.assertNotIn("<b ", page.text)
