"""Types beyond clusters, endpoints, listeners and routes: what a real Envoy asks for, is given, and does with it."""

import asyncio
import contextlib
import json
import ssl

import pytest
import trustme
from envoy_data_plane.envoy.extensions.filters.http.fault.v3 import FaultAbort, HttpFault
from envoy_data_plane.envoy.type.v3 import FractionalPercent, FractionalPercentDenominatorType
from interop_waiting import eventually
from static_envoy import (
    EXTENSIONS,
    Source,
    answering,
    bootstrap,
    http_listener,
    resource,
    running_envoy,
)

from xds.wire import EXTENSION_CONFIG, ROUTE, RUNTIME, SCOPED_ROUTE, SECRET, envoy, message_class

pytestmark = pytest.mark.interop


@pytest.fixture(params=["ads", "own"])
def source(request, delta):
    """Over ADS, or over a stream of the type alone."""
    return Source(delta=delta, aggregated=request.param == "ads")


def runtime(name, *, ttl_s=None, **values):
    message = message_class("envoy.service.runtime.v3.Runtime")(name=name)
    message.layer.update(values)
    return resource(RUNTIME, name, message, ttl_s=ttl_s)


async def test_runtime_layers(envoy, tmp_path, plane, source):
    plane.put(runtime("flags", colour="blue"), runtime("unasked", colour="red"))
    layers = [{"name": "ours", "rtds_layer": {"name": "flags", "rtds_config": source.config}}]
    config = bootstrap(plane, source, layered_runtime={"layers": layers})
    async with running_envoy(envoy, tmp_path, config) as process:
        assert await entries(process) == {"colour": "blue"}
        assert plane.subscribed(RUNTIME) == [(False, {"flags"})]
        plane.put(runtime("flags", colour="green", size=3))
        await eventually(lambda: shows(process, {"colour": "green", "size": "3"}))
        plane.put(gone=[(RUNTIME, "flags")])
        if source.delta:
            await eventually(lambda: shows(process, {}))
        plane.put(runtime("flags", colour="white"))
        await eventually(lambda: shows(process, {"colour": "white"}))


async def test_what_has_a_ttl_stays_for_as_long_as_the_control_plane_does(envoy, tmp_path, plane, source):
    ttl_s = 1.5
    plane.put(runtime("flags", ttl_s=ttl_s, colour="blue"))
    layers = [{"name": "ours", "rtds_layer": {"name": "flags", "rtds_config": source.config}}]
    async with running_envoy(envoy, tmp_path, bootstrap(plane, source, layered_runtime={"layers": layers})) as process:
        for _ in range(3):
            assert await entries(process) == {"colour": "blue"}
            await asyncio.sleep(ttl_s)
        assert await entries(process) == {"colour": "blue"}
        plane.put(runtime("flags", ttl_s=ttl_s, colour="green"))
        await eventually(lambda: shows(process, {"colour": "green"}))
        await plane.server.stop(1)
        await asyncio.sleep(2 * ttl_s)
        # State of the world has no place for a TTL, so there it stays.
        assert await entries(process) == ({} if source.delta else {"colour": "green"})


async def entries(process):
    found = json.loads(await process.admin("/runtime"))["entries"]
    return {name: held["final_value"] for name, held in found.items()}


async def shows(process, wanted):
    return await entries(process) == wanted


def abort(name, status):
    """Return a filter that answers every request by itself."""
    everything = FractionalPercent(numerator=100, denominator=FractionalPercentDenominatorType.HUNDRED)
    message = envoy.TypedExtensionConfig(name=name)
    message.typed_config.type_url = FAULT
    message.typed_config.value = bytes(HttpFault(abort=FaultAbort(http_status=status, percentage=everything)))
    return resource(EXTENSION_CONFIG, name, message)


FAULT = f"{EXTENSIONS}.filters.http.fault.v3.HTTPFault"


@pytest.mark.parametrize("with_default", [False, True], ids=["warming", "default"])
async def test_extension_configs(envoy, tmp_path, plane, source, http, with_default):
    discovery = {"config_source": source.config, "type_urls": [FAULT]}
    if with_default:
        discovery |= {"default_config": {"@type": FAULT}, "apply_default_config_without_warming": True}
    else:
        plane.put(abort("fault", 418))
    routes = {"route_config": {"name": "routes", "virtual_hosts": [answering("through")]}}
    listener = http_listener(http.port, filters=[{"name": "fault", "config_discovery": discovery}], **routes)
    async with running_envoy(envoy, tmp_path, bootstrap(plane, source, listeners=[listener])) as process:
        await eventually(lambda: plane.subscribed(EXTENSION_CONFIG) == [(False, {"fault"})])
        if with_default:
            assert await http.get() == (200, "through")
            plane.put(abort("fault", 418))
        await eventually(lambda: http.gives((418, "fault filter abort")))
        plane.put(abort("fault", 503))
        await eventually(lambda: http.gives((503, "fault filter abort")))
        # What a listener still names is never taken away: Envoy would answer every request with an error (R10).
        plane.put(gone=[(EXTENSION_CONFIG, "fault")])
        plane.put(abort("other", 400))
        assert await http.get() == (503, "fault filter abort")
        plane.put(abort("fault", 404))
        await eventually(lambda: http.gives((404, "fault filter abort")))
        failures = await process.stats(r"extension_config_discovery.*(config_fail|config_conflict)")
        assert not any(failures.values()), failures


def routes(name, text):
    message = envoy.RouteConfiguration(name=name)
    host = message.virtual_hosts.add(name=name, domains=["*"])
    answer = host.routes.add(match={"prefix": "/"}).direct_response
    answer.status, answer.body.inline_string = 200, text
    return resource(ROUTE, name, message)


def scope(key, route):
    message = envoy.ScopedRouteConfiguration(name=f"scope-{key}", route_configuration_name=route)
    message.key.fragments.add(string_key=key)
    return resource(SCOPED_ROUTE, message.name, message)


async def test_scoped_routes(envoy, tmp_path, plane, source, http):
    fragment = {"header_value_extractor": {"name": "x-scope", "index": 0}}
    scoped = {
        "name": "scopes",
        "scope_key_builder": {"fragments": [fragment]},
        "rds_config_source": source.config,
        "scoped_rds": {"scoped_rds_config_source": source.config},
    }
    plane.put(scope("a", "one"), scope("b", "two"), routes("one", "first"), routes("two", "second"))
    config = bootstrap(plane, source, listeners=[http_listener(http.port, scoped_routes=scoped)])
    async with running_envoy(envoy, tmp_path, config) as process:
        # Envoy names no scopes: its empty first request means all of them.
        assert plane.subscribed(SCOPED_ROUTE) == [(True, frozenset())]
        await eventually(lambda: http.gives((200, "first"), x_scope="a"))
        await eventually(lambda: http.gives((200, "second"), x_scope="b"))
        plane.put(scope("a", "two"), scope("c", "one"))
        await eventually(lambda: http.gives((200, "second"), x_scope="a"))
        await eventually(lambda: http.gives((200, "first"), x_scope="c"))
        plane.put(gone=[(SCOPED_ROUTE, "scope-b")])
        await eventually(lambda: http.gives((404, ""), x_scope="b"))
        assert await http.get(x_scope="a") == (200, "second")
        assert not any((await process.stats("update_rejected")).values())


def certificate(authority, name):
    """Return a secret with a certificate for a name."""
    issued = authority.issue_cert(name)
    message = envoy.Secret(name="cert")
    message.tls_certificate.private_key.inline_bytes = issued.private_key_pem.bytes()
    message.tls_certificate.certificate_chain.inline_bytes = issued.cert_chain_pems[0].bytes()
    return resource(SECRET, "cert", message)


def empty_secret(name):
    return resource(SECRET, name, envoy.Secret(name=name))


async def test_secrets(envoy, tmp_path, plane, source, http):
    authority = trustme.CA()
    plane.put(certificate(authority, "one.test"))
    context = {"tls_certificate_sds_secret_configs": [{"name": "cert", "sds_config": source.config}]}
    tls = {"@type": f"{EXTENSIONS}.transport_sockets.tls.v3.DownstreamTlsContext", "common_tls_context": context}
    routes = {"route_config": {"name": "routes", "virtual_hosts": [answering("through")]}}
    listener = http_listener(http.port, transport_socket={"name": "tls", "typed_config": tls}, **routes)
    async with running_envoy(envoy, tmp_path, bootstrap(plane, source, listeners=[listener])) as process:
        await eventually(lambda: served_name(http.port, authority, "one.test"))
        plane.put(certificate(authority, "two.test"))
        await eventually(lambda: served_name(http.port, authority, "two.test"))
        # Never taken away: Envoy would reject it (R10).
        plane.put(gone=[(SECRET, "cert")])
        plane.put(empty_secret("other"))
        assert await served_name(http.port, authority, "two.test")
        plane.put(certificate(authority, "three.test"))
        await eventually(lambda: served_name(http.port, authority, "three.test"))
        assert not any((await process.stats("(update_rejected|ssl_context_update_by_sds_fail)")).values())


async def served_name(port, authority, name):
    """Whether the TLS server on a port has a certificate for the name."""
    context = ssl.create_default_context()
    authority.configure_trust(context)
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context, server_hostname=name)
    except OSError:  # refused, or a certificate for another name
        return False
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()
    return True
