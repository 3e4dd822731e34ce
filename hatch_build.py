"""Build hook: turns `protos/` into the descriptor set and the type stubs of `xds.wire`.

In: `protos/envoy.txt` (the Envoy API files that we use, resolved in the descriptors of xds-protos) and our own `.proto`
files. Out, all of it ignored by git and part of the wheel:

- `xds/wire/generated/api.binpb`: one FileDescriptorSet, every imported file before its importer;
- `xds/wire/generated/names.json`: module -> {short name: full name} of the messages that `xds.wire.<module>` offers;
- `xds/wire/envoy.pyi`, `xds/wire/admin.pyi` and `xds/wire/_typing/`: stubs for type checkers.

A wheel that is not editable also gets `deploy/remote`, which `xdsctl clusters join` applies.

xds-protos is needed here, in the isolated build environment, and nowhere else: it would overwrite `xds/__init__.py`.
"""

from __future__ import annotations

import importlib
import json
import re
import shutil
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

if TYPE_CHECKING:
    from google.protobuf.descriptor import FileDescriptor
    from google.protobuf.descriptor_pb2 import FileDescriptorSet

ROOT = Path(__file__).parent
WIRE = ROOT / "xds" / "wire"


class WireHook(BuildHookInterface):
    """Runs before every wheel, the editable one included."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Generate the files and declare them as part of the wheel."""
        generate()
        build_data["artifacts"] += ["/xds/wire/generated/*", "/xds/wire/*.pyi", "/xds/wire/_typing/**/*.pyi"]
        if version != "editable":  # there `xds.discovery.remote` finds them where they are
            build_data["force_include"][str(ROOT / "deploy" / "remote")] = "xds/discovery/remote/manifests"


def generate() -> None:
    """Write everything named in the module's docstring."""
    admin = [path for path in own_files() if path.startswith("isthmus/admin/")]
    roots = {"envoy": envoy_files(), "admin": dict.fromkeys(admin, frozenset[str]())}
    descriptors = describe(list(roots["envoy"]), own_files())
    names = {module: short_names(descriptors, files) for module, files in roots.items()}
    clear()
    generated = WIRE / "generated"
    generated.mkdir(parents=True)
    (generated / "api.binpb").write_bytes(descriptors.SerializeToString(deterministic=True))
    (generated / "names.json").write_text(json.dumps(names, indent=1, sort_keys=True))
    write_stubs(descriptors)
    for module, table in names.items():
        lines = [f"from {stub_of(descriptors, full)} import {short} as {short}" for short, full in table.items()]
        (WIRE / f"{module}.pyi").write_text("\n".join(sorted(lines)) + "\n")


def clear() -> None:
    """Remove what an earlier run wrote."""
    shutil.rmtree(WIRE / "_typing", ignore_errors=True)
    shutil.rmtree(WIRE / "generated", ignore_errors=True)


def envoy_files() -> dict[str, frozenset[str]]:
    """Return the paths in `protos/envoy.txt`, each with the messages that the list leaves out (`-Name`)."""
    files: dict[str, frozenset[str]] = {}
    for line in (ROOT / "protos" / "envoy.txt").read_text().splitlines():
        path, *without = line.partition("#")[0].split() or [""]
        if path:
            files[path] = frozenset(name.removeprefix("-") for name in without)
    return files


def own_files() -> list[str]:
    """Return the paths of our own `.proto` files, relative to `protos/`."""
    protos = ROOT / "protos"
    return sorted(path.relative_to(protos).as_posix() for path in protos.rglob("*.proto"))


def describe(envoy: list[str], own: list[str]) -> FileDescriptorSet:
    """Return the closure of both lists of files, dependencies first."""
    from google.protobuf import descriptor_pb2
    from grpc_tools import protoc

    result = descriptor_pb2.FileDescriptorSet()
    seen: set[str] = set()

    def add(file: FileDescriptor) -> None:
        if file.name in seen:
            return
        seen.add(file.name)
        for dependency in file.dependencies:
            add(dependency)
        file.CopyToProto(result.file.add())

    for path in envoy:
        add(importlib.import_module(path.removesuffix(".proto").replace("/", ".") + "_pb2").DESCRIPTOR)
    with tempfile.TemporaryDirectory() as scratch:
        out = Path(scratch, "own.binpb")
        include = Path(protoc.__file__).parent / "_proto"
        arguments = ["protoc", f"-I{ROOT / 'protos'}", f"-I{include}", "--include_imports", f"--descriptor_set_out={out}"]
        if protoc.main([*arguments, *own]) != 0:
            sys.exit("protoc could not compile protos/; its message is above")
        compiled = descriptor_pb2.FileDescriptorSet.FromString(out.read_bytes())
    result.file.extend(file for file in compiled.file if file.name not in seen)
    return result


def short_names(descriptors: FileDescriptorSet, files: dict[str, frozenset[str]]) -> dict[str, str]:
    """Map short to full names of the top-level messages and enums of `files`; two of one name are an error."""
    names: dict[str, str] = {}
    for file in descriptors.file:
        if file.name not in files:
            continue
        for item in [*file.message_type, *file.enum_type]:
            if item.name in files[file.name]:
                continue
            if item.name in names:
                sys.exit(
                    f"{file.package}.{item.name} and {names[item.name]} share a short name: leave one out in protos/envoy.txt"
                )
            names[item.name] = f"{file.package}.{item.name}"
    return names


def stub_of(descriptors: FileDescriptorSet, full_name: str) -> str:
    """Return the module whose stub defines `full_name`; google.protobuf has published stubs (types-protobuf)."""
    for file in descriptors.file:
        if any(f"{file.package}.{item.name}" == full_name for item in [*file.message_type, *file.enum_type]):
            module = file.name.removesuffix(".proto").replace("/", ".") + "_pb2"
            return module if module.startswith("google.protobuf.") else f"xds.wire._typing.{module}"
    raise LookupError(full_name)


def write_stubs(descriptors: FileDescriptorSet) -> None:
    """Write a stub for each file but google.protobuf's, the imports among them rewritten to `xds.wire._typing`."""
    from grpc_tools import protoc

    target = WIRE / "_typing"
    target.mkdir(parents=True)
    with tempfile.TemporaryDirectory() as scratch:
        source = Path(scratch, "set.binpb")
        source.write_bytes(descriptors.SerializeToString())
        files = [file.name for file in descriptors.file if not file.name.startswith("google/protobuf/")]
        if protoc.main(["protoc", f"--descriptor_set_in={source}", f"--pyi_out={target}", *files]) != 0:
            sys.exit("protoc could not write the type stubs; its message is above")
    ours = "|".join(sorted({file.split("/", maxsplit=1)[0] for file in files}))
    pattern = re.compile(rf"^(from|import) (?!google\.protobuf)({ours})\b", re.MULTILINE)
    for stub in target.rglob("*.pyi"):
        stub.write_text(pattern.sub(r"\1 xds.wire._typing.\2", stub.read_text()))
