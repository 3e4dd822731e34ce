"""The demo: two clusters, real Envoys, real backends, and what happens to requests when places fail.

Its parts (places, backends, child processes, traffic, Envoy's arithmetic) also carry the interop tests.
"""
