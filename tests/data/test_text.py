"""Normalization, tokens, vocabularies and padding."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jaxnets.data import corpora, imdb, pairs, text
from jaxnets.errors import UserError


def test_vocabulary_is_ordered_by_frequency_then_alphabet():
    made = text.vocabulary([["b", "a", "c", "c"], ["b", "d"]], first=("<x>",), min_count=1)
    assert made.tokens == ("<x>", "b", "c", "a", "d")
    assert text.vocabulary([["b", "a", "c", "c"], ["b"]], min_count=2).tokens == ("b", "c")
    assert text.vocabulary([["b", "a", "b"]], first=("<x>",), max_size=2).tokens == ("<x>", "b")


@given(st.lists(st.text(st.sampled_from("abcd"), min_size=1, max_size=3), min_size=1))
def test_encoding_and_decoding_are_inverse(tokens):
    made = text.vocabulary([tokens], first=(text.END,))
    numbers = made.encode(tokens, "here")
    assert made.decode([*numbers, 0, *numbers]) == tokens


def test_unknown_tokens():
    with pytest.raises(UserError, match="the line: 'q' not among the 1 known symbols"):
        text.Vocabulary(("a",)).encode("aq", "the line")
    assert text.Vocabulary((text.UNKNOWN, "a")).encode("aq", "the line") == [1, 0]


def test_names_are_reduced_to_the_alphabet():
    assert text.to_ascii("Ślusàrski") == "Slusarski"
    assert text.to_ascii("O'Néàl, Jr. жx") == "O'Neal, Jr. x"
    assert len(text.LETTERS) == 58


@pytest.mark.parametrize(
    ("written", "spelled"),
    [
        ("Łódź", "Lodz"),
        ("Bjørn Þór Weiß", "Bjorn THor Weiss"),
        ("Æsa, œuvre, Đặng", "AEsa, oeuvre, Dang"),
        ("ISPARTALI Işık", "ISPARTALI Isik"),
        ("O’Neil‑Smith\u00a0Jr.", "O'Neil-Smith Jr."),
        ("ﬁnd Ａb", "find Ab"),
        ("don´t", "don´t"),  # Whose accent on a space would part it.
        ("Кира и Éva", "Кира и Eva"),
    ],
)
def test_letters_without_an_accent_are_spelled_out(written, spelled):
    assert text.without_accents(text.spell_out(written)) == spelled
    assert text.other_letters(text.spell_out(written)) == "".join(c for c in spelled if "а" <= c.lower() <= "я")


@given(st.text(st.characters(max_codepoint=0x24F), max_size=20))
def test_no_cleaner_loses_a_letter_without_a_count(written):
    """What is neither ASCII by then nor an accent is among `other_letters`."""
    spelled = text.spell_out(written)
    kept = [c for c in text.without_accents(spelled) if c.isalpha() and c.isascii()]
    # A letter of these blocks is one letter, or a few by its spelling.
    assert len(kept) + len(text.other_letters(spelled)) >= sum(map(str.isalpha, written))
    assert text.spell_out(spelled) == spelled


@pytest.mark.parametrize(
    ("sentence", "wanted"),
    [
        ("Ça va ?", "ca va ?"),
        ("J'ai 17 ans!", "j ai ans !"),
        ("Il est là...", "il est la . . ."),
        ("Oui, «tout»", "oui tout "),  # The space left by the closing quotation mark counts as an empty token.
    ],
)
def test_sentences_as_the_report_normalizes_them(sentence, wanted):
    assert pairs.normalize(sentence) == wanted


def test_trimming_rule():
    assert pairs.is_selected("je suis la .", "i m here .")
    assert not pairs.is_selected("tu sais", "you know")
    assert not pairs.is_selected("a " * 9, "i m here .")  # nine spaces: ten tokens, the last one empty
    assert pairs.is_selected("a " * 8 + "a", "he is in")


def test_tokenizers():
    assert corpora.plain_words("To be,  or\nNot") == ["to", "be,", "or", text.END, "not", text.END]
    assert corpora.wiki_words(" \nThe <unk> ( x ) , 12th\n") == ["the", "<unk>", "(", "x", ")", ",", "12th", text.END]
    assert corpora.letters("a\nb") == ["a", "\n", "b"]


def test_only_line_feeds_end_a_line():
    assert corpora.plain_words("a\x0cb\u2028c\x85d\n\n") == ["a", "b", "c", "d", text.END, text.END]
    assert corpora.wiki_words("a\x0cb\u2028c\n\n") == ["a", "b", "c", text.END]


def test_reviews_lose_markup_and_stop_words():
    assert imdb.clean("It's <br />a GREAT, très-fine film, not bad!") == ["great", "tres", "fine", "film", "not", "bad"]


@given(st.sampled_from("don can won didn shouldn".split()), st.sampled_from(["'", "’", "´", "`", ";", "\x92"]))
def test_contracted_negations_stay(verb, apostrophe):
    assert imdb.clean(f"I {verb}{apostrophe}t LIKE it. They've seen Don's") == ["not", "like", "seen", "don"]


def test_only_tags_are_markup():
    assert imdb.clean("rated < 5 by me, yet > 3<br /><i>for</i> <a href='x'>all</a><!-- hidden --> 1<2") == ["rated", "yet"]
    assert imdb.clean("fewer < than you think > said a<b and c>d") == ["fewer", "think", "said", "b", "c"]


@given(st.lists(st.lists(st.integers(1, 9), max_size=6), min_size=1), st.integers(1, 4))
def test_padding(rows, length):
    padded, lengths = text.pad(rows, length, np.int32)
    for row, filled, n in zip(rows, padded, lengths, strict=True):
        assert n == min(len(row), length)
        assert filled.tolist() == row[:n] + [0] * (length - n)


def test_random_split_is_a_partition_and_always_the_same():
    parts = text.random_split(103, seed=1)
    assert sorted(np.concatenate(list(parts.values()))) == list(range(103))
    assert [len(part) for part in parts.values()] == [82, 11, 10]
    again = text.random_split(103, seed=1)
    assert all((again[split] == part).all() for split, part in parts.items())
