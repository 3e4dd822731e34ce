"""The root of our exceptions: what callers can handle. What users did wrong is a `Problem`, not an exception."""

from __future__ import annotations

from typing import ClassVar


class XdsError(Exception):
    """Base of every error that Isthmus raises on purpose; its text is one clear sentence for the user."""


class ConfigurationError(XdsError):
    """Bad configuration or command line: what is wrong, where, and the remedy."""


class NodeRejectedError(XdsError):
    """A client whose node cannot be given a view, e.g. because it names an unknown cluster.

    Attributes:
        node_id: what the client calls itself.
        reason: what is wrong, with the field and the remedy.
    """

    def __init__(self, node_id: str, reason: str) -> None:
        super().__init__(f"node {node_id!r}: {reason}")
        self.node_id = node_id
        self.reason = reason


class AddressError(XdsError):
    """We cannot listen at an address; `serves` of a subclass says what for.

    Attributes:
        address: the address as it was given.
        reason: what is wrong, with the remedy.
    """

    serves: ClassVar[str]

    def __init__(self, address: str, reason: str) -> None:
        super().__init__(f"cannot serve {self.serves} on {address!r}: {reason}")
        self.address = address
        self.reason = reason


class ChangedError(XdsError):
    """Somebody else has changed an object since it was read."""
