"""`jaxnets visualize`: a look inside a trained CNN."""

from jaxnets.cli.parse import parse
from jaxnets.cli.visualize_options import KINDS, TransferOptions, ViewOptions


def visualize(args: list[str]) -> int:
    """Writes one view of a net as a PNG file, and prints its numbers and the path. Returns exit status 0.

    Raises UserError for a net that is not a CNN, before it is loaded where its configuration tells.
    """
    kind = KINDS.get(args[1], ViewOptions) if len(args) > 1 else ViewOptions
    options = parse(kind, "visualize" if kind is ViewOptions else f"visualize RUN {args[1]}", args)
    if type(options) is ViewOptions:  # The view comes after an option.
        options = parse(KINDS[options.what], f"visualize RUN {options.what}", args)
    # Imported here because these import jax, which the help text does not need.
    from jaxnets.analysis.report import plots
    from jaxnets.analysis.visualize import network
    from jaxnets.cli import views
    from jaxnets.runs import load
    from jaxnets.training import process
    from jaxnets.training.parallel import split_cpu

    network.check_images(load.experiment(options.run), options.run)
    process.prepare()
    if isinstance(options, TransferOptions):
        split_cpu(options.seeds)
    net = load.load(options.run, options.replica)
    figure, lines = views.VIEWS[options.what](options, net, network.from_trained(net, options.run))
    print("\n".join(lines))
    path = (options.out or options.run / "visualize") / f"{options.what}.png"
    print(f"picture: {plots.save(figure, path, dpi=130)}")
    return 0
