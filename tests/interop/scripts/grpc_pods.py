"""gRPC backends that say where they are: `start ADDRESS PLACE`, `stop ADDRESS` on stdin, an `ok` on stdout for each."""

import sys
from concurrent.futures import ThreadPoolExecutor

import grpc

METHOD = "/demo.Where/Ask"


class Where(grpc.GenericRpcHandler):
    def __init__(self, place):
        self._handler = grpc.unary_unary_rpc_method_handler(lambda _request, _context: place.encode())

    def service(self, call):
        return self._handler if call.method == METHOD else None


def main(port):
    servers = {}
    for line in sys.stdin:
        command, address, *rest = line.split()
        if command == "start":
            server = grpc.server(ThreadPoolExecutor(2))
            server.add_generic_rpc_handlers([Where(*rest)])
            server.add_insecure_port(f"{address}:{port}")
            server.start()
            servers[address] = server
        else:
            servers.pop(address).stop(None).wait()
        print("ok", flush=True)


main(sys.argv[1])
