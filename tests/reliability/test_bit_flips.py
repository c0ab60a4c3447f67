"""One flipped bit in any file of a finished run: every command on it is right or refused, never different in silence."""

import os
import shutil

import numpy as np

from tests.reliability.trials import call


def _answer(command, run, places):
    """(status, what was said, what was written) of a command; where it was written does not matter."""
    shutil.rmtree(places.folder)
    places.folder.mkdir()
    os.chdir(places.folder)
    outcome = call(command)
    assert not outcome.fault, outcome.fault
    written = {
        str(path.relative_to(places.folder)): path.read_bytes()
        for path in sorted(places.folder.rglob("*"))
        if path.suffix in (".safetensors", ".py", ".jsonl", ".html")
    }
    return outcome.status, outcome.out.replace(str(run), "RUN"), written, outcome.error


def test_a_flipped_bit_never_changes_an_answer_in_silence(places, full, seed, tmp_path):
    rng = np.random.default_rng(seed)
    counts = {"refused": 0, "right": 0}
    for name, whole in places.runs.items() if full else [("names", places.runs["names"])]:
        run = tmp_path / "run"
        shutil.copytree(whole, run)
        report = ["report", str(run), "--out", str(places.folder), "--jsonl", str(places.folder / "rows.jsonl")]
        commands = [*places.asking(name, run), report]
        right = [_answer(command, run, places)[:3] for command in commands]
        files = [path for path in sorted(run.iterdir()) if path.is_file() and path.stat().st_size]
        for path in files:
            for _ in range(4 if full else 1):
                content = path.read_bytes()
                damaged = bytearray(content)
                damaged[rng.integers(len(damaged))] ^= 1 << rng.integers(8)
                path.write_bytes(damaged)
                for command, expected in zip(commands, right, strict=True):
                    status, *said, error = _answer(command, run, places)
                    what = f"{name}, {path.name}, {command[0]}"
                    if status:
                        assert status == 2, what
                        assert error.startswith("jaxnets: error: "), what
                        assert len(error.splitlines()) == 1, what
                        counts["refused"] += 1
                    else:
                        assert (status, *said) == expected, what
                        counts["right"] += 1
                path.write_bytes(content)
        shutil.rmtree(run)
    print(f"\nbits flipped: {counts}")
    assert counts["refused"] > counts["right"] / 4
