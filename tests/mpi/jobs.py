"""What tests under mpirun share: how each MPI is called, and what a job leaves behind."""
import os
import re
import shutil
import signal
import time

PACKAGES = {'openmpi': 'libopenmpi-dev openmpi-bin', 'mpich': 'libmpich-dev mpich'}
FLAGS = {'openmpi': ['--oversubscribe'], 'mpich': []}
# Only shared memory here, whatever the machine's network; and root may run tests.
SETTINGS = {'OMPI_ALLOW_RUN_AS_ROOT': '1', 'OMPI_ALLOW_RUN_AS_ROOT_CONFIRM': '1', 'OMPI_MCA_btl': 'self,vader'}
TIMEOUT = 6.0  # seconds that a call waits in jobs with a fault: on a busy machine ranks begin seconds apart
ENDS_WITHIN = 10.0  # seconds until a job with a fault has ended, beside the timeout; 2 on an idle machine


def command(mpi, ranks, *words):
    return [f'mpirun.{mpi}', *FLAGS[mpi], '-n', str(ranks), *map(str, words)]


def shared_memory():
    return {name for name in os.listdir('/dev/shm') if re.search('mpi|vader|ucx', name)}


def unused(names):
    """Without those that a process has mapped: other jobs may be under way."""
    left = set(names)
    for process in filter(str.isdigit, os.listdir('/proc') if left else ()):
        try:
            with open(f'/proc/{process}/maps', encoding='utf-8', errors='replace') as file:
                text = file.read()
        except OSError:
            continue  # it has just gone
        left = {name for name in left if name not in text}
    return left


def processes(mark):
    """Those that run with this word in their command line, and their words; one that has ended and waits to be noticed
    has none any more."""
    found = {}
    for name in filter(str.isdigit, os.listdir('/proc')):
        try:
            with open(f'/proc/{name}/cmdline', encoding='utf-8', errors='replace') as file:
                text = file.read()
        except OSError:
            continue  # it has just gone
        if mark in text:
            found[int(name)] = text.split('\0')
    return found


def litter(mark, before, folder, code=0):
    """What is still there 5 seconds after the end. Open MPI's mpirun may crash itself once its ranks are gone, and then
    leaves its own folder, which is not the job's."""
    if code == -signal.SIGSEGV:
        shutil.rmtree(folder)
        os.mkdir(folder)
    for _ in range(50):
        left = processes(mark), unused(shared_memory() - before), os.listdir(folder)
        if not any(left):
            return None
        time.sleep(0.1)
    return left
