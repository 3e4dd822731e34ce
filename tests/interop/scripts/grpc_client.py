"""A stock gRPC client: for each line `NUMBER TARGET` on stdin it makes so many calls and prints who answered, in JSON."""

import json
import sys
from collections import Counter

import grpc

DEADLINE_S = 20
"""Longer than a client waits for a resource, so that what ends a call is never its deadline."""

channels = {}
for line in sys.stdin:
    number, target = line.split()
    if target not in channels:
        channels[target] = grpc.insecure_channel(target).unary_unary("/demo.Where/Ask")
    places = Counter()
    for _ in range(int(number)):
        try:
            places[channels[target](b"", timeout=DEADLINE_S).decode()] += 1
        except grpc.RpcError as error:
            places[f"{error.code().name}: {error.details()}"] += 1
    print(json.dumps(places), flush=True)
