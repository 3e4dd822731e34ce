"""What is said to those who come from KubeFed, Karmada, Flomesh and Istio."""

import base64

import pytest
import yaml
from click.testing import CliRunner
from fake_api_server import FakeApiServer
from fake_objects import serve_further
from fake_store import Resource

from xds.cli.main import main
from xds.discovery.live.api_server import ApiServer
from xds.discovery.live.kubeconfig import read_kubeconfig
from xds.discovery.remote.differences import differences
from xds.discovery.remote.foreign import read_foreign
from xds.discovery.remote.migration import Move, moves, placement

BOTH = "placement: {clusters: [{name: east}, {name: west}]}"
REGIONS = {"east": {"region": "eu"}, "west": {"region": "us", "tier": "a"}}


def item(text):
    return yaml.safe_load(text)


def foreign(group, **kinds):
    return {(group, kind): [item(text) for text in texts] for kind, texts in kinds.items()}


@pytest.mark.parametrize(
    ("given", "clusters"),
    [
        ("{clusters: [{name: west}, {name: east}]}", ("east", "west")),
        ("{clusters: [], clusterSelector: {}}", ()),  # names win, even if there are none
        ("{clusterNames: [east]}", ("east",)),
        ("{clusterSelector: {}}", ("east", "west")),
        ("{clusterSelector: {matchLabels: {region: eu}}}", ("east",)),
        ("{clusterSelector: {matchExpressions: [{key: region, operator: In, values: [us]}]}}", ("west",)),
        ("{clusterSelector: {matchExpressions: [{key: region, operator: NotIn, values: [us]}]}}", ("east",)),
        ("{clusterSelector: {matchExpressions: [{key: tier, operator: Exists}]}}", ("west",)),
        ("{clusterSelector: {matchExpressions: [{key: tier, operator: DoesNotExist}]}}", ("east",)),
        ("{}", ()),
    ],
)
def test_where_kubefed_places(given, clusters):
    assert placement(item(given), REGIONS) == clusters


def test_a_selector_of_unknown_clusters_is_all_of_them():
    assert placement({"clusterSelector": {}}, {}) == ("*",)


def test_a_federated_service_needs_an_export_where_there_is_none():
    host = foreign(
        "types.kubefed.io",
        FederatedService=[f"{{metadata: {{name: web, namespace: shop}}, spec: {{{BOTH}, overrides: [{{}}]}}}}"],
    )
    east = foreign("multicluster.x-k8s.io", ServiceExport=["{metadata: {name: web, namespace: shop}}"])
    assert moves({"host": host, "east": east}) == [Move("KubeFed", "shop", "web", ("east", "west"), ("west",))]
    (told,) = differences([host, east])
    assert told.objects == "overrides in 1 object"


def test_a_service_is_nowhere_where_its_namespace_is_not():
    host = foreign(
        "types.kubefed.io",
        FederatedService=[
            "{metadata: {name: web, namespace: shop}, spec: {placement: {clusters: [{name: east}, {name: west}]}}}"
        ],
        FederatedNamespace=["{metadata: {name: shop, namespace: shop}, spec: {placement: {clusters: [{name: west}]}}}"],
    )
    assert moves({"host": host})[0].clusters == ("west",)
    assert [one.objects for one in differences([host])] == ["1 FederatedNamespace"]


def test_the_alpha_with_placements_apart_and_v1_with_annotations():
    alpha = foreign(
        "types.federation.k8s.io",
        FederatedService=["{metadata: {name: web, namespace: shop}, spec: {}}"],
        FederatedServicePlacement=["{metadata: {name: web, namespace: shop}, spec: {clusterNames: [east]}}"],
    )
    annotations = """{metadata: {name: pay, namespace: shop, annotations: {
        federation.kubernetes.io/service-ingresses: '{"items": [{"cluster": "c2"}, {"cluster": "c1"}]}',
        federation.alpha.kubernetes.io/cluster-selector: '[]'}}}"""
    first = foreign(
        "federation", Service=[annotations, "{metadata: {name: all, namespace: shop}}"], Cluster=["{metadata: {name: c1}}"]
    )
    found = {(one.system, one.name): one.clusters for one in moves({"alpha": alpha, "v1": first})}
    assert found == {("KubeFed", "web"): ("east",), ("KubeFed v1", "pay"): ("c1", "c2"), ("KubeFed v1", "all"): ("*",)}
    assert [one.objects for one in differences([alpha, first])] == ["1 Cluster", "cluster selector of 1 Service"]


def test_karmada_flomesh_and_istio():
    karmada = foreign(
        "networking.karmada.io",
        MultiClusterService=[
            "{metadata: {name: pay, namespace: shop}, spec: {providerClusters: [{name: m1}], consumerClusters: [{name: m3}]}}",
            "{metadata: {name: web, namespace: shop}, spec: {types: [CrossCluster]}}",
        ],
    )
    flomesh = foreign(
        "multicluster.flomesh.io",
        ServiceExport=["{metadata: {name: cart, namespace: shop}}"],
        GlobalTrafficPolicy=["{metadata: {name: cart, namespace: shop}}"],
    )
    istio = foreign("", Secret=["{metadata: {name: istio-remote-secret-c2, namespace: istio-system}, data: {c2: eA==}}"])
    found = {"karmada": karmada, "c1": flomesh, "istio": istio}
    assert {one.name: one.clusters for one in moves(found)} == {"pay": ("m1",), "web": ("*",), "cart": ("c1",)}
    told = {one.objects: one.instead for one in differences(found.values())}
    assert told["2 MultiClusterServices"].startswith("`serve --hub` reads them")
    assert {one.name: one.exports for one in moves(found)}["pay"] == (), "nothing is missing"
    assert told["1 GlobalTrafficPolicy"].startswith("obeyed as they are")
    assert told["remote secrets of c2"].startswith("`serve --hub` makes these clusters members")


def services(*texts):
    return foreign("", Service=[f"{{metadata: {{namespace: shop, {text}}}}}" for text in texts])


def test_istio_joins_services_of_one_name_for_a_rule():
    rules = foreign(
        "networking.istio.io",
        DestinationRule=[
            """{metadata: {name: pay, namespace: shop}, spec: {host: pay, subsets: [{name: v1}], trafficPolicy: {
                loadBalancer: {localityLbSetting: {failover: [{from: r1, to: r2}]}}, outlierDetection: {}}}}""",
            "{metadata: {name: web, namespace: shop}, spec: {host: web, trafficPolicy: {tls: {mode: DISABLE}}}}",
            "{metadata: {name: odd, namespace: shop}, spec: {host: 1}}",
        ],
    )
    exports = foreign("multicluster.x-k8s.io", ServiceExport=["{metadata: {name: pay, namespace: shop}}"])
    found = {"c2": services("name: pay", "name: web"), "c1": {**services("name: pay", "name: web"), **rules, **exports}}
    assert moves(found) == [Move("Istio", "shop", "pay", ("c1", "c2"), ("c2",))]
    told = {one.objects: one.instead for one in differences(found.values())}
    assert told.pop("3 DestinationRules").startswith("1 followed, for the clients of their cluster")
    assert told.pop("spec.subsets of 1 DestinationRule") == told.pop("spec.trafficPolicy.tls of 1 DestinationRule") == "none"
    ((field, text),) = told.items()
    assert field == "spec.trafficPolicy.outlierDetection.maxEjectionPercent of 1 DestinationRule"
    assert text.startswith("differs: is not given: Istio would eject at most 10 %")


def test_marks_of_cilium_linkerd_and_azure_fleet_are_places_of_services():
    marked = services(
        "name: pay, annotations: {service.cilium.io/global: 'true', service.cilium.io/affinity: local}",
        "name: web, annotations: {service.cilium.io/global: 'true', service.cilium.io/shared: 'false'}",
        "name: cart, labels: {mirror.linkerd.io/exported: 'true'}",
        "name: all, labels: {mirror.linkerd.io/federated: member}",
        "name: near, annotations: {networking.istio.io/traffic-distribution: PreferClose}",
    )
    weighed = "{metadata: {name: pay, namespace: shop, annotations: {networking.fleet.azure.com/weight: '3'}}}"
    fleet = foreign("networking.fleet.azure.com", ServiceExport=[weighed])
    found = {"c1": {**marked, **fleet}}
    assert [(one.system, one.name, one.exports) for one in moves(found)] == [
        ("Linkerd", "all", ("c1",)),
        ("Linkerd", "cart", ("c1",)),
        ("Azure Fleet", "pay", ()),
        ("Cilium", "pay", ()),
    ]
    told = {one.objects: one.instead for one in differences(found.values())}
    assert told["service.cilium.io/global of 2 Services"].startswith("followed")
    assert told["mirror.linkerd.io/exported of 1 Service"] == "NAME.NAMESPACE.svc.clusterset.local instead of NAME-CLUSTER"
    assert told["networking.fleet.azure.com/weight of 1 ServiceExport"] == "followed: what its cluster weighs"
    assert told["1 ServiceExport"].startswith("read as they are")
    assert len(told) == 8


@pytest.fixture
async def host():
    """The host of a KubeFed."""
    server = await FakeApiServer().start()
    serve_further(server)
    for kind, group, plural in (
        ("FederatedService", "types.kubefed.io", "federatedservices"),
        ("FederatedDeployment", "types.kubefed.io", "federateddeployments"),
        ("KubeFedCluster", "core.kubefed.io", "kubefedclusters"),
    ):
        server.store.resources[kind] = Resource(kind, group, "v1beta1", plural)
    server.store.put("FederatedService", "web", spec={"placement": {"clusters": [{"name": "east"}]}})
    server.store.put("FederatedDeployment", "web", spec={"placement": {"clusterSelector": {}}})
    server.store.put("KubeFedCluster", "east", "kube-federation-system")
    server.store.put(
        "Secret", "c2", "istio-system", labels={"istio/multiCluster": "true"}, data={"c2": base64.b64encode(b"x").decode()}
    )
    yield server
    await server.stop()


async def test_what_a_server_has_is_read(host, tmp_path):
    kubeconfig = read_kubeconfig(host.kubeconfig(tmp_path / "host", "host"))
    server = await ApiServer.connect(kubeconfig.content, context="host")
    try:
        found, refused = await read_foreign(server)
        assert refused == []
        assert [one.name for one in moves({"host": found})] == ["web"]
        assert [one.objects for one in differences([found])] == [
            "1 KubeFedCluster",
            "1 FederatedDeployment",
            "clusterSelector in 1 object",
            "remote secrets of c2",
        ]
        assert "/api/v1/secrets?labelSelector=istio/multiCluster%3Dtrue" in host.requests
        host.forbidden.add("FederatedService")
        found, refused = await read_foreign(server)
        assert moves({"host": found}) == []
        assert 'cannot list resource "federatedservices"' in refused[0]
    finally:
        await server.close()


def test_nothing_is_there_or_nobody_answers(tmp_path):
    server = FakeApiServer()
    server.port = 1
    result = CliRunner().invoke(main, ["analyze", "--kubeconfig", str(server.kubeconfig(tmp_path / "gone", "gone"))])
    assert result.exit_code == 1
    assert "gone: cannot connect to http://127.0.0.1:1" in result.stderr
