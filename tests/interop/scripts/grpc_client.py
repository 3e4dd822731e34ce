"""A stock gRPC client of an xds:/// target: for each number on stdin it makes so many calls and prints who answered, in JSON."""

import json
import sys
from collections import Counter

import grpc

channel = grpc.insecure_channel(sys.argv[1])
ask = channel.unary_unary("/demo.Where/Ask")
for line in sys.stdin:
    places = Counter()
    for _ in range(int(line)):
        try:
            places[ask(b"", timeout=10, wait_for_ready=True).decode()] += 1
        except grpc.RpcError as error:
            places[f"{error.code().name}: {error.details()}"] += 1
    print(json.dumps(places), flush=True)
