"""Small synthetic texts: a stand-in for every set of text, so that each recurrent network runs without a download.

Names follow the syllable rules of six invented peoples. Sentence pairs come from a small grammar of French and English; its
English sentences in a row make running text. Reviews praise or blame, now and then by a negation.
"""

from pathlib import Path

import numpy as np

from jaxnets.data import corpora, imdb, names, pairs, text
from jaxnets.data.dataset_builder import DatasetBuilder
from jaxnets.data.progress import Report, silent
from jaxnets.data.store import Prepared

_SYLLABLES = {  # People: first, middle and last syllables of their names.
    "Arvan": ("Ar Va Ke To Ra", "na ri ka lo ta", "van dor kan"),
    "Belmi": ("Be Li Mi Fe", "li mi ne la", "lla ni mi"),
    "Cordo": ("Cor Del San Mar", "do ra ri ve", "dez rez go"),
    "Droth": ("Dro Grim Thor Bal", "ga thu dra", "th rk mund"),
    "Esuki": ("E Su Ki Ha", "su ki ma no", "to ko mi"),
    "Florin": ("Flo Beau Cha Ro", "ri mon tai", "not eau lle"),
}

# (French, English): subjects with their form of "to be", then words for how, what and where they are.
_SUBJECTS = (
    ("je suis", "i am"), ("il est", "he is"), ("elle est", "she is"), ("tu es", "you are"), ("vous etes", "you are"),
    ("nous sommes", "we are"), ("ils sont", "they are"), ("elles sont", "they are"),
)  # fmt: skip
_FILLERS = (
    ("", ""),
    ("tres", "very"),
    ("un peu", "a little"),
    ("encore", "still"),
    ("toujours", "always"),
    ("jamais", "never"),
)
_QUALITIES = (
    ("triste", "sad"), ("calme", "calm"), ("jeune", "young"), ("riche", "rich"), ("libre", "free"), ("faible", "weak"),
    ("malade", "ill"), ("drole", "funny"), ("sage", "wise"), ("timide", "shy"), ("celebre", "famous"), ("honnete", "honest"),
)  # fmt: skip
_PLACES = (
    ("", ""), ("ici", "here"), ("dans la maison", "in the house"), ("au jardin", "in the garden"),
    ("a l ecole", "at school"),
    ("pres de la mer", "near the sea"), ("dans le train", "on the train"), ("avec nous", "with us"), ("ce soir", "tonight"),
)  # fmt: skip

_GOOD = "wonderful brilliant moving superb charming delightful clever beautiful".split()
_BAD = "awful boring dreadful clumsy tedious stupid lifeless terrible".split()
_NAMES, _REVIEWS = 3_000, 3_000
_THINGS = "story acting music ending dialogue camera script hero villain humour pace scenery".split()


def prepare_names(manual_dir: Path | None, report: Report = silent) -> Prepared:
    """Makes toy_names; neither argument is needed."""
    del manual_dir, report
    rng = np.random.default_rng(6)
    peoples = rng.choice(list(_SYLLABLES), _NAMES).tolist()
    return names.arrays([_name(rng, *_SYLLABLES[people]) for people in peoples], peoples)


def _name(rng: np.random.Generator, start: str, middle: str, end: str) -> str:
    syllables = [rng.choice(start.split()), *rng.choice(middle.split(), rng.integers(0, 3)), rng.choice(end.split())]
    return "".join(syllables)


def prepare_letters(manual_dir: Path | None, report: Report = silent) -> Prepared:
    """Makes toy_letters; neither argument is needed."""
    del manual_dir, report
    return corpora.arrays(corpora.by_characters(_story(2_400)), "letters")


def prepare_words(manual_dir: Path | None, report: Report = silent) -> Prepared:
    """Makes toy_words; neither argument is needed."""
    del manual_dir, report
    return corpora.arrays(corpora.by_characters(_story(12_000)), "plain_words")


def _story(sentences: int) -> str:
    return "\n".join(english for _, english in _sentences(sentences, seed=7))


def prepare_pairs(manual_dir: Path | None, report: Report = silent) -> Prepared:
    """Makes toy_pairs, which all differ; neither argument is needed."""
    del manual_dir, report
    distinct = {(pairs.normalize(french), pairs.normalize(english)) for french, english in _sentences(9_000, seed=8)}
    selected = sorted(pair for pair in distinct if pairs.is_selected(*pair))
    order = np.random.default_rng(9).permutation(len(selected))
    return pairs.arrays([selected[i] for i in order])


def _sentences(count: int, seed: int) -> list[tuple[str, str]]:
    """Random (French, English) sentences. The place depends a little on the quality, so that there is something to learn."""
    rng = np.random.default_rng(seed)
    sentences = []
    for _ in range(count):
        quality = rng.integers(len(_QUALITIES))
        place = (quality + rng.integers(4)) % len(_PLACES)
        parts = (
            _SUBJECTS[rng.integers(len(_SUBJECTS))],
            _FILLERS[rng.integers(len(_FILLERS))],
            _QUALITIES[quality],
            _PLACES[place],
        )
        french, english = (" ".join(part[side] for part in parts if part[side]) + "." for side in (0, 1))
        sentences.append((french, english))
    return sentences


def prepare_reviews(manual_dir: Path | None, report: Report = silent) -> Prepared:
    """Makes toy_reviews, of some twenty words each; neither argument is needed."""
    del manual_dir, report
    rng = np.random.default_rng(10)
    labels = rng.integers(0, 2, _REVIEWS).astype(np.int32)
    reviews = np.array([_review(rng, bool(label)) for label in labels], dtype=object)
    splits = text.random_split(len(labels), seed=11)
    columns = {split: {"review": reviews[i].tolist(), "label": labels[i]} for split, i in splits.items()}
    return imdb.arrays(columns, imdb.CLASS_NAMES)


def _review(rng: np.random.Generator, positive: bool) -> str:
    remarks = []
    for _ in range(rng.integers(4, 9)):
        # One remark in five goes against the rest; one in four says the opposite word with "not".
        praise = positive ^ (rng.random() < 0.2)
        negated = rng.random() < 0.25
        word = rng.choice(_GOOD if praise ^ negated else _BAD)
        remarks.append(f"the {rng.choice(_THINGS)} is {'not ' if negated else ''}{word}")
    return ", ".join(remarks) + "."


SETS = (
    DatasetBuilder(
        name="toy_names",
        description="3,000 names of six invented peoples",
        prepare=prepare_names,
        sizes=text.split_sizes(_NAMES),
        contents=names.contents(14, tuple(_SYLLABLES)),
    ),
    DatasetBuilder(
        name="toy_letters",
        description="2,400 sentences of a small grammar, by letters",
        prepare=prepare_letters,
        sizes={"train": 62_194, "validation": 3_455, "test": 3_456},
        contents=corpora.contents(24, "letters"),
    ),
    DatasetBuilder(
        name="toy_words",
        description="12,000 sentences of a small grammar, by words",
        prepare=prepare_words,
        sizes={"train": 76_266, "validation": 4_225, "test": 4_230},
        contents=corpora.contents(49, "plain_words"),
    ),
    DatasetBuilder(
        name="toy_reviews",
        description="3,000 short reviews of films that do not exist",
        prepare=prepare_reviews,
        sizes=text.split_sizes(_REVIEWS),
        contents=imdb.contents(29),
    ),
    DatasetBuilder(
        name="toy_pairs",
        description="2,224 pairs of French and English sentences",
        prepare=prepare_pairs,
        sizes=text.split_sizes(2_224),
        contents=pairs.contents(source_vocab_size=52, target_vocab_size=44),
    ),
)
