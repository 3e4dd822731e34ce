"""The API server of our own pod."""

from __future__ import annotations

import pytest

from xds.discovery.live.access import FileAccess
from xds.discovery.live.in_cluster import InClusterAccess, hub_access
from xds.discovery.live.kubeconfig import user_of
from xds.errors import ConfigurationError

POD = {"KUBERNETES_SERVICE_HOST": "10.96.0.1", "KUBERNETES_SERVICE_PORT": "6443"}


@pytest.fixture
def account(tmp_path):
    (tmp_path / "token").write_text("first\n")
    (tmp_path / "ca.crt").write_text("roots")
    return tmp_path


async def test_the_service_account_of_the_pod(account):
    found = await InClusterAccess(POD, account).credentials()
    assert found.content["clusters"][0]["cluster"]["server"] == "https://10.96.0.1:6443"
    assert user_of(found.content, found.context) == {"token": "first"}


async def test_a_token_that_is_replaced_is_another_credential(account):
    access = InClusterAccess(POD, account)
    before = await access.credentials()
    assert (await access.credentials()).digest == before.digest
    (account / "token").write_text("second")
    assert (await access.credentials()).digest != before.digest


async def test_an_address_of_version_6(account):
    found = await InClusterAccess({"KUBERNETES_SERVICE_HOST": "fd00::1"}, account).credentials()
    assert found.content["clusters"][0]["cluster"]["server"] == "https://[fd00::1]:443"


async def test_what_is_no_pod_says_so(account):
    with pytest.raises(ConfigurationError, match="KUBERNETES_SERVICE_HOST is not set, so this is no pod"):
        await InClusterAccess({}, account).credentials()


async def test_a_pod_without_a_token_says_so(tmp_path):
    with pytest.raises(ConfigurationError, match="token: No such file or directory; set automountServiceAccountToken"):
        await InClusterAccess(POD, tmp_path).credentials()


def test_the_hub_is_a_kubeconfig_or_the_cluster_that_we_run_in(tmp_path):
    file = tmp_path / "kubeconfig"
    file.write_text("{kind: Config, current-context: hub, contexts: [{name: hub}]}")
    assert isinstance(hub_access(str(file), POD), FileAccess)
    assert hub_access("in-cluster", POD) == InClusterAccess(POD)
    assert hub_access(f"in-cluster:{tmp_path}", POD) == InClusterAccess(POD, tmp_path)
