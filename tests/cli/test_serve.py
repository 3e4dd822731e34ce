import json
import os
import queue
import signal
import socket
import subprocess
import sys
import threading

import pytest

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
        for flag in ("--xds-address", "--admin-address"):
            process = serve("--clusters", clusters, *FREE, flag, address, "--log-level", "error")
            assert f"on '{address}': another program listens there" in process.line()
            assert process.wait(20) == 1


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
