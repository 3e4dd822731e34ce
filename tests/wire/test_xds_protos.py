"""Our wheel next to xds-protos, whose files share the package name: `xdsctl` works with it, after it, and without it again."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.scratch

ROOT = Path(__file__).parents[2]
SOURCES = ("pyproject.toml", "hatch_build.py", "README.md", "LICENSE", "CHANGELOG.md", "protos", "deploy", "xds")
XDS_PROTOS = "xds-protos==1.85.0"
PROBE = """
from xds.app import ControlPlane
from xds.cli.main import main
from xds.discovery.remote.objects import MCS_WRITER, READER, manifests
from xds.wire import envoy, to_json
assert manifests(READER) and manifests(MCS_WRITER)
assert to_json(envoy.Cluster(name="a"), indent=None) == '{"name": "a"}'
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """Our wheel, built from a copy of the sources: the build hook writes into the tree that it builds."""
    source, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("dist")
    generated = shutil.ignore_patterns("generated", "_typing", "__pycache__", "*.pyi")
    for name in SOURCES:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, source / name, ignore=generated)
        else:
            shutil.copy(ROOT / name, source / name)
    uv("build", "--wheel", "--out-dir", out, source)
    return next(out.glob("*.whl"))


@pytest.fixture
def environment(tmp_path):
    uv("venv", "--python", sys.executable, tmp_path / "env")
    return tmp_path / "env"


def test_ours_first(wheel, environment):
    install(environment, wheel)
    probe(environment)
    install(environment, XDS_PROTOS)
    probe(environment)
    uv("pip", "uninstall", "--python", environment, "xds-protos")
    probe(environment)


def test_xds_protos_first(wheel, environment):
    install(environment, XDS_PROTOS)
    install(environment, wheel)
    probe(environment)
    uv("pip", "uninstall", "--python", environment, "xds-protos")
    probe(environment)


def probe(environment):
    version = run(environment / "bin" / "xdsctl", "--version")
    assert version.startswith("xdsctl")
    run(environment / "bin" / "python", "-c", PROBE)


def install(environment, *what):
    uv("pip", "install", "--python", environment, "--constraint", ROOT / "constraints.txt", *what)


def uv(*arguments):
    return run(Path(sys.executable).with_name("uv"), *arguments)


def run(*command):
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=100, cwd="/")
    assert done.returncode == 0, done.stderr
    return done.stdout
