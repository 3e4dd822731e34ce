import json
import signal
import socket
import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
import yaml
from fake_plane import EAST, NOW_S, PRIVATE_KEY, WEB, WEST, report_loads, stream
from google.protobuf import json_format
from msgspec import structs

from xds.cli.client import TRIES, Client
from xds.cli.output import age, duration
from xds.cli.problems import print_problem
from xds.errors import XdsError
from xds.problems import Problem
from xds.protocol import State, TypeStatus
from xds.quarantine import Suspect
from xds.wire import CLUSTER, LISTENER, POOL, envoy


def lines(result):
    return [line.split() for line in result.stdout.splitlines()]


def test_who_is_told_to_ask_again_later_does(monkeypatch):
    pauses = []
    monkeypatch.setattr("xds.cli.client.time.sleep", pauses.append)
    answers = [(503, b'{"error": "busy"}', 5)] * 3 + [(200, b"{}", 0)]
    client = Client("127.0.0.1:1")
    monkeypatch.setattr(client, "_ask", lambda *_: answers.pop(0))
    assert (client.get("/v1/simulate", body="{}"), pauses) == ({}, [5] * 3)
    answers += [(503, b'{"error": "busy"}', 5)] * TRIES
    with pytest.raises(XdsError, match="busy"):
        client.get("/v1/simulate", body="{}")
    assert (answers, len(pauses)) == ([], 3 + TRIES - 1)


def test_proxies_line_up(asked):
    result = asked("proxies")
    header, first, second, third = result.stdout.splitlines()
    assert header.split() == ["NAME", "CLUSTER", "LOCALITY", "ROLE", "KIND", "CDS", "EDS", "LDS", "RDS"]
    assert first.startswith("envoy-1   east      eu/eu-1    sidecar   ads delta   STALE (")
    assert "ERROR (" in second[header.index("LDS") :]
    assert second.index("SYNCED (") == header.index("CDS") == third.index("NOT SENT")
    assert "xdsctl nacks" in result.stderr


def test_proxies_never_asked_for_a_type(asked):
    _, first, second, _ = lines(asked("proxies"))
    assert first[-3:] == ["-", "-", "-"]
    assert second.count("-") == 2


def test_proxies_verbose_tells_all_of_each_stream(asked):
    first, second, third = asked("ps", "-v").stdout.split("\n\n")
    assert first.startswith("envoy-1\n  connected   ")
    assert "(2023-11-14T22:13:20Z) from ipv4:127.0.0.1:40000\n  runs in     east, eu/eu-1, as sidecar\n" in first
    assert f"  view        {EAST}\n" in first
    assert first.splitlines()[-1].split()[:2] == ["a.B", "SYNCED"]
    lds = second[second.index("  lds") :].splitlines()
    assert lds[0].split()[-5:] == ["b", "-", "0", "0", "1"]
    assert lds[1] == "  rejected, and not sent again until it differs:"
    assert lds[2].split() == ["TYPE", "NAME", "NODES", "SINCE", "OBJECT"]
    assert lds[3].endswith("   Service shop/web in east (7), ServiceExport shop/web in east")
    assert lds[4:] == ["      Listener outbound:", "      bad address"]
    assert third.startswith("gw\n")


def test_proxies_verbose_tells_of_a_rejection_that_is_over(asked, plane):
    lds = plane.open[0].types[LISTENER]
    lds.state, lds.acked_nonce = State.SYNCED, "2"
    plane.open[0] = stream("envoy-2", EAST, {LISTENER: lds})
    shown = asked("proxies", "envoy-2", "-v").stdout
    assert "ago (nothing any more):\n    Listener outbound:\n    bad address\n" in shown


def test_nacks_by_resource(asked, plane):
    types = plane.open[0].types
    plane.open.append(stream("envoy-3", EAST, types, rejections=[replace(plane.rejection, error="later", at_s=NOW_S + 9)]))
    result = asked("nacks")
    header, row, *said = result.stdout.splitlines()
    assert header.split() == ["TYPE", "NAME", "NODES", "SINCE", "OBJECT"]
    assert row.split()[:3] == ["lds", "outbound", "2"]
    assert row.endswith("   Service shop/web in east (7), ServiceExport shop/web in east")
    assert said == ["    Listener outbound:", "    bad address"]
    assert result.stderr == ""
    assert asked("nacks", "envoy-3", "--no-headers").stdout.splitlines()[1:] == ["    later"]


def test_nacks_of_nobody(asked, plane):
    assert asked("nacks", "envoy-1").stderr == "envoy-1 has rejected nothing that it was sent\n"
    assert asked("nacks", "envoy-9", exits=65).stderr.startswith("Error: no connected node 'envoy-9'; did you mean 'envoy-")
    plane.open = []
    assert asked("nacks").stderr == "no proxy rejects what it was sent\n"


def test_nacks_in_quarantine_and_unknown_culprits(asked, plane):
    bad = Suspect(plane.rejection.resource, "", NOW_S, {"envoy-7": None}, quarantined=True)
    searching = TypeStatus(State.STALE, NOW_S, nacked_nonce="1", nack_error="bad", nack_at_s=NOW_S)
    plane.suspects, plane.open = [(EAST, bad)], [stream("envoy-1", EAST, {CLUSTER: searching})]
    first, *more = asked("nacks", "--no-headers").stdout.splitlines()
    assert first.split()[:5] == ["cds", "(not", "known", "yet)", "1"]
    assert more[:2] == ["    bad", "    the text names no resource: parts of the response are sent again until it is found"]
    assert more[3:] == ["    (no text)", f"    in quarantine: the nodes of view {EAST} are given nothing instead"]


def test_nacks_for_machines(asked):
    found = json.loads(asked("nacks", "-o", "json").stdout)
    assert (found["kind"], [item["name"] for item in found["items"]]) == ("NackList", ["outbound"])
    assert yaml.safe_load(asked("nacks", "-o", "yaml").stdout) == found


def test_nacks_are_watched_until_interrupted(asked, monkeypatch):
    sleeps = iter([lambda: None, lambda: signal.raise_signal(signal.SIGINT)])
    monkeypatch.setattr("xds.cli.nacks.time.sleep", lambda _: next(sleeps)())
    assert asked("nacks", "-w", exits=130).stdout.count("outbound ") == 2


def test_proxies_are_watched_until_interrupted(asked, plane, monkeypatch):
    sleeps = iter([plane.open.pop, lambda: signal.raise_signal(signal.SIGINT)])
    monkeypatch.setattr("xds.cli.proxies.time.sleep", lambda _: next(sleeps)())
    found = [row[0] for row in lines(asked("proxies", "-w", "--no-headers", exits=130))]
    assert found == ["envoy-1", "envoy-2", "gw", "envoy-1", "envoy-2"]


def test_proxies_of_one_node(asked):
    assert [row[0] for row in lines(asked("proxies", "gw", "--no-headers"))] == ["gw"]
    assert [item["node_id"] for item in json.loads(asked("proxies", "gw", "-o", "json").stdout)["items"]] == ["gw"]
    assert asked("proxies", "envoy", exits=65).stderr.startswith("Error: no node 'envoy' is connected; did you mean 'envoy-")


def test_proxies_for_machines(asked):
    found = json.loads(asked("proxies", "-o", "json").stdout)
    assert (found["apiVersion"], found["kind"]) == ("xdsctl/v1", "ProxyList")
    assert [item["node_id"] for item in found["items"]] == ["envoy-1", "envoy-2", "gw"]
    assert yaml.safe_load(asked("proxies", "-o", "yaml").stdout) == found


def test_nobody_connected(asked, plane):
    plane.open = []
    result = asked("proxies", "--no-headers")
    assert result.stdout == ""
    assert "xdsctl bootstrap" in result.stderr


def test_problems_errors_first(asked, plane):
    result = asked("problems")
    assert result.stdout.splitlines() == [
        "west/bad.yaml:9: error XDS0101: cannot be parsed",
        "east/web.yaml:3: warning XDS0206 Service shop/web in east spec.ports: has no ports (add a port)",
    ]
    assert result.stderr == "1 error, 1 warning\n"
    assert asked("problems", "--severity", "warning").stdout.startswith("east/web.yaml:3: warning")
    found = json.loads(asked("problems", "--severity", "info", "--severity", "error", "-o", "json").stdout)
    assert [item["code"] for item in found["items"]] == ["XDS0101"]
    plane.found = [Problem("XDS0502", "missing"), Problem("XDS0502", "a\nb")]
    result = asked("problems")
    assert (result.stdout, result.stderr) == ("info XDS0502: missing\ninfo XDS0502: a b\n", "2 info\n")
    plane.found = []
    result = asked("problems")
    assert (result.stdout, result.stderr) == ("", "no problems\n")


def test_problems_fit_the_terminal(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "60")
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    item = {
        "severity": "error",
        "code": "XDS0102",
        "field": "spec.ports[0].port",
        "message": "is no port " * 9,
        "hint": "use one",
    }
    print_problem(item, "east/errors.yaml:9")
    first, *more = capsys.readouterr().out.splitlines()
    assert first.startswith("east/errors.yaml:9: \x1b[31merror\x1b[0m XDS0102 spec.ports[0].port: is")
    assert all(line.startswith("    ") and len(line) <= 60 for line in more)
    assert more[-1].endswith("(use one)")


HOSTILE = "\x1b[31mred\x00\b\x9b2J\u202e\u2028\rforged"
SHOWN = r"\x1b[31mred\x00\x08\x9b2J\u202e\u2028\rforged"


def test_what_a_client_says_cannot_steer_the_terminal(asked, plane):
    types = plane.open[0].types
    rejection = replace(plane.rejection, error=f"first\n{HOSTILE}")
    view = structs.replace(EAST, region=HOSTILE)
    plane.open[:] = [stream(f"n\n{HOSTILE}", view, types, rejections=[rejection])]
    for arguments in (["proxies"], ["proxies", "-v"]):
        result = asked(*arguments)
        assert rf"n\n{SHOWN}" in result.stdout
        assert [line for line in result.stdout.splitlines() if not line.replace("\n", "").isprintable()] == []
    assert asked("proxies", "--no-headers").stdout.count("\n") == 1
    assert "\x1b" not in asked("proxies", "nobody", exits=65).stderr
    said = asked("nacks", "--no-headers").stdout.split("\n")[1:]
    assert said[:2] == ["    first", r"    \x1b[31mred\x00\x08\x9b2J\u202e"]
    assert said[2:] == ["    ", "    forged", ""]


def test_json_has_what_a_client_says_as_it_is(asked, plane):
    plane.open[:] = [stream(HOSTILE, EAST, {})]
    assert json.loads(asked("proxies", "-o", "json").stdout)["items"][0]["node_id"] == HOSTILE


def test_a_problem_cannot_steer_the_terminal(capsys):
    message = f"node {HOSTILE}"
    print_problem({"severity": "error", "code": "XDS0503", "field": HOSTILE, "message": message, "hint": HOSTILE}, HOSTILE)
    shown = capsys.readouterr().out
    assert shown.startswith(f"{SHOWN}: error XDS0503 {SHOWN}: node ")
    assert shown.endswith(f" ({SHOWN})\n")
    assert shown.strip().isprintable()


def test_status_exits_with_one_when_degraded(asked, plane):
    result = asked("status", exits=1)
    assert "clusters   1 of 2 connected" in result.stdout
    assert "services   2 services (1 of single clusters, 1 of the cluster set), with 2 endpoints" in result.stdout
    assert "proxies    3 in 2 views, 1 rejecting" in result.stdout
    assert "problems   1 error, 1 warning" in result.stdout
    assert result.stderr == (
        "degraded: 1 cluster not connected (xdsctl clusters)\ndegraded: 1 proxy rejects something (xdsctl nacks)\n"
    )
    plane.members = {"east": plane.members["east"]}
    plane.open = []
    assert json.loads(asked("status", "-o", "json").stdout)["degraded"] is False
    plane.hub = "hub.yaml:main"
    assert "hub        hub.yaml:main\n" in asked("status").stdout
    plane.hub_failure = "cannot connect to https://hub:6443"
    result = asked("status", exits=1)
    assert "hub        hub.yaml:main, unreachable: cannot connect to https://hub:6443\n" in result.stdout
    assert result.stderr == "degraded: the hub is unreachable: cannot connect to https://hub:6443\n"
    plane.hub = plane.hub_failure = ""
    plane.not_ready = "the first reading of clusters"
    result = asked("status", exits=1)
    assert "no: waiting for the first reading" in result.stdout
    assert result.stderr == "degraded: not ready: the first reading of clusters\n"


def test_version_says_what_it_can(asked, xdsctl):
    assert lines(asked("version")) == [["xdsctl", "0.1.0"], ["control", "plane", "0.1.0"]]
    result = xdsctl("version", "-o", "json", "--admin-address", "127.0.0.1:1")
    assert json.loads(result.stdout)["server"] is None
    assert "no control plane answers" in result.stderr


def test_snapshot_list(asked, plane):
    result = asked("snapshot", "list")
    assert result.stdout.splitlines()[0].split()[:3] == ["VIEW", "VERSION", "AGE"]
    assert str(EAST) in result.stdout
    assert plane.versions()[-1] in result.stdout


@pytest.mark.parametrize("node", ["envoy-1", str(EAST)])
def test_snapshot_show(asked, node):
    result = asked("snapshot", "show", node)
    rows = lines(result)
    assert rows[0] == ["TYPE", "NAME", "VERSION", "FROM"]
    assert [row[0] for row in rows[1:]] == ["cds", "cds", "eds", "lds", "rds", "sds"]
    assert "Service shop/web in east" in result.stdout


def test_snapshot_show_prints_discovery_responses(asked):
    everything = json.loads(asked("snapshot", "show", "envoy-1", "-o", "json").stdout)
    parsed = [json_format.ParseDict(item, envoy.DiscoveryResponse(), descriptor_pool=POOL) for item in everything]
    assert [len(response.resources) for response in parsed] == [2, 1, 1, 1, 1]
    one = json.loads(asked("snapshot", "show", "envoy-1", "--type", "cds", "-o", "json").stdout)
    assert one == everything[0]
    assert one["type_url"] == CLUSTER
    assert one["resources"][1] == {"@type": CLUSTER, "name": WEB, "connect_timeout": "5s"}
    assert yaml.safe_load(asked("snapshot", "show", "envoy-1", "--type", "cds", "-o", "yaml").stdout) == one


def test_snapshot_show_selects(asked, plane):
    assert [row[1] for row in lines(asked("snapshot", "show", "gw", "--name", WEB, "--no-headers"))] == [WEB]
    old = asked("snapshot", "show", "envoy-1", "--version", plane.versions()[0], "--type", "cds", "--no-headers")
    assert [row[1] for row in lines(old)] == ["old", WEB]
    assert asked("snapshot", "show", f"{EAST}@{plane.versions()[0][:6]}", "--type", "cds", "--no-headers").stdout == old.stdout
    none = json.loads(asked("snapshot", "show", "gw", "--type", "sds", "-o", "json").stdout)
    assert none["resources"] == []


def test_secrets_show_their_names_only(asked):
    for arguments in (("show", "envoy-1", "-o", "yaml"), ("diff", "gw", "envoy-1")):
        text = asked("snapshot", *arguments, exits=int("diff" in arguments)).stdout
        assert "tls" in text
        assert PRIVATE_KEY.decode() not in text
        assert "tls_certificate" not in text


def test_snapshot_history(asked, plane):
    rows = lines(asked("snapshot", "history", "envoy-1", "--no-headers"))
    assert [row[0] for row in rows] == plane.versions()[::-1]
    assert rows[0][2:] == ["cds", "+1", "~1", "-1", "shop/web"]
    assert json.loads(asked("snapshot", "history", "gw", "-o", "json").stdout)["kind"] == "SnapshotHistory"


def test_snapshot_diff(asked, plane):
    old, new = plane.versions()
    result = asked("snapshot", "diff", f"envoy-1@{old}", "envoy-1", exits=1)
    assert f"--- envoy-1@{old}/cds/{WEB}\n+++ envoy-1/cds/{WEB}\n" in result.stdout
    assert "-connect_timeout: 1s\n+connect_timeout: 5s\n" in result.stdout
    assert "--- /dev/null\n+++ envoy-1/cds/new\n" in result.stdout
    assert "+++ /dev/null\n" in result.stdout
    assert asked("snapshot", "diff", f"{EAST}@{new}", "envoy-2").stdout == ""


def test_snapshot_diff_of_one_node_is_its_last_change(asked):
    assert "+connect_timeout: 5s" in asked("snapshot", "diff", "envoy-1", exits=1).stdout
    result = asked("snapshot", "diff", "gw")
    assert (result.stdout, result.stderr) == ("", "no earlier snapshot of gw is kept; nothing to compare\n")


def test_a_node_id_with_an_at_sign_is_not_a_version(asked, plane):
    plane.open = [type(info)("envoy@east", *[getattr(info, name) for name in info.__slots__[1:]]) for info in plane.open[:1]]
    assert asked("snapshot", "diff", "envoy@east", str(EAST)).stdout == ""


def test_names_that_do_not_exist(asked):
    result = asked("snapshot", "show", "envoy-9", exits=65)
    assert result.stdout == ""
    assert result.stderr.startswith("Error: no connected node or live view 'envoy-9'; did you mean 'envoy-")
    for arguments in (("diff", "gw@xyz", "gw"), ("show", "gw@xyz"), ("show", "gw", "--version", "xyz")):
        assert asked("snapshot", *arguments, exits=65).stderr == "Error: no version 'xyz'; see `xdsctl snapshot history gw`\n"


@pytest.mark.parametrize("command", ["proxies", "clusters", "problems", "status", "snapshot list", "snapshot show x"])
def test_nobody_answers(xdsctl, command):
    result = xdsctl(*command.split(), exits=2, env={"XDS_ADMIN_ADDRESS": "127.0.0.1:1"})
    assert result.stdout == ""
    (line,) = result.stderr.splitlines()
    assert "127.0.0.1:1 (Connection refused)" in line
    assert "xdsctl serve" in line


HTTP2_SETTINGS = b"\0\0\x06\x04\0\0\0\0\0\0\x04\0@\0\0"


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", "is not the admin API of a control plane; see --admin-address\n"),
        (HTTP2_SETTINGS, "that looks like the xDS port, and the admin API is usually on 19000; see --admin-address\n"),
        (b"\x1b[2J\r\n", "is not the admin API of a control plane; see --admin-address\n"),
        (b"", "no control plane answers at"),
    ],
)
def test_somebody_else_answers(xdsctl, answer, words):
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve():
            connection, _ = server.accept()
            with connection:
                connection.recv(1000)
                connection.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        result = xdsctl("proxies", "--admin-address", f"127.0.0.1:{server.getsockname()[1]}", exits=2)
        thread.join(10)
    assert words in result.stderr
    assert result.stderr.rstrip("\n").isprintable()


def test_a_failing_control_plane(asked, plane):
    plane.members = None
    assert "its log says why" in asked("clusters", exits=1).stderr


@pytest.mark.parametrize(
    ("duration_s", "text"),
    [(0, "0s"), (-3, "0s"), (59.9, "59s"), (60, "1m"), (250, "4m10s"), (1500, "25m"), (11_100, "3h5m"), (1_036_800, "12d")],
)
def test_durations(duration_s, text):
    assert duration(duration_s) == text


def test_ages():
    assert age("") == ""
    assert age((datetime.now(UTC) - timedelta(hours=12, minutes=5)).isoformat()) == "12h"


def test_loads(asked, plane):
    assert "no client has reported" in asked("loads").stderr
    report_loads(plane)
    header, *found = [line.split("   ") for line in asked("loads").stdout.splitlines()]
    assert [cell.strip() for cell in header if cell.strip()] == [
        *("VIEW", "SERVICE", "CLUSTER", "LOCALITY", "ISSUED", "OK", "ERRORS", "IN PROGRESS", "DROPPED", "REPORTED")
    ]
    rows = [[cell.strip() for cell in line if cell.strip()][:-1] for line in found]
    assert rows == [
        [str(WEST), WEB, "east", "eu/eu-1", "1", "1", "0", "0", "0"],
        [str(EAST), "api", "-", "-", "-", "-", "-", "-", "3"],
        [str(EAST), WEB, "east", "eu/eu-1", "10", "8", "1", "1", "0"],
    ]
    assert asked("loads", str(WEST), "--no-headers").stdout.splitlines()[0].split()[1] == WEB
    assert json.loads(asked("loads", "gw", "-o", "json").stdout)["kind"] == "LoadList"
    assert "no connected node" in asked("loads", "nobody", exits=65).stderr
