"""Shared set-up: four virtual CPU devices, strict rank promotion, a data folder of the test session's own."""

import contextlib
import ctypes
import gc
import importlib.metadata
import json
import os
from pathlib import Path

import hypothesis
import numpy as np
import pytest

REPOSITORY = Path(__file__).parent.parent
# Many tests, and the processes that some start, compile the same programs. Set before jax is imported, and inherited.
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(REPOSITORY / ".pytest_cache" / "jit"))
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.1")

# XLA cuts every program into parts to compile at once. Here other tests have the other cores, and one part is less work.
flags = ["--xla_cpu_parallel_codegen_split_count=1"]
# Programs that run for milliseconds need no optimization, which is half of their compilation and more; and XLA's older way
# to emit fused loops compiles them in a third of the time. `make test-slow` compares with PyTorch without this.
if os.environ.get("JAXNETS_TEST_UNOPTIMIZED"):
    flags += ["--xla_backend_optimization_level=0", "--xla_cpu_use_fusion_emitters=false"]
# Later releases may not have these, and end the process at a flag that they do not know.
if tuple(map(int, importlib.metadata.version("jaxlib").split(".")[:2])) >= (0, 11):
    flags = [flag for flag in flags if "optimization_level" in flag]
os.environ["XLA_FLAGS"] = " ".join([os.environ.get("XLA_FLAGS", ""), *flags]).strip()

import jax  # noqa: E402

jax.config.update("jax_num_cpu_devices", 4)
jax.config.update("jax_numpy_rank_promotion", "raise")

# The same examples every time; a compilation is no reason to give up on one.
hypothesis.settings.register_profile("jaxnets", deadline=None, derandomize=True, database=None, print_blob=False)
hypothesis.settings.load_profile("jaxnets")

# Tracing makes many objects and little garbage. To look for it every 700 objects is a tenth of a trace's time.
gc.set_threshold(50_000, 10, 10)

REAL_DATA = Path(os.environ.get("JAXNETS_TEST_DATA", REPOSITORY.parent / "shared" / "data"))


@pytest.fixture(scope="session", autouse=True)
def data_folder(tmp_path_factory):
    """Dataset sets are made once a session, away from the user's own."""
    folder = tmp_path_factory.mktemp("data")
    os.environ["JAXNETS_DATA"] = str(folder)
    return folder


@pytest.fixture(scope="module", autouse=True)
def release_memory():
    """A worker runs many files: compiled programs of those that are done, and freed memory, go back to the system."""
    yield
    jax.clear_caches()
    gc.collect()
    if hasattr(ctypes.CDLL(None), "malloc_trim"):
        ctypes.CDLL(None).malloc_trim(0)


@pytest.fixture(scope="session")
def shapes10():
    """The synthetic data set, prepared."""
    from jaxnets.data import catalog

    return catalog.open_dataset("shapes10", "shapes10")


@pytest.fixture(scope="module")
def few_shapes(tmp_path_factory):
    """A few hundred images of shapes10, as the whole set, in a separate data folder: for tests of how runs behave."""
    with few_shapes_in(tmp_path_factory.mktemp("data")) as dataset:
        yield dataset


@contextlib.contextmanager
def few_shapes_in(folder):
    """The same in a data folder that is used meanwhile."""
    from jaxnets.data import shapes, store

    rng = np.random.default_rng(10)
    splits = {split: shapes.draw(rng, examples) for split, examples in (("train", 400), ("validation", 200), ("test", 200))}
    meta = {"class_names": shapes.CLASS_NAMES, **store.image_statistics(splits["train"]["image"])}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JAXNETS_DATA", str(folder))
        store.save("shapes10", splits, meta)
        yield store.load("shapes10")


@pytest.fixture(scope="module")
def engines_built_once():
    """Runs of one experiment share its compiled programs."""
    from jaxnets.config import to_json
    from jaxnets.training import engine, parallel

    build, engines = engine.build, {}

    def build_once(experiment, dataset):
        # A test that lays out runs another way replaces `choose_layout`.
        key = parallel.choose_layout, parallel.steps_per_call, json.dumps(to_json(experiment))
        if key not in engines:
            engines[key] = build(experiment, dataset)
        return engines[key]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(engine, "build", build_once)
        yield


@pytest.fixture(scope="session")
def real_data(tmp_path_factory):
    """The folder into which the real data sets are unpacked; skips where they are absent."""
    if not (REAL_DATA / "unpack.py").exists():
        pytest.skip(f"no real data: {REAL_DATA}/unpack.py is missing; set JAXNETS_TEST_DATA")
    import subprocess
    import sys

    folder = tmp_path_factory.mktemp("real")

    def unpack(name):
        subprocess.run([sys.executable, REAL_DATA / "unpack.py", folder, name], check=True, capture_output=True)
        return folder

    return unpack
