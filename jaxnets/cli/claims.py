"""`jaxnets claims`."""

import dataclasses
import json
from pathlib import Path
from typing import Annotated

import tyro

from jaxnets.cli.parse import optional, parse


@dataclasses.dataclass(frozen=True)
class ClaimsOptions:
    """Rules on the claims of documents: does what they say of their experiments hold for our runs?"""

    documents: tyro.conf.Positional[Annotated[tuple[str, ...], optional("DOCUMENT…")]] = ()
    """S0 to S4, or a .toml file of your own; by default all built-in ones."""
    runs: Annotated[tuple[Path, ...], optional("FOLDER…")] = ()
    """Folders with finished runs that count too, beside the committed results of a checkout."""
    json: tyro.conf.FlagCreatePairsOff[bool] = False
    """Print a JSON array: every comparison with its hypothesis, effect, interval, p-value and reported counterpart."""


def claims(args: list[str]) -> int:
    """Prints the ledger and returns exit status 0."""
    options = parse(ClaimsOptions, "claims", args)
    from jaxnets.runs.reproduction import claims, document, evidence

    gathered = evidence.gather(evidence.committed(), options.runs)
    entries = []
    for name in options.documents or document.names():
        loaded = document.load(name)
        known = {id_: evidence.of(e, gathered) for id_, e in document.experiments(loaded.claims).items()}
        entries += claims.ledger(loaded, known)
    if options.json:
        print(json.dumps([entry.to_json() for entry in entries], indent=1))
        return 0
    width = max((len(entry.verdict) for entry in entries), default=0)
    for entry in entries:
        print(f"{entry.document} {entry.claim.id:<9} {entry.verdict:<{width}}  {entry.claim.says}")
    print(f"\n{claims.RULE}")
    return 0
