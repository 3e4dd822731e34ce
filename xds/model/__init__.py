"""The fleet: members, localities, services merged across clusters, endpoints.

In: events. Out: immutable values and the set of what changed. Knows neither Envoy nor Kubernetes clients.
"""
