"""The ledger: claims as hypotheses, and what the runs so far decide.

A claim holds if all of its comparisons do. A comparison "low < D < high", on a difference D of means over seeds, holds if
both bounds do, each at the one-sided level of a look. It fails if one bound is contradicted at that level, divided by the
number of bounds of the whole claim, so that a true claim of many comparisons is not refuted by chance.

The stopping rule: there are at most LOOKS looks at the data, after the planned number of seeds and after each doubling, and
all looks share the error of ALPHA equally. Seeds are added between looks while the claim is undecided.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, NamedTuple

import numpy as np

from jaxnets.runs.reproduction.document import Claim, Comparison, Document
from jaxnets.runs.reproduction.evidence import GAPS, Evidence, Replica
from jaxnets.runs.statistics import Interval, difference_interval, p_above, p_below

ALPHA, LOOKS = 0.05, 3
"""The chance of a wrong verdict on a claim, and the number of looks that share it."""
RULE = (
    f"At most {LOOKS} looks, after the planned number of seeds and after each doubling; each at a one-sided level of "
    f"{ALPHA / LOOKS:.4f}. A claim holds if all its bounds hold, and does not if one is contradicted at that level divided "
    "by their number."
)

Decision = Literal["holds", "does not hold", "undecided", "not run"]


class Ruling(NamedTuple):
    """What the seeds say of one comparison."""

    comparison: Comparison
    decision: Decision
    n: tuple[int, ...]
    """Values on either side, or on one."""
    effect: float | None = None
    """D, as far as it was measured."""
    interval: Interval | None = None
    """95 % confidence interval of D."""
    p: float | None = None
    """The largest p-value against a bound: small if the comparison holds."""
    reported: float | None = None
    """D of the reported figures."""


@dataclass(frozen=True)
class Entry:
    """One claim of the ledger."""

    document: str
    claim: Claim
    decision: Decision
    rulings: tuple[Ruling, ...]
    on: tuple[str, ...] = ()
    """Where the evidence is not what the document describes: other data sets."""
    fitted: tuple[str, ...] = ()
    """Settings that were fitted to the reported figures that it compares: "optim.lr of mnist_rows/rnn_128"."""

    @property
    def n(self) -> int:
        """The smallest number of values that any comparison rests on."""
        return min((n for ruling in self.rulings for n in ruling.n), default=0)

    @property
    def verdict(self) -> str:
        """The decision in words: "holds", "undecided at n = 3", "holds on emnist36", "does not hold (fitted)"."""
        if self.decision == "not run":
            return self.decision
        at = f" at n = {self.n}" if self.decision == "undecided" else ""
        on = f" on {', '.join(self.on)}" if self.on else ""
        return self.decision + at + on + (" (fitted)" if self.fitted else "")

    def to_json(self) -> dict[str, Any]:
        """The entry for `jaxnets claims --json`."""
        return {
            "document": self.document,
            "id": self.claim.id,
            "section": self.claim.section,
            "says": self.claim.says,
            "test": self.claim.test,
            "rule": RULE,
            "verdict": self.verdict,
            "decision": self.decision,
            "n": self.n,
            "on": list(self.on),
            "fitted": list(self.fitted),
            "comparisons": [
                {
                    **asdict(r.comparison),
                    "hypothesis": r.comparison.text(),
                    "decision": r.decision,
                    "n": list(r.n),
                    "effect": r.effect,
                    "interval": [bound if math.isfinite(bound) else None for bound in r.interval] if r.interval else None,
                    "p": r.p,
                    "reported": r.reported,
                }
                for r in self.rulings
            ],
        }


def ledger(document: Document, evidence: Mapping[str, Evidence], synthetic: bool = False) -> list[Entry]:
    """The entry of every claim of a document. `evidence` maps ids of experiments to what there is."""
    return [_entry(document.name, claim, evidence, synthetic) for claim in document.claims]


def _entry(document: str, claim: Claim, evidence: Mapping[str, Evidence], synthetic: bool) -> Entry:
    bounds = sum((c.more_than is not None) + (c.less_than is not None) for c in claim.compare)
    rulings = tuple(_rule(claim, comparison, evidence, bounds, synthetic) for comparison in claim.compare)
    decisions = [ruling.decision for ruling in rulings]
    decision: Decision = next((d for d in ("does not hold", "not run", "undecided") if d in decisions), "holds")
    if synthetic:
        return Entry(document, claim, decision, rulings, ("synthetic data",))
    ruled = [id_ for ruling in rulings if ruling.decision != "not run" for id_, _ in _sides(ruling.comparison)]
    others = dict.fromkeys(evidence[id_].dataset for id_ in ruled if evidence[id_].dataset)
    sides = [side for comparison in claim.compare for side in _sides(comparison)]
    fitted = dict.fromkeys(f"{path} of {id_}" for id_, measure in sides for path in evidence[id_].fitted_to(measure))
    return Entry(document, claim, decision, rulings, tuple(others), tuple(fitted))


def _sides(comparison: Comparison) -> list[tuple[str, str]]:
    other = comparison.than_measure or comparison.measure
    return [(comparison.of, comparison.measure), *([(comparison.than, other)] if comparison.than else [])]


def _rule(claim: Claim, comparison: Comparison, evidence: Mapping[str, Evidence], bounds: int, synthetic: bool) -> Ruling:
    reported = _reported(comparison, evidence)
    sides = [evidence[id_].replicas(measure) for id_, measure in _sides(comparison)]
    # Runs cut short say nothing of where training ends. Synthetic ones only show what a page looks like.
    short = not synthetic and any(
        evidence[id_].epochs is not None and evidence[id_].departs(m) for id_, m in _sides(comparison)
    )
    n = tuple(map(len, sides))
    if short or not all(n):
        return Ruling(comparison, "not run", n, reported=reported)
    ours, others = _samples(claim, comparison, sides)
    effect = float(np.mean(ours) - (np.mean(others) if len(others) else 0))
    n = (len(ours), len(others)) if comparison.than else (len(ours),)
    against, contradicting = [], []
    if comparison.more_than is not None:
        against.append(p_above(claim.test, ours, others, comparison.more_than))
        contradicting.append(p_below(claim.test, ours, others, comparison.more_than))
    if comparison.less_than is not None:
        against.append(p_below(claim.test, ours, others, comparison.less_than))
        contradicting.append(p_above(claim.test, ours, others, comparison.less_than))
    level = ALPHA / LOOKS
    decision: Decision = "undecided"
    if max(against) <= level:
        decision = "holds"
    elif min(contradicting) <= level / bounds:
        decision = "does not hold"
    paired = claim.test in ("paired", "sign_flip")
    return Ruling(comparison, decision, n, effect, difference_interval(ours, others, paired), max(against), reported)


def _samples(
    claim: Claim, comparison: Comparison, sides: Sequence[Mapping[Replica, float]]
) -> tuple[np.ndarray, np.ndarray]:
    """The values of both sides, the other ones times the factor; for paired tests those of the replicas on both sides."""
    if len(sides) == 1:
        return np.array([value for _, value in sorted(sides[0].items())]), np.empty(0)
    left, right = sides
    if claim.test in ("paired", "sign_flip"):
        both = sorted(left.keys() & right.keys())
        left, right = ({replica: side[replica] for replica in both} for side in (left, right))
    ordered = [np.array([value for _, value in sorted(side.items())]) for side in (left, right)]
    return ordered[0], comparison.factor * ordered[1]


def _reported(comparison: Comparison, evidence: Mapping[str, Evidence]) -> float | None:
    figures = [_stated(evidence[id_].documented.reported, measure) for id_, measure in _sides(comparison)]
    if None in figures:
        return None
    return figures[0] - (comparison.factor * figures[1] if comparison.than else 0)  # type: ignore[operator]


def _stated(reported: Mapping[str, float], measure: str) -> float | None:
    if measure not in GAPS:
        return reported.get(measure)
    accuracies = [reported.get(accuracy) for accuracy in GAPS[measure]]
    return None if None in accuracies else accuracies[0] - accuracies[1]  # type: ignore[operator]
