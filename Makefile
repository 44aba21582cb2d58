# A thin front over CMake. Each target sets up what it needs (Debian packages, through apt) and builds first.
#   make          the program build/logitude and the libraries beside it
#   make demo     the main job: train and evaluate an ArcFace classifier on Fashion-MNIST
#   make demo-mpi a training alone and over four ranks of this machine: the same model to the byte
#   make bench    heads against PyTorch and scikit-learn where they are installed; BENCH="--quick" in a minute
#   make test     all tests; make check-long the long ones
#   make mutants  whether the tests notice errors in the formulas: each of tools/mutants.txt must make one fail
#   make reference  the C interface as HTML in build/reference/html, by Doxygen
#   make install PREFIX=/usr/local; then ldconfig, where programs of others are to find the library
#   make wheel    the Python package with the library inside, build/logitude-*.whl
#   make site     the documentation as a site in build/site/html, by MkDocs
#   make deb      Debian packages: library, headers, program, Python package, in build/deb; make check-deb in a fresh root

PREFIX ?= /usr/local
JOBS   ?= $(shell nproc)
TESTS  := OFF

.PHONY: all setup build demo demo-mpi bench test check-long sanitize mutants reference site install wheel deb check-deb format clean

all: build

setup:
	@tools/setup.sh build

build: setup
	@cmake --preset release -DLOGITUDE_BUILD_TESTS=$(TESTS) > /dev/null
	@cmake --build --preset release -j $(JOBS)

demo: build
	@tools/setup.sh demo
	@tools/demo.sh

demo-mpi:
	@tools/setup.sh demo-mpi
	@$(MAKE) --no-print-directory build
	@tools/demo_mpi.sh

bench: build
	@/usr/bin/python3 bench/run.py $(BENCH)

test:
	@tools/setup.sh test
	@$(MAKE) --no-print-directory build TESTS=ON
	@ctest --test-dir build --output-on-failure -j $(JOBS)

# Every loss against the objective written a second time, 10,000 problems each: about ten minutes. Then every test on
# every instruction set, one of them with more weights than 2^31: about as long.
check-long:
	@tools/setup.sh test
	@$(MAKE) --no-print-directory build TESTS=ON
	@ctest --test-dir build -C long -L long --output-on-failure

# The same tests under the address and undefined-behaviour sanitizers.
sanitize:
	@tools/setup.sh test
	@cmake --preset asan && cmake --build --preset asan -j $(JOBS)
	@ctest --test-dir build-asan --output-on-failure -j $(JOBS)

# In a copy of the tree: nothing here changes. MUTANTS="--only angular" for some of them.
mutants:
	@tools/setup.sh test
	@python3 tools/mutate.py --jobs $(JOBS) $(MUTANTS)

reference:
	@tools/setup.sh reference
	@tools/reference.sh build/reference

site:
	@tools/setup.sh site
	@/usr/bin/python3 tools/make_site.py build/site

install: build
	@cmake --install build --prefix $(PREFIX)

wheel: build
	@python3 tools/make_wheel.py

deb:
	@tools/setup.sh deb
	@JOBS=$(JOBS) tools/make_deb.sh build/deb

check-deb: deb
	@tools/setup.sh check-deb
	@tests/install/deb.sh build/deb . || [ $$? -eq 77 ]

format:
	@git ls-files '*.c' '*.h' | xargs clang-format -i

clean:
	@cmake -E rm -rf build build-dev build-asan build-ubsan build-tsan build-clang
