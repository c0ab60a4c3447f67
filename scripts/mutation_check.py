"""Breaks one line at a time and looks whether the tests notice.

    python scripts/mutation_check.py [NUMBER …]

Each mutation is made in a copy of the source tree, where the tests that should notice are run. Prints a row a mutation, and
how many were caught. Mutations of C++ files compile the kernels anew. Takes about half an hour on two cores.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parent.parent


class Mutation(NamedTuple):
    """One line, what it becomes, and the tests that should notice. tests/scripts/test_mutation_check.py finds both."""

    file: str
    line: str
    broken: str
    tests: str


MUTATIONS = (
    Mutation("training/step.py", 'lambda g: g / metrics["loss"].weight', "lambda g: g", "tests/training"),
    Mutation("training/step.py", "metrics, grads = psum(sums)", "metrics, grads = sums", "tests/training/test_parallel.py"),
    Mutation("training/step.py", "jax.tree.map(jnp.add, totals, sums)", "sums", "tests/training/test_step.py"),
    Mutation("training/step.py", "& (old.failed_at < 0)", "", "tests/training/test_step.py"),
    Mutation(
        "training/state.py",
        "stream(state.key, Stream.STEP), state.step)",
        "stream(state.key, Stream.STEP), 0)",
        "tests/training",
    ),
    Mutation(
        "tasks/losses.py", "-(label_log_probs * mask).sum()", "-label_log_probs.sum()", "tests/tasks/test_losses_metrics.py"
    ),
    Mutation("tasks/losses.py", "dbias + dlogits.sum(0)", "dbias", "tests/tasks/test_losses_metrics.py"),
    Mutation(
        "runs/predictions.py",
        "np.add.at(of_seed, (labels, predicted), 1)",
        "np.add.at(of_seed, (predicted, labels), 1)",
        "tests/runs/test_predictions.py",
    ),
    Mutation("tasks/metrics.py", "-10 * jnp.log10(error)", "-20 * jnp.log10(error)", "tests/tasks/test_losses_metrics.py"),
    Mutation(
        "tasks/decode.py", "keepdims=True)) / temperature", "keepdims=True)) * temperature", "tests/tasks/test_decode.py"
    ),
    Mutation("tasks/decode.py", "jnp.where(has_ended, end_log_probs, log_probs)", "log_probs", "tests/tasks/test_decode.py"),
    Mutation("tasks/language_model.py", 'x * (1 - batch["reset"])', "x", "tests/models/test_sequence_models.py"),
    Mutation("optim/optimizer.py", "optax.chain(*clip, rule)", "optax.chain(rule, *clip)", "tests/optim/test_optimizer.py"),
    Mutation("optim/spsa.py", "jnp.where(step == 0, 0, change", "jnp.where(step == 0, 0, 2 * change", "tests/optim"),
    Mutation("optim/spsa.py", "-a / (count + 1.0 + big_a)", "-a / (count + big_a)", "tests/optim"),
    Mutation(
        "optim/spsa.py", "values[0::2] - values[1::2]", "values[0::2] + values[1::2]", "tests/optim/test_spsa_options.py"
    ),
    Mutation(
        "optim/guards.py", "(before - state.value) ** 2 / 2", "(before - state.value) ** 2", "tests/optim/test_guards.py"
    ),
    Mutation("optim/second_order.py", "(2 * size**2)", "size**2", "tests/optim/test_second_order.py"),
    Mutation(
        "optim/gains.py", "(count + 1.0 + big_a) ** alpha", "(count + 2.0 + big_a) ** alpha", "tests/optim/test_gains.py"
    ),
    Mutation(
        "nn/cells.py",
        "jnp.concatenate([dr, dz, dn * r], axis=-1)",
        "jnp.concatenate([dr, dz, dn], axis=-1)",
        "tests/nn/test_rnn.py",
    ),
    Mutation(
        "nn/norm.py", "jnp.square(mean - global_mean)", "0.0 * (mean - global_mean)", "tests/nn/test_norm.py tests/training"
    ),
    Mutation("pipeline/loaders.py", "places < count", "places <= count", "tests/pipeline/test_loaders.py"),
    Mutation("training/best.py", "score > best.score", "score < best.score", "tests/runs/test_train.py"),
    Mutation("training/loop.py", "arrived + pending", "arrived", "tests/runs/test_train.py"),
    Mutation("nn/kernels/pool.cc", "best = value != value ? nan : best;", "", "tests/nn/test_nonfinite.py"),
    Mutation("nn/kernels/cells.h", "Tanh<Lanes>(x(2) + r * hn)", "Tanh<Lanes>(r * (x(2) + hn))", "tests/nn/test_rnn.py"),
)


def _left_out(folder: str, names: list[str]) -> set[str]:
    """What is not copied: runs in the repository's root, but not the package of that name."""
    left_out = shutil.ignore_patterns(".git", ".venv*", ".pytest_cache", "build")(folder, names)
    return left_out | ({"runs"} & set(names) if Path(folder) == ROOT else set())


def check(mutation: Mutation) -> tuple[bool, float]:
    """Whether the tests fail with the mutation, and the seconds they took."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "jaxnets"
        shutil.copytree(ROOT, copy, ignore=_left_out)
        path = copy / "jaxnets" / mutation.file
        text = path.read_text("utf-8")
        if text.count(mutation.line) != 1:
            raise SystemExit(f"{mutation.file} has {text.count(mutation.line)} times: {mutation.line}")
        path.write_text(text.replace(mutation.line, mutation.broken), "utf-8")
        if path.suffix in (".cc", ".h"):
            build = [sys.executable, "setup.py", "--quiet", "build_ext", "--inplace", "--force"]
            subprocess.run(build, cwd=copy, check=True, capture_output=True)
        start = time.perf_counter()
        arguments = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *mutation.tests.split()]
        cache = str(ROOT / ".pytest_cache" / "jit")
        environment = {
            **os.environ,
            "PYTHONPATH": str(copy),
            "JAX_COMPILATION_CACHE_DIR": cache,
            "JAXNETS_TEST_UNOPTIMIZED": "1",
        }
        done = subprocess.run(arguments, cwd=copy, env=environment, capture_output=True, text=True, check=False)
        if done.returncode not in (0, 1):
            raise SystemExit(done.stdout[-2000:] + done.stderr[-2000:])
        return done.returncode == 1, time.perf_counter() - start


def main(numbers: list[str]) -> int:
    """Checks all mutations, or those numbered."""
    chosen = [int(number) for number in numbers] or range(1, len(MUTATIONS) + 1)
    caught = 0
    print("| | file | line | becomes | caught | s |\n| --: | :-- | :-- | :-- | :-- | --: |", flush=True)
    for number in chosen:
        mutation = MUTATIONS[number - 1]
        noticed, seconds = check(mutation)
        caught += noticed
        row = (
            str(number),
            mutation.file,
            f"`{mutation.line}`",
            f"`{mutation.broken}`",
            "yes" if noticed else "NO",
            f"{seconds:.0f}",
        )
        print(f"| {' | '.join(row)} |", flush=True)
    print(f"{caught} of {len(chosen)} caught")
    return 0 if caught >= len(chosen) - 1 else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
