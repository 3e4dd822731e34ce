"""The CRDs say what the code reads."""

from pathlib import Path

import msgspec
import pytest
import yaml

from xds.model.kinds import KINDS

CRDS = sorted((Path(__file__).parents[2] / "deploy" / "crds").glob("*.yaml"))


@pytest.mark.parametrize("path", CRDS, ids=lambda path: path.stem)
def test_the_schema_has_exactly_the_fields_that_we_read(path):
    crd = yaml.safe_load(path.read_text())
    kind = KINDS[crd["spec"]["names"]["kind"]]
    assert crd["spec"]["group"] == kind.group
    assert tuple(version["name"] for version in crd["spec"]["versions"]) == kind.versions
    assert (crd["spec"]["scope"] == "Namespaced") is kind.namespaced
    spec = next(field.type for field in msgspec.structs.fields(kind.struct) if field.encode_name == "spec")
    ours = {field.encode_name for field in msgspec.structs.fields(spec)}
    schema = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    assert set(schema["properties"]["spec"]["properties"]) == ours


def test_there_is_a_crd_for_each_kind_of_our_own():
    own = {name for name, kind in KINDS.items() if kind.group == "traffic.isthmus.dev"}
    assert {yaml.safe_load(path.read_text())["spec"]["names"]["kind"] for path in CRDS} == own
