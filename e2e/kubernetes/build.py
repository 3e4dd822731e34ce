"""Builds Kubernetes beside this file, through the Go module proxy.

It stands among what it builds, so that a change here builds anew.
"""

import subprocess
from pathlib import Path

HERE = Path(__file__).parent
PROGRAMS = ("./kube-apiserver", "./kube-controller-manager")
VERSION = "v1.35.4"
"""As in go.mod; the programs do not find it out by themselves."""

major, minor, _ = VERSION.removeprefix("v").split(".")
known = {"gitVersion": VERSION, "gitMajor": major, "gitMinor": minor}
flags = " ".join(["-s -w", *(f"-X k8s.io/component-base/version.{name}={value}" for name, value in known.items())])
(HERE / "bin").mkdir()
subprocess.run(("go", "build", "-buildvcs=false", "-ldflags", flags, "-o", "bin/", *PROGRAMS), cwd=HERE, check=True)
