"""gRPC: ADS and per-type discovery services, health and reflection. Never looks inside a resource."""
