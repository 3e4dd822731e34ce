"""Members from kubeconfigs, against fake API servers over real sockets and real time: waits are short."""

from __future__ import annotations

import pytest
import yaml

from xds.discovery.live import connection as connection_module
from xds.discovery.live import member as member_module
from xds.discovery.live import source as source_module
from xds.discovery.live.kubeconfig import chosen_contexts, read_kubeconfig, user_of
from xds.errors import ConfigurationError
from xds.model.events import Aliases, Delete, MemberState

CONNECTED, STALE = MemberState.CONNECTED, MemberState.STALE
WEB = ["10.1.0.1", "10.1.0.2"]


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """Look at files and ask again at once."""
    for module in (source_module, connection_module):
        monkeypatch.setattr(module, "LOOK_S", 0.05)
    monkeypatch.setattr(connection_module, "RENEW_S", 0.2)
    monkeypatch.setattr(member_module, "PULSE_S", 0.3)
    monkeypatch.setattr(member_module, "PATIENCE_S", 0.2)
    monkeypatch.setattr(member_module, "BACK_OFF_S", 0.3)


def edit(file, change):
    content = yaml.safe_load(file.read_text())
    change(content)
    scratch = file.with_name(".scratch")
    scratch.write_text(yaml.safe_dump(content))
    scratch.replace(file)


async def test_each_context_is_a_member(servers, live, tmp_path, put_endpoints):
    east, west = await servers(), await servers()
    put_endpoints(west.store, "web", "10.2.0.1")
    file = east.kubeconfig(tmp_path / "config", "east", others={"west": west})
    async with live(file) as fleet:
        await fleet.until_synced("east", "west")
        assert fleet.addresses("east") == WEB
        assert fleet.addresses("west") == ["10.2.0.1"]
        assert fleet.found() == {}
        assert "" in fleet.synced  # nobody else tells what is fleet-wide


async def test_two_names_of_one_cluster_are_one_member(servers, live, tmp_path, put_endpoints):
    east, west = await servers(), await servers()
    east.store.put("Namespace", "kube-system")
    file = east.kubeconfig(tmp_path / "config", "east", "again", others={"west": west})
    async with live(file) as fleet:
        await fleet.until_synced("east", "west")
        await fleet.until(lambda: fleet.state("again") is MemberState.LOST)
        assert {cluster for cluster, _ in fleet.objects} == {"east", "west"}
        await fleet.until(lambda: Aliases("east", frozenset(("again",))) in fleet.events)
        (problem,) = [one for one in fleet.problems if one.code == "XDS0309"]
        assert f"'again' (context again of {file}) is another name of cluster 'east' (context east of" in problem.message
        # Another cluster by now: it is a member of its own.
        north = await servers()
        put_endpoints(north.store, "web", "10.3.0.1")
        east.kubeconfig(file, "east", others={"west": west, "again": north})
        await fleet.until(lambda: fleet.addresses("again") == ["10.3.0.1"])
        assert fleet.events.count(Aliases("east", frozenset())) == 1
        assert fleet.addresses("east") == WEB


async def test_two_names_of_one_cluster_that_is_down_at_first_are_one_member(servers, live, tmp_path):
    east = await servers()
    east.store.put("Namespace", "kube-system")
    await east.stop()
    async with live(east.kubeconfig(tmp_path / "config", "east", "again")) as fleet:
        await fleet.until(lambda: fleet.state("east") is fleet.state("again") is STALE)
        await east.start()
        await fleet.until(lambda: fleet.state("again") is MemberState.LOST)
        await fleet.until_synced("east")
        assert {cluster for cluster, _ in fleet.objects} == {"east"}


async def test_chosen_contexts_alone(servers, live, tmp_path):
    east, west = await servers(), await servers()
    file = east.kubeconfig(tmp_path / "config", "east", others={"west": west})
    async with live(file, contexts=("west",), is_alone=False) as fleet:
        await fleet.until_synced("west")
        assert {cluster for cluster, _ in fleet.objects} == {"west"}
        assert fleet.synced == ["west"]
        assert east.requests == []


async def test_a_cluster_that_cannot_be_reached_does_not_keep_the_others_waiting(servers, live, tmp_path):
    east, west = await servers(), await servers()
    await west.stop()
    file = east.kubeconfig(tmp_path / "config", "east", others={"west": west})
    async with live(file) as fleet:
        await fleet.until_synced("east")
        await fleet.until(lambda: fleet.state("west") is STALE)
        problem = fleet.found()["XDS0301"]
        assert f"cannot connect to {west.url}" in problem.message
        await west.start()
        await fleet.until_synced("west")
        await fleet.until(lambda: fleet.found() == {})


async def test_new_credentials_take_over_and_nothing_is_lost(server, live, tmp_path, put_endpoints):
    file = server.kubeconfig(tmp_path / "config", "east")
    async with live(file) as fleet:
        await fleet.until_synced()
        server.token = "rotated"
        server.close_connections()
        server.kubeconfig(file, "east")
        put_endpoints(server.store, "web", "10.1.0.9")
        await fleet.until(lambda: fleet.addresses() == ["10.1.0.9"])
        await fleet.until(lambda: fleet.state() is CONNECTED and fleet.found() == {})
        assert not [event for event in fleet.events if isinstance(event, Delete)]


@pytest.mark.parametrize("how", ["token", "server", "context", "yaml", "gone", "certificate"])
async def test_a_bad_kubeconfig_leaves_the_connection_before_it_in_use(server, live, tmp_path, put_endpoints, how):
    file = server.kubeconfig(tmp_path / "config", "east")
    good = file.read_text()
    async with live(file) as fleet:
        await fleet.until_synced()
        match how:
            case "token":
                edit(file, lambda content: content["users"][0]["user"].update(token="wrong"))
            case "server":
                edit(file, lambda content: content["clusters"][0]["cluster"].update(server="http://127.0.0.1:1"))
            case "context":
                edit(file, lambda content: content["contexts"][0].update(name="other"))
            case "yaml":
                file.write_text("{")
            case "gone":
                file.unlink()
            case "certificate":
                edit(
                    file,
                    lambda content: content["clusters"][0]["cluster"].update(
                        {"server": server.url.replace("http", "https"), "certificate-authority": "/nowhere"}
                    ),
                )
        await fleet.until(lambda: "XDS0303" in fleet.found())
        problem = fleet.found()["XDS0303"]
        assert problem.hint == "what was connected before is still used"
        assert "\n" not in problem.message
        put_endpoints(server.store, "web", "10.1.0.9")
        await fleet.until(lambda: fleet.addresses() == ["10.1.0.9"])
        assert fleet.state() is CONNECTED
        file.write_text(good)
        await fleet.until(lambda: fleet.found() == {})


async def test_a_kubeconfig_that_cannot_be_used_keeps_nobody_waiting(servers, live, tmp_path):
    east, west = await servers(), await servers()
    file = east.kubeconfig(tmp_path / "config", "east", others={"west": west})
    good = file.read_text()
    edit(file, lambda content: content["contexts"][1]["context"].update(user="nobody"))
    async with live(file) as fleet:
        await fleet.until_synced("east")
        await fleet.until(lambda: fleet.state("west") is STALE)
        (problem,) = fleet.found().values()
        assert problem.code == "XDS0303"
        assert (
            problem.message
            == "the kubeconfig of cluster 'west': context 'west' has the user 'nobody', which is not among `users`"
        )
        file.write_text(good)
        await fleet.until_synced("west")
        await fleet.until(lambda: fleet.found() == {})


async def test_a_token_file_that_ends_with_a_newline(server, live, tmp_path):
    file = server.kubeconfig(tmp_path / "config", "east")
    (tmp_path / "token").write_text(f"{server.token}\n")
    edit(file, lambda content: content["users"][0].update(user={"tokenFile": "token"}))
    async with live(file) as fleet:
        await fleet.until_synced()


async def test_a_token_file_that_changes_is_read_again(server, live, tmp_path, put_endpoints):
    """As the tokens of service accounts do once an hour; the kubeconfig itself stays the same."""
    file = server.kubeconfig(tmp_path / "config", "east")
    (tmp_path / "token").write_text(server.token)
    edit(file, lambda content: content["users"][0].update(user={"tokenFile": "token"}))
    async with live(file) as fleet:
        await fleet.until_synced()
        (tmp_path / "token").write_text("rotated")
        server.token = "rotated"
        server.close_connections()
        put_endpoints(server.store, "web", "10.1.0.9")
        await fleet.until(lambda: fleet.addresses() == ["10.1.0.9"])
        await fleet.until(lambda: fleet.state() is CONNECTED and fleet.found() == {})


# Kubeconfigs without a server


BASE = {
    "kind": "Config",
    "clusters": [{"name": "c", "cluster": {"server": "https://h:6443"}}],
    "users": [{"name": "u", "user": {"token": "t"}}],
    "contexts": [{"name": "east", "context": {"cluster": "c", "user": "u"}}],
}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"{", "cannot be read: not YAML: "),
        (b"\xff\xfe\x00", "cannot be read: found UTF-16 text"),
        (b"kind: !!bool maybe", "cannot be read: 'maybe' does not fit its tag !!bool"),
        (b"kind: &all [*all]", "cannot be read: the alias *all stands inside what it refers to"),
        (b"kind: Pod", "is no kubeconfig: it lacks `kind: Config`"),
        (b"- a", "is no kubeconfig: it lacks `kind: Config`"),
        (b"", "is no kubeconfig: it lacks `kind: Config`"),
        (b"kind: Config\ncontexts: 7", "contexts must be a list of entries with names"),
        (b"kind: Config\nusers: [a]", "users must be a list of entries with names"),
    ],
)
def test_what_is_no_kubeconfig(tmp_path, text, message):
    file = tmp_path / "config"
    file.write_bytes(text)
    with pytest.raises(ConfigurationError) as caught:
        read_kubeconfig(file)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    assert str(file) in str(caught.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"contexts": [{"name": "west"}]}, "there is no context 'east'; there are west"),
        ({"clusters": []}, "context 'east' has the cluster 'c', which is not among `clusters`"),
        ({"clusters": [{"name": "c", "cluster": {}}]}, "cluster 'c' has the server ''; expected a URL"),
        (
            {"clusters": [{"name": "c", "cluster": {"server": "https://h:6443", "proxy-url": "socks5://h:1080"}}]},
            "cluster 'c' has the proxy-url 'socks5://h:1080'; expected a URL",
        ),
        ({"clusters": [{"name": "c", "cluster": {"server": "h:6443"}}]}, "cluster 'c' has the server 'h:6443'; expected a URL"),
        (
            {"clusters": [{"name": "c", "cluster": {"server": "https://h:x"}}]},
            "cluster 'c' has the server 'https://h:x'; expected a URL",
        ),
        ({"users": []}, "context 'east' has the user 'u', which is not among `users`"),
    ],
)
def test_a_context_that_is_not_complete(change, message):
    with pytest.raises(ConfigurationError) as caught:
        user_of(BASE | change, "east")
    assert str(caught.value).startswith(message)


def write(path, *names):
    path.write_text(yaml.safe_dump(BASE | {"contexts": [{**BASE["contexts"][0], "name": name} for name in names]}))
    return path


def test_two_contexts_of_one_name_are_refused(tmp_path):
    one, other = write(tmp_path / "one", "prod/east"), write(tmp_path / "other", "prod.east", "west")
    with pytest.raises(
        ConfigurationError, match=r"'prod.east' of .*other and 'prod/east' of .*one would both be cluster 'prod-east'"
    ):
        chosen_contexts([one, other], ())
    (chosen,) = chosen_contexts([one, other], ["west"])
    assert chosen.member == "west"


def test_a_context_that_no_file_has(tmp_path):
    with pytest.raises(ConfigurationError, match="no kubeconfig has a context 'esat'; did you mean 'east'"):
        chosen_contexts([write(tmp_path / "one", "east")], ["esat"])


def test_members_are_named_by_labels(tmp_path):
    name = "arn:aws:eks:eu-west-1:123456789012:cluster/a-very-long-cluster-name-of-production"
    (context,) = chosen_contexts([write(tmp_path / "one", name)], ())
    assert len(context.member) <= 63
    assert context.member.endswith("a-very-long-cluster-name-of-production")
    with pytest.raises(ConfigurationError, match="no cluster can be named after context"):
        chosen_contexts([write(tmp_path / "one", "///")], ())
