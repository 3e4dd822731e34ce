"""Builds the programs beside this file, through the Go module proxy.

It stands among what it builds, so that a change here builds anew.
"""

import subprocess
from pathlib import Path

HERE = Path(__file__).parent
PROGRAMS = ("./loadclient", "./gcp", "istio.io/istio/pilot/cmd/pilot-discovery")

(HERE / "bin").mkdir()
subprocess.run(("go", "build", "-buildvcs=false", "-ldflags", "-s -w", "-o", "bin/", *PROGRAMS), cwd=HERE, check=True)
