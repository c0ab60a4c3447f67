"""The command line: `jaxnets COMMAND …`. Each command parses its arguments, makes one call, and prints the result."""

import sys
from collections.abc import Callable, Sequence

from jaxnets import __version__
from jaxnets.cli import bench, data, experiments, inference, ocr, report, run, sweep, theory, visualize
from jaxnets.errors import UserError

USAGE = """\
usage: jaxnets COMMAND [ARGUMENTS]

Classic small-network experiments, re-run in JAX with error bars over seeds.

  list                    the experiments: id, data set, source, reported figure
  show ID                 one experiment: configuration, parameter count, reported figures, state of its data
  data status             the data sets and whether they are ready
  data prepare NAME       downloads a data set, or reads it from --manual-dir, and stores it for training
  run ID…                 trains; any field of the configuration can be set, for example --optim.lr 3e-4
  sweep ID                searches: --over optim.lr=1e-3,1e-2 --over model.width=16,32; values train together
  report DIR…             makes a page with plots and tables from finished runs

  sample RUN              lets a trained net write: names, or text that goes on from --prompt
  classify RUN TEXT…      tells whether texts are positive or negative
  translate RUN TEXT…     translates French sentences
  ocr RUN PAGE            reads the letters on a page; RUN is a net of nist36
  visualize RUN WHAT      draws what is inside a CNN: filters, activations, maximize, deconvnet, occlusion, transfer

  theory                  softmax's invariance, vanishing gradients, zero starts: shown by running them
  bench [WORKLOAD…]       times training against PyTorch; works from a checkout

`jaxnets COMMAND --help` tells more about each. An ID may be a family (cifar10/lenet) or a config file of your own
(mine.py). RUN is the folder of one run. Exit status: 0 done, 1 some experiments failed, 2 bad input, 130 or 143 interrupted.
"""

COMMANDS: dict[str, Callable[[list[str]], int]] = {
    "list": experiments.list_all,
    "show": experiments.show,
    "data": data.data,
    "run": run.run,
    "sweep": sweep.sweep,
    "report": report.report,
    "sample": inference.sample,
    "classify": inference.classify,
    "translate": inference.translate,
    "ocr": ocr.ocr,
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
