"""A fleet in files: three clusters in two regions, and what can be said of its one service."""

from __future__ import annotations

import json

API = "traffic.isthmus.dev/v1alpha1"
PLACES = {"east": ("eu", "eu-1"), "north": ("eu", "eu-2"), "west": ("us", "us-1")}


def web(cluster, number, endpoints=2, **annotations):
    """Return the manifests of an exported service with some endpoints."""
    zone = PLACES[cluster][1]
    meta = {"name": "web", "namespace": "shop"}
    addresses = [f"10.{number}.0.{index + 1}" for index in range(endpoints)]
    return [
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {**meta, "annotations": annotations},
            "spec": {"clusterIP": f"10.96.{number}.1", "ports": [{"name": "http", "port": 80}]},
        },
        {"apiVersion": "multicluster.x-k8s.io/v1beta1", "kind": "ServiceExport", "metadata": meta},
        {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {**meta, "name": "web-1", "labels": {"kubernetes.io/service-name": "web"}},
            "addressType": "IPv4",
            "ports": [{"name": "http", "port": 8080}],
            "endpoints": [{"addresses": [one], "zone": zone, "conditions": {"ready": True}} for one in addresses],
        },
    ]


def policy(name="web", **spec):
    spec = {"targetRefs": [{"kind": "Service", "name": "web"}], **spec}
    return {"apiVersion": API, "kind": "TrafficPolicy", "metadata": {"name": name, "namespace": "shop"}, "spec": spec}


def override(name, **spec):
    return {"apiVersion": API, "kind": "TrafficOverride", "metadata": {"name": name}, "spec": spec}


CENTERS = policy(strategy={"type": "TwoSitesThreeCenters", "primary": "eu", "remote": "us"})


def explained(xdsctl, directory, service="shop/web", place="east", **options):
    return json.loads(xdsctl("explain", service, "--from", place, "--clusters", directory, "-o", "json", **options).stdout)
