"""What each registry's objects, as users have them, make of a cluster, and what is wrong with those that cannot be used."""

from __future__ import annotations

import base64

import msgspec
import pytest
import yaml

from xds.discovery.registry import registry_objects as registry
from xds.discovery.registry.registrations import Hub, registered
from xds.model.objects import MemberCluster

KUBECONFIG = """
apiVersion: v1
kind: Config
clusters: [{name: c, cluster: {server: "https://10.0.0.1:6443", certificate-authority-data: Q0E=}}]
users: [{name: u, user: {token: secret}}]
contexts: [{name: x, context: {cluster: c, user: u}}]
current-context: x
"""


def b64(text):
    return base64.b64encode(text.encode()).decode()


def made(kind, text):
    return msgspec.convert(yaml.safe_load(text), kind)


def secret(name, data, namespace="istio-system", **labels):
    meta = {"name": name, "namespace": namespace, "labels": labels}
    return msgspec.convert({"apiVersion": "v1", "kind": "Secret", "metadata": meta, "data": data}, registry.Secret)


def reached(found):
    """Return (server, what the user has) of a registration."""
    content = found.kubeconfig
    return content["clusters"][0]["cluster"]["server"], content["users"][0]["user"]


def the_only(hub):
    result = registered(hub)
    assert result.problems == ()
    assert not result.needed
    (found,) = result.clusters.values()
    return found


def problem(hub):
    result = registered(hub)
    (found,) = result.problems
    assert found.code == "XDS0306"
    return found


KARMADA = """
apiVersion: cluster.karmada.io/v1alpha1
kind: Cluster
metadata: {name: m1}
spec:
  {id: u-1, syncMode: Push, apiEndpoint: "https://m1:6443", secretRef: {namespace: karmada-cluster, name: m1},
   provider: aws, region: r1, zones: [r1-a, r1-b]}
status: {conditions: [{type: Ready, status: "True"}]}
"""
FLOMESH = """
apiVersion: multicluster.flomesh.io/v1alpha1
kind: Cluster
metadata: {name: c1}
spec:
  {region: cn-east, zone: sh-a, group: default, gatewayHost: 10.0.0.1, gatewayPort: 8081, fsmNamespace: fsm-system,
   kubeconfig: ""}
"""
KUBEFED = """
apiVersion: core.kubefed.io/v1beta1
kind: KubeFedCluster
metadata: {name: k1, namespace: kube-federation-system}
spec: {apiEndpoint: "https://k1:6443", caBundle: Q0E=, secretRef: {name: k1-abc}}
status: {region: r2, zones: [r2-a]}
"""
PROFILE = """
apiVersion: multicluster.x-k8s.io/v1alpha1
kind: ClusterProfile
metadata: {name: p1, namespace: fleet}
spec: {displayName: p1, clusterManager: {name: ocm}}
status:
  accessProviders:
    - name: google
      cluster: {server: "https://p1:443", certificate-authority-data: Q0E=, certificate-authority: /etc/passwd}
  properties: [{name: topology.kubernetes.io/region, value: r3}]
"""
MEMBER = """
apiVersion: traffic.isthmus.dev/v1alpha1
kind: MemberCluster
metadata: {name: east}
spec: {region: r1, kubeconfigSecret: {namespace: isthmus-system, name: east}}
"""


def test_a_member_cluster_names_a_secret():
    member = made(MemberCluster, MEMBER)
    assert registered(Hub(members=[member])).needed == {("isthmus-system", "east")}
    kept = secret("east", {"kubeconfig": b64(KUBECONFIG)}, "isthmus-system")
    found = the_only(Hub(members=[member], secrets={("isthmus-system", "east"): kept}))
    assert (found.name, *reached(found)) == ("east", "https://10.0.0.1:6443", {"token": "secret"})


def test_a_member_cluster_without_credentials_registers_nothing():
    member = made(MemberCluster, MEMBER.replace(", kubeconfigSecret: {namespace: isthmus-system, name: east}", ""))
    assert registered(Hub(members=[member])).clusters == {}


def test_a_labelled_secret():
    labelled = secret("any", {"kubeconfig": b64(KUBECONFIG)}, **{"traffic.isthmus.dev/cluster": "west"})
    found = the_only(Hub(labelled=[labelled]))
    assert (found.name, str(found.origin)) == ("west", "Secret istio-system/any in the fleet")


def test_an_istio_remote_secret_has_a_cluster_under_each_key():
    labels = {"istio/multiCluster": "true"}
    both = secret("istio-remote-secret-c2", {"c2": b64(KUBECONFIG), "c3": b64(KUBECONFIG)}, **labels)
    assert sorted(registered(Hub(labelled=[both])).clusters) == ["c2", "c3"]
    half = secret("istio-remote-secret-c2", {"c2": b64(KUBECONFIG), "c3": b64("nonsense")}, **labels)
    assert sorted(registered(Hub(labelled=[half])).clusters) == ["c2"]
    assert problem(Hub(labelled=[half])).message == "data.c3: it is no kubeconfig: it has no contexts"


def test_karmada_with_a_secret_of_its_own():
    cluster = made(registry.KarmadaCluster, KARMADA)
    assert registered(Hub(karmada=[cluster])).needed == {("karmada-cluster", "m1")}
    kept = secret("m1", {"token": b64("t"), "caBundle": "Q0E="}, "karmada-cluster")
    found = the_only(Hub(karmada=[cluster], secrets={("karmada-cluster", "m1"): kept}))
    assert reached(found) == ("https://m1:6443", {"token": "t"})
    assert (found.region, found.zones) == ("r1", ("r1-a", "r1-b"))


@pytest.mark.parametrize(
    ("taints", "evicted"),
    [
        ("[]", ""),
        ("[{key: cluster.karmada.io/not-ready, effect: NoSchedule}]", ""),
        (
            "[{key: cluster.karmada.io/unreachable, effect: NoExecute}, {key: site, value: down, effect: NoExecute}]",
            "Karmada evicts what runs there (cluster.karmada.io/unreachable:NoExecute, site=down:NoExecute)",
        ),
    ],
)
def test_karmada_evicts_from_a_cluster(taints, evicted):
    text = KARMADA.replace("Push", "Pull").replace("provider: aws", f"taints: {taints}")
    (found,) = registered(Hub(karmada=[made(registry.KarmadaCluster, text)])).clusters.values()
    assert found.evicted == evicted


def test_that_karmada_takes_a_cluster_for_not_ready_is_told():
    text = KARMADA.replace("Push", "Pull").replace('"True"', '"False"')
    (told,) = registered(Hub(karmada=[made(registry.KarmadaCluster, text)])).problems
    assert (told.code, told.message) == ("XDS0312", "Karmada takes cluster 'm1' for not ready (False)")


def test_karmada_pull_goes_through_its_proxy():
    found = the_only(Hub(karmada=[made(registry.KarmadaCluster, KARMADA.replace("Push", "Pull"))]))
    assert found.kubeconfig is None
    assert found.path == "/apis/cluster.karmada.io/v1alpha1/clusters/m1/proxy"


@pytest.mark.parametrize("group", ["flomesh", "erie_canal"])
def test_flomesh_has_its_kubeconfig_inside(group):
    cluster = made(registry.FlomeshCluster, FLOMESH)
    with_credentials = msgspec.structs.replace(cluster, spec=msgspec.structs.replace(cluster.spec, kubeconfig=KUBECONFIG))
    found = the_only(Hub(**{group: [with_credentials]}))
    assert (found.region, found.zones) == ("cn-east", ("sh-a",))
    assert reached(found)[0] == "https://10.0.0.1:6443"
    assert problem(Hub(**{group: [cluster]})).message == "spec.kubeconfig is missing, so its API server cannot be reached"


@pytest.mark.parametrize("text", ["default", '""'])
def test_a_zone_that_flomesh_does_not_know_is_none(text):
    cluster = made(registry.FlomeshCluster, FLOMESH.replace("cn-east", text).replace("sh-a", text))
    with_credentials = msgspec.structs.replace(cluster, spec=msgspec.structs.replace(cluster.spec, kubeconfig=KUBECONFIG))
    found = the_only(Hub(flomesh=[with_credentials]))
    assert (found.region, found.zones) == ("", ())


def test_kubefed():
    cluster = made(registry.KubeFedCluster, KUBEFED)
    kept = secret("k1-abc", {"token": b64("t")}, "kube-federation-system")
    found = the_only(Hub(kubefed=[cluster], secrets={("kube-federation-system", "k1-abc"): kept}))
    assert reached(found) == ("https://k1:6443", {"token": "t"})
    assert (found.region, found.zones) == ("r2", ("r2-a",))


def test_a_cluster_profile_needs_a_plugin_of_ours():
    profile = made(registry.ClusterProfile, PROFILE)
    message = "no plugin is configured for its access providers (google); set registry.plugins"
    assert problem(Hub(profiles=[profile])).message == message
    plugin = {"apiVersion": "client.authentication.k8s.io/v1", "command": "gke-gcloud-auth-plugin"}
    found = the_only(Hub(profiles=[profile], plugins={"google": plugin}))
    assert reached(found) == ("https://p1:443", {"exec": {"provideClusterInfo": True, **plugin}})
    assert "certificate-authority" not in found.kubeconfig["clusters"][0]["cluster"]
    assert found.region == "r3"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("token: secret", "exec: {command: /bin/sh}", "it has `exec`"),
        ("token: secret", "tokenFile: /var/run/secrets/token", "it has `tokenFile`"),
        ("token: secret", "client-key: /etc/key", "it has `client-key`"),
        ("certificate-authority-data: Q0E=", "certificate-authority: /etc/passwd", "it has `certificate-authority`"),
        ('server: "https://10.0.0.1:6443", ', "", "its cluster 'c' has no `server`"),
        ("user: u}}", "user: nobody}}", "it has no entry 'nobody' in `users`"),
        ("current-context: x", "current-context: other", "it has no entry 'other' in `contexts`"),
        ("kind: Config", "kind: [", "it cannot be read: not YAML"),
        ("kind: Config", "kind: !!int x", "it cannot be read: 'x' does not fit its tag !!int"),
        ("token: secret", "7: secret", "it cannot be read: a key is 7 (int), not a string"),
        ("token: secret", "&user as: &all [*all]", "it cannot be read: the alias *all stands inside what it refers to"),
        ("{token: secret}", "secret", "`user` of entry 'u' in `users` is no mapping"),
    ],
)
def test_what_an_object_may_not_ask_of_us(old, new, message):
    """Whoever may write a Secret must not run programs as the control plane, or read its files."""
    assert old in KUBECONFIG
    labelled = secret("any", {"kubeconfig": b64(KUBECONFIG.replace(old, new))}, **{"traffic.isthmus.dev/cluster": "west"})
    assert problem(Hub(labelled=[labelled])).message.startswith(message)


def test_two_registries_of_one_name():
    labelled = secret("any", {"kubeconfig": b64(KUBECONFIG)}, **{"traffic.isthmus.dev/cluster": "m1"})
    karmada = made(registry.KarmadaCluster, KARMADA.replace("Push", "Pull"))
    hub = Hub(labelled=[labelled], karmada=[karmada])
    assert registered(hub).clusters["m1"].origin.kind == "Secret"
    assert problem(hub).message == (
        "cluster 'm1' is registered already, by Secret istio-system/any in the fleet; this registration is ignored"
    )


def test_credentials_that_are_missing():
    cluster = made(registry.KarmadaCluster, KARMADA)
    found = problem(Hub(karmada=[cluster], secrets={("karmada-cluster", "m1"): None}))
    assert found.message == "there is no Secret karmada-cluster/m1, which has its credentials"
    empty = secret("m1", {"caBundle": "Q0E="}, "karmada-cluster")
    found = problem(Hub(karmada=[cluster], secrets={("karmada-cluster", "m1"): empty}))
    assert found.message == "Secret karmada-cluster/m1 has no key 'token'; it has caBundle"
    broken = secret("m1", {"token": "!"}, "karmada-cluster")
    found = problem(Hub(karmada=[cluster], secrets={("karmada-cluster", "m1"): broken}))
    assert found.message == "data.token of Secret karmada-cluster/m1 is no base64"


def test_whose_credentials_are_missing_is_told_from_who_is_not_registered():
    karmada, flomesh = made(registry.KarmadaCluster, KARMADA), made(registry.FlomeshCluster, FLOMESH)
    ours = secret("any", {}, **{"traffic.isthmus.dev/cluster": "west"})
    istio = secret("istio-remote-secret-c2", {"c2": b64(KUBECONFIG), "c3": b64("nonsense")}, **{"istio/multiCluster": "true"})
    found = registered(
        Hub(karmada=[karmada], flomesh=[flomesh], labelled=[ours, istio], secrets={("karmada-cluster", "m1"): None})
    )
    assert set(found.clusters) == {"c2"}
    assert found.unusable == {
        ("m1", "Cluster m1 in the fleet"),
        ("c1", "Cluster c1 in the fleet"),
        ("west", "Secret istio-system/any in the fleet"),
        ("c3", "Secret istio-system/istio-remote-secret-c2 in the fleet"),
    }
    assert (found.needed, found.secrets) == (set(), {("karmada-cluster", "m1")})
    unread = registered(Hub(karmada=[karmada]))
    assert (unread.needed, unread.secrets, unread.unusable) == (
        {("karmada-cluster", "m1")},
        {("karmada-cluster", "m1")},
        {("m1", "Cluster m1 in the fleet")},
    )


def test_a_name_that_no_cluster_can_have():
    labelled = secret("any", {"kubeconfig": b64(KUBECONFIG)}, **{"traffic.isthmus.dev/cluster": "a.b"})
    assert problem(Hub(labelled=[labelled])).message.startswith("'a.b' is no name of a cluster")
