"""Problems: what users did wrong, as values that travel with results instead of stopping them.

A problem has a stable code (`docs/problems.md` lists them), names the object and the field, and says the remedy.
"""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable


class Severity(StrEnum):
    """How bad a problem is for traffic."""

    INFO = "info"
    """Nothing is wrong, but somebody may wonder."""
    WARNING = "warning"
    """Something is ignored or approximated; traffic flows."""
    ERROR = "error"
    """An object, or a part of it, is not served as its author meant."""


NEAR = 0.6
"""How alike two words are, by difflib's ratio, of which one may be meant by the other: `wbe` is 2/3 of `web`."""

CODES: dict[str, tuple[Severity, str]] = {
    # 01xx: files and decoding (xds/discovery)
    "XDS0101": (Severity.ERROR, "file cannot be parsed"),
    "XDS0102": (Severity.ERROR, "object does not validate"),
    "XDS0103": (Severity.ERROR, "file cannot be read"),
    "XDS0104": (Severity.ERROR, "file is larger or more deeply aliased than allowed"),
    "XDS0105": (Severity.ERROR, "object defined twice"),
    "XDS0106": (Severity.INFO, "kind is not read"),
    "XDS0107": (Severity.WARNING, "object stands at the wrong level"),
    "XDS0108": (Severity.INFO, "file holds no objects"),
    "XDS0109": (Severity.WARNING, "name cannot be used in the directory"),
    "XDS0110": (Severity.WARNING, "kind is not read, but like one that is"),
    "XDS0111": (Severity.WARNING, "directory is not that of a fleet"),
    "XDS0112": (Severity.WARNING, "field is unknown"),
    # 02xx: the fleet (xds/model)
    "XDS0201": (Severity.WARNING, "member cluster is not declared"),
    "XDS0203": (Severity.WARNING, "exported services conflict"),
    "XDS0204": (Severity.ERROR, "export without a service"),
    "XDS0205": (Severity.ERROR, "endpoint address is invalid"),
    "XDS0206": (Severity.WARNING, "service has no ports"),
    "XDS0207": (Severity.WARNING, "no slice has the port"),
    "XDS0208": (Severity.WARNING, "endpoint address appears twice"),
    "XDS0209": (Severity.WARNING, "endpoint is in an unreachable network"),
    "XDS0210": (Severity.WARNING, "protocol is not supported"),
    "XDS0211": (Severity.WARNING, "node is unknown"),
    "XDS0212": (Severity.ERROR, "exported service has an invalid type"),
    "XDS0213": (Severity.WARNING, "value is unknown"),
    "XDS0214": (Severity.WARNING, "port is declared twice"),
    "XDS0215": (Severity.WARNING, "service has no slices"),
    "XDS0216": (Severity.WARNING, "slice belongs to no service"),
    "XDS0217": (Severity.WARNING, "member cluster has no objects"),
    "XDS0218": (Severity.WARNING, "shared service has no counterpart"),
    "XDS0219": (Severity.WARNING, "type of sharing is not served"),
    "XDS0220": (Severity.WARNING, "two clusters have one id"),
    "XDS0230": (Severity.WARNING, "imported port is not HTTP"),
    "XDS0231": (Severity.ERROR, "gateway of an import cannot be used"),
    "XDS0232": (Severity.ERROR, "cluster key is not one"),
    "XDS0233": (Severity.WARNING, "policy names an unknown cluster"),
    "XDS0234": (Severity.WARNING, "weight is negative"),
    "XDS0235": (Severity.WARNING, "policy without an import"),
    "XDS0236": (Severity.ERROR, "export of a port that does not exist"),
    "XDS0237": (Severity.WARNING, "policy is given twice"),
    "XDS0238": (Severity.INFO, "weight 0 means no requests"),
    "XDS0240": (Severity.WARNING, "gateways share an address"),
    "XDS0241": (Severity.WARNING, "policy gives way to a TrafficPolicy"),
    "XDS0242": (Severity.WARNING, "weights leave nobody"),
    "XDS0243": (Severity.INFO, "gateway is called by name"),
    # 03xx: live clusters (xds/discovery/live)
    "XDS0301": (Severity.WARNING, "member cluster cannot be kept up with"),
    "XDS0302": (Severity.ERROR, "kind may not be read"),
    "XDS0303": (Severity.ERROR, "kubeconfig cannot be used"),
    "XDS0304": (Severity.ERROR, "cluster is told of twice"),
    "XDS0305": (Severity.ERROR, "cluster cannot be written to"),
    "XDS0306": (Severity.ERROR, "registration cannot be used"),
    "XDS0307": (Severity.WARNING, "cluster is not saved"),
    "XDS0308": (Severity.ERROR, "mass deletion is held"),
    "XDS0309": (Severity.WARNING, "one cluster has two names"),
    "XDS0310": (Severity.ERROR, "import has no address of the range"),
    "XDS0311": (Severity.WARNING, "clusterset range overlaps Services"),
    "XDS0312": (Severity.INFO, "registry takes a cluster for not ready"),
    "XDS0313": (Severity.INFO, "conditions are not written"),
    "XDS0314": (Severity.WARNING, "kind has no version that is read"),
    "XDS0315": (Severity.WARNING, "scope selects no namespace"),
    # 04xx: translation (xds/translate)
    "XDS0401": (Severity.ERROR, "route refers to what does not exist"),
    "XDS0402": (Severity.ERROR, "gateway or route field is not supported"),
    "XDS0403": (Severity.WARNING, "route is attached nowhere"),
    "XDS0404": (Severity.INFO, "port is not HTTP"),
    "XDS0405": (Severity.WARNING, "two services claim one address"),
    "XDS0406": (Severity.WARNING, "hostname is claimed twice"),
    "XDS0407": (Severity.ERROR, "gateway does not exist"),
    # 05xx: proxies (xds/server)
    "XDS0501": (Severity.ERROR, "node is refused"),
    "XDS0502": (Severity.INFO, "node does not say everything"),
    "XDS0503": (Severity.ERROR, "proxy rejected a resource"),
    "XDS0504": (Severity.WARNING, "node metadata has an unknown key"),
    "XDS0505": (Severity.ERROR, "certificate cannot be used"),
    "XDS0506": (Severity.ERROR, "resource is in quarantine"),
    # 06xx: policies (xds/policy)
    "XDS0601": (Severity.ERROR, "policy is not accepted"),
    "XDS0602": (Severity.WARNING, "policy has no target"),
    "XDS0603": (Severity.WARNING, "two policies have one target"),
    "XDS0604": (Severity.ERROR, "override is not in force"),
    "XDS0605": (Severity.WARNING, "capacity is not declared"),
    "XDS0606": (Severity.INFO, "clients do not follow a policy"),
    "XDS0607": (Severity.WARNING, "weights leave nobody"),
    "XDS0610": (Severity.INFO, "policy of another system has another effect"),
    "XDS0611": (Severity.WARNING, "policy of another system is not followed"),
    "XDS0612": (Severity.INFO, "clients are kept otherwise than with kube-proxy"),
}
"""Code -> (severity, title)."""


class Ref(NamedTuple):
    """Names one source object, e.g. to say where a number or a problem comes from."""

    cluster: str
    """The member cluster, or "" for a fleet-wide object."""
    kind: str
    namespace: str
    name: str
    resource_version: str = ""

    @property
    def unversioned(self) -> Ref:
        """The object, in whichever of its versions."""
        return Ref(self.cluster, self.kind, self.namespace, self.name)

    def __str__(self) -> str:
        where = f"{self.namespace}/{self.name}" if self.namespace else self.name
        return f"{self.kind} {where} in {self.cluster or 'the fleet'}"


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One thing that is wrong, for people and for machines."""

    code: str
    message: str
    """One sentence: what is wrong and what was expected."""
    ref: Ref | None = None
    """The object, where there is one."""
    field: str = ""
    """The path inside the object, e.g. `spec.ports[0].port`."""
    hint: str = ""
    """What to do about it."""
    source: str = ""
    """`FILE:LINE` where the object came from a file."""
    about: str = ""
    """What problems are told apart by in the log where that is not the message, which may count something; "": the message."""

    def is_about(self, member: str) -> bool:
        """Return whether it is one of a member cluster or its objects; what has no object says it in words, or by its file."""
        ref = self.ref
        if ref is None:
            return f"cluster {member!r}" in self.message or self.source.startswith(f"{member}/")
        return ref.cluster == member or (ref.cluster, ref.kind, ref.name) == ("", "MemberCluster", member)

    @property
    def severity(self) -> Severity:
        """How bad it is, by the code."""
        return CODES[self.code][0]

    @property
    def title(self) -> str:
        """What all problems of this code have in common."""
        return CODES[self.code][1]

    @property
    def text(self) -> str:
        """Where it is, what is wrong, and the remedy."""
        place = " ".join(part for part in (self.source, str(self.ref) if self.ref else "", self.field) if part)
        text = f"{place}: {self.message}" if place else self.message
        return f"{text} ({self.hint})" if self.hint else text

    def __str__(self) -> str:
        return f"{self.code} {self.severity}: {self.text}"


def worst_first(problem: Problem) -> tuple[int, str, int, str]:
    """Return what sorts problems for people: errors first, then by file and line."""
    file, _, line = problem.source.rpartition(":")
    if not line.isdecimal():
        file, line = problem.source, "0"
    return -list(Severity).index(problem.severity), file, int(line), str(problem)


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return the hint `did you mean 'web'?` if a known word is so near that this one may be a slip of it, else ""."""
    by_case = {found.casefold(): found for found in sorted(known)}
    near = get_close_matches(word.casefold(), by_case, n=3, cutoff=NEAR)
    # Two letters in each other's place are the likelier slip than another letter.
    best = next((one for one in near if sorted(one) == sorted(word.casefold())), near[0]) if near else ""
    return f"did you mean {by_case[best]!r}?" if best else ""


def all_known(what: str, known: Iterable[str]) -> str:
    """Return the hint `known regions: eu, us` for a name that is of none of them."""
    return f"known {what}s: {', '.join(sorted(known)) or 'none'}"
