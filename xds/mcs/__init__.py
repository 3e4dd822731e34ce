"""What an implementation of the MCS API writes: imports, the Services and slices behind them, and conditions (KEP-1645).

In: the objects of the clusters (`xds.model.cluster`). Out: writes of single objects. Nothing here decides about traffic of
proxies: that is the same whether we write, somebody else does, or nobody.
"""
