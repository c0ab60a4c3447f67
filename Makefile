# make quickstart   trains four LeNets on embedded data and names the report
# make test         the whole test suite
# make lint         style and types
# Both set-up steps make the environment first: $(VENV), from $(PYTHON).

PYTHON ?= python3
VENV ?= .venv
JOBS ?= 2
PIP = $(VENV)/bin/pip --disable-pip-version-check install --quiet --constraint constraints.txt
# The kernels are compiled against the headers of the jax that is in the environment.
INSTALL = $(PIP) --no-build-isolation --editable

.PHONY: quickstart test lint torch clean

quickstart: $(VENV)/base
	$(VENV)/bin/jaxnets run cifar10/lenet/plain cifar10/lenet/bn cifar10/lenet/dropout cifar10/lenet/super \
	  --data.source embedded --epochs 20 --out runs/quickstart
	$(VENV)/bin/jaxnets report runs/quickstart

test: $(VENV)/test
	$(VENV)/bin/pytest --numprocesses $(JOBS) --dist loadgroup --durations 10

lint: $(VENV)/test
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy

# PyTorch's CPU build, for the parity tests and the benchmarks alone.
torch: $(VENV)/test
	$(PIP) torch==2.13.0

$(VENV)/base: pyproject.toml setup.py constraints.txt $(wildcard jaxnets/nn/native/*)
	$(PYTHON) -m venv $(VENV)
	$(PIP) setuptools wheel jax
	$(INSTALL) .
	touch $@

$(VENV)/test: $(VENV)/base
	$(INSTALL) '.[test,lint]'
	touch $@

clean:
	rm -rf $(VENV) build *.egg-info jaxnets/nn/*.so
