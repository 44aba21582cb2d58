#!/usr/bin/env python3
"""The MPI communicator under mpirun: the laws on several numbers of ranks, and the end of jobs in which a rank comes to
grief: in time, with a code that is not 0, the rank named, no process and no shared memory left.
usage: run.py openmpi|mpich [FOLDER with mpi_ranks, mpi_pieces, mpi_host]; exits with 77 where that MPI is missing."""
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import unittest

from jobs import ENDS_WITHIN, PACKAGES, SETTINGS, TIMEOUT, command, litter, shared_memory

MPI, FOLDER = '', ''


class Job:
    """One run of a program under mpirun, with what it left behind."""

    def __init__(self, ranks, program, *words):
        self.name = f'{MPI}: {program} {" ".join(words)} on {ranks} ranks'
        # A word that is its processes' alone.
        mark = f'job-{os.getpid()}-{time.monotonic_ns()}'
        before = shared_memory()
        with tempfile.TemporaryDirectory() as folder:
            words = command(MPI, ranks, os.path.join(FOLDER, program), *words, mark)
            start = time.monotonic()
            run = subprocess.run(words, env={**os.environ, **SETTINGS, 'TMPDIR': folder}, capture_output=True, text=True,
                                 stdin=subprocess.DEVNULL, timeout=120, check=False)
            self.seconds = time.monotonic() - start
            self.code, self.text = run.returncode, run.stdout + run.stderr
            self.litter = litter(mark, before, folder, self.code)
        print(f'{self.name}: {self.seconds:.2f} s, exit code {self.code}')

    def told(self):
        return re.findall(r'told by rank (\d+): (.*)', self.text)


class Laws(unittest.TestCase):
    def check(self, ranks, *words):
        job = Job(ranks, *words)
        self.assertEqual(job.code, 0, f'{job.name}: {job.text}')
        self.assertIn(f'all {ranks} ranks came through', job.text)
        self.assertIsNone(job.litter, job.name)

    def test_the_laws_hold_on_any_number_of_ranks(self):
        for ranks in (1, 2, 3, 4, 7):
            self.check(ranks, 'mpi_ranks', 'laws', '100003')

    def test_long_parts_go_in_pieces(self):
        for ranks in (2, 3, 4):
            self.check(ranks, 'mpi_pieces', 'laws', '100003')

    def test_a_program_with_messages_of_its_own_is_served_beside_them(self):
        for ranks in (1, 3):
            self.check(ranks, 'mpi_host', 'beside')

    def test_an_mpi_without_threads_or_at_its_end_is_refused(self):
        self.check(2, 'mpi_host', 'single')
        self.check(2, 'mpi_host', 'ended')


class Faults(unittest.TestCase):
    def check(self, kind, told=None):
        for ranks, rank in ((2, 1), (3, 0)):
            job = Job(ranks, 'mpi_ranks', 'fault', kind, str(rank), str(TIMEOUT))
            with self.subTest(job.name):
                self.assertNotEqual(job.code, 0, job.text)
                self.assertNotIn('came through', job.text)
                self.assertLess(job.seconds, TIMEOUT + ENDS_WITHIN)
                self.assertIsNone(job.litter)
                if told:
                    self.assertTrue(any(re.search(told.format(rank), text) for _, text in job.told()), job.text)
                    self.assertEqual(job.code, 10, job.text)

    def test_a_killed_rank_ends_the_job(self):
        self.check('kill')

    def test_a_rank_that_crashes_ends_the_job(self):
        self.check('segfault')

    def test_a_rank_that_exits_ends_the_job(self):
        self.check('exit')

    def test_a_rank_that_aborts_ends_the_job_with_its_code(self):
        self.check('abort', '^the disk is full$')

    def test_a_stopped_rank_is_named_and_ends_the_job(self):
        self.check('stop', f'^rank {{}} did not come to sum within {TIMEOUT:g} s$')

    def test_a_rank_that_stops_before_the_end_ends_the_job(self):
        self.check('late')

    def test_a_rank_in_another_call_is_named(self):
        self.check('stray', '^rank {} called gather while rank [012] called barrier$')

    def test_a_rank_that_sends_too_little_is_named(self):
        self.check('short', '^broadcast: rank {} sent 3 bytes to rank [012], which expects 4$')


if __name__ == '__main__':
    MPI, FOLDER = sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else ''
    if not FOLDER or not shutil.which(f'mpirun.{MPI}'):
        print(f'skipped: {MPI} is not here; on Debian: apt-get install {PACKAGES[MPI]}, then configure again')
        sys.exit(77)
    unittest.main(argv=sys.argv[:1])
