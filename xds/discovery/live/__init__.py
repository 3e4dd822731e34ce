"""Live clusters: what API servers hold, listed once and watched from then on, told as the same events as files are.

In: kubeconfigs and registries of clusters. Out: `xds.model.events` and problems. It decides nothing about traffic.
"""
