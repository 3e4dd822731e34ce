"""JSON text -> plain values. A null member of an object is no member, as for the API server."""

from __future__ import annotations

import json
from typing import Any

from xds.discovery.document import Document, DocumentError, Parsed, first_twice


def json_documents(text: str) -> Parsed:
    """Parse a JSON file: one document, or none if it is empty or null.

    Raises:
        DocumentError: the text is not JSON, or nested too deeply.
    """
    if not text.strip():
        return Parsed()
    try:
        value = json.loads(text, object_pairs_hook=_json_object, parse_constant=_refuse_constant)
    except json.JSONDecodeError as error:
        raise DocumentError(f"not JSON: {error.msg} at column {error.colno}", line=error.lineno) from None
    except RecursionError:
        raise DocumentError("nested too deeply", code="XDS0104") from None
    except ValueError:
        raise DocumentError("found an integer of thousands of digits", hint="integers have at most 64 bits") from None
    if "\\ud" in text.lower():
        _refuse_lone_surrogates(value)
    return Parsed() if value is None else Parsed((Document(0, 1, value),))


def _json_object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise DocumentError(f"key {first_twice(key for key, _ in pairs)!r} appears twice in one object")
    return {key: value for key, value in pairs if value is not None} if None in found.values() else found


def _refuse_lone_surrogates(value: Any) -> None:
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise DocumentError("an escape such as \\ud800 is half a character", hint="write both halves, or the character") from None


def _refuse_constant(name: str) -> Any:
    raise DocumentError(f"{name} is not a JSON value")
