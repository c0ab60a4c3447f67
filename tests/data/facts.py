"""What a set's file states about it, against the prepared set."""

import dataclasses

from jaxnets.data import catalog, store


def set_sizes(monkeypatch, name, **sizes):
    """Lets a set be as small as a test makes it."""
    monkeypatch.setitem(catalog.SETS, name, dataclasses.replace(catalog.get(name), sizes=sizes))


def check_facts(name):
    """Compares the prepared set with the facts in its file: everything but placeholders, which must be as many."""
    prepared, stated = store.load(name), catalog.get(name).element_spec()
    layout = lambda dataset: {
        (split, field): (array.dtype, array.shape)
        for split, fields in dataset.splits.items()
        for field, array in fields.items()
    }
    assert layout(stated) == layout(prepared)
    assert set(stated.meta) == set(prepared.meta) - {"format", "splits", "digest", "source", "files"}
    for key, value in stated.meta.items():
        placeholder = key in ("mean", "std") or "" in value
        assert len(value) == len(prepared.meta[key]), key
        assert placeholder or list(value) == list(prepared.meta[key]), key
    assert all(array.strides == (0,) * array.ndim for fields in stated.splits.values() for array in fields.values())
