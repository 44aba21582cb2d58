#!/usr/bin/env python3
"""eval, predict and embed under mpirun: the bytes of one process over any number of ranks, and what is said once.
usage: verbs.py openmpi|mpich PROGRAM; exits with 77 where that MPI, or the library for it beside the program, is missing."""
import os
import shutil
import signal
import sys

sys.dont_write_bytecode = True
sys.path.append(os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'cli'))
import train  # noqa: E402
from jobs import ENDS_WITHIN, PACKAGES, TIMEOUT  # noqa: E402
from tools import clusters, npy_bytes  # noqa: E402
from train import ARCFACE, DIM, N_CLASSES, SMALL, Jobs  # noqa: E402

# Parts of rows after which ranks agree have 32,768 at most: two of them on each of two ranks.
MANY = 70000
# Verified, these take some seconds.
LONG = 20000
SOFTMAX = ['--loss', 'softmax', '--encoder', 'none', '--standardize', 'none']


class Verbs(Jobs):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        for name, words in (('arcface', ARCFACE), ('softmax', SOFTMAX)):
            cls.alone('train', *SMALL, *words)
            os.rename(cls.path('alone/model.safetensors'), cls.path(name))

    @classmethod
    def write(cls, name, rows, labels):
        for suffix, values, dtype in (('x', rows, 'f4'), ('y', labels, 'i8')):
            with open(cls.path(f'{name}{suffix}.npy'), 'wb') as file:
                file.write(npy_bytes(values, dtype))

    @classmethod
    def words(cls, verb, *more, data='', model='arcface'):
        return [verb, '--model', cls.path(model), '--data', f'{data}x.npy,{data}y.npy', *more]

    def read(self, name):
        """The bytes of a file, which is gone then."""
        path = self.path(name)
        if not os.path.exists(path):
            return None
        with open(path, 'rb') as file:
            found = file.read()
        os.remove(path)
        return found

    def check_ranks(self, ranks, words, out=None):
        more = ['--out', out] if out else []
        wanted = self.alone(*words, *more), self.read(out) if out else None
        job = self.job(ranks, *words, *more).end()
        self.assertEqual((job.code, job.told()), (0, []), f'{job.name}: {job.err}')
        found = job.out, self.read(out) if out else None
        self.assertTrue(found == wanted, f'{job.name}: {words}: {str(found)[:300]} instead of {str(wanted)[:300]}')


class Bytes(Verbs):
    def test_any_number_of_ranks_has_the_bytes_of_one(self):
        for ranks in (1, 2, 3, 4, 7):
            self.check_ranks(ranks, self.words('eval', '--protocol', 'all', '--json'))
            self.check_ranks(ranks, self.words('embed'), 'out.npy')
            self.check_ranks(ranks, self.words('predict', '--top', '3'), 'out.csv')

    def test_so_has_every_way_out(self):
        for protocol in ('classification', 'verification', 'retrieval'):
            self.check_ranks(3, self.words('eval', '--protocol', protocol, model='softmax'))
        self.check_ranks(2, self.words('embed'), 'out.csv')
        self.check_ranks(3, self.words('embed', '--json'))
        self.check_ranks(2, self.words('predict', '--json', model='softmax'), 'out.npy')
        self.check_ranks(3, self.words('predict', '--json', '--top', '2'))
        self.check_ranks(4, self.words('predict'))

    def test_ranks_may_have_no_row(self):
        self.write('few', *clusters(3, DIM, 2, 3))
        self.check_ranks(7, self.words('eval', '--protocol', 'all', '--json', data='few'))
        self.check_ranks(4, self.words('embed', data='few'))
        self.check_ranks(4, self.words('predict', data='few'), 'out.npy')

    def test_many_rows_go_part_by_part(self):
        self.write('many', *clusters(MANY, DIM, 2, 3))
        self.check_ranks(2, self.words('embed', data='many'), 'out.npy')
        self.check_ranks(2, self.words('predict', data='many'), 'out.npy')


class Stops(Verbs):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.write('long', *clusters(LONG, DIM, N_CLASSES, 3))

    def meets(self, ranks, number, rank, *more):
        """A job of which a rank meets a signal once the ranks have found each other."""
        job = self.job(ranks, *self.words('eval', '--protocol', 'all', '--threads', '1', '-v', *more, data='long'))
        while ' rows, ' not in (line := job.child.stderr.readline()):
            self.assertTrue(line, f'{job.name}: ended before it had begun')
        job.meets(number, rank)
        job.end()
        self.assertNotIn('auc', job.out)
        return job

    def test_a_killed_rank_ends_the_job(self):
        for ranks, rank in ((2, 0), (3, 1)):
            job = self.meets(ranks, signal.SIGKILL, rank)
            self.assertNotEqual(job.code, 0, job.name)
            self.assertLess(job.seconds, ENDS_WITHIN, job.name)

    def test_a_rank_that_does_not_answer_is_named_and_ends_the_job(self):
        for ranks, rank in ((2, 1), (3, 0)):
            job = self.meets(ranks, signal.SIGSTOP, rank, '--mpi-timeout', str(TIMEOUT))
            self.assertEqual(job.code, 10, f'{job.name}: {job.err}')
            self.assertLess(job.seconds, TIMEOUT + ENDS_WITHIN, job.name)
            self.assertRegex(job.err, rf'ranks? [\d, and]*\b{rank}\b[\d, and]* did not come to \w+ within {TIMEOUT:g} s\n')


class Words(Verbs):
    def test_wrong_input_is_told_once(self):
        self.check_failure(2, "--out is 'x.txt'", self.job(2, *self.words('embed', '--out', 'x.txt')))
        self.check_failure(5, 'none/x.csv', self.job(3, *self.words('predict', '--out', 'none/x.csv')))
        self.check_failure(5, 'nonex.npy', self.job(3, *self.words('eval', data='none')))
        self.check_failure(5, 'nomodel', self.job(2, *self.words('eval', model='nomodel')))
        self.check_failure(2, f'^--top is {N_CLASSES + 1}, expected at most {N_CLASSES}',
                           self.job(2, *self.words('predict', '--top', N_CLASSES + 1)))
        self.check_failure(3, 'no genuine pair',
                           self.job(2, *self.words('eval', '--protocol', 'verification', '--data', self.lone())))

    def lone(self):
        self.write('lone', [[0.0] * DIM, [1.0] * DIM], [1, 2])
        return 'lonex.npy,loney.npy'

    def test_ranks_that_differ_are_named(self):
        predict = ['predict', '--model', self.path('arcface')]
        shutil.copy(self.path('ty.npy'), self.path('t0y.npy'))
        self.check_failure(5, '^rank 1: .*t1y.npy', self.differing(3, '--data tx.npy,t${r}y.npy', *predict))
        rows, labels = clusters(300, DIM, N_CLASSES, 2)
        self.write('t1', rows, labels[::-1])
        self.check_failure(3, "^rank 1: data.fingerprint is '", self.differing(2, '--data tx.npy,t${r}y.npy', *predict))
        shutil.copy(self.path('arcface'), self.path('m0'))
        shutil.copy(self.path('softmax'), self.path('m1'))
        self.check_failure(3, "^rank 1: model.fingerprint is '",
                           self.differing(2, f'--model {self.path("m")}$r', 'embed', '--data', 'tx.npy,ty.npy'))
        self.check_failure(2, "^rank 1: top is '2' here and '1' on rank 0: all ranks must have the same",
                           self.differing(2, '--top $((r + 1))', *self.words('predict')))
        self.check_failure(2, "^rank 1: isa is 'avx2' here and 'generic' on rank 0",
                           self.differing(2, '--max-isa $([ $r = 0 ] && echo generic || echo avx2)', *self.words('eval')))

    def test_rows_are_named_as_in_the_data(self):
        rows, labels = clusters(300, DIM, N_CLASSES, 2)
        rows[250] = [3e38] * DIM
        self.write('huge', rows, labels)
        self.check_failure(4, 'rank 1: hugex.npy,hugey.npy: row 250: its embedding is not finite',
                           self.job(2, *self.words('embed', data='huge')))
        self.check_failure(4, r'rank 1: counted from row 150: row \d+: its logits exceed',
                           self.job(2, *self.words('predict', data='huge', model='softmax')))

    def test_without_its_library_the_program_names_the_package(self):
        os.mkdir(self.path('lonely'))
        lonely = shutil.copy(train.PROGRAM, self.path('lonely'))
        self.check_failure(2, f'apt-get install {PACKAGES[train.MPI].split()[0]}',
                           self.job(2, *self.words('eval'), program=lonely))

    def test_help_is_said_once(self):
        for verb in ('eval', 'predict', 'embed'):
            job = self.job(2, verb, '--help').end()
            self.assertEqual((job.code, job.out), (0, self.alone(verb, '--help')), job.err)


if __name__ == '__main__':
    train.main()
