"""A table is a dictionary that nobody can change and everybody can have a changed copy of, cheaply."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xds.snapshot import table
from xds.snapshot.resource import Resource
from xds.snapshot.table import Table, set_version

NAMES = st.sampled_from("abcdefgh")
CHANGES = st.dictionaries(NAMES, st.none() | st.binary(max_size=2).map(lambda body: Resource.of("t", "n", body)))


@given(st.lists(CHANGES))
def test_it_equals_the_dictionary_that_had_the_same_changes(changes):
    made, model = Table(), {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(table, "MAX_CHANGES", 3)
        for change in changes:
            before, was = made, dict(model)
            made = made.changed(change)
            model = {name: found for name, found in (model | change).items() if found is not None}
            assert dict(made) == model
            assert made == model
            assert made.version == set_version(model.values()), "kept up to date as if made anew"
            assert len(made) == len(model)
            assert made.keys() == model.keys()
            assert [made.get(name) for name in "abcdefgh"] == [model.get(name) for name in "abcdefgh"]
            assert [name in made for name in "abcdefgh"] == [name in model for name in "abcdefgh"]
            assert dict(before) == was, "the table that was changed stays what it was"


def test_what_is_absent_is_a_key_error():
    made = Table({"a": Resource.of("t", "a", b"")}).changed({"a": None})
    with pytest.raises(KeyError):
        made["a"]
    assert made.get("a", "nothing") == "nothing"


def test_many_changes_become_a_base():
    made = Table()
    for number in range(table.MAX_CHANGES + 3):  # the first one is a base by itself
        made = made.changed({str(number): Resource.of("t", str(number), b"")})
    assert len(made._changes) == 1
    assert len(made) == table.MAX_CHANGES + 3


def test_what_was_made_for_all_of_a_table_goes_when_it_is_succeeded():
    table = Table({"a": Resource.of("t", "a", b"1")}).changed({"b": Resource.of("t", "b", b"1")})
    assert table.plain == {"a": table["a"], "b": table["b"]}
    assert table.plain is table.plain
    table.changed({"a": None})
    assert table._plain is None
    assert table.plain == {"a": table["a"], "b": table["b"]}
