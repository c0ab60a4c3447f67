"""Small texts made by this file alone: stand-ins for every set of text, so that each recurrent net runs without a download.

Names follow syllable rules of six invented peoples; sentences come from a small grammar in French and English at once;
stories string its English side together; reviews praise or blame, with a negation now and then.
"""

from pathlib import Path

import numpy as np

from jaxnets.data import corpora, imdb, names, pairs, text

_SYLLABLES = {  # (how a name begins, goes on, and ends)
    "Arvan": ("Ar Va Ke To Ra", "na ri ka lo ta", "van dor kan"),
    "Belmi": ("Be Li Mi Fe", "li mi ne la", "lla ni mi"),
    "Cordo": ("Cor Del San Mar", "do ra ri ve", "dez rez go"),
    "Droth": ("Dro Grim Thor Bal", "ga thu dra", "th rk mund"),
    "Esuki": ("E Su Ki Ha", "su ki ma no", "to ko mi"),
    "Florin": ("Flo Beau Cha Ro", "ri mon tai", "not eau lle"),
}

# (French, English): subjects with the form of "to be" that goes with them, then what they are and where.
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
_THINGS = "story acting music ending dialogue camera script hero villain humour pace scenery".split()


def prepare_names(manual_dir: Path | None) -> Path:
    """3,000 names of six invented peoples."""
    del manual_dir  # Nothing is read.
    rng = np.random.default_rng(6)
    peoples = rng.choice(list(_SYLLABLES), 3_000).tolist()
    return names.save("toy_names", [_name(rng, *_SYLLABLES[people]) for people in peoples], peoples)


def _name(rng: np.random.Generator, start: str, middle: str, end: str) -> str:
    syllables = [rng.choice(start.split()), *rng.choice(middle.split(), rng.integers(0, 3)), rng.choice(end.split())]
    return "".join(syllables)


def prepare_letters(manual_dir: Path | None) -> Path:
    """2,400 sentences by letters."""
    del manual_dir
    return corpora.save("toy_letters", corpora.by_characters(_story(2_400)), "letters")


def prepare_words(manual_dir: Path | None) -> Path:
    """12,000 sentences by words."""
    del manual_dir
    return corpora.save("toy_words", corpora.by_characters(_story(12_000)), "plain_words")


def _story(sentences: int) -> str:
    return "\n".join(english for _, english in _sentences(sentences, seed=7))


def prepare_pairs(manual_dir: Path | None) -> Path:
    """2,224 pairs of sentences, all different."""
    del manual_dir
    found = {(pairs.normalize(french), pairs.normalize(english)) for french, english in _sentences(9_000, seed=8)}
    kept = sorted(pair for pair in found if pairs.is_kept(*pair))
    chosen = np.random.default_rng(9).permutation(len(kept))
    return pairs.save("toy_pairs", [kept[i] for i in chosen])


def _sentences(count: int, seed: int) -> list[tuple[str, str]]:
    """(French, English) at random; what a sentence says of a place depends a little on what it says of its subject."""
    rng = np.random.default_rng(seed)
    made = []
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
        made.append((french, english))
    return made


def prepare_reviews(manual_dir: Path | None) -> Path:
    """3,000 reviews of some twenty words."""
    del manual_dir
    rng = np.random.default_rng(10)
    labels = rng.integers(0, 2, 3_000).astype(np.int32)
    reviews = np.array([_review(rng, bool(label)) for label in labels], dtype=object)
    chosen = text.random_split(len(labels), seed=11)
    return imdb.save("toy_reviews", {s: {"review": reviews[i], "label": labels[i]} for s, i in chosen.items()})


def _review(rng: np.random.Generator, positive: bool) -> str:
    remarks = []
    for _ in range(rng.integers(4, 9)):
        # One remark in five goes against the rest; one in four says the opposite word with "not".
        praise = positive ^ (rng.random() < 0.2)
        negated = rng.random() < 0.25
        word = rng.choice(_GOOD if praise ^ negated else _BAD)
        remarks.append(f"the {rng.choice(_THINGS)} is {'not ' if negated else ''}{word}")
    return ", ".join(remarks) + "."
