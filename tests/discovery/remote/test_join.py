"""Join and leave on fake API servers: what is made, what is left alone, and what the user is told when it does not work."""

import base64

import pytest
import yaml
from fake_api_server import FakeApiServer
from fake_objects import MEMBER_CLUSTER, serve_further

from xds.discovery.live.kubeconfig import Context
from xds.discovery.remote import join as module
from xds.discovery.remote.join import join, leave
from xds.discovery.remote.objects import MCS_WRITER, READER, Joining, granted_rights, hub_objects, member_objects, title
from xds.discovery.remote.target import Outcome, Place, RemoteError, cluster_of, current_context
from xds.errors import ConfigurationError

TOKEN = base64.b64encode(b"t0ken").decode()


@pytest.fixture
async def fleet(tmp_path):
    """A member whose controllers work, the hub, and how both are reached."""
    member, hub = await FakeApiServer().start(), await FakeApiServer().start()
    serve_further(member)
    serve_further(hub, MEMBER_CLUSTER)

    def fill():
        key = ("isthmus-system", "isthmus-member-token")
        found = member.store.objects("Secret").get(key)
        if found and "data" not in found:
            member.store.put(
                "Secret", key[1], key[0], labels=found["metadata"]["labels"], type=found["type"], data={"token": TOKEN}
            )

    member.store.listeners.append(fill)
    yield Fleet(member, hub, tmp_path)
    await member.stop()
    await hub.stop()


class Fleet:
    def __init__(self, member, hub, directory):
        self.member, self.hub, self.told = member, hub, {}
        file = member.kubeconfig(directory / "member.yaml", "east")
        self.member_place = Place("cluster east", Context("east", file, "east"))
        self.hub_place = Place("the hub", Context("", hub.kubeconfig(directory / "hub.yaml", "hub"), "hub"))

    async def join(self, *, to_hub=True, is_dry=False, server="", **options):
        self.told = {}
        joining = Joining("east", **options)
        hub = self.hub_place if to_hub else None
        return await join(joining, self.member_place, hub, self.tell, is_dry=is_dry, server=server)

    async def leave(self, **options):
        self.told = {}
        return await leave(Joining("east", mcs=True), self.member_place, self.hub_place, self.tell, **options)

    def tell(self, where, what, outcome):
        self.told[where, what] = outcome

    def writes(self):
        return len(self.member.store._log) + len(self.hub.store._log)


def secret(server, name, namespace="isthmus-system"):
    return server.store.objects("Secret")[namespace, name]


async def test_what_a_join_makes_and_a_leave_deletes(fleet):
    done = await fleet.join(region="eu", zones=("a",), mcs=True)
    assert {*done.outcomes} == {Outcome.CREATED}
    kept = secret(fleet.hub, "cluster-east")
    assert kept["metadata"]["labels"]["traffic.isthmus.dev/cluster"] == "east"
    kubeconfig = yaml.safe_load(base64.b64decode(kept["data"]["kubeconfig"]))
    assert kubeconfig["users"][0]["user"] == {"token": "t0ken"}
    assert kubeconfig["clusters"][0]["cluster"] == {"server": fleet.member.url}
    member = fleet.hub.store.objects("MemberCluster")["", "east"]
    named = {"name": "cluster-east", "namespace": "isthmus-system"}
    assert member["spec"] == {"region": "eu", "zones": ["a"], "kubeconfigSecret": named}
    await fleet.leave()
    assert [kind for kind in fleet.member.store.resources if fleet.member.store.objects(kind)] == []
    assert {*fleet.hub.store.objects("Secret"), *fleet.hub.store.objects("MemberCluster")} == set()
    (namespace,) = fleet.hub.store.objects("Namespace").values()  # where other clusters are registered
    assert namespace["metadata"]["labels"] == {"app.kubernetes.io/name": "isthmus"}


async def test_a_second_join_changes_nothing(fleet):
    await fleet.join(region="eu")
    before = fleet.writes()
    done = await fleet.join(region="eu")
    assert {*done.outcomes} == {Outcome.UNCHANGED}
    assert fleet.writes() == before
    done = await fleet.join(region="us")
    assert [what for what, outcome in fleet.told.items() if outcome != "unchanged"] == [("the hub", "MemberCluster east")]


@pytest.mark.parametrize("joined_before", [False, True])
async def test_a_dry_run_touches_nothing(fleet, joined_before):
    if joined_before:
        await fleet.join()
    before = fleet.writes()
    await fleet.join(is_dry=True, region="eu")
    assert fleet.told["the hub", "MemberCluster east"] is Outcome.CREATED
    if joined_before:
        await fleet.leave(is_dry=True)
        assert fleet.told["cluster east", "ServiceAccount isthmus-system/isthmus-member"] is Outcome.DELETED
    assert fleet.writes() == before


async def test_a_cluster_that_the_hub_does_not_register_keeps_its_account(fleet):
    await fleet.join()
    before = fleet.writes()
    with pytest.raises(RemoteError, match="the hub registers no cluster wset; nothing was deleted"):
        await leave(Joining("wset", mcs=True), fleet.member_place, fleet.hub_place, fleet.tell)
    assert fleet.writes() == before
    await leave(Joining("wset", mcs=True), fleet.member_place, None, fleet.tell)
    assert fleet.told["cluster east", "ServiceAccount isthmus-system/isthmus-member"] is Outcome.DELETED


async def test_without_a_hub_the_secret_is_returned(fleet):
    done = await fleet.join(to_hub=False, server="https://east.example:6443")
    (_, made) = done.hub
    kubeconfig = yaml.safe_load(base64.b64decode(made["data"]["kubeconfig"]))
    assert kubeconfig["clusters"][0]["cluster"]["server"] == "https://east.example:6443"
    assert fleet.hub.requests == []


async def test_what_others_made_is_neither_claimed_nor_deleted(fleet):
    fleet.member.store.put("Namespace", "isthmus-system")
    fleet.member.store.put("ClusterRole", "isthmus-reader", rules=[])
    await fleet.join()
    assert fleet.told["cluster east", "ClusterRole isthmus-reader"] is Outcome.CHANGED
    assert fleet.told["cluster east", "Namespace isthmus-system"] is Outcome.UNCHANGED
    await fleet.leave()
    assert fleet.told["cluster east", "ClusterRole isthmus-reader"] is Outcome.FOREIGN
    assert fleet.told["cluster east", "Namespace isthmus-system"] is Outcome.FOREIGN


async def test_a_namespace_that_is_in_use_stays(fleet):
    await fleet.join()
    fleet.member.store.put("ConfigMap", "notes", "isthmus-system")
    await fleet.leave()
    assert fleet.told["cluster east", "Namespace isthmus-system"] is Outcome.IN_USE


async def test_a_hub_that_cannot_take_it_is_found_before_anything_is_made(fleet):
    del fleet.hub.store.resources["MemberCluster"]
    with pytest.raises(RemoteError, match=r"the hub knows no memberclusters; apply deploy/crds/memberclusters.yaml"):
        await fleet.join(region="eu")
    assert not fleet.member.store.objects("ServiceAccount")
    await fleet.hub.stop()
    with pytest.raises(RemoteError, match="the hub: cannot connect to"):
        await fleet.join()


async def test_rights_and_credentials(fleet, tmp_path):
    fleet.member.forbidden.add("ClusterRole")
    with pytest.raises(RemoteError, match=r"cluster east: ClusterRole isthmus-reader cannot be read: 403.*`get` clusterroles\."):
        await fleet.join()
    fleet.member.token = "other"
    with pytest.raises(RemoteError, match="credentials are not accepted"):
        await fleet.join()


async def test_a_token_that_never_comes(fleet, monkeypatch):
    fleet.member.store.listeners.pop()
    monkeypatch.setattr(module, "TOKEN_WAIT_S", 0.0)
    with pytest.raises(RemoteError, match="isthmus-member-token has no token after 0 s; see whether the controller manager runs"):
        await fleet.join()


def test_the_rights_are_those_of_the_manifests():
    rights = set(granted_rights((READER, MCS_WRITER)))
    assert ("discovery.k8s.io", "endpointslices", "", "watch", "") in rights
    assert ("multicluster.x-k8s.io", "serviceimports", "status", "patch", "") in rights
    assert ("coordination.k8s.io", "leases", "", "update", "isthmus-system") in rights


def test_another_namespace_still_gets_the_lease_where_it_is_asked_for():
    made = [title(item) for item in member_objects(Joining("east", "mesh", mcs=True))]
    assert made[:2] == ["Namespace mesh", "Namespace isthmus-system"]
    assert "RoleBinding isthmus-system/mesh-isthmus-mcs-lease" in made
    assert made[-1] == "Secret mesh/isthmus-member-token"


def test_without_a_place_there_is_no_member_cluster():
    assert [item["kind"] for item in hub_objects(Joining("east"), "")] == ["Namespace", "Secret"]


def test_a_file_with_certificates_is_read(tmp_path):
    server = FakeApiServer()
    server.port = 6443
    file = server.kubeconfig(tmp_path / "config", "east", **{"certificate-authority": "ca.pem"})
    with pytest.raises(ConfigurationError, match=r"cannot read ca.pem"):
        cluster_of(Context("", file, "east"))
    (tmp_path / "ca.pem").write_text("CA")
    assert cluster_of(Context("", file, "east"))["certificate-authority-data"] == base64.b64encode(b"CA").decode()
    with pytest.raises(ConfigurationError, match="no current context; choose one with --context; there are east"):
        current_context(file)
