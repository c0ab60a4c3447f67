"""Settings of a process: what they ask of XLA."""

import os
import re
import subprocess
import sys

import pytest

from jaxnets.training import process

FLAG = "--xla_backend_extra_options=xla_cpu_disable_tiled_emitter"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("", FLAG),
        ("--xla_cpu_enable_fast_math=true", f"--xla_cpu_enable_fast_math=true {FLAG}"),
        ("--xla_backend_extra_options=xla_cpu_small_call", "--xla_backend_extra_options=xla_cpu_small_call"),
    ],
)
def test_flags_are_added_once_and_a_users_own_are_kept(monkeypatch, before, after):
    monkeypatch.setenv("XLA_FLAGS", before)
    process.tune()
    process.tune()
    assert os.environ["XLA_FLAGS"] == after


CACHE = """
import sys, warnings
from jaxnets.training import process
process.use_compilation_cache()
import jax
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
print(jax.jit(lambda x: x * 3)(14.0), jax.config.values["jax_compilation_cache_dir"])
"""


def compile_in(home):
    """What a new process prints: a product, and its cache."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("JAX_")} | {"HOME": str(home)}
    return subprocess.run([sys.executable, "-c", CACHE], capture_output=True, text=True, check=False, env=environment)


def test_a_cache_is_done_without_where_there_can_be_none(tmp_path):
    (tmp_path / "file").write_text("")
    run = compile_in(tmp_path / "file")
    assert (run.stdout, run.stderr) == ("42.0 None\n", "")


def test_damaged_programs_in_the_cache_are_replaced_in_silence(tmp_path):
    folder = tmp_path / ".cache" / "jaxnets" / "jit"
    assert compile_in(tmp_path).stdout == f"42.0 {folder}\n"
    programs = list(folder.glob("*-cache"))
    assert programs
    for program in programs:
        program.write_bytes(b"torn")
    run = compile_in(tmp_path)
    assert (run.stdout, run.stderr) == (f"42.0 {folder}\n", "")
    assert b"torn" not in {program.read_bytes() for program in folder.glob("*-cache")}


PROGRAM = """
from jaxnets.training import process
process.prepare()
import jax
from jax.experimental.layout import Format, Layout
# As the CPU kernels store images: the examples of a batch lie next to each other.
batch_minor = Format(Layout((1, 2, 3, 0)), jax.sharding.SingleDeviceSharding(jax.devices()[0]))
images = jax.device_put(jax.numpy.ones((64, 2, 2, 3)), batch_minor)
print(jax.jit(jax.numpy.tanh, in_shardings=batch_minor, out_shardings=batch_minor)(images).max())
"""


def vector_operations(folder, *flags):
    """How many operations on vectors XLA makes of tanh on a batch of images, in a new process: flags are read once."""
    dump = f"--xla_dump_to={folder}", "--xla_dump_hlo_module_re=jit_tanh"
    # A program from the cache would not be compiled.
    environment = {**os.environ, "XLA_FLAGS": " ".join([*dump, *flags]), "JAX_ENABLE_COMPILATION_CACHE": "false"}
    run = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=False, env=environment)
    assert run.returncode == 0, run.stderr
    assert float(run.stdout) == pytest.approx(0.76159416)
    [code] = folder.glob("*jit_tanh*.ir-with-opt.ll")
    return len(re.findall(r"<\d+ x float>", code.read_text()))


def test_xla_takes_the_flags(tmp_path):
    """With them, its loops over images are vectorized. That it starts would show nothing: it ignores options of this kind
    that it does not know.
    """
    without = vector_operations(tmp_path / "without", "--xla_backend_extra_options=xla_cpu_no_such_option")
    assert vector_operations(tmp_path / "with") > 2 * without
