from __future__ import annotations

import asyncio
import json
import os
import shutil
import threading

import pytest

from xds.discovery.files import FileSource, read_directory
from xds.errors import ConfigurationError
from xds.model.events import Delete, Health, MemberState, Synced, Upsert

MEMBER = "apiVersion: traffic.isthmus.dev/v1alpha1\nkind: MemberCluster\nmetadata: {name: east}\n"


def port_of(follower, name: str, cluster: str = "east") -> int:
    (found,) = (item for (member, key), item in follower.state.items() if (member, key.name) == (cluster, name))
    return found.spec.ports[0].port


async def test_the_first_batch_says_everything(tmp_path, write, service_text, following):
    write("east/a.yaml", service_text("a"))
    write("members.yaml", MEMBER)
    async with following(tmp_path) as follower:
        assert follower.batches == [read_directory(tmp_path).events]
        assert follower.problems == ()


async def test_a_change_a_new_file_and_a_removal(tmp_path, write, service_text, following):
    path = write("east/a.yaml", service_text("a", 1) + "---\n" + service_text("b"))
    async with following(tmp_path) as follower:
        write("east/a.yaml", service_text("a", 2) + "---\n" + service_text("b"))
        await follower.until(lambda: port_of(follower, "a") == 2)
        assert [[event.key.name for event in batch] for batch in follower.batches[1:]] == [["a"]]
        write("east/deep/c.yaml", service_text("c"))
        await follower.until(lambda: follower.names() == {"a", "b", "c"})
        path.unlink()
        await follower.until(lambda: follower.names() == {"c"})
        assert all(isinstance(event, Delete) for event in follower.batches[-1])


async def test_a_change_is_quick_even_while_writes_continue(tmp_path, write, service_text, following):
    write("east/a.yaml", service_text("a", 1))
    loop = asyncio.get_running_loop()
    async with following(tmp_path, rescan_s=1000) as follower:
        await asyncio.sleep(0.5)  # the watch is up
        stop = threading.Event()

        def keep_writing() -> None:
            number = 0
            while not stop.wait(0.005):
                number += 1
                write("east/noise.yaml.tmp", str(number))

        noise = loop.run_in_executor(None, keep_writing)
        try:
            began_s = loop.time()
            write("east/a.yaml", service_text("a", 2))
            await follower.until(lambda: port_of(follower, "a") == 2)
            assert loop.time() - began_s < 5  # typically 0.1 s; what must not happen is waiting for the noise to end
        finally:
            stop.set()
            await noise


async def test_a_replace_by_rename(tmp_path, write, service_text, following):
    path = write("east/a.yaml", service_text("a", 1))
    async with following(tmp_path) as follower:
        replacement = write("east/.a.yaml.new", service_text("a", 2))
        replacement.replace(path)
        await follower.until(lambda: port_of(follower, "a") == 2)
        assert len(follower.batches) == 2


async def test_overrides_come_and_go(tmp_path, write, service_text, following):
    write("east/a.yaml", service_text("a"))
    override = (
        "apiVersion: traffic.isthmus.dev/v1alpha1\nkind: TrafficOverride\nmetadata: {name: o}\nspec: {drain: {cluster: east}}\n"
    )
    async with following(tmp_path) as follower:
        path = write(".overrides.yaml", override)
        await follower.until(lambda: follower.names("") == {"o"})
        write(".overrides.yaml.new", override.replace("east", "east, step: 2, steps: 4")).replace(path)
        await follower.until(lambda: any(one.spec.drain.step == 2 for (at, _), one in follower.state.items() if not at))
        path.unlink()
        await follower.until(lambda: not follower.names(""))
        assert follower.problems == ()


async def test_a_configmap_volume_is_swapped(tmp_path, write, service_text, following):
    write("east/..1/a.yaml", service_text("a", 1))
    write("east/..1/b.yaml", service_text("b"))
    east = tmp_path / "east"
    (east / "..data").symlink_to("..1")
    for name in ("a.yaml", "b.yaml"):
        (east / name).symlink_to(f"..data/{name}")
    async with following(tmp_path, rescan_s=1000) as follower:
        write("east/..2/a.yaml", service_text("a", 2))
        write("east/..2/c.yaml", service_text("c"))
        (east / "..data_tmp").symlink_to("..2")
        (east / "..data_tmp").replace(east / "..data")
        (east / "c.yaml").symlink_to("..data/c.yaml")
        (east / "b.yaml").unlink()
        shutil.rmtree(east / "..1")
        await follower.until(lambda: follower.names() == {"a", "c"} and port_of(follower, "a") == 2 and not follower.problems)
        deleted = [event.key.name for batch in follower.batches for event in batch if isinstance(event, Delete)]
        assert deleted == ["b"]


async def test_temporary_files_of_editors_tell_nothing(tmp_path, write, service_text, following):
    path = write("east/a.yaml", service_text("a", 1))
    async with following(tmp_path) as follower:
        for name in (".a.yaml.swp", "4913", "a.yaml~", ".#a.yaml", "#a.yaml#", "a.yaml.tmp", "sedXy12z"):
            write(f"east/{name}", service_text("ghost"))
        path.rename(tmp_path / "east/a.yaml~")
        write("east/a.yaml", service_text("a", 2))
        await follower.until(lambda: follower.names() == {"a"} and port_of(follower, "a") == 2)
        assert follower.problems == ()


async def test_a_broken_file_keeps_its_last_good_objects(tmp_path, write, service_text, following):
    write("east/a.yaml", service_text("a", 1) + "---\n" + service_text("b", 1))
    async with following(tmp_path) as follower:
        write("east/a.yaml", service_text("a", 2) + "---\n" + service_text("b", 1)[:-5] + "x: [")
        await follower.until(lambda: follower.codes() == {"XDS0101"})
        write("east/a.yaml", service_text("a", 2) + "---\n" + service_text("b", 99_999))
        await follower.until(lambda: follower.codes() == {"XDS0102"})
        write("east/a.yaml", "")
        await follower.until(lambda: follower.codes() == {"XDS0108"})
        assert len(follower.batches) == 1
        write("east/a.yaml", service_text("a", 2))
        await follower.until(lambda: not follower.problems and follower.names() == {"a"})
        assert port_of(follower, "a") == 2


async def test_clusters_come_and_go(tmp_path, write, service_text, following):
    write("east/a.yaml", service_text("a"))
    async with following(tmp_path) as follower:
        write("west/a.yaml", service_text("a"))
        await follower.until(lambda: follower.names("west") == {"a"})
        told = [event for batch in follower.batches[1:] for event in batch]
        assert {type(event) for event in told} == {Upsert, Synced, Health}
        assert {event.cluster for event in told} == {"west"}
        shutil.rmtree(tmp_path / "west")
        lost = Health("west", MemberState.LOST, "there is no directory west")
        await follower.until(lambda: any(lost in batch for batch in follower.batches))
        assert not follower.names("west")
        assert follower.names() == {"a"}
        (tmp_path / "staging").mkdir()
        write("staging/b.yaml", service_text("b"))
        (tmp_path / "staging").rename(tmp_path / "west")
        await follower.until(lambda: follower.names("west") == {"b"})


async def test_the_directory_itself_vanishes_and_comes_back(tmp_path, write, service_text, following):
    root = tmp_path / "root"
    write("root/east/a.yaml", service_text("a", 1))
    async with following(root) as follower:
        root.rename(tmp_path / "away")
        await follower.until(lambda: follower.codes() == {"XDS0103"})
        assert follower.names() == {"a"}
        write("root/east/a.yaml", service_text("a", 2))
        await follower.until(lambda: not follower.problems and port_of(follower, "a") == 2)


async def test_another_directory_under_the_same_name_is_followed(tmp_path, write, service_text, following):
    write("1/east/a.yaml", service_text("a", 1))
    write("2/east/a.yaml", service_text("a", 2))
    (tmp_path / "root").symlink_to("1")
    async with following(tmp_path / "root", rescan_s=1000) as follower:
        (tmp_path / "new").symlink_to("2")
        (tmp_path / "new").replace(tmp_path / "root")
        await follower.until(lambda: port_of(follower, "a") == 2)
        write("2/east/a.yaml", service_text("a", 3))
        await follower.until(lambda: port_of(follower, "a") == 3)


async def test_a_change_without_an_event_is_found_by_looking(tmp_path, write, service_text, following):
    target = write("elsewhere/a.yaml", service_text("a", 1))  # what a link leads to outside the directory is not watched
    root = tmp_path / "root"
    (root / "east").mkdir(parents=True)
    (root / "east/a.yaml").symlink_to(target)
    async with following(root, rescan_s=0.5) as follower:
        target.write_text(service_text("a", 2))
        await follower.until(lambda: port_of(follower, "a") == 2)


async def test_an_edit_that_leaves_size_and_time_as_they_were_is_found(tmp_path, write, service_text, following):
    path = write("east/a.yaml", service_text("a", 1))
    before = path.stat()
    async with following(tmp_path) as follower:
        path.write_text(service_text("a", 2))
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
        await follower.until(lambda: port_of(follower, "a") == 2)


async def test_without_watches_it_still_looks(tmp_path, write, service_text, following, monkeypatch):
    def refuse(*args, **kwargs):
        raise OSError("no space left on device: too many watches")

    monkeypatch.setattr("watchfiles.awatch", refuse)
    write("east/a.yaml", service_text("a", 1))
    async with following(tmp_path, rescan_s=0.1) as follower:
        write("east/a.yaml", service_text("a", 2))
        await follower.until(lambda: port_of(follower, "a") == 2)


async def test_no_directory_at_the_start_is_a_configuration_error(tmp_path):
    with pytest.raises(ConfigurationError, match="no such file or directory"):
        await FileSource(tmp_path / "missing").run(print, print)


async def test_cancelling_leaves_nothing_behind(tmp_path, write, service_text):
    write("east/a.yaml", service_text("a"))
    tasks_before = asyncio.all_tasks()
    for delay_s in (0, 0.01, 0.4):
        batches: list = []
        task = asyncio.create_task(FileSource(tmp_path).run(batches.append, batches.append))
        await asyncio.sleep(delay_s)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        told = len(batches)
        write("east/a.yaml", service_text("a", 1))
        await asyncio.sleep(0.3)
        assert len(batches) == told
        assert asyncio.all_tasks() == tasks_before


async def test_reading_does_not_stop_the_event_loop(tmp_path, write, service_text, following):
    write("east/a.yaml", service_text("a"))
    async with following(tmp_path) as follower:
        items = [{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": f"n{number}"}} for number in range(5_000)]
        write("east/big.yaml", json.dumps({"apiVersion": "v1", "kind": "List", "items": items}))
        loop = asyncio.get_running_loop()
        longest_s, last_s = 0.0, loop.time()
        while len(follower.state) < 5_000:
            await asyncio.sleep(0.001)
            now_s = loop.time()
            longest_s, last_s = max(longest_s, now_s - last_s), now_s
        assert longest_s < 2
