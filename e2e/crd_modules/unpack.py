"""Unpacks the CRDs that come with Go modules beside this file, through the Go module proxy."""

import json
import subprocess
import sys
import zipfile
from pathlib import Path

HERE = Path(__file__).parent
MODULES = (
    ("sigs.k8s.io/mcs-api", "v0.5.2", "h1:N+vrRiCIb0WJ0dxbBo7VfNv2WJigOHEo4gsLXpffVs8=", "config/crd"),
    ("sigs.k8s.io/gateway-api", "v1.7.0", "h1:duVnm7nO6oXfMMUWfcDoBph47CYR/ME3NGxccOVglaY=", "config/crd/standard"),
)
"""Module, version, checksum, folder. Not required in a go.mod: they would raise the versions of what Kubernetes is built from."""


def unpack(module: str, version: str, checksum: str, folder: str) -> None:
    """Write a module's CRDs beside this file."""
    # It fails where a module wants a newer Go than there is, and still downloads it: for YAML, any Go will do.
    done = subprocess.run(("go", "mod", "download", "-json", f"{module}@{version}"), stdout=subprocess.PIPE, check=False)
    told = json.loads(done.stdout or "{}")
    if told.get("Sum") != checksum:
        sys.exit(f"{module}@{version}: " + (f"its checksum is {told['Sum']}" if "Sum" in told else told.get("Error", "go fails")))
    with zipfile.ZipFile(told["Zip"]) as archive:
        for name in archive.namelist():
            path = Path(name.removeprefix(f"{module}@{version}/"))
            if str(path.parent) == folder and path.suffix == ".yaml" and path.stem != "kustomization":
                (HERE / path.name).write_bytes(archive.read(name))


for entry in MODULES:
    unpack(*entry)
