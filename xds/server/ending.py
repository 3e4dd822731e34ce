"""How a stream ends: a gRPC status, and a text that says why."""

from __future__ import annotations

import grpc

TEXT_LIMIT = 1_000
"""Characters of a client's text that we repeat to logs and peers: gRPC carries a status in an 8 KiB header."""


def clipped(text: str) -> str:
    """Return the text, shortened to TEXT_LIMIT."""
    return text if len(text) <= TEXT_LIMIT else f"{text[:TEXT_LIMIT]}… ({len(text)} characters)"


class StreamEndError(Exception):
    """Ends a stream with a gRPC status."""

    def __init__(self, code: grpc.StatusCode, text: str) -> None:
        super().__init__(clipped(text))
        self.code = code


def refusal(text: str) -> StreamEndError:
    """Return the end of a stream whose client sent what we cannot serve."""
    return StreamEndError(grpc.StatusCode.INVALID_ARGUMENT, text)


def silent(limit_s: float) -> StreamEndError:
    """Return the end of a stream whose client has said nothing yet: to wait for it costs memory."""
    text = f"no request within {limit_s:g} s of the stream's beginning; open a stream when there is something to ask for"
    return StreamEndError(grpc.StatusCode.DEADLINE_EXCEEDED, text)


def shutting_down() -> StreamEndError:
    """Return the end of a stream that another server is to serve."""
    return StreamEndError(grpc.StatusCode.UNAVAILABLE, "the control plane is shutting down; reconnect")


def aged() -> StreamEndError:
    """Return the end of a stream whose connection is old; nothing is wrong with it."""
    return StreamEndError(grpc.StatusCode.OK, "the connection has reached its maximum age; reconnect")
