"""What bench/run.py measured, as Markdown tables and SVG charts."""
import statistics
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tools"))
import svgchart  # noqa: E402

NAMES = {"torch": "PyTorch", "sklearn": "scikit-learn", "logitude": "Logitude"}
COLOURS = {"torch": svgchart.RED, "f32": svgchart.BLUE, "bf16x3": svgchart.VIOLET, "bf16": svgchart.ORANGE}
BEGIN, END = "<!-- bench/run.py writes from here -->\n", "<!-- to here -->\n"
MIB = 2.0 ** 20


def median(case, key="seconds"):
    return statistics.median(one[key] for one in case["rounds"])


def least(case):
    return min(one["seconds_min"] for one in case["rounds"])


def ratio(slow, fast):
    """Median over the rounds of slow's time over fast's."""
    return statistics.median(s["seconds"] / f["seconds"] for s, f in zip(slow["rounds"], fast["rounds"]))


def milliseconds(seconds):
    return f"{1e3 * seconds:.3g}" if seconds < 1 else f"{1e3 * seconds:,.0f}"


def table(head, rows):
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return "\n".join(lines + ["| " + " | ".join(map(str, row)) + " |" for row in rows]) + "\n"


class Report:
    def __init__(self, results):
        self.results, self.cases = results, results["cases"]

    def find(self, group, **wanted):
        """The case with these values, or None; kept: the workspace holds the logits; isa: the highest allowed."""
        kept, isa = wanted.pop("kept", False), wanted.pop("isa", None)
        for case in self.cases:
            if case["group"] == group and bool(case.get("workspace")) == kept and case.get("isa") == isa and all(
                    case[k] == v for k, v in wanted.items()):
                return case
        return None

    def values(self, group, key):
        return sorted({case[key] for case in self.cases if case["group"] == group})

    # --- goals ---

    @staticmethod
    def goal(what, sign, limit, measured, best=None, digits=1):
        """A line of the table; best is the same by least times."""
        met = measured >= limit if sign == ">=" else measured <= limit
        return (what, f"{sign} {limit}", f"{measured:.{digits}f}", "" if best is None else f"{best:.{digits}f}", "yes" if met else "no")

    def goals(self):
        rows = []
        for dtype, classes, wanted in (("f32", 1000, 4), ("f32", 100000, 4), ("bf16x3", 100000, 5), ("bf16", 100000, 15)):
            torch = self.find("classes", who="torch", classes=classes)
            ours = self.find("classes", who="logitude", classes=classes, dtype=dtype)
            if torch and ours:
                rows.append(self.goal(f"PyTorch's time over that of {dtype}, {classes:,} classes", ">=", wanted,
                                      ratio(torch, ours), least(torch) / least(ours)))
        adds = self.find("classes", who="logitude", classes=100000, dtype="f32", isa="avx512")
        for kept, limit, text in ((True, 1.15, "logits kept"), (False, 1.4, "64 MiB")):
            case = self.find("classes", who="logitude", classes=100000, dtype="f32", kept=kept)
            if case and adds:
                work = 6e-9 * case["rows"] * 512 * case["classes"]
                products = [work / one["roof_gflops"] for one in adds["rounds"]]
                rows.append(self.goal(f"f32 over three products by multiply-adds at their roof, 100,000 classes, {text}", "<=", limit,
                                      statistics.median(one["seconds"] / p for one, p in zip(case["rounds"], products)),
                                      least(case) / min(products), 2))
        ours = [case for case in self.cases if case["who"] == "logitude" and not case.get("workspace")]
        rows.append(self.goal("memory beside inputs and outputs, the most of all runs, MiB", "<=", 64,
                              max(median(case, "extra_bytes") for case in ours) / MIB))
        for dtype in ("f32", "bf16x3", "bf16"):
            few, many = (self.find("cost", classes=classes, dtype=dtype) for classes in (50000, 1000000))
            if few and many:
                rows.append(self.goal(f"time a class, 1,000,000 classes over 50,000, {dtype}", "<=", 1.3, ratio(many, few) / 20,
                                      least(many) / least(few) / 20, 2))
        return table(("what", "goal", "measured", "by least times", "met"), rows)

    # --- tables ---

    def row(self, case, torch):
        kept = ", logits kept" if case.get("workspace") else f", {case['isa']} at most" if case.get("isa") else ""
        share = f"{median(case, 'roof_share'):.2f}" if "roof_share" in case["rounds"][0] else ""
        speed = f"{median(case, 'gflops'):,.0f}" if "gflops" in case["rounds"][0] else ""
        over = f"{ratio(torch, case):.1f}" if torch else ""
        return (f"{NAMES[case['who']]}, {case['dtype']}{kept}", milliseconds(median(case)), milliseconds(least(case)), over, speed,
                share, f"{median(case, 'extra_bytes') / MIB:,.0f}")

    def times(self, group, key):
        rows = []
        for value in self.values(group, key):
            torch = self.find(group, who="torch", **{key: value})
            for case in self.cases:
                if case["group"] == group and case[key] == value:
                    rows.append((f"{value:,}",) + self.row(case, torch))
        return table((key, "", "median ms", "least ms", "PyTorch's time over it", "useful GFLOP/s", "of the roof", "extra MiB"), rows)

    def threads(self):
        rows = []
        for dtype in ("f32", "f64", "bf16x3", "bf16"):
            one, two = (self.find("threads", dtype=dtype, threads=threads) for threads in (1, 2))
            if one and two:
                rows.append((dtype, milliseconds(median(one)), milliseconds(median(two)), f"{ratio(one, two):.2f}",
                             f"{median(one, 'roof_share'):.2f}", f"{median(two, 'roof_share'):.2f}"))
        return table(("dtype", "1 thread, ms", "2 threads, ms", "ratio", "of the roof, 1", "of the roof, 2"), rows)

    def cost(self):
        rows = []
        for case in self.cases:
            if case["group"] == "cost":
                rows.append((case["dtype"], f"{case['classes']:,}", milliseconds(median(case)),
                             f"{1e9 * median(case) / case['classes']:,.0f}", f"{median(case, 'roof_share'):.2f}",
                             f"{median(case, 'extra_bytes') / MIB:,.0f}"))
        return table(("dtype", "classes", "median ms", "ns a class", "of the roof", "extra MiB"), rows)

    def text(self):
        r, isa = self.results, next(case["rounds"][0]["isa"] for case in self.cases if case["who"] == "logitude")
        busy = " The machine had other work: provisional." if r["load"] > 1 else ""
        parts = [f"{r['date']}, {r['machine']}, {isa}, load before the start {r['load']:.1f}, rounds: "
                 f"{min(len(case['rounds']) for case in self.cases)}.{busy}\n", self.goals(),
                 self.figure("head_classes", "Time and memory of a head against the number of classes"), self.times("classes", "classes")]
        if self.values("cost", "classes"):
            parts += ["What a class costs:\n", self.cost(), "By rows, 10,000 classes:\n", self.times("rows", "rows"),
                      self.figure("head_rows", "Time of a head against the rows of a batch, and time a class"),
                      "By threads, 10,000 classes:\n", self.threads(),
                      "Softmax. scikit-learn's is the loss and gradient of its `LogisticRegression`, which has no gradient by "
                      "features and takes two products:\n", self.times("softmax", "classes")]
        return "\n".join(parts)

    # --- charts ---

    @staticmethod
    def figure(name, text):
        return f"![{text}](figures/{name}.svg)\n"

    def series(self, cases, key, value):
        """(name, colour, points) of PyTorch and of every type, without kept logits."""
        for who, dtype in (("torch", "f32"), ("logitude", "f32"), ("logitude", "bf16x3"), ("logitude", "bf16")):
            points = sorted((case[key], value(case)) for case in cases if case["who"] == who and
                            case["dtype"] == dtype and not case.get("workspace") and not case.get("isa"))
            if points:
                name = "PyTorch, f32" if who == "torch" else f"Logitude, {dtype}"
                yield name, COLOURS["torch" if who == "torch" else dtype], points

    def panel(self, title, y_name, cases, key, value):
        series = list(self.series(cases, key, value))
        xs, ys = ([point[i] for _, _, points in series for point in points] for i in (0, 1))
        marks = sorted(set(xs)) if key == "rows" else None
        panel = svgchart.Panel(title, svgchart.Axis(key, min(xs), max(xs), marks, log=True, label=svgchart.plain if marks else None),
                               svgchart.Axis(y_name, min(ys) / 2, max(ys) * 2, log=True))
        for name, colour, points in series:
            panel.line(points, colour, name)
            panel.dots(points, colour)
        return panel

    def charts(self):
        by_classes = [case for case in self.cases if case["group"] in ("classes", "cost")]
        yield "head_classes", [self.panel("Loss and gradients", "milliseconds", by_classes, "classes", lambda case: 1e3 * median(case)),
                               self.panel("Memory beside inputs and outputs", "MiB", by_classes, "classes",
                                          lambda case: max(median(case, "extra_bytes") / MIB, 1))]
        by_rows = [case for case in self.cases if case["group"] in ("classes", "rows") and case["classes"] == 10000]
        if self.values("rows", "rows"):
            yield "head_rows", [self.panel("10,000 classes", "milliseconds", by_rows, "rows", lambda case: 1e3 * median(case)),
                                self.panel("Time a class", "microseconds", by_classes, "classes",
                                           lambda case: 1e6 * median(case) / case["classes"])]

    def write(self, docs):
        page = docs / "benchmarks.md"
        text = page.read_text(encoding="utf-8")
        before, rest = text.split(BEGIN)
        after = rest.split(END)[1]
        page.write_text(before + BEGIN + "\n" + self.text() + "\n" + END + after, encoding="utf-8")
        where = f"{self.results['date']}, {self.results['machine']}"
        for name, panels in self.charts():
            svg = svgchart.figure(panels, f"ArcFace forward and backward, 256 rows of 512 dimensions, two threads; {where}")
            (docs / "figures" / f"{name}.svg").write_text(svg, encoding="utf-8")
