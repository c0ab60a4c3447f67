"""The draw of missing splits."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jaxnets.data.own import splits
from jaxnets.errors import UserError

GIVEN = [["train"], ["train", "test"], ["train", "validation"], ["train", "validation", "test"]]


@given(st.lists(st.integers(3, 60), min_size=2, max_size=5), st.sampled_from(GIVEN), st.randoms())
def test_a_draw_is_a_partition_with_a_tenth_of_each_class(sizes, present, random):
    labels = [label for label, size in enumerate(sizes) for _ in range(size)]
    random.shuffle(labels)
    labels, names = np.array(labels), [f"class {i}" for i in range(len(sizes))]
    drawn = splits.stratified("p", labels, names, present, "picture")
    assert list(drawn) == ["train", *splits.held_out(present)]
    assert sorted(np.concatenate(list(drawn.values())).tolist()) == list(range(len(labels)))
    for split in splits.held_out(present):
        assert np.bincount(labels[drawn[split]], minlength=len(sizes)).tolist() == [max(1, round(n / 10)) for n in sizes]
    assert (np.bincount(labels[drawn["train"]], minlength=len(sizes)) > 0).all()
    again = splits.stratified("p", labels, names, present, "picture")
    assert all((again[split] == indices).all() for split, indices in drawn.items())


def test_a_class_that_is_too_small_is_named():
    with pytest.raises(UserError, match="class 'b' has 1 picture to train on; it needs at least 2"):
        splits.stratified("p", np.array([0, 0, 0, 1]), ["a", "b"], ["train", "test"], "picture")
