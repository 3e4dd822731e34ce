"""Sources of objects: directories of manifests (and, later, API servers).

In: files. Out: the events of `xds.model.events`, in order, and problems. Decides nothing about traffic.
"""
