import json
import os
import queue
import signal
import socket
import subprocess
import sys
import threading

import grpc
import pytest
import trustme

from xds.cli.demo.envoy import http_get
from xds.wire import CLUSTER, envoy

FREE = ("--xds-address", "127.0.0.1:0", "--admin-address", "127.0.0.1:0")


@pytest.fixture
def serve():
    """Start `xdsctl serve`; `line()` is the next line on stderr."""
    started = []

    def start(*arguments):
        command = [sys.executable, "-c", "from xds.cli.main import main; main(prog_name='xdsctl')", "serve", *map(str, arguments)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        lines = queue.Queue()
        reader = threading.Thread(target=lambda: [lines.put(line) for line in process.stderr])
        reader.start()
        process.line = lambda: lines.get(timeout=30)
        started.append((process, reader))
        return process

    yield start
    for process, reader in started:
        process.kill()
        process.wait(10)
        reader.join(10)
        process.stdout.close()
        process.stderr.close()


def until(process, word):
    """Read lines until one has the word."""
    while word not in (line := process.line()):
        pass
    return line


@pytest.mark.parametrize("name", [signal.SIGINT, signal.SIGTERM])
def test_serve_until_it_is_told_to_stop(serve, xdsctl, clusters, name):
    process = serve("--clusters", clusters, *FREE, "--log-format", "console")
    ready = until(process, "the admin API on")
    assert "1 cluster, 1 service, 0 problems" in process.line()
    assert "xdsctl bootstrap --node web-1 --cluster east --xds-address 127.0.0.1:" in process.line()
    address = ready.partition("the admin API on ")[2].partition(";")[0]
    assert f"xdsctl proxies --admin-address {address}" in process.line()
    status = json.loads(xdsctl("status", "-o", "json", "--admin-address", address).stdout)
    assert (status["ready"], status["members"], status["services"]) == (True, 1, 1)
    process.send_signal(name)
    assert process.wait(20) == 0
    assert process.stdout.read() == ""


def addresses_of(line):
    """Return the addresses of xDS and of the admin API in what `serve` says first."""
    xds, _, admin = line.partition("serving xDS on ")[2].partition(", the admin API on ")
    return xds, admin.partition(";")[0]


@pytest.fixture
def proxy():
    """Connect an xDS stream; it has its first answer, and `ended()` waits for its end."""
    channels = []

    def connect(address):
        channels.append(grpc.insecure_channel(address))
        requests = queue.Queue()
        method = "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources"
        call = channels[-1].stream_stream(method, request_serializer=envoy.DeltaDiscoveryRequest.SerializeToString)(
            iter(requests.get, None)
        )
        requests.put(envoy.DeltaDiscoveryRequest(type_url=CLUSTER, node={"id": "web-1"}))
        next(call)
        call.ended = lambda: (call.code(), call.details())
        return call

    yield connect
    for channel in channels:
        channel.close()


@pytest.mark.parametrize("log_format", ["console", "json"])
def test_sigterm_drains_the_streams_and_then_stops(serve, clusters, proxy, tmp_path, log_format):
    file = tmp_path / "isthmus.yaml"
    file.write_text("apiVersion: xds/v1\ndrain: {windowSeconds: 0.5}\n")
    process = serve("--config", file, "--clusters", clusters, *FREE, "--log-format", log_format)
    xds = addresses_of(until(process, "the admin API on"))[0] if log_format == "console" else ready(process)["xds_address"]
    call = proxy(xds)
    process.send_signal(signal.SIGTERM)
    if log_format == "console":
        assert until(process, "draining") == "draining 1 stream over 0.5 s; Ctrl-C stops at once\n"
    else:
        entry = json.loads(until(process, "draining"))
        assert (entry["event"], entry["streams"], entry["window_s"]) == ("draining", 1, 0.5)
    assert call.ended() == (grpc.StatusCode.UNAVAILABLE, "the control plane is shutting down; reconnect")
    assert process.wait(20) == 0


@pytest.mark.parametrize("second", [signal.SIGINT, signal.SIGTERM])
def test_while_it_drains_it_is_not_ready_and_a_second_signal_stops_it_at_once(serve, clusters, proxy, tmp_path, second):
    file = tmp_path / "isthmus.yaml"
    file.write_text("apiVersion: xds/v1\ndrain: {windowSeconds: 3000}\n")
    process = serve("--config", file, "--clusters", clusters, *FREE, "--log-format", "console")
    xds, admin = addresses_of(until(process, "the admin API on"))
    call = proxy(xds)
    assert http_get(admin, "/readyz")[0] == 200
    process.send_signal(signal.SIGTERM)
    until(process, "draining 1 stream over 3000 s")
    status, body = http_get(admin, "/readyz")
    assert (status, "draining, the proxies are sent to other replicas" in body) == (503, True)
    process.send_signal(second)
    assert process.wait(20) == 0
    assert call.ended() == (grpc.StatusCode.UNAVAILABLE, "the control plane is shutting down; reconnect")


def test_ctrl_c_stops_at_once(serve, clusters, proxy, tmp_path):
    file = tmp_path / "isthmus.yaml"
    file.write_text("apiVersion: xds/v1\ndrain: {windowSeconds: 3000}\n")
    process = serve("--config", file, "--clusters", clusters, *FREE, "--log-format", "console")
    call = proxy(addresses_of(until(process, "the admin API on"))[0])
    process.send_signal(signal.SIGINT)
    assert process.wait(20) == 0
    assert call.ended()[0] is grpc.StatusCode.UNAVAILABLE


@pytest.mark.parametrize("client_ca", [False, True])
def test_with_tls_it_says_what_a_bootstrap_needs(serve, clusters, tmp_path, client_ca):
    ca = trustme.CA()
    ca.cert_pem.write_to_path(tmp_path / "ca.pem")
    ca.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(tmp_path / "both.pem")
    tls = ("--xds-tls-cert", tmp_path / "both.pem", "--xds-tls-key", tmp_path / "both.pem")
    tls += ("--xds-client-ca", tmp_path / "ca.pem") if client_ca else ()
    process = serve("--clusters", clusters, *FREE, "--log-format", "console", *tls)
    line = until(process, "start an Envoy")
    wanted = " --xds-ca FILE" + (" --xds-cert FILE --xds-key FILE" if client_ca else "")
    assert f"{wanted} > envoy.yaml" in line


def ready(process):
    """Return the log entry that says that it serves."""
    while (entry := json.loads(process.line()))["event"] != "ready":
        pass
    return entry


def test_in_a_pod_the_log_is_json(serve, clusters):
    (clusters / "east" / "bad.yaml").write_text("kind: [")
    process = serve("--clusters", clusters, *FREE)
    entries = [json.loads(process.line())]
    while entries[-1]["event"] != "ready":
        entries.append(json.loads(process.line()))
    assert (entries[-1]["members"], entries[-1]["problems"], entries[-1]["level"]) == (1, 1, "info")
    assert any(entry["event"] == "problem" and entry["code"] == "XDS0101" for entry in entries)


def test_what_keeps_it_from_starting_is_one_sentence(serve, clusters):
    process = serve("--clusters", clusters / "nowhere", *FREE, "--log-level", "error")
    assert "nowhere: no such file or directory" in process.line()
    assert process.wait(20) == 65
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        for flag in ("--xds-address", "--admin-address", "--dns-address"):
            process = serve("--clusters", clusters, *FREE, flag, address, "--log-level", "error")
            assert f"on '{address}': another program listens there; stop it or choose another port with {flag}" in process.line()
            assert process.wait(20) == 1
        # What is certainly wrong is told first, and nothing is served before.
        process = serve("--clusters", clusters / "nowhere", *FREE, "--admin-address", address, "--log-level", "info")
        assert "nowhere: no such file or directory" in process.line()
        assert process.wait(20) == 65


def test_one_address_for_both_servers(xdsctl, clusters):
    both = ("--xds-address", "127.0.0.1:18123", "--admin-address", "localhost:18123")
    message = (
        "xDS and the admin API cannot both be served on '127.0.0.1:18123'; give one of them another port, with --xds-address"
    )
    assert message in xdsctl("serve", "--clusters", clusters, *both, exits=65).stderr
    both = ("--admin-address", "127.0.0.1:18123", "--dns-address", "127.0.0.1:18123")
    message = (
        "the admin API and DNS cannot both be served on '127.0.0.1:18123'; give one of them another port, with --admin-address"
    )
    assert f"{message} or --dns-address" in xdsctl("serve", "--clusters", clusters, *both, exits=65).stderr


def test_with_dns_it_says_for_whom_it_answers(serve, clusters):
    process = serve("--clusters", clusters, *FREE, "--dns-address", "127.0.0.1:0", "--log-format", "console")
    assert "answering clusterset.local for cluster east on 127.0.0.1:" in until(process, "clusterset.local")
    assert "1 cluster, 1 service, 0 problems" in process.line()
    process = serve("--clusters", clusters, *FREE, "--dns-address", "127.0.0.1:0", "--log-format", "json")
    entry = json.loads(until(process, '"ready"'))
    assert (entry["dns_cluster"], entry["dns_address"].partition(":")[0]) == ("east", "127.0.0.1")
    dns = ("--dns-address", "127.0.0.1:0", "--dns-cluster", "north")
    process = serve("--clusters", clusters, *FREE, *dns, "--log-level", "error")
    assert "there is no cluster 'north' to answer DNS for; known are east; mend --dns-cluster" in process.line()
    assert process.wait(20) == 65


def test_an_admin_api_that_others_can_reach_is_warned_of(serve, clusters):
    process = serve("--clusters", clusters, *FREE, "--admin-address", "0.0.0.0:0", "--log-format", "json")
    entry = json.loads(until(process, "the admin API has no authentication, and other machines can reach it"))
    assert (entry["level"], entry["address"].partition(":")[0]) == ("warning", "0.0.0.0")
    process = serve("--clusters", clusters, *FREE, "--log-format", "json")
    entries = [json.loads(process.line())]
    while entries[-1]["event"] != "ready":
        entries.append(json.loads(process.line()))
    assert [entry["level"] for entry in entries] == ["info"] * len(entries)


def test_the_file_and_the_environment_count(serve, clusters, tmp_path, monkeypatch):
    file = tmp_path / "isthmus.yaml"
    file.write_text("apiVersion: xds/v1\nclusters: clusters\nxdsAddress: 127.0.0.1:0\nlog: {format: console}\n")
    monkeypatch.setitem(os.environ, "XDS_ADMIN_ADDRESS", "127.0.0.1:0")
    assert "the admin API on 127.0.0.1:" in until(serve("--config", file), "serving xDS on")


def test_a_bad_file(xdsctl, tmp_path):
    file = tmp_path / "isthmus.yaml"
    file.write_text("apiVersion: xds/v1\nxdsAddresses: 127.0.0.1:0\n")
    assert (
        f"{file}:2: unknown key 'xdsAddresses'; did you mean 'xdsAddress'?" in xdsctl("serve", "--config", file, exits=65).stderr
    )
