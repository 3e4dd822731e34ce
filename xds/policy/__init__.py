"""Which endpoints a client may use, in which order and with what weight.

In: a service and a client's view. Out: tiers, each number with its reason. Pure: no I/O, no clock.
"""
