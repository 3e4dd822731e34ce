"""Registries: the objects on the hub by which clusters become members, whatever brought them together.

In: objects of each registry. Out: `Registration`s: a name, how to reach the API server, where the cluster stands. Pure; who
reads the hub and connects is `xds.discovery.live`.
"""
