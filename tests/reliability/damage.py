"""Damage to files: what crashes, disks, transfers and wrong programs leave."""

import json

from tests.reliability.arguments import pick

ODD = (None, [], {}, "", -1, 0, 1e308, 2**70, True, "x" * 10_000, [[]], {"a": None}, "\x00", "../../etc", [None], 0.5, "NaN")
BYTES = (
    b"",
    b"\n",
    b"null",
    b"[]",
    b"{}",
    b"{",
    b"\xff\xfe\x00",
    b"PK\x03\x04",
    b"\x93NUMPY",
    b"[" * 20_000,
    b"\x00" * 5000,
)


def to_bytes(rng, content):
    """(what was done, the content of a file after it)."""
    what = pick(rng, ("emptied", "cut", "cut by one", "flipped", "zeroed", "other content", "doubled", "noise"))
    if what == "other content" or not content:
        return "other content", pick(rng, BYTES)
    changed = bytearray(content)
    start = int(rng.integers(len(content)))
    if what == "flipped":
        changed[start] ^= 1 << rng.integers(8)
    elif what == "zeroed":
        end = min(len(content), start + 1 + int(rng.integers(200)))
        changed[start:end] = bytes(end - start)
    elif what == "noise":
        changed[start : start + 50] = rng.bytes(50)
    elif what == "doubled":
        changed = changed * 2
    elif what == "cut by one":
        del changed[-1]
    else:
        del changed[0 if what == "emptied" else start :]
    return what, bytes(changed)


def to_json(rng, content):
    """(what was done, valid JSON of another shape): a field is missing or holds something else."""
    value = json.loads(content)
    path, at = [], value
    while True:
        keys = list(at) if isinstance(at, dict) else range(len(at))
        key = pick(rng, keys)
        path.append(str(key))
        if isinstance(at[key], dict | list) and at[key] and rng.random() < 0.7:
            at = at[key]
            continue
        if rng.random() < 0.3:
            del at[key]
            return f"without {'.'.join(path)}", json.dumps(value).encode()
        at[key] = pick(rng, ODD)
        return f"{'.'.join(path)} = {str(at[key])[:20]!r}", json.dumps(value).encode()


def to_file(rng, path):
    """Damages a file in one way or another, and says how."""
    content = path.read_bytes()
    way = rng.random()
    if way < 0.1:
        path.unlink()
        return "removed"
    if way < 0.17:
        path.unlink()
        path.mkdir()
        return "a folder in its place"
    if way < 0.22:
        path.unlink()
        path.symlink_to(path.name)
        return "a link to itself in its place"
    if way < 0.6 and path.suffix in (".json", ".jsonl"):
        if path.suffix == ".json":
            what, changed = to_json(rng, content)
        else:
            lines = content.splitlines(True)
            i = int(rng.integers(len(lines)))
            what, lines[i] = to_json(rng, lines[i])
            lines[i] += b"\n"
            changed = b"".join(lines)
    else:
        what, changed = to_bytes(rng, content)
    path.write_bytes(changed)
    return what
