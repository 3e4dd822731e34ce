from __future__ import annotations

import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xds.discovery.document import DocumentError, text_of
from xds.discovery.json_documents import json_documents
from xds.discovery.lines import locate
from xds.discovery.yaml_documents import MAX_DEPTH, yaml_documents


def values(text: str) -> list:
    return [document.value for document in yaml_documents(text).documents]


def refusal(text: str) -> DocumentError:
    with pytest.raises(DocumentError) as caught:
        yaml_documents(text)
    return caught.value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("no", False),
        ("On", True),
        ("y", True),
        ("'no'", "no"),
        ('"80"', "80"),
        ("nope", "nope"),
        ("80", 80),
        ("-1", -1),
        ("+7", 7),
        ("0777", 0o777),
        ("0o17", 15),
        ("0x1F", 31),
        ("0b101", 5),
        ("1_000", 1000),
        ("0", 0),
        ("08", 8.0),
        ("1e3", 1000.0),
        ("1.5", 1.5),
        (".5", 0.5),
        ("12:30:45", "12:30:45"),
        ("10.0.0.1", "10.0.0.1"),
        ("2026-01-02", "2026-01-02"),
        ("2026-01-02T03:04:05Z", "2026-01-02T03:04:05Z"),
        ("--", "--"),
        ("!!str 80", "80"),
        ('!!int "80"', 80),
        ("!!float 3", 3),
        ("!!bool yes", True),
        ("<<", "<<"),
        ("|\n  text\n", "text\n"),
        ("=", "="),
        ("18446744073709551616", 2**64),
    ],
)
def test_a_scalar_means_what_it_means_to_kubectl(text, value):
    assert values(f"a: {text}") == [{"a": value}]
    assert type(values(f"a: {text}")[0]["a"]) is type(value)


def test_an_integer_of_thousands_of_digits_is_one_clear_error():
    assert "inf" in str(refusal(f"a: {'9' * 10_000}"))


def test_a_null_entry_is_no_entry():
    assert values("a: null\nb: ~\nc:\nd: [null, 1]") == [{"d": [None, 1]}]


@pytest.mark.parametrize("text", ["", "# nothing\n", "---\n---\nnull\n", "\n\n", "~"])
def test_a_text_without_documents(text):
    assert values(text) == []


def test_documents_know_their_index_and_line():
    documents = yaml_documents("# first\na: 1\n---\nnull\n---\n\nb: 2\n").documents
    assert [(document.index, document.line) for document in documents] == [(0, 2), (2, 7)]


def test_aliases_share_and_merge_keys_merge():
    assert values("a: &x {p: 1, q: 2}\nb: *x\nc: {<<: *x, q: 3}") == [
        {"a": {"p": 1, "q": 2}, "b": {"p": 1, "q": 2}, "c": {"p": 1, "q": 3}}
    ]
    assert values("d: {<<: [{a: 1}, {a: 2, b: 2}], c: 3}") == [{"d": {"a": 1, "b": 2, "c": 3}}]
    assert values("d: {<<: {a: 1, b: 2}, a: null}") == [{"d": {"b": 2}}]


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("a: 1\nb: 2\na: 3\n", 3, "the key 'a' appears twice in one mapping, first in line 1"),
        ("a:\n  b: [1, 2\n", 3, "not YAML"),
        ("a: b: c", 1, "mapping values are not allowed"),
        ("a:\n\t- b", 2, "cannot start any token"),
        ("a: 1\n7: x\n", 2, "a key is 7 (int), not a string"),
        ("on: x\n", 1, "a key is True (bool), not a string"),
        ("? [a]\n: x\n", 1, "a key is a mapping or a list, not a string"),
        ("a: 1\n\nb: .nan", 3, "nan is not a number that JSON has"),
        ("a: [1, -.inf]", 1, "-inf is not a number that JSON has"),
        ("a: !Ref b", 1, "the tag !Ref is not supported"),
        ("a: !!python/object:os.system b", 1, "the tag !!python/object:os.system is not supported"),
        ("a: !!set {x}", 1, "the tag !!set is not supported"),
        ("a: !!int x", 1, "'x' does not fit its tag !!int"),
        ("a: *x", 1, "the alias *x refers to no anchor before it"),
        ("a: &x [*x]", 1, "the alias *x stands inside what it refers to"),
        ("a: {<<: 3}", 1, "the value of << must be a mapping"),
        ("a: \x07", 0, "control characters are not allowed"),
    ],
)
def test_a_bad_text_is_one_clear_error(text, line, words):
    error = refusal(text)
    assert (error.code, error.line) == ("XDS0101", line)
    assert words in str(error)


def bomb(levels: int, width: int = 10) -> str:
    lines = ["a0: &a0 [" + ", ".join(["x"] * width) + "]"]
    lines += [f"a{n}: &a{n} [" + ", ".join([f"*a{n - 1}"] * width) + "]" for n in range(1, levels)]
    return "\n".join(lines)


def test_aliases_that_expand_to_billions_are_refused_at_once():
    started_s = time.process_time()
    assert refusal(bomb(levels=40)).code == "XDS0104"
    assert time.process_time() - started_s < 2


def test_what_aliases_add_is_counted_as_if_written_out():
    parsed = yaml_documents(bomb(levels=3, width=2))
    assert parsed.aliased_nodes == 2 * 3 + 2 * 7


def test_ten_megabytes_of_anchors_and_aliases_are_refused():
    text = "k: &k [" + "x, " * 100 + "x]\n" + "\n".join(f"k{n}: &k{n} [*k, *k]" for n in range(400_000))
    assert len(text) > 9_000_000
    assert refusal(text).code == "XDS0104"


@pytest.mark.parametrize("text", ["[" * 100_000, "{a: " * 5_000, "- " * 100_000 + "a"])
def test_deep_nesting_is_refused(text):
    error = refusal(text)
    assert (error.code, str(error)) == ("XDS0104", f"nested more than {MAX_DEPTH} levels deep")


def test_deep_nesting_through_aliases_is_refused():
    text = "a0: &a0 [x]\n" + "\n".join(f"a{n}: &a{n} [*a{n - 1}]" for n in range(1, 300))
    assert refusal(text).code == "XDS0104"


def test_nesting_below_the_limit_is_fine():
    assert values("[" * MAX_DEPTH + "]" * MAX_DEPTH)


def test_both_halves_of_an_escaped_character_are_one():
    assert json_documents('"\\ud83d\\ude00"').documents[0].value == "\U0001f600"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("a: 1".encode("utf-16"), "UTF-16 text"),
        (b"a: 1\nb: \xff\xfe", "byte 0xff"),
        (b"a\0b", "NUL byte"),
    ],
)
def test_only_utf_8_is_text(content, words):
    with pytest.raises(DocumentError, match=words) as caught:
        text_of(content)
    assert caught.value.hint == "save the file as UTF-8"


def test_a_byte_order_mark_is_left_out():
    assert text_of(b"\xef\xbb\xbfa: 1") == "a: 1"


@pytest.mark.parametrize(
    ("text", "code", "words"),
    [
        ('{"a": 1, "a": 2}', "XDS0101", "key 'a' appears twice"),
        ('{"a": NaN}', "XDS0101", "NaN is not a JSON value"),
        ('{"a": 1,\n "b" 2}', "XDS0101", "not JSON"),
        ("[" * 100_000, "XDS0104", "nested too deeply"),
        ('{"a": "\\ud800"}', "XDS0101", "half a character"),
        (f'{{"a": {"9" * 10_000}}}', "XDS0101", "thousands of digits"),
    ],
)
def test_bad_json_is_one_clear_error(text, code, words):
    with pytest.raises(DocumentError, match=words) as caught:
        json_documents(text)
    assert caught.value.code == code


def test_null_members_of_json_are_left_out():
    (document,) = json_documents('{"a": null, "b": [null, {"c": null}]}').documents
    assert document.value == {"b": [None, {}]}
    assert json_documents(" null ").documents == json_documents(" ").documents == ()


words = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=8)
plain = st.recursive(
    st.integers(-(2**70), 2**70) | st.booleans() | words | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(words, inner, max_size=4),
    max_leaves=20,
)


@given(plain)
def test_json_is_read_the_same_as_yaml(value):
    text = json.dumps({"v": value})
    assert values(text) == [document.value for document in json_documents(text).documents] == [{"v": value}]


def test_lines_are_found_through_lists_and_documents():
    text = "a: 1\n---\nb:\n  c:\n  - x: 1\n    y: 2\n  -\n    x: 3\n? d\n: {e: [1,\n 2]}\n"
    paths = {
        (0, "a"): 1,
        (1, "b"): 3,
        (1, "b", "c", 0, "y"): 6,
        (1, "b", "c", 1, "x"): 8,
        (1, "b", "c", 1, "missing"): 8,
        (1, "d", "e", 1): 11,
        (1, "gone", "away"): 3,
        (5,): 0,
    }
    assert locate(text, paths) == paths


def test_lines_of_json():
    assert locate('{"a": 1,\n "b": {\n  "c": [true,\n   {"d": 1}]}}', [(0, "b", "c", 1, "d")]) == {(0, "b", "c", 1, "d"): 4}
