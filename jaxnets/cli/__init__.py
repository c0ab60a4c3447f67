"""The command line: `jaxnets COMMAND …`. Each command parses its arguments, makes one call, and prints the result."""

import sys
from collections.abc import Callable, Sequence

from jaxnets import __version__
from jaxnets.cli import (
    bench,
    claims,
    data,
    experiments,
    export,
    inference,
    ocr,
    report,
    reproduce,
    run,
    sweep,
    theory,
    visualize,
)
from jaxnets.errors import UserError

USAGE = """\
usage: jaxnets COMMAND [ARGUMENTS]

Classic small-network experiments, re-run in JAX with error bars over seeds.

  list                    the experiments: id, data set, source, reported accuracy
  show ID                 one experiment: configuration, parameter count, reported results, state of its data
  data status             the data sets and whether they are ready
  data show NAME          one data set: what it holds, whether it is ready, how to get it
  data prepare NAME       download a data set, or read it from --manual-dir, and store it for training
  run ID…                 train; any field of the configuration can be set, for example --optim.lr 3e-4
  sweep ID                search hyperparameters: --over optim.lr=1e-3,1e-2 --over model.width=16,32
  report DIR…             make an HTML page with tables and plots of finished runs

  reproduce DOCUMENT      train what a report's tables, figures and claims need, and make its page with our results
  claims [DOCUMENT…]      rule on what documents say of their experiments

  sample RUN              generate names, or text that continues a --prompt
  classify RUN INPUT…     tell the classes of pictures, or whether reviews are positive or negative
  translate RUN TEXT…     translate French sentences into English
  ocr RUN PAGE            read the text on an image of a page, with a net trained on nist36
  visualize RUN VIEW      look inside a CNN: filters, activations, maximize, deconvnet, occlusion, transfer
  export RUN              write a net for PyTorch: its weights, and code that needs nothing else

  theory                  three facts checked numerically: shift invariance of softmax, vanishing gradients,
                          symmetry of zero initialization
  bench [WORKLOAD…]       time training against PyTorch (needs a source checkout)

`jaxnets COMMAND --help` lists the options of a command. An ID names one experiment (cifar10/lenet/super), a family
(cifar10/lenet) or a config file of your own (mine.py). RUN is the folder of one run.
Exit status: 0 done, 1 some experiments failed, 2 bad input, 130 or 143 interrupted.
"""

COMMANDS: dict[str, Callable[[list[str]], int]] = {
    "list": experiments.list_all,
    "show": experiments.show,
    "data": data.data,
    "run": run.run,
    "sweep": sweep.sweep,
    "report": report.report,
    "reproduce": reproduce.reproduce,
    "claims": claims.claims,
    "sample": inference.sample,
    "classify": inference.classify,
    "translate": inference.translate,
    "ocr": ocr.ocr,
    "export": export.export,
    "theory": theory.theory,
    "bench": bench.bench,
    "visualize": visualize.visualize,
}


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command and returns the exit status."""
    args = list(sys.argv[1:] if argv is None else argv)
    if not args or args[0] in ("-h", "--help"):
        print(USAGE, end="")
        return 0 if args else 2
    if args[0] == "--version":
        print(f"jaxnets {__version__}")
        return 0
    try:
        if args[0] not in COMMANDS:
            raise UserError(f"unknown command {args[0]!r}: choose from {', '.join(COMMANDS)}")
        return COMMANDS[args[0]](args[1:])
    except UserError as error:
        print(f"jaxnets: error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("jaxnets: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:
        sys.stderr.close()
        return 0
