"""The admin API: what the running stages know, as JSON over HTTP, probes and metrics. Changes no traffic on its own."""
