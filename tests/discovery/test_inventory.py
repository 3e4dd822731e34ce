from __future__ import annotations

from xds.discovery.inventory import Inventory
from xds.discovery.manifests import read_manifest
from xds.model.events import Delete, ObjectKey, Upsert


def manifest(path: str, *services: tuple[str, int], broken: str = "", cluster: str = "east"):
    documents = [
        f"{{apiVersion: v1, kind: Service, metadata: {{name: {name}}}, spec: {{ports: [{{port: {port}}}]}}}}"
        for name, port in services
    ]
    return read_manifest(path, cluster, "\n---\n".join([*documents, *([broken] if broken else [])]).encode())


def hints(inventory) -> list[str]:
    return [problem.hint for problem in inventory.problems()]


def told(events) -> list:
    shown = []
    for event in events:
        if isinstance(event, Upsert):
            shown.append((event.cluster, event.key.name, event.object.spec.ports[0].port))
        else:
            assert isinstance(event, Delete)
            shown.append((event.cluster, event.key.name, None))
    return shown


def test_only_differences_are_told():
    inventory = Inventory()
    assert told(inventory.apply({"a": manifest("a", ("one", 1), ("two", 1))})) == [("east", "one", 1), ("east", "two", 1)]
    assert told(inventory.apply({"a": manifest("a", ("one", 1), ("two", 2))})) == [("east", "two", 2)]
    assert told(inventory.apply({"a": manifest("a", ("two", 2))})) == [("east", "one", None)]
    assert told(inventory.apply({"a": None})) == [("east", "two", None)]
    assert inventory.apply({"a": None}) == []
    assert not inventory.objects


def test_moving_an_object_to_another_file_tells_nothing():
    inventory = Inventory()
    inventory.apply({"a": manifest("a", ("one", 1))})
    assert inventory.apply({"a": None, "b": manifest("b", ("one", 1))}) == []
    assert told(inventory.apply({"b": None})) == [("east", "one", None)]


def test_a_broken_reading_keeps_the_whole_file_as_it_was():
    inventory = Inventory()
    inventory.apply({"a": manifest("a", ("one", 1), ("two", 1))})
    assert inventory.apply({"a": manifest("a", ("one", 2), broken="a: [")}) == []
    assert [problem.code for problem in inventory.problems()] == ["XDS0101"]
    assert hints(inventory) == ["the last good objects of the file stay in force"]
    assert told(inventory.apply({"a": manifest("a", ("one", 2))})) == [("east", "one", 2), ("east", "two", None)]
    assert list(inventory.problems()) == []


def test_a_file_that_was_never_whole_gives_what_can_be_read_of_it():
    inventory = Inventory()
    assert told(inventory.apply({"a": manifest("a", ("one", 1), broken="a: [")})) == [("east", "one", 1)]
    assert told(inventory.apply({"a": manifest("a", ("one", 2), broken="a: [")})) == [("east", "one", 2)]
    assert hints(inventory) == ["its other objects are in force: the file was never whole"]
    assert told(inventory.apply({"a": None})) == [("east", "one", None)]


def test_a_file_of_which_nothing_can_be_read_says_so():
    inventory = Inventory()
    inventory.apply({"a": manifest("a", broken="a: [")})
    assert hints(inventory) == ["nothing of it is in force: the file was never whole"]


def test_of_two_files_the_first_by_path_counts_and_the_other_takes_over():
    inventory = Inventory()
    assert told(inventory.apply({"b": manifest("b", ("one", 2))})) == [("east", "one", 2)]
    assert told(inventory.apply({"a": manifest("a", ("one", 1))})) == [("east", "one", 1)]
    (problem,) = inventory.problems()
    assert (problem.code, problem.source) == ("XDS0105", "b:1")
    assert problem.message == "already defined in a:1; this one is ignored"
    assert str(problem.ref) == "Service default/one in east"
    assert inventory.apply({"b": manifest("b", ("one", 3))}) == []
    assert told(inventory.apply({"a": manifest("a", ("two", 1))})) == [("east", "one", 3), ("east", "two", 1)]
    assert list(inventory.problems()) == []


def test_the_same_name_in_two_clusters_is_two_objects():
    inventory = Inventory()
    inventory.apply({"east/a": manifest("east/a", ("one", 1)), "west/a": manifest("west/a", ("one", 2), cluster="west")})
    assert list(inventory.problems()) == []
    assert inventory.objects.keys() == {(cluster, ObjectKey("Service", "default", "one")) for cluster in ("east", "west")}
