"""Equal objects give equal bytes: in another process, with other hashes, told in another order."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

SCRIPT = """
import json, random, sys
from golden_case import CASES, TESTDATA, outcome
from hashlib import sha256
import golden_case

class Shuffled(golden_case.Files):
    def tell(self, step, fleet):
        self.objects = {cluster: dict(sorted(found.items(), reverse=True)) for cluster, found in self.objects.items()}
        return super().tell(step, fleet)

found = {}
for case in CASES:
    made = outcome(case)
    for url, named in made.resources.items():
        for name, resource in named.items():
            found[f"{case} {url} {name}"] = [resource.version, sha256(resource.body).hexdigest()]
    found[f"{case} files"] = made.files()
    found[f"{case} order"] = {url: list(named) for url, named in made.resources.items()}
print(json.dumps(found))
"""


def run(seed: str) -> dict:
    here = Path(__file__).parent
    environment = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": f"{here}{os.pathsep}{here.parent}"}
    done = subprocess.run([sys.executable, "-c", SCRIPT], env=environment, capture_output=True, text=True, check=True, timeout=60)
    return json.loads(done.stdout)


def test_two_processes_with_other_hashes():
    assert run("1") == run("2")
