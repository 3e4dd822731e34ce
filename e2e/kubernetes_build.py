"""What a Kubernetes without containers is made of: its programs, built once into `.cache/kubernetes`, and an etcd; and CRDs."""

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from built_once import built_once, built_place

HERE = Path(__file__).parent
CACHE = HERE.parent / ".cache" / "kubernetes"
PROGRAMS = (CACHE, "programs", HERE / "kubernetes")
CRDS = (CACHE, "crds", HERE / "crd_modules")
"""Where it is kept, what it is called, and the sources."""
BUILD_S = 1800


@dataclass(frozen=True)
class Kubernetes:
    """Where the programs are."""

    etcd: Path
    api_server: Path
    controller_manager: Path


def missing() -> str:
    """Return why no cluster can be run here; "" if it can."""
    if shutil.which("etcd") is None:
        return "no etcd: e2e/system-packages installs it"
    if os.geteuid() != 0:
        return "clusters have a network of their own, which needs root"
    if shutil.which("ip") is None:
        return "no ip, which sets up their network: e2e/system-packages installs it"
    return "" if is_built(PROGRAMS) else no_go()


def no_go() -> str:
    """Return why nothing can be built; "" if it can."""
    return "" if shutil.which("go") else "no go, which builds Kubernetes and fetches CRDs"


def is_built(what: tuple[Path, str, Path]) -> bool:
    """Return whether PROGRAMS or CRDS are there already."""
    return built_place(*what).exists()


def programs() -> Kubernetes:
    """Return the programs, built if they are not yet: that takes minutes.

    Raises:
        subprocess.CalledProcessError: the build fails; it has told why.
        subprocess.TimeoutExpired: it takes too long.
    """
    built = built_once(*PROGRAMS, lambda draft: _run(draft / "build.py")) / "bin"
    return Kubernetes(Path(str(shutil.which("etcd"))), built / "kube-apiserver", built / "kube-controller-manager")


def crds() -> list[Path]:
    """Return the manifests of the CRDs, unpacked if they are not yet; fails as `programs` does."""
    return sorted(built_once(*CRDS, lambda draft: _run(draft / "unpack.py")).glob("*.yaml"))


def _run(script: Path) -> None:
    subprocess.run((sys.executable, str(script)), check=True, timeout=BUILD_S)
