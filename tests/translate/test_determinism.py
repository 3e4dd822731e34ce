"""Equal objects give equal bytes: in another process, with other hashes, told in another order."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

SCRIPT = """
import json, random, sys
from golden_case import CASES, outcome
from xds.model.fleet import Fleet

apply, shuffled = Fleet.apply, random.Random(sys.argv[1])
Fleet.apply = lambda self, events: apply(self, shuffled.sample(events, len(events)))

found = {}
for case in CASES:
    made = outcome(case)
    resources = [item for named in made.resources.values() for item in named.values()]
    found[case] = {
        "resources": [[item.type_url, item.name, item.version, item.body.hex()] for item in resources],
        "files": made.files(),
    }
print(json.dumps(found))
"""


def run(seed: str) -> dict:
    here = Path(__file__).parent
    environment = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": f"{here}{os.pathsep}{here.parent}"}
    command = [sys.executable, "-c", SCRIPT, seed]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True, timeout=60)
    return json.loads(done.stdout)


def test_two_processes_with_other_hashes_and_another_order_of_objects():
    one, other = run("1"), run("2")
    assert one == other
    assert sum(len(case["resources"]) for case in one.values()) > 100
