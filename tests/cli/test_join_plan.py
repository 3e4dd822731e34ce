"""What `clusters join --dry-run -o yaml` prints, of which no cluster knows."""

import pytest
import yaml

KUBECONFIG = """\
apiVersion: v1
kind: Config
clusters: [{name: c, cluster: {server: "https://east.example:6443", certificate-authority-data: Q0E=}}]
users: [{name: u, user: {token: administrator}}]
contexts: [{name: east-admin, context: {cluster: c, user: u}}]
current-context: east-admin
"""


@pytest.fixture
def plan(tmp_path, xdsctl):
    """Return a function that gives the result of a join that is only planned."""
    file = tmp_path / "config"
    file.write_text(KUBECONFIG)
    return lambda *arguments, **options: xdsctl(
        *("clusters", "join", "east", "--kubeconfig", file, "--dry-run", "-o", "yaml", *arguments), **options
    )


def test_every_object_under_the_cluster_that_it_is_for(plan):
    result = plan("--mcs", "--region", "eu", "--zones", "eu-1,eu-2")
    there, _, registering = result.stdout.partition("# In the hub, wherever that is:\n")
    assert there.startswith("# In cluster east, context east-admin of ")
    kinds = [item["kind"] for item in yaml.safe_load_all(there) if item]
    assert kinds[0] == "Namespace"
    assert kinds[-1] == "Secret"
    assert {"ServiceAccount", "ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding"} < {*kinds}
    _, secret, member = yaml.safe_load_all(registering)
    assert secret["metadata"]["labels"]["traffic.isthmus.dev/cluster"] == "east"
    kubeconfig = yaml.safe_load(secret["stringData"]["kubeconfig"])
    assert kubeconfig["clusters"][0]["cluster"]["server"] == "https://east.example:6443"
    assert kubeconfig["users"][0]["user"] == {"token": "(made when the cluster is joined)"}
    assert member["spec"]["zones"] == ["eu-1", "eu-2"]


def test_no_credentials_of_the_administrator_are_printed(plan):
    result = plan()
    assert "administrator" not in result.stdout + result.stderr
    assert "nothing was asked or changed; there is no token yet" in result.stderr


def test_a_context_that_is_not_there(plan):
    assert "has no context 'east-admim'; did you mean 'east-admin'?" in plan("--context", "east-admim", exits=65).stderr


def test_another_server(plan):
    assert "server: https://10.0.0.1:6443" in plan("--server", "https://10.0.0.1:6443").stdout
