# make quickstart   trains four nets on synthetic data and names the report
# make test         the test suite, with a short form of what takes long, but for
# make test-slow    the exhaustive forms: every experiment, runs of several processes, all comparisons with PyTorch, optimized
# make test-data    the real data sets, which are read and checked where their files are at hand
# make test-reliability  runs that are killed, malformed calls, damage, full disks, a soak: the long form, within half an hour
# make test-fast    configs, registry, imports, update rules: the part without training, within a minute
# make lint         style and types
# make docs         the site of README, guides and docstrings, under build/docs
# make wheel-trial  a wheel, installed in fresh environments outside the checkout, with and without a compiler
# make newest       the fast tests and a run from end to end, on the newest Python there is with the newest jax
# make test-accelerators   every program lowered at its full size, a dozen compiled for H100 and TPU v5e; without a device
# make sanitize     the tests of the CPU kernels under address and undefined-behavior sanitizers
# All make the environment first: $(VENV), from $(PYTHON).

PYTHON ?= python3
VENV ?= .venv
JOBS ?= 2
PIP = $(VENV)/bin/pip --disable-pip-version-check install --quiet --constraint constraints.txt
# The kernels are compiled against the headers of the jax that is in the environment.
INSTALL = $(PIP) --no-build-isolation --editable
# Each worker takes a row of files, and one that is done takes tests from the end of another's row: what a file trains for its
# tests is trained once, but where a row is cut.
PYTEST = $(VENV)/bin/pytest --numprocesses $(JOBS) --dist worksteal
# Compiled without optimization, in half the time. `make test-slow` compares with PyTorch what users run.
PARITY = tests/parity
FAST = tests/config tests/optim tests/test_architecture.py tests/test_readme.py tests/test_registry.py

# The kernels' tests once more, with kernels that check every access (GCC's sanitizers), by each of their instruction sets.
SANITIZERS = -fsanitize=address,undefined -fno-sanitize-recover=all

# Every supported interpreter there is, for make wheel-trial.
PYTHONS = $(foreach version,3.11 3.12 3.13,$(lastword $(wildcard $(HOME)/.pyenv/versions/$(version).*/bin/python3) \
  $(shell python$(version) -c 'import sys; print(sys.executable)' 2>/dev/null)))

# Interpreters newer than the oldest supported one, the newest first; pyenv keeps them beside each other.
NEWER = $(firstword $(foreach version,3.13 3.12,$(lastword $(wildcard $(HOME)/.pyenv/versions/$(version).*/bin/python3)) \
  $(shell python$(version) -c 'import sys; print(sys.executable)' 2>/dev/null)))

.PHONY: quickstart test test-slow test-data test-reliability test-fast test-accelerators lint docs newest wheel-trial torch sanitize clean

# At the report's rate, 1e-4, bn would learn little in 12 epochs.
quickstart: $(VENV)/base
	$(VENV)/bin/jaxnets run cifar10/lenet/bn --optim.lr 1e-3 --data.source synthetic --epochs 12 --out runs/quickstart
	$(VENV)/bin/jaxnets run cifar10/lenet/bn_dropout cifar10/lenet/super cifar10/lenet/best \
	  --data.source synthetic --epochs 12 --out runs/quickstart
	$(VENV)/bin/jaxnets report runs/quickstart

test: $(VENV)/test
	JAXNETS_TEST_UNOPTIMIZED=1 $(PYTEST) --durations 10 -m "not real_data and not slow" tests jaxnets

test-slow: $(VENV)/test
	JAXNETS_TEST_UNOPTIMIZED=1 $(PYTEST) --durations 10 -m slow tests --ignore $(PARITY)
	$(PYTEST) --durations 5 $(PARITY)

test-data: $(VENV)/test
	$(PYTEST) tests/data/test_real_sets.py

# The suite has a short form of these. Their tables are shown: how many trials of each kind there were, and what came of them.
test-reliability: $(VENV)/test
	JAXNETS_TEST_UNOPTIMIZED=1 JAXNETS_RELIABILITY=full timeout 3600 $(PYTEST) -rP tests/reliability

test-fast: $(VENV)/test
	JAXNETS_TEST_UNOPTIMIZED=1 $(PYTEST) $(FAST)

# In an environment of its own: with JAX's plugins in it every program that imports JAX looks for their devices.
test-accelerators:
	$(MAKE) VENV=.venv-accelerators .venv-accelerators/plan
	JAXNETS_TEST_ACCELERATORS=1 JAX_PLATFORMS=cpu .venv-accelerators/bin/pytest --numprocesses $(JOBS) --durations 10 \
	  tests/training/test_ahead.py tests/training/test_accelerators.py

lint: $(VENV)/test
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy

# Links that lead nowhere, docstrings that cannot be read, and pages that load something from elsewhere are errors.
docs: $(VENV)/docs
	rm -rf build/docs
	$(VENV)/bin/sphinx-build -q -W --keep-going -E -a -c docs . build/docs
	! grep --recursive --include '*.html' --extended-regexp '(src|<link[^>]*href)="(https?:)?//' build/docs
	@echo "build/docs/index.html"

newest:
ifeq ($(NEWER),)
	@echo "newest: skipped, there is no Python 3.12 or 3.13 on this machine"
else
	$(MAKE) VENV=.venv-newest PYTHON=$(NEWER) test-fast
	rm -rf runs/newest
	.venv-newest/bin/jaxnets run cifar10/lenet/bn --data.source synthetic --steps 20 --seeds 2 --out runs/newest
	.venv-newest/bin/jaxnets report runs/newest
endif

sanitize: $(VENV)/test
	CXXFLAGS="$(SANITIZERS)" LDFLAGS="$(SANITIZERS)" $(VENV)/bin/python setup.py --quiet build_ext --inplace --force
	LD_PRELOAD="$$($(CXX) -print-file-name=libasan.so) $$($(CXX) -print-file-name=libstdc++.so)" \
	  ASAN_OPTIONS=detect_leaks=0 sh -c 'for set in avx512 avx2 base; do \
	    JAXNETS_CPU_KERNELS=$$set $(VENV)/bin/pytest tests/nn || exit 1; done'; status=$$?; \
	  $(VENV)/bin/python setup.py --quiet build_ext --inplace --force; exit $$status

wheel-trial:
	scripts/wheel_trial.sh build/wheel-trial $(PYTHONS)

# PyTorch's CPU build, for the parity tests, the benchmarks and ONNX files alone.
torch: $(VENV)/test
	$(PIP) torch==2.13.0 onnx onnxscript onnxruntime

$(VENV)/base: pyproject.toml setup.py constraints.txt $(wildcard jaxnets/nn/kernels/*.cc jaxnets/nn/kernels/*.h)
	$(PYTHON) -m venv $(VENV)
	$(PIP) setuptools wheel jax
	$(INSTALL) .
	touch $@

$(VENV)/test: $(VENV)/base
	$(INSTALL) '.[test,lint]'
	touch $@

$(VENV)/plan: $(VENV)/test
	$(PIP) 'jax[cuda12-local,tpu]'
	touch $@

# The names of the extra: to install the package once more would compile the kernels once more.
$(VENV)/docs: $(VENV)/base
	$(VENV)/bin/python -c "import tomllib; print(*tomllib.load(open('pyproject.toml', 'rb'))['project']['optional-dependencies']['docs'])" \
	  | xargs $(PIP)
	touch $@

clean:
	rm -rf $(VENV) .venv-newest .venv-accelerators build *.egg-info jaxnets/nn/kernels/*.so
