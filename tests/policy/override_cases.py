"""Good and bad TrafficOverrides: API servers, by the CRD, and the code have to agree about them."""

GATE = {"namespace": "shop", "policy": "web", "tier": "remote"}
GOOD = {
    "a cluster": {"drain": {"cluster": "east"}},
    "where several meet": {"drain": {"cluster": "east", "region": "eu", "zone": "eu-a"}},
    "a ramp": {"drain": {"zone": "eu-a", "step": 3, "steps": 10}, "reason": "kernel update"},
    "a ramp that has not begun": {"drain": {"region": "eu", "step": 0, "steps": 10}},
    "some services": {"drain": {"cluster": "east", "services": ["shop/web", "shop/api"]}},
    "a gate of the fleet": {"open": GATE},
    "a gate of a cluster": {"open": {**GATE, "cluster": "east"}, "reason": "drill"},
}
BAD = {
    "nothing": ({}, "spec: "),
    "two things": ({"drain": {"cluster": "east"}, "open": GATE}, "spec: "),
    "no place": ({"drain": {}}, "spec.drain: "),
    "an empty place": ({"drain": {"cluster": ""}}, "spec.drain: "),
    "more steps than there are": ({"drain": {"cluster": "east", "step": 5, "steps": 3}}, "spec.drain: "),
    "more steps than the one": ({"drain": {"cluster": "east", "step": 2}}, "spec.drain: "),
    "no steps": ({"drain": {"cluster": "east", "steps": 0}}, "spec.drain.steps: "),
    "a service without a namespace": ({"drain": {"cluster": "east", "services": ["web"]}}, "spec.drain.services[0]: "),
    "a gate without a tier": ({"open": {**GATE, "tier": ""}}, "spec.open.tier: "),
    "a policy that cannot be one": ({"open": {**GATE, "policy": "Web!"}}, "spec.open.policy: "),
}
"""Case -> spec, and what an API server's refusal names."""


def document(name, spec):
    """Return an override as a manifest."""
    return {
        "apiVersion": "traffic.isthmus.dev/v1alpha1",
        "kind": "TrafficOverride",
        "metadata": {"name": name},
        "spec": spec,
    }
