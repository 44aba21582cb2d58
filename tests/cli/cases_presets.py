"""--like: the settings of other systems, in losses, grad, check and train."""

import json
import os

from tools import Case, clusters

SYSTEMS = {"insightface": ["cosface", "arcface", "subcenter"],
           "opensphere": ["normalized", "cosface", "arcface", "sphereface-r"],
           "pml": ["normalized", "cosface", "arcface", "lsoftmax", "sphereface", "subcenter"],
           "paddle": ["arcface", "combined"], "mx-lsoftmax": ["lsoftmax"], "caffe": ["lsoftmax", "sphereface"],
           "wespeaker": ["cosface", "arcface", "sphereface", "subcenter"]}


class Presets(Case):
    def test_the_listing_has_every_preset_of_every_loss(self):
        found = {}
        for loss in self.report("losses")["losses"]:
            for preset in loss["presets"]:
                self.assertEqual(list(preset), ["system", "spec", "difference"])
                self.assertTrue(preset["spec"].startswith(loss["name"] + ":"))
                self.assertEqual([pair.split("=")[0] for pair in preset["spec"].split(":")[1].split(",")],
                                 [parameter["key"] for parameter in loss["parameters"]])
                found.setdefault(preset["system"], []).append(loss["name"])
        self.assertEqual({name: sorted(losses) for name, losses in found.items()},
                         {name: sorted(losses) for name, losses in SYSTEMS.items()})

    def test_spaces_and_roles_are_told(self):
        losses = {loss["name"]: loss for loss in self.report("losses")["losses"]}
        spaces = {name: loss["space"] for name, loss in losses.items()}
        self.assertEqual({name for name, space in spaces.items() if space == "dot"}, {"softmax", "lsoftmax"})
        self.assertEqual({name for name, space in spaces.items() if space == "cosw"}, {"sphereface"})
        self.assertEqual(set(spaces.values()), {"dot", "cos", "cosw"})
        roles = {p["key"]: p["role"] for p in losses["adaface"]["parameters"]}
        self.assertEqual({key for key, role in roles.items() if role == "state"}, {"mean", "deviation"})
        self.assertEqual((roles["s"], roles["m"], roles["h"]), ("scale", "margin", "fixed"))
        self.assertIn("unit classes, features as they are", self.succeeds("losses", "sphereface"))
        self.assertRegex(self.succeeds("losses", "curricularface"), r"(?m)^  t +real +.*; role: state$")
        self.assertRegex(self.succeeds("losses"), r"(?m)^sphereface +cosw ")

    def test_one_loss_like_one_system(self):
        text = self.succeeds("losses", "arcface", "--like", "insightface")
        first, rest = text.split("\n", 1)
        self.assertEqual(first, "arcface:s=64,m=0.5,tail=none,clamp=0,warmup=none,gradient=detached")
        for part in ("insightface arcface_torch", "1.15 at 60 degrees", "69.08"):
            self.assertIn(part, " ".join(rest.split()))
        report = self.report("losses", "arcface", "--like", "insightface")
        self.assertEqual(list(report), ["schema", "presets"])
        self.assertEqual([p["spec"] for p in report["presets"]], [first])
        self.assertIn("insightface  s=64,m=0.5,tail=none,gradient=detached", self.succeeds("losses", "arcface"))

    def test_all_losses_of_one_system(self):
        for system, losses in SYSTEMS.items():
            presets = self.report("losses", "--like", system)["presets"]
            self.assertEqual(sorted(p["spec"].split(":")[0] for p in presets), sorted(losses))
            lines = self.succeeds("losses", "--like", system).splitlines()
            self.assertEqual([line for line in lines if line and line[0] != " "], [p["spec"] for p in presets])

    def test_what_is_not_known_names_what_is(self):
        wrong = [(["losses", "--like", "insigthface"],
                  'there is no system "insigthface" to be like; the nearest is "insightface"'),
                 (["losses", "softmax", "--like", "pml"], "pml has no settings for softmax, only for normalized, cosface, "
                  "arcface, lsoftmax, sphereface, subcenter"),
                 (["check", "--loss", "arcface", "--like", "mx-lsoftmax"],
                  "mx-lsoftmax has no settings for arcface, only for lsoftmax"),
                 (["check", "--loss", "arcfcae", "--like", "pml"], 'there is no loss "arcfcae"; the nearest is "arcface"'),
                 (["check", "--like", "pml"], "--like is pml, expected --loss with it")]
        for words, message in wrong:
            self.fails(2, message, *words)


class Verbs(Case):
    def setUp(self):
        super().setUp()
        rows, labels = clusters(12, 4, 3, 1)
        self.write_npy("x.npy", rows)
        self.write_npy("w.npy", clusters(3, 4, 3, 2)[0])
        self.write_npy("y.npy", labels, "i8")
        self.arrays = ["--features", "x.npy", "--weights", "w.npy", "--labels", "y.npy"]

    def test_grad_computes_what_the_written_specification_does(self):
        for loss, system in (("arcface", "insightface"), ("arcface", "opensphere"), ("sphereface-r", "opensphere"),
                             ("cosface", "wespeaker"), ("lsoftmax", "caffe"), ("combined", "paddle")):
            like = self.report("grad", "--loss", loss, "--like", system, *self.arrays)
            self.assertEqual(like["spec"], self.report("losses", loss, "--like", system)["presets"][0]["spec"])
            self.assertEqual(like, self.report("grad", "--loss", like["spec"], *self.arrays))

    def test_keys_that_are_given_win(self):
        report = self.report("grad", "--loss", "arcface:gradient=exact,m=0.1", "--like", "insightface", *self.arrays)
        self.assertEqual(report["spec"], "arcface:s=64,m=0.1,tail=none,clamp=0,warmup=none,gradient=exact")

    def test_check_takes_the_settings_that_have_a_gradient_to_check(self):
        report = self.report("check", "--loss", "arcface", "--like", "wespeaker", "--problems", 3)
        self.assertEqual([loss["spec"] for loss in report["losses"]],
                         ["arcface:s=32,m=0.2,tail=continuous,clamp=0,warmup=none,gradient=exact"])
        self.fails(2, ["gradient", "exact"], "check", "--loss", "arcface", "--like", "insightface", "--json")
        self.assertIs(self.report("check", "--loss", "arcface:gradient=exact", "--like", "insightface", "--problems",
                                  3)["passed"], True)

    def test_train_keeps_what_it_trained_with(self):
        words = ["--data", "x.npy,y.npy", "--encoder", "none", "--epochs", "1", "--batch", "4"]
        self.write("t.conf", "like = pml\nloss = arcface:s=8\n")
        report = self.report("train", *words, "--config", "t.conf", "--out", "run")
        wanted = "arcface:s=8,m=0.4991641660703783,tail=cosface,clamp=0,warmup=none,gradient=exact"
        self.assertEqual(report["loss"], wanted)
        self.assertEqual(json.loads(self.read("run/run.json"))["loss"], wanted)
        self.fails(2, ["pml has no settings for softmax"], "train", *words, "--loss", "softmax", "--like", "pml", "--out",
                   "other")
        self.assertFalse(os.path.exists(self.path("other")))
