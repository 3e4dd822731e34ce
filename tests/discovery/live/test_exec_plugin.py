"""Programs that give credentials: what they are told, what they may answer, and how they fail."""

from __future__ import annotations

import base64
import json
import sys

import pytest

from xds.discovery.live import exec_plugin as module
from xds.discovery.live.api_server import ApiServer
from xds.discovery.live.exec_plugin import run_plugin
from xds.errors import ConfigurationError

VERSION = "client.authentication.k8s.io/v1"
TOLD = "import json, os, sys; told = json.loads(os.environ['KUBERNETES_EXEC_INFO']); "
CLUSTER = {
    "server": "https://p1:6443",
    "tls-server-name": "p1",
    "certificate-authority": "ca.crt",
    "extensions": [{"name": "other", "extension": 1}, {"name": "client.authentication.k8s.io/exec", "extension": {"id": "p1"}}],
}


def plugin(code, **more):
    return {"apiVersion": VERSION, "command": sys.executable, "args": ["-c", code], **more}


def answering(expression, **more):
    """Return a plugin that answers with the value of an expression as its status."""
    answer = f"print(json.dumps({{'apiVersion': told['apiVersion'], 'kind': told['kind'], 'status': {expression}}}))"
    return plugin(TOLD + answer, **more)


async def test_it_is_told_of_the_cluster_only_if_it_wants_that(tmp_path):
    (tmp_path / "ca.crt").write_text("PEM")
    asked = "{'token': json.dumps(told['spec'])}"
    assert json.loads((await run_plugin(answering(asked), CLUSTER, str(tmp_path)))["token"]) == {"interactive": False}
    found = await run_plugin(answering(asked, provideClusterInfo=True), CLUSTER, str(tmp_path))
    assert json.loads(found["token"])["cluster"] == {
        "server": "https://p1:6443",
        "tls-server-name": "p1",
        "certificate-authority-data": base64.b64encode(b"PEM").decode(),
        "config": {"id": "p1"},
    }


async def test_it_has_the_environment_that_is_said():
    given = answering("{'token': os.environ['ROLE'] + os.environ['PATH'][:1]}", env=[{"name": "ROLE", "value": "reader"}])
    assert await run_plugin(given, {}) == {"token": "reader/"}


async def test_it_may_give_a_certificate():
    given = answering("{'clientCertificateData': 'CERT', 'clientKeyData': 'KEY'}")
    data = {"client-certificate-data": b"CERT", "client-key-data": b"KEY"}
    assert await run_plugin(given, {}) == {key: base64.b64encode(text).decode() for key, text in data.items()}


async def test_a_relative_path_begins_where_the_kubeconfig_is(tmp_path):
    program = tmp_path / "bin" / "give"
    program.parent.mkdir()
    answer = json.dumps({"apiVersion": VERSION, "kind": "ExecCredential", "status": {"token": "t"}})
    program.write_text(f"#!/bin/sh\necho '{answer}'\n")
    program.chmod(0o755)
    assert await run_plugin({"apiVersion": VERSION, "command": "./bin/give"}, {}, str(tmp_path)) == {"token": "t"}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"command": "x"}, "command and apiVersion are needed"),
        ({"apiVersion": VERSION}, "command and apiVersion are needed"),
        ({"apiVersion": "v1", "command": "x"}, "command and apiVersion are needed"),
        ({"apiVersion": VERSION, "command": "no-such-plugin"}, "the plugin 'no-such-plugin' cannot be run"),
        (plugin("import sys; sys.exit('not today')"), "ends with 1: not today"),
        (plugin("print('hello')"), "answers something else than an ExecCredential"),
        (plugin('print(\'{"apiVersion": "v2", "kind": "ExecCredential", "status": {}}\')'), "ExecCredential of v2; asked"),
        (answering("{}"), "gives no credentials"),
        (answering("{'clientKeyData': 'KEY'}"), "gives no credentials"),
    ],
)
async def test_what_fails_is_told(given, message):
    with pytest.raises(ConfigurationError, match=message):
        await run_plugin(given, {})


async def test_one_that_does_not_answer_is_ended(monkeypatch, tmp_path):
    monkeypatch.setattr(module, "LIMIT_S", 0.5)
    trace = tmp_path / "trace"
    code = f"import time, pathlib; time.sleep(2); pathlib.Path({str(trace)!r}).write_text('late')"
    with pytest.raises(ConfigurationError, match="did not answer within"):
        await run_plugin(plugin(code), {})
    assert not trace.exists()


async def test_a_server_is_asked_with_what_the_plugin_gives(server):
    kubeconfig = {
        "clusters": [{"name": "c", "cluster": {"server": server.url}}],
        "users": [{"name": "u", "user": {"exec": answering(f"{{'token': {server.token!r}}}")}}],
        "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
    }
    api = await ApiServer.connect(kubeconfig, context="x")
    try:
        assert b"NamespaceList" in await api.get("/api/v1/namespaces")
    finally:
        await api.close()
