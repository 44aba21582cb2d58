#!/usr/bin/env python3
"""Mutation tests: every error of tools/mutants.txt is made in a copy of the tree and must make a test fail.

Each job has a copy of its own in a temporary folder, built with -O1. A mutant is built there and its killers run, one
after another, until one fails. It is killed as well by a test that crashes, or that takes ten times as long as without
it and 10 s more. One that does not compile is an error of the list. Exit code 1: a mutant survives; 2: the list does
not fit, or a killer fails on the sources as they are."""
import argparse
import collections
import os
import queue
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time

import checklib
import check_mutants

TREE = ('CMakeLists.txt', 'cmake', 'include', 'src', 'tests')


class Failed(Exception):
    pass


def run_quietly(command):
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    return done.returncode, done.stdout.decode(errors='replace')


class Workshop:
    """A copy of the tree with a build folder."""

    def __init__(self, root, folder):
        self.root, self.build = os.path.join(folder, 'tree'), os.path.join(folder, 'build')
        for name in TREE:
            source, target = os.path.join(root, name), os.path.join(self.root, name)
            if os.path.isdir(source):
                shutil.copytree(source, target)
            elif os.path.isfile(source):
                os.makedirs(self.root, exist_ok=True)
                shutil.copy2(source, target)
        self.originals, self.now = {}, {}  # sources as they were copied, and as they are
        generator = ['-G', 'Ninja'] if shutil.which('ninja') else []
        code, output = run_quietly(['cmake', '-S', self.root, '-B', self.build, *generator, '-DCMAKE_BUILD_TYPE=Mutants',
                                    '-DCMAKE_C_FLAGS=-O1 -w', '-DLOGITUDE_BUILD_CLI=OFF', '-DLOGITUDE_BUILD_TESTS=ON'])
        if code:
            raise Failed(output)

    def make(self, *tests):
        """None, or what the compiler says."""
        code, output = run_quietly(['cmake', '--build', self.build, '--target', *(f'test_{name}' for name in tests)])
        return output if code else None

    def run(self, test, limit):
        """None, or how the test fails; it ends with its first failure."""
        folder, expired = os.path.join(self.build, 'tests'), []
        child = subprocess.Popen([os.path.join(folder, f'test_{test}')], cwd=folder, stdout=subprocess.PIPE,
                                 stderr=subprocess.STDOUT)
        timer = threading.Timer(limit, lambda: (expired.append(1), child.kill()))
        timer.start()
        failure = None
        for line in child.stdout:
            match = re.search(rb'\[  FAILED  \] (\w+)', line)
            if match:
                failure = match.group(1).decode()
                child.kill()
                break
        child.stdout.close()
        code = child.wait()
        timer.cancel()
        return failure or ('timeout' if expired else f'exit code {code}' if code else None)

    def original(self, path):
        return self.originals.setdefault(path, checklib.read(self.root, path))

    def write(self, path, text):
        if self.now.get(path, self.original(path)) != text:  # a file that is written is compiled again
            with open(os.path.join(self.root, path), 'w', encoding='utf-8') as file:
                file.write(text)
        self.now[path] = text


class Campaign:
    def __init__(self, root, killers, mutants, folder, jobs):
        self.root, self.killers, self.mutants, self.folder, self.jobs = root, killers, mutants, folder, jobs
        self.lock, self.begun, self.limits, self.faults = threading.Lock(), time.monotonic(), {}, []
        self.results = {}  # mutant number: (test, how it failed); test None: survived

    def tests_of(self, mutant):
        return list(dict.fromkeys(mutant.tests + self.killers))

    def measure(self, shop, mutant, test):
        """Before its first use: a killer must pass on the sources as they are; how long does it take?"""
        shop.write(mutant.path, shop.original(mutant.path))
        errors, start = shop.make(test), time.monotonic()
        if errors:
            raise Failed(errors)
        failure = shop.run(test, 600)
        if failure:
            raise Failed(f'test_{test} fails on the sources as they are: {failure}')
        self.limits[test] = 10 * (time.monotonic() - start) + 10

    def try_mutant(self, shop, mutant):
        original = shop.original(mutant.path)
        try:
            for test in self.tests_of(mutant):
                if test not in self.limits:
                    self.measure(shop, mutant, test)
                shop.write(mutant.path, mutant.apply(original))
                errors = shop.make(test)
                if errors:
                    raise Failed(f'{mutant} does not compile:\n{errors}')
                failure = shop.run(test, self.limits[test])
                if failure:
                    return test, failure
            return None, 'SURVIVES'
        finally:
            shop.write(mutant.path, original)

    def report(self, mutant, result):
        with self.lock:
            self.results[mutant.number] = result
            done, total = len(self.results), len(self.mutants)
            left = (time.monotonic() - self.begun) / done * (total - done)
            how = f'test_{result[0]}: {result[1]}' if result[0] else result[1]
            print(f'[{done}/{total}, {left / 60:.1f} min left] {mutant.number} {mutant.path}: {mutant.what}: {how}', flush=True)

    def work(self, index, mutants):
        try:
            shop = Workshop(self.root, os.path.join(self.folder, str(index)))
            while not self.faults:
                mutant = mutants.get_nowait()
                self.report(mutant, self.try_mutant(shop, mutant))
        except Failed as error:
            self.faults.append(str(error))
        except queue.Empty:
            pass

    def run(self):
        mutants = queue.Queue()
        for mutant in self.mutants:
            mutants.put(mutant)
        threads = [threading.Thread(target=self.work, args=(i, mutants)) for i in range(self.jobs)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def summarize(self):
        by_file, by_test = collections.Counter(m.path for m in self.mutants), collections.Counter()
        by_test.update(f'test_{r[0]}' for r in self.results.values() if r[0])
        for title, counts in (('mutants of', by_file), ('killed by', by_test)):
            for name, n in sorted(counts.items()):
                print(f'{n:4} {title} {name}')
        survivors = [m for m in self.mutants if self.results[m.number][0] is None]
        print(f'{len(self.mutants)} mutants, {len(survivors)} survive')
        for mutant in survivors:
            print(f'\n{mutant}, {mutant.path}')
            for sign, lines in (('-', mutant.old), ('+', mutant.new)):
                print('\n'.join(f'    {sign} {line}' for line in lines))
        return 1 if survivors else 0


def campaign(root, jobs, only='', just_list=False):
    problems = check_mutants.check(root)
    if problems:
        print('\n'.join(problems))
        return 2
    killers, mutants = check_mutants.parse(checklib.read(root, check_mutants.LIST))
    mutants = [m for m in mutants if re.search(only, f'{m.number} {m.path}: {m.what}')]
    if just_list or not mutants:
        print('\n'.join(f'{m.number} {m.path}: {m.what}' for m in mutants) or f'no mutant is like "{only}"')
        return 0 if mutants else 2
    begun = time.monotonic()
    with tempfile.TemporaryDirectory(prefix='logitude-mutants-') as folder:
        all_of_them = Campaign(root, killers, mutants, folder, max(1, min(jobs, len(mutants))))
        all_of_them.run()
    if all_of_them.faults:
        print('\n'.join(all_of_them.faults))
        return 2
    code = all_of_them.summarize()
    print(f'{(time.monotonic() - begun) / 60:.1f} min')
    return code


TOY = {'CMakeLists.txt': 'cmake_minimum_required(VERSION 3.21)\nproject(toy C)\nadd_executable(test_sum tests/test_sum.c src/sum.c)\n'
                         'set_target_properties(test_sum PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)\n',
       'src/sum.c': 'int sum(int a, int b) {\n    return a + b;\n}\n',
       'tests/test_sum.c': 'int sum(int a, int b);\nint main(void) {\n    return sum(2, 0) != 2;\n}\n'}
# What is done to the toy, and the exit code that must follow.
TRIALS = [('- a + b\n+ b', 0), ('- a + b\n+ a - b', 1), ('- a + b\n+ a +', 2), ('- a * b\n+ b', 2)]


def self_test():
    for change, expected in TRIALS:
        with tempfile.TemporaryDirectory() as root:
            toy = {**TOY, check_mutants.LIST: f'killers sum\n\nfile src/sum.c\n\n# toy\n{change}\n'}
            for name, text in toy.items():
                os.makedirs(os.path.dirname(os.path.join(root, name)), exist_ok=True)
                with open(os.path.join(root, name), 'w', encoding='utf-8') as file:
                    file.write(text)
            code = campaign(root, 1)
            if code != expected or checklib.read(root, 'src/sum.c') != TOY['src/sum.c']:
                print(f'self-test: {change!r} gave {code}, expected {expected}')
                return 1
    print(f'self-test: {len(TRIALS)} trials end as they must')
    return 0


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('root', nargs='?', default=os.path.join(os.path.dirname(os.path.abspath(__file__)), '..'))
    parser.add_argument('--jobs', type=int, default=os.cpu_count() or 1, help='copies that work side by side')
    parser.add_argument('--only', default='', metavar='PATTERN', help='mutants whose number, file and words match')
    parser.add_argument('--list', action='store_true', help='list the mutants and stop')
    parser.add_argument('--self-test', action='store_true', help='prove on a toy that survivors are found')
    args = parser.parse_args()
    sys.exit(self_test() if args.self_test else campaign(args.root, args.jobs, args.only, args.list))


if __name__ == '__main__':
    main()
