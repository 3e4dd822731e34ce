"""The CRDs say what the code reads."""

from pathlib import Path

import msgspec
import pytest
import yaml

from xds.model.kinds import KINDS

CRDS = sorted((Path(__file__).parents[2] / "deploy" / "crds").glob("*.yaml"))
CONSTRAINTS = ("minimum", "maximum", "minItems", "maxItems", "minLength", "maxLength")


def documents():
    return [pytest.param(yaml.safe_load(path.read_text()), id=path.stem) for path in CRDS]


def kind_of(crd):
    return KINDS[crd["spec"]["names"]["kind"]]


@pytest.mark.parametrize("crd", documents())
def test_the_schema_has_exactly_the_fields_that_we_read(crd):
    kind = kind_of(crd)
    assert crd["spec"]["group"] == kind.group
    assert tuple(version["name"] for version in crd["spec"]["versions"]) == kind.versions
    assert (crd["spec"]["scope"] == "Namespaced") is kind.namespaced
    (version,) = crd["spec"]["versions"]
    assert [*differences(version["schema"]["openAPIV3Schema"]["properties"]["spec"], spec_of(kind.struct), "spec")] == []


def spec_of(struct):
    """Return the JSON schema of a struct's `spec`, whose references are followed."""
    schema = msgspec.json.schema(struct)
    definitions = schema["$defs"]

    def followed(part):
        if "$ref" in part:
            return followed(definitions[part["$ref"].rpartition("/")[2]])
        if "anyOf" in part:
            return followed(next(one for one in part["anyOf"] if one != {"type": "null"}))
        result = dict(part)
        if "properties" in part:
            result["properties"] = {name: followed(one) for name, one in part["properties"].items()}
        if "items" in part:
            result["items"] = followed(part["items"])
        return result

    return followed(definitions[struct.__name__]["properties"]["spec"])


def differences(theirs, ours, path):
    """Yield where a schema for API servers knows other fields than ours, or lets through what ours does not."""
    for name in unlike(theirs, ours):
        yield f"{path}: {name}"
    fields, known = theirs.get("properties", {}), ours.get("properties", {})
    for name in fields.keys() ^ known.keys():
        yield f"{path}.{name}: unknown to one"
    for name in fields.keys() & known.keys():
        yield from differences(fields[name], known[name], f"{path}.{name}")
    if "items" in theirs:
        yield from differences(theirs["items"], ours["items"], f"{path}[]")


def unlike(theirs, ours):
    """Yield what of one field is not as ours; a CRD may be stricter, e.g. about empty names, which the code tells nothing has."""
    wanted = {name: ours[name] for name in ("type", *CONSTRAINTS) if name in ours}
    if "exclusiveMinimum" in ours:
        wanted |= {"minimum": ours["exclusiveMinimum"], "exclusiveMinimum": True}
    if "pattern" in ours:
        wanted["pattern"] = ours["pattern"].replace(r"\Z", "$")
    yield from (name for name, value in wanted.items() if theirs.get(name) != value)
    if set(theirs.get("enum", ())) != set(ours.get("enum", ())):
        yield "enum"
    if not set(theirs.get("required", ())) >= set(ours.get("required", ())):
        yield "required"


def test_there_is_a_crd_for_each_kind_of_our_own():
    own = {name for name, kind in KINDS.items() if kind.group == "traffic.isthmus.dev"}
    assert {yaml.safe_load(path.read_text())["spec"]["names"]["kind"] for path in CRDS} == own
