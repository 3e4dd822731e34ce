from pathlib import Path

import msgspec
import pytest

from xds.config import Config, MissingSettingError, environment_name, flag_name, load
from xds.errors import ConfigurationError


@pytest.fixture
def written(tmp_path):
    def write(text):
        path = tmp_path / "isthmus.yaml"
        path.write_text(text)
        return path

    return write


def test_defaults():
    config = load(None, {}, {"clusters": Path("fleet")})
    assert config == Config(clusters=Path("fleet"))
    assert (config.xds_address, config.admin_address) == ("127.0.0.1:18000", "127.0.0.1:19000")
    assert (config.quiet_s, config.max_delay_s, config.view_idle_s) == (0.05, 0.5, 60)


def test_later_layers_win(written):
    file = written(
        "apiVersion: xds/v1\nclusters: a\nxdsAddress: 127.0.0.1:1\nadminAddress: 127.0.0.1:2\n"
        "batch: {quietSeconds: 0.1, maxDelaySeconds: 2}\nviewIdleSeconds: 7\n"
    )
    environment = {"XDS_ADDRESS": "127.0.0.1:3", "XDS_ADMIN_ADDRESS": "127.0.0.1:4", "XDS_BATCH_MAX_DELAY_SECONDS": "3"}
    config = load(file, environment, {"adminAddress": "127.0.0.1:5", "xdsAddress": None})
    assert config.xds_address == "127.0.0.1:3"
    assert config.admin_address == "127.0.0.1:5"
    assert (config.quiet_s, config.max_delay_s, config.view_idle_s) == (0.1, 3, 7)


def test_a_directory_in_the_file_is_relative_to_the_file(written):
    file = written("apiVersion: xds/v1\nclusters: fleet\n")
    assert load(file, {}, {}).clusters == file.parent / "fleet"
    assert load(file, {"XDS_CLUSTERS": "here"}, {}).clusters == Path("here")
    assert load(written("apiVersion: xds/v1\nclusters: /srv/fleet\n"), {}, {}).clusters == Path("/srv/fleet")


def test_every_setting_has_its_names():
    keys = [found.encode_name for found in msgspec.structs.fields(Config)]
    assert {key: (environment_name(key), flag_name(key)) for key in keys} == {
        "clusters": ("XDS_CLUSTERS", "--clusters"),
        "kubeconfig": ("XDS_KUBECONFIG", "--kubeconfig"),
        "context": ("XDS_CONTEXT", "--context"),
        "hub": ("XDS_HUB", "--hub"),
        "registry.plugins": ("XDS_REGISTRY_PLUGINS", "--registry-plugins"),
        "mcs": ("XDS_MCS", "--mcs"),
        "mcsRange": ("XDS_MCS_RANGE", "--mcs-range"),
        "xdsAddress": ("XDS_ADDRESS", "--xds-address"),
        "xdsTlsCert": ("XDS_TLS_CERT", "--xds-tls-cert"),
        "xdsTlsKey": ("XDS_TLS_KEY", "--xds-tls-key"),
        "xdsClientCa": ("XDS_CLIENT_CA", "--xds-client-ca"),
        "insecure": ("XDS_INSECURE", "--insecure"),
        "adminAddress": ("XDS_ADMIN_ADDRESS", "--admin-address"),
        "stateDirectory": ("XDS_STATE_DIRECTORY", "--state-directory"),
        "guard.share": ("XDS_GUARD_SHARE", "--guard-share"),
        "guard.delaySeconds": ("XDS_GUARD_DELAY_SECONDS", "--guard-delay-seconds"),
        "stale.demoteAfterSeconds": ("XDS_STALE_DEMOTE_AFTER_SECONDS", "--stale-demote-after-seconds"),
        "stale.removeAfterSeconds": ("XDS_STALE_REMOVE_AFTER_SECONDS", "--stale-remove-after-seconds"),
        "startWaitSeconds": ("XDS_START_WAIT_SECONDS", "--start-wait-seconds"),
        "dns.address": ("XDS_DNS_ADDRESS", "--dns-address"),
        "dns.cluster": ("XDS_DNS_CLUSTER", "--dns-cluster"),
        "batch.quietSeconds": ("XDS_BATCH_QUIET_SECONDS", "--batch-quiet-seconds"),
        "batch.maxDelaySeconds": ("XDS_BATCH_MAX_DELAY_SECONDS", "--batch-max-delay-seconds"),
        "viewIdleSeconds": ("XDS_VIEW_IDLE_SECONDS", "--view-idle-seconds"),
        "loads.intervalSeconds": ("XDS_LOADS_INTERVAL_SECONDS", "--loads-interval-seconds"),
        "maxReceiveBytes": ("XDS_MAX_RECEIVE_BYTES", "--max-receive-bytes"),
        "admission.firstSyncs": ("XDS_ADMISSION_FIRST_SYNCS", "--admission-first-syncs"),
        "connection.maxAgeSeconds": ("XDS_CONNECTION_MAX_AGE_SECONDS", "--connection-max-age-seconds"),
        "drain.windowSeconds": ("XDS_DRAIN_WINDOW_SECONDS", "--drain-window-seconds"),
        "quarantine": ("XDS_QUARANTINE", "--quarantine"),
        "log.format": ("XDS_LOG_FORMAT", "--log-format"),
        "log.level": ("XDS_LOG_LEVEL", "--log-level"),
    }


def test_what_kubernetes_sets_for_a_service_named_xds_is_left_alone():
    environment = {"XDS_SERVICE_HOST": "10.96.0.9", "XDS_PORT": "tcp://10.96.0.9:18000", "XDS_ADDRESS": ""}
    assert load(None, environment, {"clusters": "a"}).xds_address == "127.0.0.1:18000"


def test_clusters_must_be_said_somewhere():
    with pytest.raises(MissingSettingError, match="--clusters DIR"):
        load(None, {}, {"clusters": None})


def test_a_pod_reads_the_hub_that_it_runs_in_unless_something_else_is_to_be_read():
    pod = {"KUBERNETES_SERVICE_HOST": "10.96.0.1"}
    assert load(None, pod, {}).hub == "in-cluster"
    assert load(None, pod, {"clusters": "a"}).hub is None
    assert load(None, pod, {"hub": "file"}).hub == "file"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("clusters: a\n", "apiVersion must be xds/v1, not missing"),
        ("apiVersion: xds/v2\n", "apiVersion must be xds/v1, not xds/v2"),
        ("", "apiVersion must be xds/v1, not missing"),
        ("- a\n", ":1: the file must be a mapping"),
        ("apiVersion: xds/v1\nbatch: 3\n", ":2: batch must be a mapping"),
        ("apiVersion: xds/v1\nadminAddresses: a\n", ":2: unknown key 'adminAddresses'; did you mean 'adminAddress'?"),
        (
            "apiVersion: xds/v1\nbatch:\n  quietSecond: 1\n",
            ":3: unknown key 'batch.quietSecond'; did you mean 'batch.quietSeconds'?",
        ),
        ("apiVersion: xds/v1\nbatches: {}\n", ":2: unknown key 'batches'; did you mean 'batch'?"),
        ("apiVersion: xds/v1\nzzz: 1\n", ":2: unknown key 'zzz'; known are clusters, kubeconfig"),
        ("apiVersion: xds/v1\n{\n", ":3: not YAML"),
        ("a: &a 1\na: [*b]\n", ":2: not YAML"),
        ("apiVersion: xds/v1\nclusters: 3\n", ":2: clusters is 3; expected a path"),
        ("apiVersion: xds/v1\nkubeconfig: 3\n", ":2: kubeconfig is 3; expected a path"),
        ("apiVersion: xds/v1\nkubeconfig: [a, 3]\n", ":2: kubeconfig is 3; expected a path"),
        ("apiVersion: xds/v1\nkubeconfig:\n", ":2: kubeconfig is None; expected a path"),
        ("apiVersion: xds/v1\nkubeconfig: a\ncontext: [b, [c]]\n", ":3: context is ['c']; expected str"),
        ("apiVersion: xds/v1\nclusters: a\nlog: {level: loud}\n", ":3: log.level is 'loud'; use one of debug, info"),
        ("apiVersion: xds/v1\nclusters: a\ndns: {cluster: [a]}\n", ":3: dns.cluster is ['a']; expected str"),
        ("apiVersion: xds/v1\nclusters: a\nviewIdleSeconds: 1m\n", ":3: viewIdleSeconds is '1m'; expected a number"),
        ("apiVersion: xds/v1\nclusters: a\nviewIdleSeconds: .nan\n", ":3: viewIdleSeconds is nan; expected a number"),
        ("apiVersion: xds/v1\nclusters: a\nmaxReceiveBytes: 1\n", ":3: maxReceiveBytes is 1; expected an integer >= 65536"),
        (
            "apiVersion: xds/v1\nclusters: a\nbatch: {quietSeconds: 9}\n",
            ":3: batch.quietSeconds (9) is above batch.maxDelaySeconds (0.5)",
        ),
        ("apiVersion: xds/v1\nclusters: a\nviewIdleSeconds: .inf\n", ":3: viewIdleSeconds is inf; expected a number <= 86400"),
        ("apiVersion: xds/v1\nclusters: a\nmaxReceiveBytes: !!int x\n", ":3: invalid literal for int"),
        ('apiVersion: xds/v1\nclusters: "a\\0"\n', "expected a path without NUL characters"),
        ("apiVersion: xds/v1\nclusters: a\ninsecure: perhaps\n", ":3: insecure is 'perhaps'; expected true or false"),
        (
            "apiVersion: xds/v1\nclusters: a\nxdsTlsKey: k\n",
            ":3: xdsTlsKey needs xdsTlsCert too; give it with --xds-tls-cert FILE",
        ),
        (
            "apiVersion: xds/v1\nclusters: a\nxdsTlsCert: c\n",
            ":3: xdsTlsCert needs xdsTlsKey too; give it with --xds-tls-key FILE",
        ),
        ("apiVersion: xds/v1\nclusters: a\nxdsClientCa: c\n", ":3: xdsClientCa needs xdsTlsCert too"),
        ("apiVersion: xds/v1\nclusters: a\nclusters: b\n", ":3: 'clusters' stands twice"),
        ("apiVersion: xds/v1\nclusters: a\nmcsRange: 10.9.0.0/16\n", ":3: mcsRange is for the clusters of mcs; say which with"),
        *(
            (f"apiVersion: xds/v1\nclusters: a\nmcs: east\nmcsRange: {value}\n", f":4: mcsRange: {message}")
            for value, message in (
                ("10.9.0.0", "10.9.0.0/32 has 1 address; give a range of 8 or more, /29 or shorter"),
                ("10.9.0.0/30", "10.9.0.0/30 has 4 addresses; give a range of 8 or more, /29 or shorter"),
                ("fd00::/126", "fd00::/126 has 4 addresses; give a range of 8 or more, /125 or shorter"),
                ("10.9.0.1/16", "10.9.0.1/16 has bits behind the prefix that are not zero; did you mean 10.9.0.0/16?"),
                ("ten", "'ten' is no range of addresses; give a CIDR such as 10.240.0.0/16 or fd00:240::/112"),
                ("[10.9.0.0/16, 10.8.0.0/16]", "10.9.0.0/16 and 10.8.0.0/16 are both IPv4; give one range of a family"),
            )
        ),
    ],
)
def test_bad_files(written, text, message):
    file = written(text)
    with pytest.raises(ConfigurationError) as caught:
        load(file, {}, {})
    assert str(caught.value).startswith(str(file))
    assert message in str(caught.value)


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(ConfigurationError, match=r"cannot read .*: No such file"):
        load(tmp_path / "none.yaml", {}, {})


def test_bad_values_name_their_layer():
    with pytest.raises(ConfigurationError, match=r"^XDS_VIEW_IDLE_SECONDS: viewIdleSeconds is '-1'; expected a number >= 0"):
        load(None, {"XDS_VIEW_IDLE_SECONDS": "-1"}, {"clusters": "a"})
    with pytest.raises(ConfigurationError, match=r"^--log-level: log\.level is 'loud'"):
        load(None, {}, {"clusters": "a", "log.level": "loud"})


def test_several_values_in_the_environment_may_have_gaps():
    environment = {
        "XDS_KUBECONFIG": "/a::/b:",
        "XDS_CONTEXT": "east, west,",
        "XDS_MCS": "*",
        "XDS_MCS_RANGE": "10.9.0.0/16, fd00::/64",
    }
    config = load(None, environment, {})
    assert config.kubeconfigs == (Path("/a"), Path("/b"))
    assert config.contexts == ("east", "west")
    assert config.mcs_range == ("10.9.0.0/16", "fd00::/64")
