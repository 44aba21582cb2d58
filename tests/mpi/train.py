#!/usr/bin/env python3
"""Trainings under mpirun: the bits of one process over any number of ranks, and after whatever ends a job.
usage: train.py openmpi|mpich PROGRAM; exits with 77 where that MPI, or the library for it beside the program, is missing."""
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest

sys.dont_write_bytecode = True
sys.path.append(os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'cli'))
from jobs import ENDS_WITHIN, PACKAGES, SETTINGS, TIMEOUT, command, litter, processes, shared_memory  # noqa: E402
from runs import checkpoints, litter as half_written, outcome, read, without_times  # noqa: E402
from tools import clusters, npy_bytes  # noqa: E402

LIBRARIES = {'openmpi': 'liblogitude_mpi.so', 'mpich': 'liblogitude_mpich.so'}
# Exit codes of an mpirun that got a signal itself: Open MPI's never passes on what its ranks end with, MPICH's mostly does.
MPIRUN_CODES = {'openmpi': {signal.SIGTERM: [1], signal.SIGINT: [1]},
                'mpich': {signal.SIGTERM: [143, 0], signal.SIGINT: [130, 0]}}
RANK = r'(?:^|\0)(?:OMPI_COMM_WORLD_RANK|PMI_RANK)=(\d+)'
MPI, PROGRAM = '', ''

# 5 stripes of classes: of 7 ranks two have none. The last batch of an epoch has 4 rows: some ranks have none.
N_CLASSES, DIM = 600, 8
DATA = ['--data', 'x.npy,y.npy', '--test-data', 'tx.npy,ty.npy', '--batch', '128', '--lr', '0.003', '--log-every', '3', '-q']
SMALL = [*DATA, '--dim', '8', '--epochs', '2']
ARCFACE = ['--loss', 'arcface:s=16,m=0.2', '--encoder', 'mlp:16']
PGA = 'pga:k=3,targets=memory,beta=reliability,neighbours=memory,capacity=200'
OTHERS = [
    (4, ['--loss', 'softmax', '--encoder', 'none', '--l2', '0.01', '--optimizer', 'sgd']),
    (2, ['--loss', 'lsoftmax:m=2,lambda=geometric/100/0.9/1', '--encoder', 'linear', '--optimizer', 'sgd']),
    (3, ['--loss', 'arcface:s=16', '--encoder', 'mlp:16,9', '--sample-rate', '0.3']),
    (3, ['--loss', 'adaface:s=16', '--encoder', 'linear', '--dtype', 'bf16']),
    (2, ['--loss', 'arcface:s=16', '--encoder', 'mlp:16', '--align', PGA]),
]
# 160 steps, each with a checkpoint: long enough to be met in the midst.
LONG = [*DATA, *ARCFACE, '--dim', '8', '--epochs', '20', '--no-report']
# 3,200 steps: Open MPI's mpirun passes a signal on after a second, and kills its ranks after one more.
LONGER = [*LONG, '--epochs', '400']


class Job:
    """A program under mpirun."""

    def __init__(self, folder, ranks, *words):
        self.folder, self.name, self.start = folder, f'{MPI}, {ranks} ranks', time.monotonic()
        self.child = subprocess.Popen(command(MPI, ranks, *words), cwd=folder, stdin=subprocess.DEVNULL,
                                      stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                                      env={**os.environ, **SETTINGS, 'TMPDIR': os.path.join(folder, 'tmp')})
        self.code = self.out = self.err = self.seconds = None

    def ranks(self):
        """Process ids by rank."""
        found = {}
        for process, words in processes(self.folder).items():
            if os.path.basename(words[0]) == os.path.basename(PROGRAM):
                with open(f'/proc/{process}/environ', encoding='utf-8', errors='replace') as file:
                    found[int(re.search(RANK, file.read()).group(1))] = process
        return found

    def until_checkpoint(self, out):
        while not checkpoints(out):
            if self.child.poll() is not None or time.monotonic() - self.start > 60:
                self.child.kill()
                raise AssertionError(f'{self.name}: no checkpoint: {self.child.communicate()}')
            time.sleep(0.002)

    def meets(self, number, rank=None):
        """Sends a signal, to mpirun itself unless a rank is named."""
        os.kill(self.child.pid if rank is None else self.ranks()[rank], number)
        self.start = time.monotonic()
        self.name += f', {signal.Signals(number).name} to {"mpirun" if rank is None else f"rank {rank}"}'

    def end(self):
        self.out, self.err = self.child.communicate(timeout=100)
        self.code, self.seconds = self.child.returncode, time.monotonic() - self.start
        print(f'{self.name}: {self.seconds:.2f} s, exit code {self.code}', flush=True)
        return self

    def told(self):
        return re.findall(r'^logitude: (.*)', self.err, re.MULTILINE)


class Jobs(unittest.TestCase):
    """All work in one folder, whose name in their command lines marks their processes."""

    maxDiff = 2000
    folder, whole = '', {}

    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.mkdtemp(prefix='logitude-mpi-')
        cls.whole = {}
        cls.addClassCleanup(shutil.rmtree, cls.folder, True)
        os.mkdir(cls.path('tmp'))
        for prefix, n_rows, seed in (('', 900, 1), ('t', 300, 2)):
            rows, labels = clusters(n_rows, DIM, N_CLASSES, seed)
            for name, values, dtype in (('x', rows, 'f4'), ('y', labels, 'i8')):
                with open(cls.path(f'{prefix}{name}.npy'), 'wb') as file:
                    file.write(npy_bytes(values, dtype))

    @classmethod
    def path(cls, name):
        return os.path.join(cls.folder, name)

    def setUp(self):
        self.before = shared_memory()
        self.addCleanup(self.check_litter, self.before)

    def check_litter(self, before):
        left = litter(self.folder, before, self.path('tmp'))
        for process in left[0] if left else ():
            os.kill(process, signal.SIGKILL)
        self.assertIsNone(left)

    def job(self, ranks, *words, program=None):
        return Job(self.folder, ranks, program or PROGRAM, *words)

    def differing(self, ranks, word, *words):
        """A job in which every rank has another word, $r being its number."""
        shell = f'r=${{OMPI_COMM_WORLD_RANK:-$PMI_RANK}}; exec "$@" {word}'
        return self.job(ranks, '-c', shell, 'sh', PROGRAM, *words, program='sh')

    def train(self, ranks, out, *words):
        return self.job(ranks, 'train', *words, '--json', '--out', self.path(out))

    def check_failure(self, code, pattern, job):
        """Ends with this code and is told once."""
        job.end()
        self.assertEqual(job.code, code, f'{job.name}: {job.out} {job.err}')
        self.assertEqual(len(job.told()), 1, job.err)
        self.assertRegex(job.told()[0], pattern)
        self.assertNotIn('schema', job.out)

    @classmethod
    def alone(cls, *words):
        """What the program does without mpirun; for a training the report it prints, too."""
        out = ['--json', '--out', cls.path('alone')] if words[0] == 'train' else []
        run = subprocess.run([PROGRAM, *words, *out], cwd=cls.folder, stdin=subprocess.DEVNULL, capture_output=True,
                             text=True, timeout=100, check=False)
        if run.returncode != 0:
            raise AssertionError(f'{words}: {run.stderr}')
        return run.stdout

    def alone_training(self, words):
        key = ' '.join(words)
        if key not in self.whole:
            printed = self.alone('train', *words)
            self.whole[key] = outcome(self.path('alone'), '--no-report' not in words), self.printed(printed)
        return self.whole[key]

    @staticmethod
    def printed(text):
        """A training's report on standard output, but times and paths. More than one is no JSON."""
        return without_times(json.loads(text), ('seconds', 'samples_per_second', 'model', 'best', 'metrics', 'run', 'report'))

    def content(self, out):
        """What a folder's files hold, by name."""
        return {name: read(self.path(out), name) for name in os.listdir(self.path(out))}

    def check_same(self, job, words, out):
        self.assertEqual(job.end().code, 0, f'{job.name}: {job.err}')
        self.assertEqual(job.told(), [], job.name)
        with self.subTest(f'{job.name}: {words}'):
            self.assertEqual((outcome(self.path(out), '--no-report' not in words), self.printed(job.out)),
                             self.alone_training(words))
            self.assertEqual(half_written(self.path(out)), [])


class Bits(Jobs):
    def test_any_number_of_ranks_has_the_bits_of_one(self):
        for ranks in (1, 2, 3, 4, 7):
            words = [*SMALL, *ARCFACE]
            self.check_same(self.train(ranks, f'p{ranks}', *words), words, f'p{ranks}')

    def test_so_has_every_kind_of_training(self):
        for number, (ranks, more) in enumerate(OTHERS):
            words = [*SMALL, *more]
            self.check_same(self.train(ranks, f'other{number}', *words), words, f'other{number}')


class Fast(Jobs):
    """--mpi-reduce fast: the bits of so many ranks, and the losses of one process to rounding."""

    def fast(self, ranks, out, *more):
        job = self.train(ranks, out, *SMALL, *ARCFACE, '--mpi-reduce', 'fast', *more).end()
        self.assertEqual(job.code, 0, f'{job.name}: {job.err}')
        return outcome(self.path(out)), json.loads(job.out)

    def test_so_many_ranks_have_the_same_bits_and_one_has_the_usual_ones(self):
        usual = self.alone_training([*SMALL, *ARCFACE])
        for ranks in (2, 3, 7):
            found, printed = self.fast(ranks, f'fast{ranks}')
            self.assertEqual(found, self.fast(ranks, f'again{ranks}', '--threads', '2')[0])
            self.assertEqual((printed['ranks'], found['run']['results']['ranks']), (ranks, ranks))
            self.assertEqual(found['run']['config']['mpi-reduce'], 'fast')
            self.assertNotEqual(found['model'], usual[0]['model'])
            for key in ('train_loss', 'test_nll'):  # sixteen steps of AdamW carry a rounding of 6e-8 on
                self.assertAlmostEqual(printed[key] / usual[1][key], 1, delta=1e-4)
        found, printed = self.fast(1, 'fast1')
        self.assertNotIn('ranks', printed)
        self.assertEqual((found['model'], found['metrics']), (usual[0]['model'], usual[0]['metrics']))

    def test_a_stopped_training_goes_on_in_its_own_mode_alone(self):
        words = [*LONG, '--mpi-reduce', 'fast', '--out', self.path('halves')]
        job = self.job(3, 'train', *words, '--checkpoint-every', '1')
        job.until_checkpoint(self.path('halves'))
        job.meets(signal.SIGTERM, 1)
        self.assertEqual(job.end().code, 143, job.err)
        refused = self.job(3, 'train', *words, '--mpi-reduce', 'exact', '--resume').end()
        self.assertEqual(refused.code, 2)
        self.assertRegex(refused.told()[0], "reduce is 'fast' in the checkpoint and 'exact' here")
        self.assertEqual(self.job(3, 'train', *words, '--resume').end().code, 0)
        whole = self.job(3, 'train', *LONG, '--mpi-reduce', 'fast', '--out', self.path('whole')).end()
        self.assertEqual(whole.code, 0, whole.err)
        self.assertEqual(outcome(self.path('halves'), False), outcome(self.path('whole'), False))


class Stops(Jobs):
    """A stopped job goes on over another number of ranks, and ends in the bits of one that never stopped."""

    def stop(self, words, ranks, number, rank=None):
        out = f'stop{ranks}-{number}-{rank}'
        job = self.train(ranks, out, *words, '--checkpoint-every', '1')
        job.until_checkpoint(self.path(out))
        job.meets(number, rank)
        job.end()
        self.check_litter(self.before)  # MPICH's mpirun may be gone before a rank that was stopped
        return job, out

    def go_on(self, words, ranks, out):
        self.assertTrue(checkpoints(self.path(out)))
        self.check_same(self.train(ranks, out, *words, '--resume'), words, out)

    def check_signal(self, codes, words, then, ranks, number, rank=None):
        job, out = self.stop(words, ranks, number, rank)
        self.assertIn(job.code, codes, f'{job.name}: {job.err}')
        told = [text for text in job.told() if 'interrupted after step' in text]
        self.assertEqual(len(told), 1, job.err)
        self.assertIn('--resume goes on from its checkpoint', told[0])
        self.go_on(words, then, out)

    def test_mpirun_passes_signals_on(self):
        for ranks, number in ((3, signal.SIGTERM), (2, signal.SIGINT)):
            self.check_signal(MPIRUN_CODES[MPI][number], LONGER, 1, ranks, number)

    def test_a_signal_to_one_rank_ends_all_in_order(self):
        self.check_signal([143], LONG, 2, 4, signal.SIGTERM, 2)
        self.check_signal([130], LONG, 1, 2, signal.SIGINT, 0)

    def test_a_killed_rank_ends_the_job(self):
        for ranks, rank, then in ((2, 0, 1), (3, 1, 2), (4, 3, 1)):
            job, out = self.stop(LONG, ranks, signal.SIGKILL, rank)
            self.assertNotEqual(job.code, 0, job.name)
            self.assertLess(job.seconds, ENDS_WITHIN, job.name)
            self.go_on(LONG, then, out)

    def test_a_rank_that_does_not_answer_is_named_and_ends_the_job(self):
        for ranks, rank, then in ((3, 1, 1), (2, 0, 1)):
            job, out = self.stop([*LONG, '--mpi-timeout', str(TIMEOUT)], ranks, signal.SIGSTOP, rank)
            self.assertEqual(job.code, 10, f'{job.name}: {job.err}')
            self.assertLess(job.seconds, TIMEOUT + ENDS_WITHIN, job.name)
            # Who waits for it may be missed in its turn by a third.
            self.assertRegex(job.told()[0],
                             rf'^ranks? [\d, and]*\b{rank}\b[\d, and]* did not come to \w+ within {TIMEOUT:g} s$')
            self.go_on(LONG, then, out)


class Words(Jobs):
    """What is said is said once."""

    def differing(self, ranks, word):
        return super().differing(ranks, word, 'train', *SMALL, *ARCFACE, '--out', self.path('differing'))

    def test_wrong_input_is_told_once(self):
        self.check_failure(2, "nonsense", self.train(3, 'wrong', *SMALL, '--loss', 'nonsense'))
        self.check_failure(2, "train has no option '--nonsense'", self.train(2, 'wrong', *SMALL, '--nonsense'))
        self.check_failure(5, 'none.npy', self.train(3, 'wrong', *SMALL, *ARCFACE, '--data', 'none.npy,y.npy'))
        self.check_failure(5, 'x.npy', self.train(2, 'x.npy', *SMALL, *ARCFACE))
        self.assertFalse(os.path.exists(self.path('wrong')))

    def test_an_optimizer_of_one_rank_is_refused(self):
        words = [*SMALL, '--loss', 'softmax', '--encoder', 'none', '--optimizer', 'lbfgs']
        self.check_failure(2, 'lbfgs trains on one rank, found 2', self.train(2, 'wrong', *words))

    def test_ranks_that_differ_are_named(self):
        self.check_failure(2, "^rank 1: seed is '0*1' here and '0*' on rank 0", self.differing(3, '--seed $r'))
        self.check_failure(5, '^rank 1: .*y1.npy', self.differing(2, '--data x.npy,y${r#0}.npy'))
        self.assertFalse(os.path.exists(self.path('differing')))

    def test_ranks_that_differ_in_what_is_no_step_are_named_before_anything_is_touched(self):
        self.assertEqual(self.job(1, 'train', *SMALL, *ARCFACE, '--checkpoint-every', '7', '--out',
                                  self.path('differing')).end().code, 0)
        before = self.content('differing')
        for ranks, code, word, name in (
                (2, 2, '--resume', "resume is 'yes' here and 'no'"),
                (3, 2, '--no-report', "report is 'no' here and 'yes'"),
                (2, 2, '--log-every 4', "log-every is '4' here and '3'"),
                (2, 2, '--checkpoint-every 5', "checkpoint-every is '5' here and '0'"),
                (3, 2, '--keep 3', "keep is '3' here and '2'"),
                (2, 3, '--test-data x.npy,y.npy', r"data\.test is '\w{16}' here and '\w{16}'")):
            self.check_failure(code, f'^rank 1: {name} on rank 0', self.differing(ranks, f'$(test $r != 1 || echo {word})'))
            self.assertEqual(self.content('differing'), before, word)
        without = [word for word in SMALL if word not in ('--test-data', 'tx.npy,ty.npy')]
        job = super().differing(2, '$(test $r != 1 || echo --test-data tx.npy,ty.npy)', 'train', *without, *ARCFACE,
                                '--resume', '--out', self.path('differing'))
        self.check_failure(3, r"^rank 1: data\.test is '\w{16}' here and 'none' on rank 0", job)
        self.assertEqual(self.content('differing'), before)

    def test_without_its_library_the_program_names_the_package(self):
        os.mkdir(self.path('lonely'))
        lonely = shutil.copy(PROGRAM, self.path('lonely'))
        job = self.job(2, 'train', *SMALL, *ARCFACE, '--out', self.path('wrong'), program=lonely)
        self.check_failure(2, f'apt-get install {PACKAGES[MPI].split()[0]}', job)

    def test_verbs_of_one_rank_speak_once(self):
        self.alone('train', *SMALL, *ARCFACE)
        for words in (['info', self.path('alone/model.safetensors')], ['--version'], ['--help'], ['train', '--help']):
            job = self.job(2, *words).end()
            self.assertEqual((job.code, job.out), (0, self.alone(*words)), job.err)
        self.check_failure(2, "unknown verb 'trian'", self.job(2, 'trian', self.folder))


def main():
    """Runs the tests of the script, unless what they need is missing."""
    global MPI, PROGRAM
    MPI, PROGRAM = sys.argv[1], os.path.abspath(sys.argv[2]) if len(sys.argv) > 2 else ''
    library = os.path.join(os.path.dirname(PROGRAM), LIBRARIES[MPI])
    if not shutil.which(f'mpirun.{MPI}') or not os.path.exists(library):
        print(f'skipped: {MPI} is not here; on Debian: apt-get install {PACKAGES[MPI]}, then configure again')
        sys.exit(77)
    unittest.main(argv=[sys.argv[0], *sys.argv[3:]])


if __name__ == '__main__':
    main()
