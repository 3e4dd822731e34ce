"""Redaction: it never raises, and a secret that was put where Envoy's API says that secrets are is in nothing that it returns."""

from __future__ import annotations

from functools import cache

from fuzz_draw import Draw
from google.protobuf import descriptor_pb2

from xds.wire import CLUSTER, LISTENER, SECRET, envoy, pack, to_bytes, to_json
from xds.wire.pool import message_class
from xds.wire.redaction import redacted, redacted_text
from xds.wire.type_urls import PREFIX, SHORT_NAMES

KEY = "PLANTED-SECRET"
URLS = (*SHORT_NAMES.values(), "", "x", PREFIX, PREFIX + "google.protobuf.Any", PREFIX + "xds.type.v3.TypedStruct")
BEGINNINGS = (
    "envoy.config.cluster.v3.Cluster",
    "envoy.config.listener.v3.Listener",
    "envoy.config.bootstrap.v3.Bootstrap",
    "envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext",
    "envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext",
    "envoy.extensions.transport_sockets.tls.v3.Secret",
    "envoy.extensions.transport_sockets.tls.v3.TlsSessionTicketKeys",
    "google.protobuf.Any",
    "xds.type.v3.TypedStruct",
)
SENSITIVE = 76569463  # of udpa.annotations.sensitive, an extension of google.protobuf.FieldOptions
DEPTH = 12
MESSAGES = 60


def run(data: bytes) -> None:
    """The first byte says: a body as it is, a message that is made, or what a client quotes."""
    draw = Draw(data)
    match draw.below(3):
        case 0:
            _whatever(draw)
        case 1:
            _planted(draw)
        case _:
            _quoted(draw)


def _whatever(draw: Draw) -> None:
    type_url = draw.one_of((*URLS, draw.text()))
    result = redacted(type_url, draw.rest())
    assert (result is None) == (type_url == SECRET)
    if result is not None:
        to_json(result)


def _planted(draw: Draw) -> None:
    messages = [MESSAGES]
    message = message_class(draw.one_of(BEGINNINGS))()
    _fill(message, draw, DEPTH, messages)
    for _ in range(draw.below(40)):
        message = pack(message)
    wrapped = envoy.Cluster(name="web") if draw.below(2) else envoy.Listener(name="web")
    if isinstance(wrapped, envoy.Cluster):
        wrapped.transport_socket.typed_config.CopyFrom(pack(message))
    else:
        wrapped.filter_chains.add().filters.add(name="web").typed_config.CopyFrom(pack(message))
    result = redacted(CLUSTER if isinstance(wrapped, envoy.Cluster) else LISTENER, to_bytes(wrapped))
    assert KEY.encode() not in result.value
    assert KEY not in to_json(result)


def _fill(message, draw: Draw, depth: int, messages: list[int]) -> None:
    """Set some fields; whatever is inside of a sensitive one is the secret."""
    messages[0] -= 1
    if message.DESCRIPTOR.full_name == "google.protobuf.Any":
        if depth and messages[0] > 0:
            inner = message_class(draw.one_of(BEGINNINGS))()
            _fill(inner, draw, depth - 1, messages)
            message.CopyFrom(pack(inner))
        return
    fields = message.DESCRIPTOR.fields
    for _ in range(draw.below(5) if depth and messages[0] > 0 else 0):
        field = fields[(draw.byte() << 8 | draw.byte()) % len(fields)] if fields else None
        if field is not None:
            _set(message, field, draw, depth, messages)


def _set(message, field, draw: Draw, depth: int, messages: list[int]) -> None:
    if is_sensitive(field):
        _plant(message, field, KEY)
    elif field.message_type is None:
        _plant(message, field, draw.one_of(("", "web", "a.b")))
    elif field.message_type.GetOptions().map_entry:
        if field.message_type.fields_by_name["value"].message_type and field.message_type.fields[0].type == field.TYPE_STRING:
            _fill(getattr(message, field.name)["key"], draw, depth - 1, messages)
    else:
        target = getattr(message, field.name)
        inner = target.add() if field.is_repeated else target
        inner.SetInParent()
        _fill(inner, draw, depth - 1, messages)


def _plant(message, field, text: str) -> None:
    """Set a text, or all texts of a message, to one value; what is neither is left alone."""
    if field.message_type is not None:
        _plant_inside(message, field, text)
        return
    values = {field.TYPE_STRING: text, field.TYPE_BYTES: text.encode()}
    if field.type not in values:
        return
    if field.is_repeated:
        getattr(message, field.name).append(values[field.type])
    else:
        setattr(message, field.name, values[field.type])


def _plant_inside(message, field, text: str) -> None:
    if field.message_type.GetOptions().map_entry:
        return
    target = getattr(message, field.name)
    inner = target.add() if field.is_repeated else target
    if inner.DESCRIPTOR.full_name == "google.protobuf.Any":
        inner.CopyFrom(envoy.Any(type_url=CLUSTER, value=to_bytes(envoy.Cluster(name=text))))
        return
    for each in inner.DESCRIPTOR.fields:
        if each.message_type is None:
            _plant(inner, each, text)


@cache
def is_sensitive(field) -> bool:
    """Read the mark off the bytes of the field's options, not as redaction does."""
    options = descriptor_pb2.FieldOptions.FromString(field.GetOptions().SerializeToString())
    tag, encoded = SENSITIVE << 3, b""
    while tag >= 0x80:
        encoded, tag = encoded + bytes((tag & 0x7F | 0x80,)), tag >> 7
    return encoded + bytes((tag, 1)) in options.SerializeToString()


def _quoted(draw: Draw) -> None:
    field = draw.one_of(("inline_string", "inlineBytes", '"inline_bytes"', "'inlineString'"))
    quote = draw.one_of("\"'")
    plain = "".join(letter for letter in draw.text() if letter not in "\"'\\")
    inside = KEY + draw.text().replace("\\", "\\\\").replace(quote, "\\" + quote) + KEY
    text = f"{plain} {field}{' ' * draw.below(3)}:{' ' * draw.below(3)}{quote}{inside}{quote}{draw.one_of((' }', ''))}"
    text = text[: len(text) - draw.byte()] if draw.below(2) else text  # clients cut their texts anywhere
    assert KEY not in redacted_text(text), text
    pem = f"{plain}-----BEGIN {draw.one_of(('', 'RSA ', 'EC '))}PRIVATE KEY-----{KEY}{draw.text()}"
    assert KEY not in redacted_text(pem)
    redacted_text(draw.text() * 3)
