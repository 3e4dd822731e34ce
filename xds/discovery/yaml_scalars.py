"""What a YAML scalar means: what it means to kubectl (YAML 1.1 as sigs.k8s.io/yaml reads it).

So `no` is false, `0777` is 511, `1e3` is a number; a date is a string, and so is `12:30`.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any, Final

from xds.discovery.document import DocumentError


class Merge:
    """The key `<<`."""


MERGE: Final = Merge()
"""What a plain `<<` means."""
_WORDS: Final[dict[str, Any]] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("y", "Y", "yes", "Yes", "YES", "true", "True", "TRUE", "on", "On", "ON"), True),
    **dict.fromkeys(("n", "N", "no", "No", "NO", "false", "False", "FALSE", "off", "Off", "OFF"), False),
    **dict.fromkeys((".nan", ".NaN", ".NAN"), float("nan")),
    **dict.fromkeys((".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF"), float("inf")),
    **dict.fromkeys(("-.inf", "-.Inf", "-.INF"), float("-inf")),
    "<<": MERGE,
}
_INTEGER = re.compile(r"[-+]?(?:0[bB][01]+|0[xX][0-9a-fA-F]+|0[oO]?[0-7]+|[1-9][0-9]*|0)")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
YAML_TAG: Final = "tag:yaml.org,2002:"


@lru_cache(maxsize=16_384)
def plain_scalar(text: str) -> Any:
    """Return what a plain (unquoted, untagged) scalar means."""
    if text in _WORDS:
        return _WORDS[text]
    if text[0] not in "0123456789+-.":
        return text
    digits = text.replace("_", "")
    if _INTEGER.fullmatch(digits):
        return _integer(digits)
    return float(digits) if _FLOAT.fullmatch(digits) else text


def _integer(digits: str) -> int | float:
    sign = -1 if digits[0] == "-" else 1
    digits = digits.lstrip("+-").lower()
    base = {"0b": 2, "0x": 16, "0o": 8}.get(digits[:2], 8 if len(digits) > 1 and digits[0] == "0" else 10)
    if len(digits) > 100:  # no field holds it, and Python refuses to read thousands of digits
        return sign * float("inf")
    return sign * int(digits, base)


def quoted_scalar(event: Any) -> Any:
    """Return what a scalar means that is quoted, in block style, or has a tag.

    Raises:
        DocumentError: the tag is none of plain data, or does not fit the text.
    """
    if event.tag is None:
        return event.value
    tag = event.tag.removeprefix(YAML_TAG)
    if tag in ("!", "str", "binary", "timestamp"):
        return event.value
    line = event.start_mark.line + 1
    accepts: Any = {"int": int, "float": (int, float), "bool": bool, "null": type(None)}.get(tag)
    if accepts is None:
        raise unsupported_tag(event.tag, line)
    value = plain_scalar(event.value)
    if not isinstance(value, accepts):
        raise DocumentError(f"{event.value!r} does not fit its tag !!{tag}", line=line)
    return value


def unsupported_tag(tag: str, line: int) -> DocumentError:
    """Return the error of a tag outside plain data."""
    shown = f"!!{tag.removeprefix(YAML_TAG)}" if tag.startswith(YAML_TAG) else tag
    hint = "manifests are plain data: strings, numbers, booleans, lists and mappings"
    return DocumentError(f"the tag {shown} is not supported", line=line, hint=hint)
