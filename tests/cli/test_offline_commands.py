import json

import pytest
from google.protobuf import json_format

from xds.wire import ENDPOINT, POOL, envoy

WEB = "web.shop.svc.cluster.local:80"
NODE = ("--node", "web-1", "--cluster", "east", "--region", "eu", "--zone", "eu-1", "--namespace", "shop")


def test_translate_shows_every_type(xdsctl, clusters):
    result = xdsctl("translate", "--clusters", clusters, *NODE)
    assert [tuple(line.split()[:2]) for line in result.stdout.splitlines()] == [
        ("TYPE", "NAME"),
        ("cds", WEB),
        ("eds", WEB),
        ("lds", "outbound"),
        ("rds", "outbound"),
    ]
    assert result.stderr == ""


def test_translate_prints_a_discovery_response(xdsctl, clusters):
    result = xdsctl("translate", "--clusters", clusters, *NODE, "--type", "eds", "-o", "json")
    response = json_format.ParseDict(json.loads(result.stdout), envoy.DiscoveryResponse(), descriptor_pool=POOL)
    assert response.type_url == ENDPOINT
    assignment = envoy.ClusterLoadAssignment.FromString(response.resources[0].value)
    assert assignment.endpoints[0].lb_endpoints[0].endpoint.address.socket_address.address == "10.1.0.1"


def test_translate_for_other_roles(xdsctl, clusters):
    proxyless = xdsctl("translate", "--clusters", clusters, *NODE, "--role", "proxyless", "--type", "lds", "--no-headers")
    assert proxyless.stdout.split()[1] == WEB
    gateway = xdsctl("translate", "--clusters", clusters, *NODE, "--role", "gateway", "-o", "json")
    assert json.loads(gateway.stdout) == []  # it has no Gateway to serve


def test_translate_says_what_it_assumed(xdsctl, clusters):
    (clusters / "east" / "bad.yaml").write_text("kind: [")
    result = xdsctl("translate", "--clusters", clusters, "--node", "x", "--cluster", "east")
    assert "XDS0502" in result.stderr
    assert "1 problem in the files" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--clusters", "nowhere", *NODE), "nowhere: no such file or directory"),
        (("--node", "x", "--cluster", "est"), "metadata.isthmus.cluster 'est' is not a member cluster"),
        ((*NODE, "--type", "cds", "--name", "web.shop.svc.cluster.local"), f"did you mean '{WEB}'?"),
    ],
)
def test_translate_bad_input(xdsctl, clusters, arguments, words):
    where = () if "--clusters" in arguments else ("--clusters", clusters)
    result = xdsctl("translate", *where, *arguments, exits=65)
    assert (result.stdout, words in result.stderr) == ("", True), result.stderr


def test_validate_is_content(xdsctl, clusters):
    result = xdsctl("validate", clusters)
    assert (result.stdout, result.stderr) == ("", "1 cluster, 1 service: no problems\n")


def test_validate_with_warnings_alone_is_content(xdsctl, clusters):
    service = "apiVersion: v1\nkind: Service\nmetadata: {name: none, namespace: shop}\nspec: {}\n"
    (clusters / "east" / "none.yaml").write_text(f"\n\n---\n{service}")
    result = xdsctl("validate", clusters)
    (line,) = result.stdout.splitlines()
    assert line.startswith(f"{clusters}/east/none.yaml:7: warning XDS0206 Service shop/none in east")
    assert "1 cluster, 2 services: 1 warning" in result.stderr


def test_validate_finds_errors_of_every_stage(xdsctl, clusters):
    (clusters / "east" / "bad.yaml").write_text(
        "apiVersion: v1\nkind: Service\nmetadata: {name: x, namespace: shop}\nspec: {ports: 3}\n"
    )
    export = "{apiVersion: multicluster.x-k8s.io/v1alpha1, kind: ServiceExport, metadata: {name: gone, namespace: shop}}\n"
    (clusters / "east" / "export.yaml").write_text(export)
    (clusters / "east" / "gateway.yaml").write_text(
        "apiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\nmetadata: {name: public, namespace: shop}\n"
        "spec: {listeners: [{name: http, port: 80, protocol: HTTP}]}\n---\n"
        "apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {name: web, namespace: shop}\n"
        "spec: {parentRefs: [{name: public}], rules: [{backendRefs: [{name: gone, port: 80}]}]}\n"
    )
    lines = xdsctl("validate", clusters, exits=79).stdout.splitlines()
    assert [line.removeprefix(f"{clusters}/east/").split(" ")[:3] for line in lines] == [
        ["bad.yaml:4:", "error", "XDS0102"],
        ["export.yaml:1:", "error", "XDS0204"],
        ["gateway.yaml:9:", "error", "XDS0401"],
    ]


def test_validate_may_be_strict(xdsctl, clusters, tmp_path):
    assert xdsctl("validate", "--strict", clusters).stdout == ""
    (clusters / "east" / "foreign.yaml").write_text("{apiVersion: apps/v1, kind: Deployment, metadata: {name: x}}\n")
    assert "info XDS0106" in xdsctl("validate", "--strict", clusters).stdout
    (tmp_path / "empty").mkdir()
    result = xdsctl("validate", "--strict", tmp_path / "empty", exits=79)
    assert ("warning XDS0111" in result.stdout, "0 clusters" in result.stderr) == (True, True)
    xdsctl("validate", tmp_path / "empty")


def test_validate_tells_errors_first(xdsctl, clusters):
    bare = "apiVersion: v1\nkind: Service\nmetadata: {name: none, namespace: shop}\nspec: {}\n"
    foreign = "{apiVersion: apps/v1, kind: Deployment, metadata: {name: x}}\n"
    (clusters / "east" / "a.yaml").write_text(f"{bare}---\n{foreign}")
    (clusters / "east" / "b.yaml").write_text("kind: [")
    found = [line.split()[:2] for line in xdsctl("validate", clusters, exits=79).stdout.splitlines()]
    assert [(place.rpartition("/")[2][0], severity) for place, severity in found] == [
        ("b", "error"),
        ("a", "warning"),
        ("a", "info"),
    ]


def test_validate_for_machines(xdsctl, clusters):
    (clusters / "east" / "bad.yaml").write_text("kind: [")
    found = json.loads(xdsctl("validate", clusters, "-o", "json", exits=79).stdout)
    assert found["kind"] == "ProblemList"
    assert found["items"][0]["code"] == "XDS0101"
    assert found["items"][0]["source"].startswith("east/bad.yaml:")


def test_validate_of_no_directory(xdsctl, clusters):
    assert "no such file" in xdsctl("validate", clusters / "nowhere", exits=65).stderr
    assert xdsctl("validate", clusters / "fleet.yaml", exits=65).stdout == ""
