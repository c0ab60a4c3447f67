"""A document as data: its tables, figures and claims in its own order and numbering, read from documents/NAME.toml.

    title = "…"
    what = "…"                          one or two sentences
    [seeds]                             planned number of replicas by experiment or family; of others as configured
    [stand_ins]                         data set that few have -> public one in its place
    [[item]]                            a table: a row is a label and an experiment
    id = "table1"
    title = "…"
    section = "§4.1"
    measures = ["test_accuracy", …]     columns, see jaxnets.runs.reproduction.evidence
    rows = [{label = "LeNet", of = "cifar10/lenet/plain"}, …]
    [[item]]                            a figure: what is drawn of each experiment
    id = "figure8"
    of = ["cifar10/lenet/plain"]
    draw = ["accuracy", "loss"]
    [[claim]]                           a hypothesis: it holds if all of its comparisons do
    id = "claim1"
    says = "…"
    measure = "test_accuracy"           of all comparisons that name none
    compare = [{of = "cifar10/lenet/bn", than = "cifar10/lenet/plain", more_than = 0}, …]

Reported figures are those of the experiments' `reported`. A row states one itself where the document has no experiment of
ours for it, or contradicts itself.
"""

import dataclasses
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

from jaxnets import registry
from jaxnets.config import Experiment
from jaxnets.config.fields import user_path
from jaxnets.errors import UserError, did_you_mean
from jaxnets.runs.shape import ABSENT, mismatch
from jaxnets.runs.statistics import TestName

DRAWINGS = (
    *("accuracy", "loss", "psnr", "first_steps", "confusion", "by_class", "batch_size", "samples"),
    *("images", "filters", "activations", "maximize"),
)
"""What a figure can show of experiments; those of the second line need the trained net."""
_TEXT, _TEXTS, _NUMBER = (str, ABSENT), ([str], ABSENT), (int, float, ABSENT)
_ROW = {"label": str, "of": str, "reported": ({str: (int, float)}, ABSENT)}
_PAGE = {"page": str, "errors": int, "characters": int}
_ITEM = {
    **{"id": str, "title": str, "section": _TEXT, "note": _TEXT, "measures": _TEXTS, "of": _TEXTS, "draw": _TEXTS},
    **{"rows": ([_ROW], ABSENT), "confusion": ([[(int, float)]], ABSENT), "pages": ([_PAGE], ABSENT)},
}
_COMPARISON = {
    **{"of": str, "measure": _TEXT, "than": _TEXT, "than_measure": _TEXT},
    **{"factor": _NUMBER, "more_than": _NUMBER, "less_than": _NUMBER},
}
_CLAIM = {
    **{"id": str, "says": str, "section": str, "measure": _TEXT, "test": _TEXT, "note": _TEXT, "compare": [_COMPARISON]},
}
_DOCUMENT = {
    **{"title": str, "what": str, "item": ([_ITEM], ABSENT), "claim": ([_CLAIM], ABSENT)},
    **{"stand_ins": ({str: str}, ABSENT), "seeds": ({str: int}, ABSENT)},
}


@dataclasses.dataclass(frozen=True)
class Row:
    """A row of a table."""

    label: str
    """As the document names it."""
    of: str
    """The experiment's id; empty for what we have no experiment of."""
    reported: Mapping[str, float] = dataclasses.field(default_factory=dict)
    """Figures by measure that differ from the experiment's own, or are not among them."""

    def stated(self) -> Mapping[str, float]:
        """All reported figures of this row."""
        return {**(experiment(self.of).reported if self.of else {}), **self.reported}


@dataclasses.dataclass(frozen=True)
class Item:
    """A table or a figure."""

    id: str
    title: str
    section: str = ""
    note: str = ""
    """What a reader must know of it: where it departs from the document, or contradicts it."""
    measures: tuple[str, ...] = ()
    rows: tuple[Row, ...] = ()
    of: tuple[str, ...] = ()
    """Ids of the experiments that a figure is drawn from."""
    draw: tuple[str, ...] = ()
    confusion: tuple[tuple[float, ...], ...] = ()
    """A reported confusion matrix of counts [true, predicted]."""
    pages: tuple[Mapping[str, Any], ...] = ()
    """Of pages that were read: {"page", "errors", "characters"}."""

    @property
    def name(self) -> str:
        """Its id in words: "Figures 3 to 5" for figures3to5."""
        words = re.sub(r"(?<=\d)(?=(to|and)\d)|(?<=[a-z])(?=\d)", " ", self.id)
        return words[0].upper() + words[1:]

    def experiments(self) -> Iterator[str]:
        """The ids of the experiments it needs."""
        yield from (row.of for row in self.rows if row.of)
        yield from self.of


@dataclasses.dataclass(frozen=True)
class Comparison:
    """A statement on D, the mean of `measure` of one experiment minus `factor` times that of another one."""

    of: str
    measure: str
    than: str = ""
    """The other experiment; without one, D is the mean itself."""
    than_measure: str = ""
    """The other one's measure, if it is not `measure`."""
    factor: float = 1.0
    more_than: float | None = None
    less_than: float | None = None

    def text(self) -> str:
        """The statement as a formula."""
        name = lambda id_, measure: f"{measure.replace('_', ' ')} of {id_}"
        left = name(self.of, self.measure)
        if self.than:
            factor = "" if self.factor == 1 else f"{self.factor:g} × "
            left += f" − {factor}{name(self.than, self.than_measure or self.measure)}"
        low = "" if self.more_than is None else f"{self.more_than:g} < "
        high = "" if self.less_than is None else f" < {self.less_than:g}"
        return low + left + high


@dataclasses.dataclass(frozen=True)
class Claim:
    """A hypothesis, which holds if all of its comparisons do."""

    id: str
    says: str
    """In our words."""
    section: str
    compare: tuple[Comparison, ...]
    test: TestName = "welch"
    note: str = ""

    def experiments(self) -> Iterator[str]:
        """The ids of the experiments it needs."""
        for comparison in self.compare:
            yield from filter(None, (comparison.of, comparison.than))


@dataclasses.dataclass(frozen=True)
class Document:
    """One document."""

    name: str
    title: str
    what: str
    items: tuple[Item, ...]
    claims: tuple[Claim, ...]
    stand_ins: Mapping[str, str] = dataclasses.field(default_factory=dict)
    seeds: Mapping[str, int] = dataclasses.field(default_factory=dict)

    def planned_seeds(self, experiment: Experiment) -> int:
        """How many replicas of an experiment are trained before the first look at them."""
        ids = [id_ for id_ in self.seeds if f"{experiment.id}/".startswith(f"{id_}/")]
        return self.seeds[max(ids, key=len)] if ids else experiment.seeds

    @property
    def parts(self) -> tuple[Item | Claim, ...]:
        """Tables, figures and claims."""
        return (*self.items, *self.claims)

    def select(self, ids: Sequence[str]) -> tuple[Item | Claim, ...]:
        """The tables, figures and claims with these ids, or all. Raises UserError for an id that is none of them."""
        known = {part.id: part for part in self.parts}
        for id_ in ids:
            if id_ not in known:
                hint = did_you_mean(id_, known, f"it has {', '.join(known)}")
                raise UserError(f"{self.name} has no {id_}: {hint}")
        return tuple(known[id_] for id_ in ids) or tuple(known.values())


def names() -> list[str]:
    """The built-in documents."""
    return sorted(path.stem for path in registry.folder("documents").glob("*.toml"))


def load(name: str) -> Document:
    """A built-in document by its name, or one of your own by the path of its file.

    Raises UserError for one that does not exist, cannot be parsed, or names experiments that do not exist.
    """
    path = user_path(name) if name.endswith(".toml") else registry.folder("documents") / f"{name.upper()}.toml"
    if not path.is_file():
        raise UserError(f"no document {name!r}: choose from {', '.join(names())}, or give the path of a .toml file")
    try:
        content = tomllib.loads(path.read_text("utf-8-sig"))
        if problem := mismatch(content, _DOCUMENT):
            raise UserError(f"{path}: {problem[:200]}")
        document = Document(
            name=path.stem,
            title=content["title"],
            what=content["what"],
            items=tuple(_item(item) for item in content.get("item", ())),
            claims=tuple(_claim(claim) for claim in content.get("claim", ())),
            stand_ins=content.get("stand_ins", {}),
            seeds=content.get("seeds", {}),
        )
    except tomllib.TOMLDecodeError as error:
        raise UserError(f"{path}: {error}") from None
    except (OSError, TypeError, ValueError, RecursionError) as error:
        raise UserError(f"{path}: {error}") from None
    _check(document, path)
    return document


def _item(content: Mapping[str, Any]) -> Item:
    tuples: dict[str, Any] = {name: tuple(content.get(name, ())) for name in ("measures", "of", "draw", "pages")}
    rows = tuple(Row(**row) for row in content.get("rows", ()))
    return Item(**{**content, **tuples, "rows": rows, "confusion": tuple(map(tuple, content.get("confusion", ())))})


def _claim(content: Mapping[str, Any]) -> Claim:
    content = dict(content)
    measure = content.pop("measure", None)
    shared = {"measure": measure} if measure else {}
    return Claim(**{**content, "compare": tuple(Comparison(**{**shared, **c}) for c in content["compare"])})


def _check(document: Document, path: Path) -> None:
    ids = [part.id for part in document.parts]
    if not all(ids):
        raise UserError(f"{path}: an id is empty")
    if doubled := [id_ for id_ in ids if ids.count(id_) > 1]:
        raise UserError(f"{path}: {doubled[0]} occurs twice")
    for part in document.parts:
        for id_ in part.experiments():
            experiment(id_, f"{path}: {part.id}: ")
    for item in document.items:
        if unknown := [name for name in item.draw if name not in DRAWINGS]:
            raise UserError(f"{path}: {item.id}: cannot draw {unknown[0]!r}; choose from {', '.join(DRAWINGS)}")
    for claim in document.claims:
        if claim.test not in get_args(TestName):
            raise UserError(f"{path}: {claim.id}: no test {claim.test!r}; choose from {', '.join(get_args(TestName))}")
        for comparison in claim.compare:
            if comparison.more_than is None and comparison.less_than is None:
                raise UserError(f"{path}: {claim.id}: a comparison needs more_than or less_than")
    compared = [comparison for claim in document.claims for comparison in claim.compare]
    measures = [m for item in document.items for m in item.measures] + [
        m for c in compared for m in (c.measure, c.than_measure)
    ]
    for measure in measures:
        if "@" in measure and not re.fullmatch(r"[^@]*@[1-9][0-9]{0,8}", measure):
            raise UserError(f"{path}: {measure!r} must end in @ and an epoch, counted from 1")


def experiments(parts: Iterable[Item | Claim]) -> dict[str, Experiment]:
    """The experiments that tables, figures and claims need, by id."""
    return {id_: experiment(id_) for part in parts for id_ in part.experiments()}


def experiment(id_: str, context: str = "") -> Experiment:
    """The experiment with this id, and no other. Raises UserError, which begins with `context`, if there is none."""
    known = registry.all_experiments()
    if id_ not in known:
        hint = did_you_mean(id_, known, "")
        raise UserError(f"{context}no experiment {id_!r}{hint and f'; {hint}'}")
    return known[id_]
