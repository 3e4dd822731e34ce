"""A fleet in files that is drained, and what is kept of that beside them."""

import signal

import yaml

WEB = """\
apiVersion: v1
kind: Service
metadata: {{name: web, namespace: shop, annotations: {{traffic.isthmus.dev/endpoint-capacity: "100"}}}}
spec: {{clusterIP: 10.96.0.1, ports: [{{name: http, port: 80}}]}}
---
apiVersion: multicluster.x-k8s.io/v1beta1
kind: ServiceExport
metadata: {{name: web, namespace: shop}}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {{name: web-1, namespace: shop, labels: {{kubernetes.io/service-name: web}}}}
addressType: IPv4
ports: [{{name: http, port: 8080}}]
endpoints: [{{addresses: [{address}], zone: {zone}}}]
"""
FLEET = """\
apiVersion: traffic.isthmus.dev/v1alpha1
kind: MemberCluster
metadata: {name: east}
spec: {region: eu, zones: [eu-1]}
---
apiVersion: traffic.isthmus.dev/v1alpha1
kind: MemberCluster
metadata: {name: west}
spec: {region: us, zones: [us-1, west]}
---
apiVersion: traffic.isthmus.dev/v1alpha1
kind: TrafficPolicy
metadata: {name: web, namespace: shop}
spec:
  targetRefs: [{group: multicluster.x-k8s.io, kind: ServiceImport, name: web}]
  tiers:
  - {name: own, places: [{clusters: ["@own"]}]}
  - {name: remote, gate: Manual, places: [{clusters: ["*"]}]}
"""
NOBODY = "127.0.0.1:1"


def interrupt():
    signal.raise_signal(signal.SIGINT)


def kept(directory):
    """Return name -> spec of the overrides."""
    path = directory / ".overrides.yaml"
    found = yaml.safe_load_all(path.read_text()) if path.exists() else ()
    return {item["metadata"]["name"]: item["spec"] for item in found}
