"""The version of the distribution; here because `xds/__init__.py` must hold nothing that anything needs."""

__version__ = "0.1.0"
