"""Services, tiers, routes and a view become Envoy resources and problems.

Pure and deterministic: equal input gives equal bytes. Never raises for what users wrote.
"""
