"""lint: defects against closed forms, curves against formulas written once more, plans; and training with a warm-up."""

import json
import math

from tools import Case, clusters

KEYS = ["schema", "spec", "step", "norm", "jumps", "kinks", "non_monotone", "dead_zones", "largest_force", "crowd_jumps",
        "n_defects"]
REVIEW = ["spec", "first", "last", "arrives", "start_force", "end_force", "start_logit", "dead_starts", "dead_share",
          "fastest", "fastest_factor", "warnings"]


class Lint(Case):
    def test_the_cosface_tail_jumps_where_it_begins(self):
        report = self.report("lint", "arcface:m=0.5,tail=cosface")
        self.assertEqual(list(report), KEYS)
        self.assertEqual((report["n_defects"], report["step"], report["norm"]), (1, 0, 1.0))
        jump, = report["jumps"]
        self.assertEqual(list(jump), ["theta", "degrees", "size", "size_in_s"])
        self.assertAlmostEqual(jump["theta"], math.pi - 0.5, delta=1e-9)
        self.assertAlmostEqual(jump["degrees"], math.degrees(math.pi - 0.5), delta=1e-7)
        self.assertAlmostEqual(jump["size_in_s"], 1 - math.cos(0.5) - 0.5 * math.sin(0.5), delta=1e-12)
        self.assertAlmostEqual(jump["size_in_s"], -0.1173, delta=5e-5)
        text = self.succeeds("lint", "arcface:m=0.5,tail=cosface")
        self.assertIn("jump           at 151.3521 deg (2.641593 rad): the logit changes by -7.5069, -0.1173 s\n", text)
        self.assertTrue(text.endswith("\n1 defect\n"))

    def test_even_multiples_are_dead_at_ninety_degrees(self):
        report = self.report("lint", "--loss", "lsoftmax:m=4,lambda=0")
        self.assertEqual([round(zone["degrees"], 6) for zone in report["dead_zones"]], [45, 90, 135])
        for zone in report["dead_zones"]:
            self.assertEqual(list(zone), ["at", "degrees", "from", "to", "force_ratio"])
            self.assertTrue(zone["from"] < zone["at"] < zone["to"])
            self.assertLess(zone["force_ratio"], 1e-9)
        self.assertAlmostEqual(report["largest_force"]["force"], 4, delta=1e-9)
        self.assertIsNone(report["largest_force"]["in_s"])
        self.assertIn("dead zone      at 90.0000 deg", self.succeeds("lint", "lsoftmax:m=4,lambda=0"))

    def test_a_logit_that_rises_is_told_from_where_to_where(self):
        report = self.report("lint", "arcface:s=10,m=0.5,tail=none")
        rise, = report["non_monotone"]
        self.assertEqual(list(rise), ["from", "to", "rise"])
        self.assertAlmostEqual(rise["from"], math.pi - 0.5, delta=2e-9)
        self.assertEqual(rise["to"], math.pi)
        self.assertAlmostEqual(rise["rise"], 10 * (1 - math.cos(0.5)), delta=1e-9)

    def test_strict_exits_with_7_only_on_a_defect(self):
        self.succeeds("lint", "arcface", "--strict")
        done = self.run_program("lint", "arcface:tail=none", "--strict", "--json")
        self.assertEqual((done.returncode, done.stderr), (7, "logitude: arcface has 2 defects\n"))
        self.assertEqual(json.loads(done.stdout)["n_defects"], 2)
        self.assertEqual(self.run_program("lint", "sphereface-r", "--strict").returncode, 7)

    def test_every_loss_is_examined(self):
        for loss in self.report("losses")["losses"]:
            report = self.report("lint", loss["name"])
            self.assertTrue(report["spec"].startswith(loss["name"] + ":"))
            count = len(report["jumps"]) + len(report["non_monotone"]) + len(report["dead_zones"])
            self.assertEqual(report["n_defects"], count)

    def test_the_step_and_the_norm_decide(self):
        spec = "arcface:tail=cosface,warmup=linear/100/200"
        self.assertEqual(self.report("lint", spec)["n_defects"], 0)
        jump, = self.report("lint", spec, "--step", 150)["jumps"]
        self.assertAlmostEqual(jump["theta"], math.pi - 0.25, delta=1e-9)
        self.assertEqual(self.report("lint", "adaface")["norm"], 20.0)
        self.assertEqual(self.report("lint", "magface")["norm"], 60.0)
        rise, = self.report("lint", "adaface", "--norm", 1e6)["non_monotone"]
        self.assertAlmostEqual(rise["to"], 0.4, delta=2e-9)

    def test_bent_crowds_and_gradient_modes_are_notes(self):
        report = self.report("lint", "curricularface:s=10,t=0.2")
        self.assertEqual(report["n_defects"], 0)
        self.assertEqual(list(report["crowd_jumps"][0]), ["theta", "degrees", "cosine", "size", "size_in_s"])
        self.assertAlmostEqual(report["crowd_jumps"][0]["size_in_s"], -0.16, delta=1e-6)
        self.assertIn("\nnote: crowd ", self.succeeds("lint", "curricularface"))
        self.assertIn("\nnote: gradient ", self.succeeds("lint", "arcface:gradient=detached"))
        self.assertNotIn("note: gradient", self.succeeds("lint", "arcface"))

    def test_a_curve_is_the_formula(self):
        def psi(theta, m):
            k = min(int(m * theta / math.pi), m - 1)
            return (-1) ** k * math.cos(m * theta) - 2 * k

        curve = self.report("lint", "lsoftmax:m=3,lambda=1", "--norm", 2, "--curve", 181)["curve"]
        self.assertEqual(list(curve), ["theta", "logit", "force", "plain_logit", "plain_force"])
        for i in range(181):
            theta = math.pi * i / 180
            self.assertAlmostEqual(curve["theta"][i], theta, delta=1e-15)
            self.assertAlmostEqual(curve["logit"][i], psi(theta, 3) + math.cos(theta), delta=1e-13)
            self.assertAlmostEqual(curve["plain_logit"][i], 2 * math.cos(theta), delta=1e-14)
            force = 3 * abs(math.sin(3 * theta)) + math.sin(theta)
            self.assertAlmostEqual(curve["force"][i], force, delta=1e-13)
            self.assertAlmostEqual(curve["plain_force"][i], 2 * math.sin(theta), delta=1e-14)

    def test_what_is_asked_wrongly(self):
        for args, message in (
            ([], "lint needs one SPEC, as a word or by --loss; found none"),
            (["arcface", "--loss", "arcface"], "lint needs one SPEC, as a word or by --loss; found both"),
            (["arcface", "--curve", "9"], "--curve is part of the JSON object: give --json as well"),
            (["arcface", "--classes", "9"], "--classes belongs to a plan: give --steps N as well"),
            (["arcface", "--target", "9"], "--target belongs to a plan: give --steps N as well"),
            (["arcface", "--steps", "7"], "--steps is '7', expected an integer from 8 to 9007199254740992"),
            (["arcface", "--norm", "0"], "--norm is '0', expected a number from 1e-100 to 1e+100"),
            (["arcfcae"], "there is no loss \"arcfcae\"; the nearest is \"arcface\""),
        ):
            self.fails(2, message, "lint", *args)
        self.fails(2, ["probability"], "lint", "arcface", "--steps", 9, "--classes", 4, "--probability", 0.2, "--json")


class Plan(Case):
    def plan(self, *args):
        return self.report("lint", *args)["plan"]

    def test_a_plan_of_lambda(self):
        plan = self.plan("lsoftmax:m=4", "--steps", 20000, "--dim", 512)
        self.assertEqual(list(plan), ["steps", "proposals", "dim", "target", "given", "reason"])
        self.assertEqual(list(plan["given"]), REVIEW)
        self.assertTrue(any(text.startswith("fast: ") for text in plan["given"]["warnings"]))
        geometric, power = plan["proposals"]
        self.assertIn("lambda=geometric/1500/", geometric["spec"])
        self.assertIn("lambda=power/1500/", power["spec"])
        for proposal in (geometric, power):
            self.assertEqual((proposal["first"], proposal["last"], proposal["warnings"]), (1500, 5, []))
            self.assertAlmostEqual(proposal["arrives"], 0.5, delta=2e-3)
            again = self.plan(proposal["spec"], "--steps", 20000, "--dim", 512)
            self.assertEqual(again["given"], proposal)

    def test_a_constant_of_zero_is_warned_of_by_dimension(self):
        shares = []
        for dim in (128, 512, 4096):
            given = self.plan("lsoftmax:m=2,lambda=0", "--steps", 1000, "--dim", dim)["given"]
            self.assertIn("in %d dimensions" % dim, given["warnings"][0])
            shares.append(given["dead_starts"])
            self.assertAlmostEqual(given["dead_starts"], math.erf(math.asin(0.025) * math.sqrt(dim / 2)), delta=0.005)
        self.assertEqual(shares, sorted(shares))
        self.assertAlmostEqual(given["start_logit"], -1, delta=1e-15)

    def test_a_weak_and_a_late_end_are_warned_of(self):
        given = self.plan("lsoftmax:lambda=geometric/1000/0.9997/5", "--steps", 1000)["given"]
        self.assertEqual([text.split(":")[0] for text in given["warnings"]], ["late", "weak"])
        self.assertIsNone(given["arrives"])

    def test_a_plan_of_a_warm_up_and_a_scale(self):
        plan = self.plan("arcface:s=64", "--steps", 20000, "--classes", 10)
        self.assertEqual(list(plan), ["steps", "proposals", "dim", "given", "reason", "scale"])
        self.assertIn("warmup=linear/2500/5000,", plan["proposals"][0]["spec"])
        self.assertIn("warmup=exponential/2500/5000,", plan["proposals"][1]["spec"])
        scale = plan["scale"]
        self.assertEqual(list(scale), ["classes", "probability", "scale", "most_probability", "least_loss", "needed",
                                       "needed_with_margin", "suggested", "satisfied", "warnings"])
        self.assertAlmostEqual(scale["needed"], 0.9 * math.log(9 * 99), delta=1e-9)
        self.assertTrue(scale["warnings"][0].startswith("large: "))
        scale = self.plan("normalized:s=4", "--steps", 20, "--classes", 1000)["scale"]
        self.assertTrue(scale["warnings"][0].startswith("small: "))
        self.assertIsNone(scale["satisfied"])

    def test_losses_without_a_schedule_or_a_scale(self):
        self.assertEqual(self.plan("softmax", "--steps", 20, "--classes", 3), {"steps": 20, "proposals": [], "scale": None})
        self.assertEqual(self.plan("lsoftmax:m=1", "--steps", 20)["proposals"], [])
        self.assertIn("no schedule to plan", self.succeeds("lint", "softmax", "--steps", 20))

    def test_the_text_has_specs_to_paste(self):
        text = self.succeeds("lint", "sphereface", "--steps", 28000, "--classes", 10)
        self.assertEqual(text.count("\nproposed: sphereface:m=4,lambda="), 2)
        self.assertIn("\ngiven: sphereface:m=4,lambda=power/1000/0.12/1/5,", text)
        self.assertIn("\nscale: the loss has none\n", text)
        self.assertIn("suggested", self.succeeds("lint", "cosface", "--steps", 100, "--classes", 100))


class WarmUp(Case):
    def schedule_of(self, spec):
        rows, labels = clusters(40, 4, 3, 1)
        self.write_npy("x.npy", rows)
        self.write_npy("y.npy", labels, "i8")
        self.succeeds("train", "--data", "x.npy,y.npy", "--loss", spec, "--encoder", "none", "--epochs", 3, "--batch", 10,
                      "--log-every", 1, "--out", "run", "-q")
        lines = [json.loads(line) for line in self.read("run/metrics.jsonl").splitlines()]
        return [line["schedule"] for line in lines if "schedule" in line and "test_accuracy" not in line][:12]

    def test_training_logs_the_margins_factor(self):
        found = self.schedule_of("cosface:s=8,warmup=linear/2/6")
        self.assertEqual(found[:8], [0, 0, 0, 0.25, 0.5, 0.75, 1, 1])

    def test_a_margin_that_is_whole_from_the_start_logs_none(self):
        self.assertEqual(self.schedule_of("cosface:s=8"), [])
