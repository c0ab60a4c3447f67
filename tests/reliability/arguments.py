"""Malformed arguments."""

from tests.reliability.trials import Trial

NO_INTEGER = (
    "nan", "inf", "-inf", "1e400", "1.5", "", " ", "abc", "0x10", "99999999999999999999", "--", "1,2", "None", "1e3", "½",
)  # fmt: skip
NO_FLOAT = ("nan", "inf", "-inf", "1e400", "", " ", "abc", "0x10", "--", "1,2", "None", "½", "1e99999", "1 2")
NO_PATH = ("nowhere", "/dev/null/x", "a" * 300, "b/" * 3000, "/proc/self/nothing", "\udcff", "$(x)", "*", "[", "-", "")
TEXTS = (
    "",
    " ",
    "\n",
    "\t",
    "\x1b[31m",
    "<script>",
    "' OR 1",
    "é" * 50,
    "\u202e",
    "\ud800",
    "{}",
    "%s%n",
    "../../..",
    "🙂",
    "x" * 5000,
)

# Command, then options by what they take. RUN, PAGE and the like are filled in.
INTEGERS = {
    ("sample", "{names}"): ("--number", "--seed", "--replica"),
    ("sample", "{words}"): ("--length", "--beam"),
    ("classify", "{image}", "{picture}"): ("--replica",),
    ("ocr", "{image}", "{picture}"): ("--sheet", "--replica"),
    ("export", "{image}"): ("--replica",),
    ("theory",): ("--depth", "--seed"),
    ("visualize", "{image}", "maximize"): ("--restarts", "--steps", "--jitter", "--seed", "--channels", "--replica"),
    ("visualize", "{image}", "occlusion"): ("--side", "--stride", "--images"),
    ("visualize", "{image}", "activations"): ("--examples",),
    ("visualize", "{image}", "transfer"): ("--epochs", "--seeds"),
    ("visualize", "{image}", "deconvnet"): ("--number", "--examples"),
    ("run", "cifar10/gray_cnn/best", "--data.source", "synthetic", "--steps", "1"): (
        "--epochs", "--steps", "--seeds", "--seed", "--eval-batch-size", "--eval-examples", "--grad-accumulation-steps",
        "--data.batch-size", "--model.width", "--optim.warmup-epochs", "--data.augment.crop-padding",
        "--data.augment.cutout", "--data.eval-shift",
    ),
    ("sweep", "cifar10/gray_cnn/best", "--data.source", "synthetic", "--over", "optim.lr=1e-3"): ("--random", "--seeds"),
    ("reproduce", "S0", "--data.source", "synthetic"): ("--seeds", "--epochs", "--steps", "--eval-examples"),
}  # fmt: skip
FLOATS = {
    ("sample", "{names}"): ("--temperature",),
    ("visualize", "{image}", "maximize"): ("--rate", "--decay", "--variation"),
    ("run", "names/best", "--data.source", "synthetic", "--steps", "1"): (
        "--checkpoint-every", "--optim.lr", "--optim.momentum", "--optim.weight-decay", "--model.dropout",
        "--optim.clip", "--optim.bias-rate", "--loss.label-smoothing", "--loss.temperature", "--loss.teacher-share",
        "--optim.ema", "--data.augment.mixup", "--model.init.std",
        "--optim.args.b1",
    ),
    ("reproduce", "S0", "--data.source", "synthetic"): ("--hours",),
}  # fmt: skip
READ = {
    ("sample",): (), ("classify",): ("x",), ("translate",): ("x",), ("ocr",): ("{picture}",), ("export",): (),
    ("visualize",): ("filters",), ("report",): (),
}  # fmt: skip
IDS = ("run", "show", "sweep")


def numbers(rng, places):
    """A value that no number can have, for an option that takes one."""
    table, values = [(INTEGERS, NO_INTEGER), (FLOATS, NO_FLOAT)][rng.integers(2)]
    command, options = pick(rng, list(table.items()))
    option, value = pick(rng, options), pick(rng, values)
    form = [option, value] if rng.integers(2) else [f"{option}={value}"]
    return Trial(
        "numbers",
        f"{option} {value!r}",
        [*places.fill(command), *form],
        value != "None" and not (option == "--optim.args.b1" and value not in ("", "--")),
        (option.strip("-"), option.split(".")[-1], value or "argument"),
    )


def limits(rng, places):
    """A number that is too large or too small for its option."""
    command, options = pick(rng, list(INTEGERS.items()))
    option = pick(rng, options)
    value = pick(rng, ("-1", "-99999", "4294967296", "2147483648", "18446744073709551616"))
    return Trial("limits", f"{option} {value}", [*places.fill(command), option, value], True, (option.strip("-"), "replica"))


def folders(rng, places):
    """A path where no run is."""
    command, rest = pick(rng, list(READ.items()))
    path = pick(rng, (*NO_PATH, str(places.picture), str(places.folder), "/dev/null", "/proc", "/"))
    if command == ("report",) and path in ("/", "/proc"):
        path = "/dev/null"  # A whole file system takes long to look through.
    named = (path[:60], "folder", "not a valid path", "no such run", command[0])
    return Trial("folders", f"{path[:40]!r}", [*command, path, *places.fill(rest)], True, named)


def words(rng, places):
    """Commands, options, ids and choices that do not exist, and those that are missing or stand twice."""
    text = pick(rng, TEXTS)
    name = text[:30].strip() or "argument"
    trials = (
        ([text], (name, "command")),
        (["run", text], (name, "experiment", "config")),
        (["show", text], (name, "experiment", "config")),
        (["sweep", text, "--over", "optim.lr=1"], (name, "experiment", "config")),
        (["run", "cifar10/lenet/bn", f"--{text}", "1"], (name, "option", "argument")),
        (["sample", "{names}", text, text], (name, "argument", "option")),
        (["data", text], (name, "action", "choose", "status")),
        (["data", "show", text], (name, "set")),
        (["data", "prepare", text], (name, "set")),
        (["visualize", "{image}", text], (name, "what", "view", "choose", "filters")),
        (["export", "{image}", "--format", text], (name, "format")),
        (["sample", "{names}", "--start", text + "ж"], (name, "symbols", "start")),
        (["sample", "{conditional}", "--category", text], (name, "category", "categories")),
        (["classify", "{image}", text], (name, "picture", "not a valid path")),
        (["run", "cifar10/lenet/bn", "--data.source", "synthetic", "--optim.name", text], (name, "optim.name")),
        (["run", "cifar10/lenet/bn", "--data.source", "synthetic", "--loss.name", text], (name, "loss.name")),
        (["sweep", "cifar10/lenet/bn", "--data.source", "synthetic", "--over", text], (name, "over")),
        (["sweep", "cifar10/lenet/bn", "--data.source", "synthetic", "--over", f"optim.lr={text}"], (name, "over", "lr")),
        (["sweep", "cifar10/lenet/bn", "--data.source", "synthetic", "--over", f"{text}=1"], (name, "over", "field")),
        (["sweep", "names/best", "--over", "optim.lr=1", "--metric", text, "--data.source", "synthetic"], (name, "metric")),
        (["reproduce", text, "--hours", "0"], (name, "document")),
        (["reproduce", "S0", "--only", text + "x", "--hours", "0"], (name, "only", "S0")),
        (["reproduce", "S0", "--part", text, "--hours", "0"], (name, "part")),
        (["claims", text], (name, "document")),
        (["run", "cifar10/lenet/bn", "--distributed", text + "x"], (name, "distributed")),
        (["run", "cifar10/lenet/bn", "--distributed", "localhost:9", "--process", text], (name, "process")),
        (["sweep", "names/best", "--over", "optim.lr=1", "--data.source", "synthetic", "--part", text], (name, "part")),
        (["visualize", "{image}", "filters", "--layer", text], (name, "layer")),
        (["visualize", "{image}", "transfer", "--data", text], (name, "data")),
        (["run", "cifar10/lenet/bn", "--data.source", text], (name, "data", "source", "set")),
    )  # fmt: skip
    arguments, named = pick(rng, trials)
    return Trial("words", repr(text[:30]), places.fill(arguments), True, named)


def outputs(rng, places):
    """Output that goes where nothing can be written."""
    path = pick(rng, ("/dev/null/x", "/proc/x", str(places.picture / "x"), "a" * 300, "b/" * 3000))
    command = pick(
        rng,
        (
            ["theory", "--depth", "1"],
            ["report", "{image}"],
            ["export", "{image}"],
            ["visualize", "{image}", "filters"],
            ["run", "cifar10/lenet/bn", "--data.source", "synthetic", "--steps", "1"],
            ["reproduce", "S0", "--hours", "0"],
        ),
    )
    return Trial("outputs", path[:40], [*places.fill(command), "--out", path], True, (path[:60], "out"))


def mangled(rng, places):
    """A good call of which something is missing, doubled or in another place; most are errors."""
    # What is right by chance must not train.
    command, options = pick(
        rng, [item for item in INTEGERS.items() if set(item[0]) & {"sample", "classify", "ocr", "export"}]
    )
    call = [*places.fill(command), pick(rng, options), "1"]
    i, j = rng.integers(1, len(call), 2)
    for _ in range(rng.integers(1, 3)):
        change = pick(rng, ("drop", "double", "swap"))
        if change == "drop" and len(call) > i:
            del call[i]
        elif change == "double" and len(call) > i:
            call.insert(j, call[i])
        elif len(call) > max(i, j):
            call[i], call[j] = call[j], call[i]
    return Trial("mangled", " ".join(call)[:80], call, False)


def pick(rng, choices):
    """One of `choices`."""
    return choices[rng.integers(len(choices))]


KINDS = (numbers, limits, folders, words, outputs, mangled)
