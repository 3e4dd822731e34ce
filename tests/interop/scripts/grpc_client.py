"""A stock gRPC client: for each line `NUMBER TARGET` on stdin it makes so many calls and prints who answered, in JSON.

With a third word, each call has a channel of its own.
"""

import json
import sys
from collections import Counter

import grpc

DEADLINE_S = 20
"""Longer than a client waits for a resource, so that what ends a call is never its deadline."""

channels = {}
for line in sys.stdin:
    number, target, *each = line.split()
    if target not in channels:
        channels[target] = grpc.insecure_channel(target)
    places = Counter()
    for _ in range(int(number)):
        channel = grpc.insecure_channel(target) if each else channels[target]
        try:
            places[channel.unary_unary("/demo.Where/Ask")(b"", timeout=DEADLINE_S).decode()] += 1
        except grpc.RpcError as error:
            places[f"{error.code().name}: {error.details()}"] += 1
        if each:
            channel.close()
    print(json.dumps(places), flush=True)
