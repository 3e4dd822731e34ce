"""Resources of a snapshot as people and machines want to see them; the input is the JSON of `isthmus.admin.v1.Snapshot`."""

from __future__ import annotations

from typing import Any

from xds.cli.output import print_data, print_table

Json = dict[str, Any]


def print_snapshot(snapshot: Json, output: str, *, single: bool, show_headers: bool = True) -> None:
    """Print the resources of a snapshot.

    Args:
        snapshot: as the admin API gives it.
        output: `table`, or `json` or `yaml` for DiscoveryResponses in proto3 JSON, as Envoy reads them.
        single: one type was asked for: print its one DiscoveryResponse, not a list.
        show_headers: begin the table with its headers.
    """
    if output == "table":
        headers = ("TYPE", "NAME", "VERSION", "FROM")
        rows = [
            (held["type"], item["name"], item["version"], _origins(item.get("origins", [])))
            for held in snapshot.get("types", [])
            for item in held.get("resources", [])
        ]
        print_table(headers, rows, show_headers=show_headers)
        return
    responses = [discovery_response(held) for held in snapshot.get("types", [])]
    print_data(responses[0] if single else responses, output)


def discovery_response(held: Json) -> Json:
    """Return one type as the state-of-the-world DiscoveryResponse that would carry it; of secrets, names alone."""
    bodies = [body_of(held, item) for item in held.get("resources", [])]
    return {"version_info": held["version"], "resources": bodies, "type_url": held["type_url"]}


def body_of(held: Json, item: Json) -> Json:
    """Return the JSON of a resource; for one whose body is not told, its name."""
    body: Json = item.get("resource") or {"@type": held["type_url"], "name": item["name"]}
    return body


def _origins(origins: list[Json]) -> str:
    if not origins:
        return ""
    more = f" and {len(origins) - 1} more" if len(origins) > 1 else ""
    return object_name(origins[0]) + more


def object_name(ref: Json) -> str:
    """Return a source object for people, e.g. `Service shop/web in east`."""
    name = f"{ref['namespace']}/{ref['name']}" if ref.get("namespace") else ref["name"]
    return f"{ref['kind']} {name} in {ref.get('cluster') or 'the fleet'}"
