import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xds.protocol import Encoder
from xds.protocol.encoder import FIRSTS, SHARED_REMOVALS, _kept_bytes
from xds.snapshot.resource import Resource
from xds.snapshot.table import Table
from xds.translate.resources import resource_of
from xds.wire import CLUSTER, ENDPOINT, envoy
from xds.wire.type_urls import PREFIX

texts = st.text(max_size=200)
bodies = st.binary(max_size=20_000)
type_urls = st.sampled_from((CLUSTER, PREFIX + "x" * 150, PREFIX + "é"))
resource_lists = st.dictionaries(texts, bodies, max_size=5)


def resources_of(type_url, named, make=Resource.of):
    return [make(type_url, name, body) for name, body in named.items()]


@given(
    type_url=type_urls,
    named=resource_lists,
    removed=st.lists(texts, max_size=4),
    identifier=texts,
    make=st.sampled_from((Resource.of, resource_of)),
)
def test_delta_bytes_say_what_the_message_would(type_url, named, removed, identifier, make):
    resources = resources_of(type_url, named, make)
    response = Encoder(identifier).delta(type_url, resources, removed, above=0)
    expected = envoy.DeltaDiscoveryResponse(
        system_version_info=response.version,
        resources=[
            envoy.Resource(name=r.name, version=r.version, resource=envoy.Any(type_url=type_url, value=r.body)) for r in resources
        ],
        type_url=type_url,
        removed_resources=removed,
        nonce=response.nonce,
        control_plane=envoy.ControlPlane(identifier=identifier) if identifier else None,
    )
    assert envoy.DeltaDiscoveryResponse.FromString(response.body) == expected


@given(type_url=type_urls, named=resource_lists, version=texts, identifier=texts)
def test_sotw_bytes_say_what_the_message_would(type_url, named, version, identifier):
    resources = resources_of(type_url, named)
    response = Encoder(identifier).sotw(type_url, resources, version, above=0)
    expected = envoy.DiscoveryResponse(
        version_info=version,
        resources=[envoy.Any(type_url=type_url, value=r.body) for r in resources],
        type_url=type_url,
        nonce=response.nonce,
        control_plane=envoy.ControlPlane(identifier=identifier) if identifier else None,
    )
    assert envoy.DiscoveryResponse.FromString(response.body) == expected


@pytest.fixture
def a():
    return Resource.of(CLUSTER, "a", b"body of a")


def test_streams_that_need_the_same_share_one_object(a):
    encoder = Encoder()
    assert encoder.delta(CLUSTER, [a], ["b"], above=0) is encoder.delta(CLUSTER, [a], ["b"], above=0)


def test_equal_content_of_another_view_is_shared_too(a):
    encoder = Encoder()
    assert encoder.delta(CLUSTER, [a], [], above=0) is encoder.delta(CLUSTER, [Resource.of(CLUSTER, "a", a.body)], [], above=0)


def test_what_differs_is_not_shared(a):
    encoder = Encoder()
    b = Resource.of(CLUSTER, "b", b"body of b")
    responses = [
        encoder.delta(CLUSTER, [a], [], above=0),
        encoder.delta(CLUSTER, [a, b], [], above=0),
        encoder.delta(CLUSTER, [a], ["b"], above=0),
        encoder.delta(CLUSTER, [], ["a", "b"], above=0),
        encoder.sotw(CLUSTER, [a], "1", above=0),
        encoder.sotw(CLUSTER, [a], "2", above=0),
    ]
    assert [response.nonce for response in responses] == ["1", "2", "3", "4", "5", "6"]
    assert len({response.body for response in responses}) == 6


def test_a_stream_that_is_ahead_gets_a_fresh_nonce_and_the_same_content(a):
    encoder = Encoder("us")
    for _ in range(99):
        encoder.delta(CLUSTER, [a], [], above=encoder._last_nonce)
    old = encoder.delta(CLUSTER, [a], [], above=98)
    fresh = encoder.delta(CLUSTER, [a], [], above=99)
    assert (old.nonce, fresh.nonce) == ("99", "100")
    message, again = (envoy.DeltaDiscoveryResponse.FromString(response.body) for response in (old, fresh))
    assert again.nonce == "100"
    again.nonce = "99"
    assert again == message


def test_the_cache_is_bounded(a):
    encoder = Encoder(cache_bytes=4000)
    for number in range(100):
        encoder.delta(CLUSTER, [a], [str(number)], above=0)
        encoder.delta(CLUSTER, [a], ["same"], above=encoder._last_nonce)
        assert sum(_kept_bytes(response) for response in encoder._cache.values()) == encoder._cached_bytes <= 4000
    assert 0 < len(encoder._cache) < 20


def test_a_response_larger_than_the_cache_is_not_kept():
    encoder = Encoder(cache_bytes=1000)
    encoder.delta(CLUSTER, [Resource.of(CLUSTER, "a", bytes(2000))], [], above=0)
    assert not encoder._cache


def test_the_bound_of_the_cache_is_one_of_memory():
    encoder = Encoder(cache_bytes=1 << 20)
    tracemalloc.start()
    try:
        for number in range(300):
            encoder.delta(CLUSTER, [], [f"absent-{number}-{item}" for item in range(100)], above=0)
        kept_bytes, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(encoder._cache) > 10
    assert kept_bytes < 1.5 * (1 << 20)


def test_thousands_of_names_that_do_not_exist_are_not_kept():
    encoder = Encoder()
    names = [f"absent-{item}" for item in range(SHARED_REMOVALS + 1)]
    first = encoder.delta(CLUSTER, [], names, above=0)
    assert not encoder._cache
    assert encoder._cached_bytes == 0
    assert encoder.delta(CLUSTER, [], names, above=0).removed == first.removed
    encoder.delta(CLUSTER, [], names[1:], above=0)
    assert len(encoder._cache) == 1


def test_all_who_have_nothing_and_ask_for_the_same_are_sent_the_same():
    encoder, names = Encoder(), frozenset("ab")
    available = Table({name: Resource.of(CLUSTER, name, bytes(100)) for name in "abc"})

    def first(names, *, above=0, limit_bytes=10_000, available=available):
        return encoder.first(CLUSTER, available, names, above=above, limit_bytes=limit_bytes)

    (some,), (everything,) = first(names), first(None)
    assert [[one.name for one in response.resources] for response in (some, everything)] == [["a", "b"], ["a", "b", "c"]]
    assert first(names) == [some]
    assert first(names)[0].body is some.body
    assert first(frozenset("ax")) == [], "who asks for what does not exist has to hear of it"
    (renewed,) = first(names, above=int(everything.nonce))
    assert int(renewed.nonce) > int(everything.nonce)
    assert (renewed.resources, renewed.version) == (some.resources, some.version)
    assert first(names)[0] is renewed, "the others get that, too"
    changed = available.changed({"a": Resource.of(CLUSTER, "a", bytes(50))})
    assert [len(one.body) for one in first(None, available=changed)[0].resources] == [50, 100, 100]


def test_what_is_too_large_for_one_response_comes_in_several_with_rising_nonces():
    encoder = Encoder()
    available = Table({str(number): Resource.of(CLUSTER, str(number), bytes(1000)) for number in range(10)})
    for _ in range(2):
        responses = encoder.first(CLUSTER, available, None, above=0, limit_bytes=3500)
        assert [len(one.resources) for one in responses] == [3, 3, 3, 1]
        nonces = [int(one.nonce) for one in responses]
        assert nonces == sorted(set(nonces))
    (whole,) = encoder.first(CLUSTER, available, None, above=0, limit_bytes=100_000)
    assert len(whole.resources) == 10
    later = encoder.first(CLUSTER, available, None, above=nonces[1], limit_bytes=3500)
    nonces = [int(one.nonce) for one in later]
    assert nonces == sorted(set(nonces))
    assert len(encoder._firsts) == 2
    for number in range(20):
        encoder.first(CLUSTER, available, frozenset((str(number),)), above=0, limit_bytes=3500)
    assert len(encoder._firsts) == FIRSTS


def test_one_change_is_the_same_response_for_all_whose_last_nonce_is_below_it():
    encoder = Encoder()
    a, b = (Resource.of(CLUSTER, name, bytes(10)) for name in "ab")
    first = encoder.delta(CLUSTER, [a], [], above=0)
    assert encoder.delta(CLUSTER, [a], [], above=0) is first
    later = encoder.delta(CLUSTER, [a], [], above=int(first.nonce))
    assert int(later.nonce) > int(first.nonce)
    assert encoder.delta(CLUSTER, [a], [], above=0) is later
    assert encoder.delta(CLUSTER, [b], [], above=0).resources == (b,)
    assert encoder.delta(CLUSTER, [a], ["x"], above=0).removed == ("x",)
    assert encoder.delta(CLUSTER, [a], [], above=0).removed == ()


def test_in_the_state_of_the_world_what_all_ask_for_first_is_one_response_or_none():
    encoder = Encoder()
    available = Table({str(number): Resource.of(ENDPOINT, str(number), bytes(1000)) for number in range(10)})

    def first(limit_bytes, version="v1"):
        return encoder.first(ENDPOINT, available, None, above=0, limit_bytes=limit_bytes, version=version)

    assert first(3500) == []
    (whole,) = first(100_000)
    assert (whole.version, len(whole.resources)) == ("v1", 10)
    assert first(100_000) == [whole]
    assert first(100_000, "v2")[0].version == "v2"
    assert encoder.first(ENDPOINT, available, None, above=0, limit_bytes=100_000)[0].version != "v1"
