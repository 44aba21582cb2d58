#!/usr/bin/env python3
"""Opens reports in a headless Chromium: browser.py PROGRAM. Charts must draw, in both themes; nothing may be written to the
console, thrown, refused by the policy, or asked of the network. Without Chromium it says so and exits with 77."""

import json
import math
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time

sys.dont_write_bytecode = True

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
HOSTILE = ["</script><script>window.hacked=1</script>", "<img src=x onerror=window.hacked=1>", "\"><svg onload=window.hacked=1>",
           "<!--", "__proto__", "constructor", "' onclick='window.hacked=1", "&lt;b&gt;", "line\u2028separator", "{{script}}"]

# What the page is asked for: every canvas with the number of its colours, and what the document says of itself.
LOOK = """(() => {
  const colours = (canvas) => {
    const copy = new OffscreenCanvas(canvas.width, canvas.height).getContext('2d', {willReadFrequently: true}), found = new Set();
    copy.drawImage(canvas, 0, 0);
    const data = copy.getImageData(0, 0, canvas.width, canvas.height).data;
    for (let i = 0; i < data.length; i += 4) if (data[i + 3]) found.add(data[i] << 16 | data[i + 1] << 8 | data[i + 2]);
    return found.size;
  };
  for (const d of document.querySelectorAll('details')) d.open = true;
  return JSON.stringify({
    canvases: [...document.querySelectorAll('canvas')].map((c) => [c.getAttribute('aria-label'), colours(c), c.getAttribute('role')]),
    titles: [...document.querySelectorAll('h3')].map((h) => h.textContent), text: document.body.innerText,
    heading: document.querySelector('h1').textContent, shade: document.documentElement.dataset.shade,
    elements: [...document.querySelectorAll('img, svg, iframe, link, object, embed')].length, hacked: window.hacked === 1,
    wide: document.documentElement.scrollWidth > window.innerWidth || [...document.querySelectorAll('.card')].some((c) => c.scrollWidth > c.clientWidth),
    unguided: [...document.querySelectorAll('.card')].filter((c) => c.querySelector('canvas, .body')).map((c) => c.querySelector('h3').textContent).filter((h) => !hintOf(h)),
  });
})()"""
CELLS = """JSON.stringify(Object.fromEntries([...document.querySelectorAll('.card')].map((card) => [card.querySelector('h3').textContent,
  [...card.querySelectorAll('tbody tr')].map((row) => [...row.children].map((cell) => cell.textContent))])))"""
DOTS = """JSON.stringify(Object.fromEntries(drawn.filter((d) => d.chart.options.interaction.mode === 'nearest').map((d) => {
  const points = d.chart.data.datasets.filter((set) => set.showLine === false).flatMap((set) => set.data), {x, y} = d.chart.scales;
  const least = (of) => Math.min(...points.map((p) => p[of])), greatest = (of) => Math.max(...points.map((p) => p[of]));
  return [d.panel.title, {n: points.length, x: [x.min, x.max], y: [y.min, y.max], ends: [least('x'), greatest('x'), least('y'), greatest('y')]}];
})))"""
CHARTS = """JSON.stringify(drawn.map((d) => [d.panel.title, d.chart.chartArea.bottom - d.chart.chartArea.top,
  d.chart.options.plugins.legend.display, d.canvas.closest('.card').querySelector('p').textContent]))"""
TABLES = "[...document.querySelectorAll('details')].map((d) => d.querySelectorAll('td').length)"


class Browser:
    """Chromium behind its debugging pipe: messages are JSON, each ended by a zero byte."""

    def __init__(self, program, folder):
        read_here, write_there = os.pipe()
        read_there, write_here = os.pipe()
        command = [program, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--remote-debugging-pipe",
                   "--user-data-dir=" + folder, "about:blank"]
        self.process = subprocess.Popen(["sh", "-c", 'exec "$@" 3<&%d 4>&%d' % (read_there, write_there), "sh", *command],
                                        pass_fds=(read_there, write_there), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        os.close(read_there)
        os.close(write_there)
        self.input, self.output = write_here, read_here
        self.buffer, self.number, self.events = b"", 0, []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.ask(domain + ".enable")

    def next(self):
        while b"\0" not in self.buffer:
            part = os.read(self.output, 1 << 16)
            if not part:
                sys.exit("the browser has left")
            self.buffer += part
        message, _, self.buffer = self.buffer.partition(b"\0")
        return json.loads(message)

    def call(self, method, session=None, **parameters):
        self.number += 1
        message = {"id": self.number, "method": method, "params": parameters}
        if session:
            message["sessionId"] = session
        os.write(self.input, json.dumps(message).encode() + b"\0")
        while True:
            answer = self.next()
            if answer.get("id") == self.number:
                if "error" in answer:
                    sys.exit("%s: %s" % (method, answer["error"]))
                return answer["result"]
            self.events.append(answer)

    def ask(self, method, **parameters):
        return self.call(method, self.session, **parameters)

    def open(self, url, width=1280):
        self.events = []
        self.ask("Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=False)
        self.ask("Page.navigate", url=url)
        deadline = time.monotonic() + 60
        while self.evaluate("document.readyState + location.href") != "complete" + url:
            if time.monotonic() > deadline:
                sys.exit("%s did not load" % url)
            time.sleep(0.05)

    def evaluate(self, script):
        result = self.ask("Runtime.evaluate", expression=script, returnByValue=True)
        if "exceptionDetails" in result:
            sys.exit("the page failed: %s" % result["exceptionDetails"])
        return result["result"].get("value")

    def complaints(self):
        """Everything in the console, every exception and violation, and every request but that for the page itself."""
        found = []
        for event in self.events:
            method, parameters = event.get("method"), event.get("params", {})
            if method in ("Runtime.consoleAPICalled", "Runtime.exceptionThrown", "Log.entryAdded"):
                found.append(json.dumps(parameters)[:300])
            if method == "Network.requestWillBeSent" and parameters.get("type") != "Document":
                found.append("request for " + parameters["request"]["url"][:200])
        return found

    def close(self):
        self.call("Browser.close")
        self.process.wait(timeout=30)


# --- Records ---

def gauss(rng, n, mean, deviation):
    return [rng.gauss(mean, deviation) for _ in range(n)]


def full_analysis(seed):
    """Every key that a panel reads, those of analyses that train does not make by itself included."""
    rng, n, classes = random.Random(seed), 300, ["a", "b", "c", "d"]
    theta = [abs(v) + 0.02 for v in gauss(rng, n, 0.5, 0.2)]
    axis = [i * 3.14159265 / 90 for i in range(91)]
    far = [10 ** (-4 + 4 * i / 50) for i in range(51)]
    return {
        "schema": "logitude.analysis/1", "data": "test", "rows": n, "of_rows": 1000, "step": 100,
        "angles": {"target": theta, "nearest": gauss(rng, n, 1.4, 0.2), "x_norm": gauss(rng, n, 10, 2), "w_norm": [1, 1.1, 0.9, 1]},
        "health": {"zero_rows": 0, "zero_classes": 0},
        "curve": {"theta": axis, "logit": [16 - 5 * t for t in axis], "force": [5 for t in axis],
                  "plain_logit": [16 - 4 * t for t in axis], "plain_force": [4 for t in axis]},
        "calibration": {"low": [i / 15 for i in range(15)], "rows": [0, *range(1, 15)], "confidence": [None] + [(i + .5) / 15 for i in range(1, 15)],
                        "accuracy": [None] + [i / 15 for i in range(1, 15)]},
        "confusion": {"classes": classes, "counts": [[20, 1, 0, 0], [2, 18, 0, 1], [0, 0, 21, 0], [0, 3, 0, 9]],
                      "worst": [{"label": "d", "predicted": "b", "rows": 3}]},
        "verification": {"auc": 0.97, "eer": 0.05, "tar_at_far": {"0.01": 0.7, "0.001": 0.4}, "roc": {"far": far, "tar": [f ** 0.1 for f in far]}},
        "map": {"kind": "pca", "shares": [0.5, 0.2], "x": gauss(rng, n, 0, 1), "y": gauss(rng, n, 0, 1),
                "label": [i % 5 - 1 for i in range(n)], "classes": classes},
        "explain": {"theta": theta, "alpha": gauss(rng, n, 1.4, .2), "attraction": gauss(rng, n, .4, .05), "repulsion": gauss(rng, n, .3, .05),
                    "radial_share": [abs(v) for v in gauss(rng, n, 0, .01)], "gradient": gauss(rng, n, .5, .1), "bound": [2] * n,
                    "tight_bound": gauss(rng, n, 1, .1), "x_norm": [1] * n},
        "curvature": {"eigenvalues": [5, 3, 1, -.5], "residuals": [1e-9] * 4},
        "conflict": {"cosines_histogram": [1, 4, 9, 4], "rate": .2, "conditions": {"exact": 1, "smallest_angle": .9}},
    }


def metrics(seed, steps=60):
    rng = random.Random(seed)
    for step in range(1, steps + 1):
        yield {"kind": "step", "step": step, "epoch": 1, "loss": None if step == 30 else 2 / step + rng.random(), "lr": 1e-3 / step,
               "schedule": 100 / step, "gradient_norm": rng.random(), "seconds": step * .01, "samples": step * 10}
        if step % 20 == 0:
            yield {"kind": "epoch", "step": step, "epoch": step // 20, "loss": 2 / step, "accuracy": .5 + step / 200, "test_accuracy": .5 + step / 250,
                   "test_nll": 1 / step, "theta_target": 1 / step + .5, "theta_nearest": 1.4, "x_norm": step, "w_norm": 1, "attraction": .5,
                   "repulsion": .4, "radial_share": .01, "conflict_rate": .3, "seconds": step * .01, "samples": step * 10}


def run_json(loss="arcface:s=16"):
    return {"schema": "logitude.run/1", "version": "0.1.0", "loss": loss, "isa": "avx2", "threads": 2,
            "config": {"encoder": "mlp:8", "dim": 4, "epochs": 3, "batch": 10, "optimizer": "adamw", "lr": 1e-3, "seed": 0},
            "data": {"train": {"rows": 100, "dim": 6, "classes": 4, "fingerprint": "0"}},
            "results": {"status": "finished", "train_loss": .2, "train_accuracy": .95, "test_accuracy": .9, "test_nll": .3, "steps": 60,
                        "seconds": .6, "samples_per_second": 1000, "parameters": 100, "zero_rows": 0}}


class Tests:
    def __init__(self, program, browser, folder):
        self.program, self.browser, self.folder, self.failures = program, browser, folder, 0

    def path(self, *names):
        return os.path.join(self.folder, *names)

    def write_run(self, name, run=None, lines=None, analysis=None):
        os.makedirs(self.path(name))
        for file, content in (("run.json", run), ("analysis.json", analysis)):
            if content is not None:
                with open(self.path(name, file), "w", encoding="utf-8") as out:
                    json.dump(content, out)
        if lines is not None:
            with open(self.path(name, "metrics.jsonl"), "w", encoding="utf-8") as out:
                out.writelines(json.dumps(line) + "\n" for line in lines)

    def expect(self, condition, what):
        if not condition:
            print("FAILED: " + what)
            self.failures += 1

    def look(self, name, *runs, theme="light", width=1280):
        out = self.path(name + ".html")
        subprocess.run([self.program, "report", *(self.path(run) for run in runs), "--out", out, "-q"], check=True, stdout=subprocess.DEVNULL)
        self.browser.open("file://" + out + "#" + theme, width)
        seen = json.loads(self.browser.evaluate(LOOK))
        time.sleep(.2)
        cells = self.browser.evaluate(TABLES)
        seen["text"] = self.browser.evaluate("document.body.innerText")  # with the tables, which opening makes
        for complaint in self.browser.complaints():
            self.expect(False, "%s: %s" % (name, complaint))
        for label, colours, role in seen["canvases"]:
            self.expect(colours >= 5, "%s: blank: %s (%d colours)" % (name, label, colours))
            self.expect(role == "img" and label and len(label) > 20, "%s: no text for a chart: %r" % (name, label))
        self.expect(all(cells), "%s: charts without a table: %s" % (name, cells))
        self.expect(seen["elements"] == 0 and not seen["hacked"], "%s: markup came from a text" % name)
        self.expect(seen["shade"] == theme, "%s: the theme is %s" % (name, seen["shade"]))
        self.expect(not seen["wide"], "%s: wider than its window of %d" % (name, width))
        self.expect("NaN" not in seen["text"] and "undefined" not in seen["text"], "%s: a number that is none" % name)
        print("%s: %d charts, %d cards" % (name, len(seen["canvases"]), len(seen["titles"])))
        return seen

    def see_what_is_wrong(self):
        """A test that cannot fail is none: these pages must be complained about."""
        policy = "<meta http-equiv=Content-Security-Policy content=\"default-src 'none'\">"
        for name, page in (("refused", policy + "<script>1</script>"), ("styled", policy + "<p style='color:red'>x"),
                           ("thrown", "<script>throw 1</script>"), ("said", "<script>console.log(1)</script>"),
                           ("asked", "<img src=other.png>")):
            with open(self.path(name + ".html"), "w", encoding="utf-8") as out:
                out.write("<!doctype html>" + page)
            self.browser.open("file://" + self.path(name + ".html"))
            time.sleep(.2)
            self.browser.evaluate("1")
            self.expect(self.browser.complaints(), "self-test: nothing was seen in the page '%s'" % name)

    def switch(self):
        """The button goes through the themes and every chart is drawn again."""
        shades = []
        for _ in range(3):
            self.browser.evaluate("document.getElementById('theme').click()")
            seen = json.loads(self.browser.evaluate(LOOK))
            shades.append(seen["shade"])
            self.expect(all(colours >= 5 for _, colours, _ in seen["canvases"]), "switch: a blank chart in " + seen["shade"])
        self.expect(shades[0] == "dark" and shades[2] == "light", "switch: themes were %s" % shades)
        self.expect(not self.browser.complaints(), "switch: %s" % self.browser.complaints())

    def run(self):
        self.see_what_is_wrong()
        self.write_run("full", run_json(), metrics(1), full_analysis(1))
        self.write_run("other", run_json("softmax"), metrics(2), full_analysis(2))
        for theme in ("light", "dark"):
            seen = self.look("full-" + theme, "full", theme=theme)
            self.expect(len(seen["canvases"]) == 29, "full: %d charts, expected 29: %s" % (len(seen["canvases"]), seen["titles"]))
            if theme == "light":
                self.switch()
                self.numbers()
                self.spans(("Attraction and repulsion", 300), ("Gain of every row", 300), ("Bounds of the gradient", 600), ("Map of the embeddings", 300))
        self.expect(not seen["unguided"], "full: cards without a word of what to look for: %s" % seen["unguided"])
        self.look("narrow", "full", width=390)
        self.look("both-narrow", "full", "other", width=420)
        seen = self.look("both", "full", "other")
        self.expect(seen["heading"] == "Comparison of 2 runs", "both: " + seen["heading"])
        self.expect(len(seen["canvases"]) == 30, "both: %d charts, expected 30 (two maps)" % len(seen["canvases"]))
        self.outlier()
        self.lonely()
        self.many()
        self.best()
        self.long_names()
        self.partial()
        self.hostile()

    def numbers(self):
        """The tables behind the charts hold the numbers of the files, to the 6 digits that they show."""
        lines, analysis, shown = list(metrics(1)), full_analysis(1), json.loads(self.browser.evaluate(CELLS))
        steps, epochs = ([line for line in lines if line["kind"] == kind] for kind in ("step", "epoch"))
        explain, angle = analysis["explain"], math.degrees(1)
        expected = {
            "Loss": [(line["step"], line["loss"]) for line in steps + epochs],
            "Accuracy": [(line["epoch"], 100 * line["test_accuracy"], 100 * line["accuracy"]) for line in epochs],
            "Loss on test data": [(line["epoch"], line["test_nll"]) for line in epochs],
            "Learning rate": [(line["step"], line["lr"]) for line in steps],
            "Norm of the gradient": [(line["step"], line["gradient_norm"]) for line in steps],
            "Angles over time": [(line["epoch"], angle * line["theta_target"], angle * line["theta_nearest"]) for line in epochs],
            "Attraction and repulsion over time": [(line["epoch"], line["attraction"], line["repulsion"]) for line in epochs],
            "Conflict over time": [(line["epoch"], 100 * line["conflict_rate"]) for line in epochs],
            "Target logit": list(zip((angle * theta for theta in analysis["curve"]["theta"]), analysis["curve"]["logit"])),
            "Attraction and repulsion": sorted(zip(explain["attraction"], explain["repulsion"])),
            "Spectrum of the Hessian": list(enumerate(analysis["curvature"]["eigenvalues"], 1)),
            "Conditions of agreement": [(100 * share,) for share in analysis["conflict"]["conditions"].values()],
            "Most confused classes": [(worst["rows"],) for worst in analysis["confusion"]["worst"]],
            "Verification": [(far, 100 * tar) for far, tar in zip(*analysis["verification"]["roc"].values())],
            "Confusion": analysis["confusion"]["counts"],
        }
        for title, rows in expected.items():
            n_names = len(shown[title][0]) - len(rows[0]) if title != "Target logit" else 1
            cells = [[None if cell == "\u2013" else float(cell.replace(",", "")) for cell in row[n_names:]] for row in shown[title]]
            cells = [row[:len(rows[0])] for row in cells[:len(rows)]]
            same = all(a == b if a is None or b is None else math.isclose(a, b, rel_tol=1e-5, abs_tol=1e-12)
                       for row, other in zip(cells, rows) for a, b in zip(row, other))
            self.expect(same and len(cells) == len(rows), "numbers: %s: %s..., expected %s..." % (title, cells[:3], rows[:3]))

    def spans(self, *clouds):
        """Axes of scattered rows reach over all of them."""
        seen = json.loads(self.browser.evaluate(DOTS))
        for title, n in clouds:
            dots = seen[title]
            (low, high), (bottom, top), ends = dots["x"], dots["y"], dots["ends"]
            self.expect(dots["n"] == n, "spans: %s: %d dots, expected %d" % (title, dots["n"], n))
            self.expect(low <= ends[0] and high >= ends[1] and bottom <= ends[2] and top >= ends[3], "spans: %s: %s" % (title, dots))
            self.expect(high - low < 4 * (ends[1] - min(0, ends[0])), "spans: %s: squeezed: %s" % (title, dots))

    def outlier(self):
        """One row far out does not squeeze the others; it is still in the table, and the card says that it is not in sight."""
        analysis = full_analysis(7)
        analysis["explain"]["attraction"][5] = 4000
        self.write_run("outlier", run_json(), metrics(7), analysis)
        seen, dots = self.look("outlier", "outlier"), json.loads(self.browser.evaluate(DOTS))["Attraction and repulsion"]
        self.expect(dots["n"] == 300 and dots["ends"][1] == 4000 and dots["x"][1] < 2, "outlier: %s" % dots)
        self.expect(seen["text"].count("1 dot lies outside the axes.") == 1, "outlier: nothing is said of it")

    def many(self):
        """Of more than three runs the comparison is the legend: charts keep their height, and sentences stand with the numbers."""
        names = ["one-of-many-runs-%d" % i for i in range(12)]
        for i, name in enumerate(names):
            self.write_run(name, run_json(), metrics(20 + i), full_analysis(20 + i))
        seen, ruled = self.look("many", *names), json.loads(self.browser.evaluate(CHARTS))
        for title, height, has_legend, words in ruled:
            self.expect(height > 140 and not has_legend, "many: %s: %d pixels of a chart, legend %s" % (title, height, has_legend))
            self.expect(title.startswith("Map") or names[3] not in words, "many: %s tells of every run: %s" % (title, words[:80]))
        self.expect("Solid: own class; dashed: nearest other class." in seen["text"], "many: nothing says what is dashed")
        self.expect(seen["text"].count(names[3] + ": From ") >= 3, "many: sentences are gone")
        colours = self.browser.evaluate("new Set([...document.querySelectorAll('#comparison .swatch')].map((s) => s.style.backgroundColor)).size")
        self.expect(colours == 12, "many: 12 runs of %d colours" % colours)

    def best(self):
        """Bold is the best of what compares: runs that finished, and training losses of the same loss."""
        runs = [("arcface:s=16", "finished", .5, .8), ("arcface:s=16", "finished", .4, .7), ("softmax", "finished", .1, .7),
                ("arcface:s=16", "interrupted", .05, .9)]
        for i, (loss, status, train_loss, accuracy) in enumerate(runs):
            run = run_json(loss)
            run["results"].update(status=status, train_loss=train_loss, test_accuracy=accuracy)
            self.write_run("best-%d" % i, run, metrics(3))
        self.look("best", *("best-%d" % i for i in range(4)))
        bold = json.loads(self.browser.evaluate("""JSON.stringify([...document.querySelectorAll('#comparison tbody tr')].map(
            (row) => [...row.querySelectorAll('.best')].map((cell) => cell.textContent)))"""))
        self.expect(bold == [["80.00 %"], ["0.4"], [], []], "best: marked are %s" % bold)

    def long_names(self):
        """Names of classes are shortened so that they still differ, and stand whole in the tables."""
        names = ["a-name-without-any-space-%s-that-goes-on-and-on-and-on" % letter for letter in "pqrs"]
        analysis = full_analysis(9)
        analysis["map"]["classes"] = analysis["confusion"]["classes"] = names
        analysis["confusion"]["worst"] = [{"label": names[0], "predicted": names[1], "rows": 3}]
        self.write_run("long-names", run_json(), metrics(9), analysis)
        seen = self.look("long-names", "long-names")
        self.look("long-names-narrow", "long-names", width=390)
        shown = json.loads(self.browser.evaluate("JSON.stringify([...document.querySelectorAll('.matrix tbody th')].map((h) => [h.textContent, h.title]))"))
        self.expect([title for _, title in shown] == names, "long names: titles are %s" % shown)
        self.expect(len({text for text, _ in shown}) == 4 and all(len(text) <= 24 for text, _ in shown), "long names: shown as %s" % shown)
        self.expect(names[0] + " \u2192 " + names[1] in seen["text"], "long names: not whole in the table")

    def lonely(self):
        """Where no row had neighbours the card says why; epochs without any are gaps, not the end of the line."""
        run, lines, analysis = run_json(), list(metrics(8, 160)), full_analysis(8)
        run["results"]["align"] = "pga:phi=linear,k=5,full_rows=on"
        for line in lines:
            if line["kind"] == "epoch" and line["epoch"] not in (1, 3, 4):
                line["conflict_rate"] = None
        analysis["conflict"] = {"rows": 100, "neighbours": 0, "compared": 0, "cosines_histogram": [0] * 20, "rate": None,
                                "conditions": {"in_harmony": None}}
        self.write_run("lonely", run, lines, analysis)
        seen = self.look("lonely", "lonely")
        for words in ("no row had neighbours", "pga:full_rows=off", "in 5 of 8 epochs no row could be compared"):
            self.expect(words in seen["text"], "lonely: not said: " + words)
        line = json.loads(self.browser.evaluate("""(() => {
            const {chart} = drawn.find((d) => d.panel.title === 'Conflict over time');
            return JSON.stringify([chart.scales.x.max, chart.options.spanGaps || false, chart.data.datasets[0].data.map((p) => p.y)]);
        })()"""))
        self.expect(line == [8, False, [30, None, 30, 30, None, None, None, None]], "lonely: the line is %s" % line)

    def partial(self):
        """Runs that are not whole draw what they have."""
        self.write_run("metrics-only", lines=metrics(3))
        self.expect("no run.json" in self.look("metrics-only", "metrics-only")["text"], "metrics-only: no notice")
        self.write_run("empty", run={})
        self.expect(self.look("empty", "empty")["canvases"] == [], "empty: there are charts")
        self.write_run("one-step", lines=[{"kind": "step", "step": 1, "loss": 2}])
        self.expect(len(self.look("one-step", "one-step")["canvases"]) >= 1, "one-step: no chart")
        nothing = {"kind": "step", "step": 1, "loss": None}
        failure = {"kind": "failure", "status": "nonfinite", "message": "step 7: <b>row 3</b>"}
        self.write_run("failed", run=dict(run_json(), results={"status": "failed", "failure": failure["message"]}), lines=[nothing, failure])
        seen = self.look("failed", "failed")
        self.expect("Failed step 7: <b>row 3</b>" in seen["text"], "failed: the message is not shown")
        self.expect(seen["canvases"] == [], "failed: a chart of no numbers")
        broken = full_analysis(4)
        for key in broken:
            if isinstance(broken[key], dict):
                broken[key] = {name: None for name in broken[key]}
        self.write_run("broken", run_json(), [], broken)
        self.look("broken", "broken")
        self.look("mixed", "full", "metrics-only", "broken", "empty")

    def hostile(self):
        """Every text that a user can give is one that would like to be markup."""
        n = len(HOSTILE)
        run, analysis = run_json(HOSTILE[0]), full_analysis(5)
        run["config"] = {"encoder": HOSTILE[1], "optimizer": HOSTILE[2], "dim": 3}
        run["version"], run["isa"], run["results"]["failure"] = HOSTILE[3:6]
        analysis["map"]["classes"] = HOSTILE
        analysis["confusion"] = {"classes": HOSTILE, "counts": [[i + j for i in range(n)] for j in range(n)],
                                 "worst": [{"label": text, "predicted": HOSTILE[-1], "rows": 2} for text in HOSTILE]}
        analysis["conflict"]["conditions"] = {text: .5 for text in HOSTILE}
        lines = [*metrics(6), {"kind": "failure", "status": HOSTILE[7], "message": HOSTILE[8]}]
        for name in ("<img src=x onerror=window.hacked=1>", "</script><b>"):
            self.write_run(name.replace("/", "\\"), run, lines, analysis)
        names = sorted(name for name in os.listdir(self.folder) if name.startswith("<"))
        seen = self.look("hostile", names[0])
        self.expect(seen["heading"] == names[0], "hostile: the heading is " + seen["heading"])
        for text in HOSTILE:
            self.expect(" ".join(text.split()) in " ".join(seen["text"].split()), "hostile: not shown as it is: " + text)
        self.look("hostile-runs", *names)


def main():
    program = next((found for found in map(shutil.which, BROWSERS) if found), None)
    if not program:
        print("skipped: there is no Chromium")
        sys.exit(77)
    folder = tempfile.mkdtemp(prefix="logitude-browser-")
    try:
        browser = Browser(program, os.path.join(folder, "profile"))
        tests = Tests(os.path.abspath(sys.argv[1]), browser, folder)
        tests.run()
        browser.close()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    sys.exit(tests.failures != 0)


if __name__ == "__main__":
    main()
