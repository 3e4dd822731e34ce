"""Of how many percent of a priority's hosts being healthy Envoy's documentation makes which loads.

https://www.envoyproxy.io/docs/envoy/latest/intro/arch_overview/upstream/load_balancing/priority
"""

LOADS = (
    ((100, 100), [100, 0]),
    ((72, 100), [100, 0]),
    ((71, 100), [99, 1]),
    ((50, 100), [70, 30]),
    ((25, 100), [35, 65]),
    ((0, 100), [0, 100]),
    ((72, 72), [100, 0]),
    ((71, 71), [99, 1]),
    ((50, 50), [70, 30]),
    ((25, 25), [50, 50]),
    ((25, 25, 100), [35, 35, 30]),
    ((25, 25, 20), [37, 35, 28]),  # the documentation rounds to 36, 36, 28
)
"""(percent healthy, by priority; percent of the requests, by priority)."""
