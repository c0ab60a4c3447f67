# make quickstart   trains four LeNets on synthetic data and names the report
# make test         the whole test suite
# make lint         style and types
# make sanitize     the tests of the CPU kernels under address and undefined-behavior sanitizers
# All make the environment first: $(VENV), from $(PYTHON).

PYTHON ?= python3
VENV ?= .venv
JOBS ?= 2
PIP = $(VENV)/bin/pip --disable-pip-version-check install --quiet --constraint constraints.txt
# The kernels are compiled against the headers of the jax that is in the environment.
INSTALL = $(PIP) --no-build-isolation --editable

# The kernels' tests once more, with kernels that check every access (GCC's sanitizers), by each of their instruction sets.
SANITIZERS = -fsanitize=address,undefined -fno-sanitize-recover=all

.PHONY: quickstart test lint torch sanitize clean

quickstart: $(VENV)/base
	$(VENV)/bin/jaxnets run cifar10/lenet/plain cifar10/lenet/bn cifar10/lenet/dropout cifar10/lenet/super \
	  --data.source synthetic --epochs 20 --out runs/quickstart
	$(VENV)/bin/jaxnets report runs/quickstart

# A worker takes whole files: what a file trains for its tests is trained once.
test: $(VENV)/test
	$(VENV)/bin/pytest --numprocesses $(JOBS) --dist loadfile --durations 10

lint: $(VENV)/test
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy

sanitize: $(VENV)/test
	CXXFLAGS="$(SANITIZERS)" LDFLAGS="$(SANITIZERS)" $(VENV)/bin/python setup.py --quiet build_ext --inplace --force
	LD_PRELOAD="$$($(CXX) -print-file-name=libasan.so) $$($(CXX) -print-file-name=libstdc++.so)" \
	  ASAN_OPTIONS=detect_leaks=0 sh -c 'for set in avx512 avx2 base; do \
	    JAXNETS_CPU_KERNELS=$$set $(VENV)/bin/pytest tests/nn || exit 1; done'; status=$$?; \
	  $(VENV)/bin/python setup.py --quiet build_ext --inplace --force; exit $$status

# PyTorch's CPU build, for the parity tests and the benchmarks alone.
torch: $(VENV)/test
	$(PIP) torch==2.13.0

$(VENV)/base: pyproject.toml setup.py constraints.txt $(wildcard jaxnets/nn/kernels/*)
	$(PYTHON) -m venv $(VENV)
	$(PIP) setuptools wheel jax
	$(INSTALL) .
	touch $@

$(VENV)/test: $(VENV)/base
	$(INSTALL) '.[test,lint]'
	touch $@

clean:
	rm -rf $(VENV) build *.egg-info jaxnets/nn/kernels/*.so
