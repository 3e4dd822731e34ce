import os
import subprocess
import sys

import pytest

from xds.cli import main as main_module
from xds.cli import output
from xds.cli.main import COMMANDS
from xds.errors import XdsError

HEAVY = ("grpc", "kubernetes", "rich", "structlog", "msgspec", "yaml", "aiohttp", "google.protobuf", "xds.wire", "xds.admin")


def python(code, **options):
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False, **options)


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["snapshot", "--help"],
        ["clusters", "join", "--help"],
        ["proxies", "--help"],
        ["bootstrap", "--help"],
        ["drain", "--help"],
        ["gate", "open", "--help"],
    ],
)
def test_help_imports_nothing_heavy(arguments):
    code = f"import sys; from xds.cli.main import main\ntry: main({arguments})\nfinally: print(*sys.modules)"
    loaded = set(python(code).stdout.split())
    assert "click" in loaded
    assert not loaded.intersection(HEAVY)


def test_every_command_has_help_of_its_own(xdsctl):
    listed = xdsctl("--help").stdout
    for name in COMMANDS:
        assert f"  {name} " in listed
        assert f"Usage: xdsctl {name} " in xdsctl(name, "--help").stdout


@pytest.mark.parametrize("group", ["", "snapshot", "clusters", "describe", "gate"])
def test_help_is_neither_clipped_nor_full_of_marks(xdsctl, group):
    found = main_module.main.get_command(None, group) if group else main_module.main
    for name in ("", *found.list_commands(None)):
        usage, *rest = xdsctl(*group.split(), *name.split(), "--help").stdout.splitlines()
        assert usage.startswith("Usage: xdsctl")
        for line in rest:
            assert not line.endswith("..."), line
            assert "\\" not in line, line


def test_examples_in_help_keep_their_lines(xdsctl):
    assert "\n  envoy -c envoy.yaml\n" in xdsctl("bootstrap", "--help").stdout
    assert "\n  FILE:LINE: SEVERITY CODE" in xdsctl("validate", "--help").stdout


def test_version_flag(xdsctl):
    assert xdsctl("--version").stdout == "xdsctl 0.1.0\n"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("", "Usage: xdsctl"),
        ("bogus", "no command 'bogus'; `xdsctl --help` lists them"),
        ("proxeis", "no command 'proxeis'; did you mean 'proxies'?"),
        ("endpoint x", "did you mean 'endpoints'?"),
        ("simulate", "nothing is supposed; give --down"),
        ("simulate --down cluster=east --load web=1", "'web=1' is no load; use NAMESPACE/NAME=RPS"),
        ("get services", "`clusters`, `services`"),
        ("describe proxy x", "cannot describe 'proxy'; `xdsctl proxies NODE -v`"),
        ("describe servcie x", "No such command 'servcie'"),
        ("describe service web", "'web' does not name a service; use NAMESPACE/NAME, or NAME.NAMESPACE.svc.clusterset.local\n"),
        ("snapshot shwo", "'show'"),
        ("--bogus", "No such option"),
        ("proxies --bogus", "No such option"),
        ("check --kubeconfig x --mcs-range 10.9.0.1/16", "--mcs-range: 10.9.0.1/16 has bits behind the prefix that are not zero"),
        ("proxies -o xml", "'xml' is not one of 'table', 'json', 'yaml'"),
        ("proxies --admin-address nowhere", "use HOST:PORT"),
        ("proxies --admin-address 127.0.0.1:65536", "use HOST:PORT"),
        ("proxies --admin-address nowhere", "e.g. 127.0.0.1:19000\n"),
        ("serve --xds-address foo", "'foo' is not an address; use HOST:PORT, e.g. 127.0.0.1:18000, or unix:/PATH"),
        (
            "serve --xds-address 127.0.0.1:99999",
            "port 99999 of '127.0.0.1:99999' is out of range, ports end at 65535; use HOST:PORT",
        ),
        ("serve --admin-address 99999", "port 99999 of '99999' is out of range"),
        ("bootstrap --node x --listen foo", "use HOST:PORT, e.g. 127.0.0.1:15001\n"),
        ("bootstrap --node x --envoy-admin-address foo", "use HOST:PORT, e.g. 127.0.0.1:9901\n"),
        ("snapshot show", "Missing argument 'NODE[@VERSION]'"),
        ("snapshot show x --type xds", "is not one of 'cds'"),
        ("bootstrap", "Missing option '--node'"),
        ("bootstrap --node x --role admin", "is not one of 'sidecar', 'gateway', 'node'"),
        ("bootstrap --node x --role node --grpc", "always proxyless"),
        ("bootstrap --node=", "Invalid value for '--node': must not be empty"),
        ("bootstrap --node x --gateway shop/public", "--gateway is for --role gateway"),
        ("bootstrap --node x --grpc --gateway shop/public", "--gateway is for --role gateway"),
        ("bootstrap --node x --role gateway --gateway public", "Invalid value for '--gateway': 'public': use NAMESPACE/NAME"),
        ("translate --node x --clusters . --gateway shop/public", "--gateway is for --role gateway"),
        ("bootstrap --node x --grpc -o yaml", "-o yaml is for Envoy; a gRPC client reads JSON"),
        ("translate --node x", "Missing option '--clusters'"),
        ("clusters join East --kubeconfig x", "'East': the name of a cluster is at most 63 of a-z, 0-9 and '-'"),
        ("clusters join east", "Missing option '--kubeconfig'"),
        ("clusters leave east", "say where to delete: --hub FILE, --kubeconfig FILE, or both"),
        ("clusters bogus east", "No such command 'bogus'"),
        ("analyze", "Missing option '--kubeconfig'"),
        ("check", "say which clusters: --kubeconfig FILE, --hub FILE, or both"),
        ("validate", "Missing argument 'DIR'"),
        ("completion tcsh", "is not one of 'bash', 'zsh', 'fish'"),
        ("serve", "--clusters DIR"),
    ],
)
def test_wrong_usage(xdsctl, arguments, words):
    result = xdsctl(*arguments.split(), exits=64)
    assert result.stdout == ""
    assert words in result.stderr


def test_other_errors_are_failures(monkeypatch, xdsctl):
    def fail(*_):
        raise XdsError("it does not work")

    monkeypatch.setattr(main_module.importlib, "import_module", fail)
    assert xdsctl("version", exits=1).stderr == "Error: it does not work\n"


def test_interrupted(monkeypatch, xdsctl):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(main_module.importlib, "import_module", interrupt)
    xdsctl("version", exits=130)


def test_a_reader_that_leaves_early_is_no_error():
    code = "from xds.cli.main import main; main(['completion', 'bash'])"
    read, write = os.pipe()
    os.close(read)
    result = subprocess.run([sys.executable, "-c", code], stdout=write, stderr=subprocess.PIPE, timeout=60, check=False)
    os.close(write)
    assert result.stderr == b""
    assert result.returncode != 0


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion(shell, xdsctl):
    assert "_XDSCTL_COMPLETE" in xdsctl("completion", shell).stdout


def test_completion_completes():
    environment = {**os.environ, "_XDSCTL_COMPLETE": "bash_complete", "COMP_WORDS": "xdsctl snap", "COMP_CWORD": "1"}
    result = python("from xds.cli.main import main; main(prog_name='xdsctl')", env=environment)
    assert result.stdout == "plain,snapshot\n"


def test_colours_only_on_a_terminal(monkeypatch):
    monkeypatch.setattr(output, "uses_colour", lambda: True)
    assert output.coloured("SYNCED (3s)") == "\x1b[32mSYNCED (3s)\x1b[0m"
    assert output.coloured("plain") == "plain"
    monkeypatch.undo()
    assert output.coloured("SYNCED (3s)") == "SYNCED (3s)"
