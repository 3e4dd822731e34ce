"""Where resources refer to each other, they say: over the stream you are on."""

from xds.wire import envoy


def ads_source() -> envoy.ConfigSource:
    """Return the config source that means the ADS stream."""
    return envoy.ConfigSource(ads=envoy.AggregatedConfigSource(), resource_api_version=envoy.ApiVersion.V3)
