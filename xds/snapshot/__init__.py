"""Versioned bytes: resources, snapshots per view, change sets, history. Never parses what it holds."""
