"""Malformed files: configs, documents, runs, prepared sets, data of the user's own, pictures, weights."""

import io
import shutil

import numpy as np

from tests.reliability import damage, published
from tests.reliability.arguments import pick
from tests.reliability.trials import Trial

_CONFIG = """
from jaxnets.config import CNNConfig, Experiment, ImageData, Optim
def experiments():
    yield Experiment("mine/one", "me", "a test", ImageData("shapes10"), CNNConfig(), Optim(lr=1e-3))
"""
_BAD_CONFIGS = (
    "", "x = 1", "def experiments(): return 3", "def experiments(): return None", "def experiments():\n    yield 3",
    "def experiments(): yield None", "def experiments(x): yield x", "experiments = 3", "raise SystemExit(0)",
    "import sys; sys.exit('x')", "1/0", "import no_such_module", "def f(): f()\nf()", "(" * 300,
    "raise Exception('a\\nb')",  "\0", "é = ", "return 1", "from jaxnets.config import nothing",
    "async def experiments(): yield 1", "def experiments(): yield {}", "raise StopIteration",
    "def experiments():\n    yield object()", "import os; os.chdir('/')\nraise ValueError", "class experiments: pass",
)  # fmt: skip
_FIELDS = (
    "epochs",
    "seeds",
    "seed",
    "steps",
    "eval_batch_size",
    "id",
    "data",
    "model",
    "optim",
    "loss",
    "select",
    "grid",
    "reported",
    "source",
)
_VALUES = (
    "None",
    "-1",
    "'x'",
    "[]",
    "{}",
    "float('nan')",
    "1e400",
    "object()",
    "True",
    "0",
    "''",
    "lambda: 1",
    "2**80",
    "('a',)",
    "b'x'",
)


def config(rng, places):
    """A config file that yields no experiment that can be run."""
    path = places.folder / "mine.py"
    if rng.integers(2):
        text = pick(rng, _BAD_CONFIGS)
        must_fail = True
    else:
        field, value = pick(rng, _FIELDS), pick(rng, _VALUES)
        text = _CONFIG.replace("    yield ", "    import dataclasses\n    good = ") + (
            f"    yield dataclasses.replace(good, {field}={value})\n"
        )
        must_fail = False
    path.write_bytes(text.encode())
    command = pick(
        rng, (["show", path], ["run", path, "--data.source", "synthetic", "--no-such-option"], ["show", f"{path}:nothing"])
    )
    must_fail |= len(command) > 2 or ":" in str(command[1])
    return Trial("config files", text[-80:], list(map(str, command)), must_fail, ("mine", "no_such_option", "nosuchoption"))


def document(rng, places):
    """A document with damage."""
    text = places.document.read_bytes()
    path = places.folder / "mine.toml"
    if rng.integers(2):
        what, changed = damage.to_bytes(rng, text)
    else:
        lines = text.decode().splitlines()
        i = int(rng.integers(len(lines)))
        what = f"line {i}"
        key = lines[i].partition("=")[0]
        lines[i] = pick(
            rng,
            (
                f"{key} = 3",
                f"{key} = []",
                f'{key} = [""]',
                f"{key} = {{}}",
                "[[item]]",
                "[[claim]]",
                f"{key} = true",
                "x = 1",
            ),
        )
        changed = "\n".join(lines).encode()
    path.write_bytes(changed)
    command = pick(rng, (["claims"], ["reproduce", "--hours", "0", "--out", str(places.folder)]))
    return Trial("documents", what, [command[0], str(path), *command[1:]], False, ("mine.toml",))


def run_folder(rng, places):
    """A finished run one of whose files is damaged."""
    name = pick(rng, list(places.runs))
    run = places.folder / "run"
    shutil.copytree(places.runs[name], run)
    if rng.random() < 0.8:
        (run / "SHA256SUMS").unlink()  # Otherwise the checksums find everything.
    files = sorted(path for path in run.iterdir() if path.is_file() and path.name != ".lock")
    path = pick(rng, files)
    what = damage.to_file(rng, path)
    command = pick(rng, [*places.asking(name, run), ["report", str(run), "--out", str(places.folder)]])
    return Trial("runs", f"{name}: {path.name} {what}", command, False, ("run",))


def prepared(rng, places):
    """A prepared set one of whose files is damaged."""
    store = places.folder / "store"
    shutil.copytree(places.store, store)
    places.use_store(store)
    [set_folder] = [path for path in store.iterdir() if path.name == "toy_names"]
    path = pick(rng, sorted(set_folder.iterdir()))
    what = damage.to_file(rng, path)
    command = pick(
        rng,
        (["data", "status"], ["data", "show", "toy_names"], ["show", "names/char_rnn", "--data.source", "synthetic"][:2]),
    )
    return Trial("prepared sets", f"{path.name} {what}", list(command), False, ("toy_names",))


def _npz(**arrays):
    content = io.BytesIO()
    np.savez(content, **arrays)
    return content.getvalue()


def own(rng, places):
    """Data of the user's own that is damaged, empty or of another form."""
    kind = pick(rng, ("names", "pairs", "reviews", "words", "npz", "pictures", "other"))
    other = ("a.npz", "a.csv", "a.txt", "folder/")
    file = {"pairs": "pairs.txt", "reviews": "reviews.csv", "words": "words.txt", "npz": "a.npz", "other": pick(rng, other)}
    source = places.folder / file.get(kind, kind)
    experiment = {
        "names": "names/best",
        "pairs": "translate/best",
        "reviews": "imdb/best",
        "words": "word_lm/tiny_shakespeare",
    }.get(kind, "cifar10/lenet/bn")
    if kind == "names":
        source.mkdir()
        for name in ("Ab", "Cd"):
            (source / f"{name}.txt").write_text(
                "\n".join("".join(chr(97 + c) for c in rng.integers(0, 26, 5)) for _ in range(30))
            )
        target = pick(rng, sorted(source.iterdir()))
    elif kind == "pictures":
        for name in ("ab", "cd"):
            (source / name).mkdir(parents=True)
            for i in range(12):
                (source / name / f"{i}.png").write_bytes(published.png(rng))
        target = pick(rng, sorted(source.rglob("*.png")))
    elif kind == "other":
        target = source if source.suffix else source / "b" / "c.png"
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(pick(rng, damage.BYTES))
        experiment = pick(rng, ("names/best", "translate/best", "imdb/best", "word_lm/tiny_shakespeare", "cifar10/lenet/bn"))
    elif kind == "npz":
        images, labels = rng.integers(0, 256, (40, 8, 8, 3), np.uint8), np.arange(40) % 2
        odd = pick(
            rng,
            (
                images[:0],
                images[0],
                images.astype(np.float64) * np.nan,
                images - 300.0,
                images.astype("U3"),
                labels,
                np.array(3),
                images.astype(complex),
                images,
            ),
        )
        content = _npz(
            **pick(
                rng,
                (
                    {"image": odd, "label": labels},
                    {"image": images, "label": odd},
                    {"image": odd},
                    {"x": odd},
                    {"image": images, "label": labels, "class_names": odd},
                ),
            )
        )
        source.write_bytes(content)
        target = source
    else:
        text = {
            "pairs": "\n".join(f"je suis {i}\ti am {chr(97 + i % 26)}" for i in range(40)),
            "reviews": "text,label\n" + "\n".join(f"good bad film{chr(97 + i % 26)},{'ab'[i % 2]}" for i in range(40)),
            "words": "to be or not to be that is the question " * 400,
        }[kind]
        source.write_text(text)
        target = source
    what = f"{kind}: " + (damage.to_file(rng, target) if rng.random() < 0.8 else "as it is")
    call = [
        "run",
        experiment,
        "--data.source",
        str(source),
        "--steps",
        "1",
        "--data.batch-size",
        "100000",
        "--out",
        str(places.folder),
    ]
    return Trial("own data", what, call, True, (source.name, "batch_size"))


def picture(rng, places):
    """A page or picture that is damaged."""
    path = places.folder / "page.png"
    content = pick(rng, (published.png(rng, 1), published.png(rng, 40), places.picture.read_bytes()))
    what, changed = damage.to_bytes(rng, content)
    path.write_bytes(changed)
    command = pick(rng, (["classify", "{image}", str(path)], ["ocr", "{image}", str(path)]))
    return Trial("pictures", what, places.fill(command), False, ("page.png", "{image}", "lenet", "gray_cnn"))


def weights(rng, places):
    """A file of weights to start from that is damaged, or another net's."""
    path = places.folder / "weights.safetensors"
    what, changed = damage.to_bytes(rng, (places.runs["names"] / "weights.safetensors").read_bytes())
    path.write_bytes(changed)
    call = ["run", "cifar10/gray_cnn/best", "--data.source", "synthetic", "--model.weights", str(path), "--steps", "1"]
    return Trial("weights", what, [*call, "--out", str(places.folder)], True, ("weights",))


KINDS = (config, document, run_folder, prepared, own, published.archive, picture, weights)
