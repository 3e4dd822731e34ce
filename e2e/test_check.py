"""What `xdsctl check` says of real clusters."""

import json

import pytest
from kubeconfigs import write_kubeconfig
from live_lab import run
from reader_access import role

from xds.cli.demo.lab import EAST

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def check(*arguments, exits):
    out, _ = await run("check", *arguments, "-o", "json", exits=exits)
    return {(item["cluster"], item["check"]): item for item in json.loads(out)["items"]}


async def test_healthy_clusters(clusters):
    files = [text for cluster in clusters.values() for text in ("--kubeconfig", cluster.kubeconfig)]
    found = await check(*files, "--mcs", exits=0)
    assert {item["result"] for item in found.values()} == {"ok"}
    assert {name for name, _ in found} == {"east", "west"}
    assert found["east", "identity"]["found"] != found["west", "identity"]["found"]
    assert "v1beta1: ServiceExport, ServiceImport" in found["east", "apis"]["found"]
    out, err = await run("check", *files)
    print(out, err)
    assert "2 clusters: everything is in place" in err


async def test_a_user_without_rights(clusters, kubeconfigs):
    east = clusters["east"].api
    await east.apply(role(without="services"))
    try:
        found = await check("--kubeconfig", kubeconfigs["east"], exits=1)
        out, _ = await run("check", "--kubeconfig", kubeconfigs["east"], exits=1)
        print(out)
    finally:
        await east.apply(role())
    assert found["east", "rights"]["result"] == "failed"
    assert "may not list, watch services" in found["east", "rights"]["found"]
    assert found["east", "credentials"]["result"] == "warning"  # its token lasts an hour
    assert found["east", "reachable"]["result"] == "ok"


async def test_credentials_that_are_no_good_and_a_cluster_that_hangs(clusters, tmp_path):
    east, west = clusters["east"], clusters["west"]
    file = write_kubeconfig(tmp_path / "east.yaml", EAST.name, server=east.api.url, authority=east.api.authority, token="nobody")
    west.pause()
    try:
        found = await check("--kubeconfig", file, "--kubeconfig", west.kubeconfig, "--timeout", 3, exits=1)
    finally:
        west.resume()
    assert found["east", "credentials"]["found"] == "the server refuses: 401: Unauthorized"
    assert found["west", "reachable"]["found"] == "no answer within 3 s"
