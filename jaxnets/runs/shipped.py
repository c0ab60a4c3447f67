"""Trained nets that come with jaxnets, and what RUN means where a trained net is asked for.

Each is the folder of a finished run without checkpoints, curves and images, its weights rounded to float16, as
scripts/ship_nets.py makes it.
"""

from pathlib import Path

from jaxnets.config.fields import can_exist
from jaxnets.errors import UserError, did_you_mean

FOLDER = Path(__file__).parent.parent / "nets"
RESULTS = "2026-11-27-shipped-nets.jsonl"
"""The file under benchmarks/results/ that has their records."""
READER, TRANSLATOR = "letters", "translate"
"""The nets of `jaxnets ocr` and `jaxnets translate` where no RUN is given."""


def names() -> list[str]:
    """The names of all of them."""
    return sorted(path.parent.name for path in FOLDER.glob("*/config.json"))


def locate(run: Path) -> Path:
    """The folder that RUN means: the run that is there, or where there is none, the net of that name among these.

    Raises UserError for a path that does not exist and is no such name.

    >>> locate(Path("letters")).relative_to(FOLDER)
    PosixPath('letters')
    """
    exists = can_exist(run) and run.exists()
    if str(run) in names() and not (exists and (run / "config.json").exists()):
        return FOLDER / run
    if not exists:
        hint = did_you_mean(str(run), names(), f"the nets that come with jaxnets are {', '.join(names())}")
        raise UserError(f"{run}: no such run; {hint}")
    return run
