"""Stock gRPC clients of four languages, as programs that speak the line protocol of `scripts/grpc_client.py`."""

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from built_once import built_once

HERE = Path(__file__).parent
CACHE = HERE.parents[1] / ".cache" / "clients"
BUILD_TIMEOUT_S = 540


@dataclass(frozen=True)
class ProxylessClient:
    """A client program: built once from `clients/<name>`, again only when a file there changes."""

    name: str
    command: tuple[str, ...]
    """How it is run, in the directory where it was built."""
    tools: tuple[str, ...] = ()
    """The programs that build and run it."""
    builds: tuple[tuple[str, ...], ...] = ()
    env: dict[str, str] = field(default_factory=dict)

    def directory(self):
        """Return where it has been built; skips the test without its toolchain, fails it if the build does."""
        if not self.builds:
            return HERE
        for tool in self.tools:
            if shutil.which(tool) is None:
                pytest.skip(f"skipped: no {tool}")
        return built_once(CACHE, self.name, HERE / "clients" / self.name, self._build)

    def _build(self, draft):
        for command in self.builds:
            done = subprocess.run(command, cwd=draft, capture_output=True, text=True, timeout=BUILD_TIMEOUT_S, check=False)
            if done.returncode:
                pytest.fail(f"{self.name} client: {' '.join(command)} ended with {done.returncode}:\n{done.stdout}{done.stderr}")


CLIENTS = {
    client.name: client
    for client in (
        ProxylessClient("python", (sys.executable, str(HERE / "scripts" / "grpc_client.py")), env={"GRPC_VERBOSITY": "ERROR"}),
        ProxylessClient("go", ("./client",), ("go",), (("go", "build", "-buildvcs=false", "-o", "client", "."),)),
        ProxylessClient(
            "java",
            ("java", "-cp", f"target/classes{os.pathsep}target/dependency/*", "Client"),
            ("java", "mvn"),
            (("mvn", "--quiet", "--batch-mode", "compile", "dependency:copy-dependencies"),),
        ),
        ProxylessClient("node", ("node", "client.js"), ("node", "npm"), (("npm", "ci"),)),
    )
}
