"""A network for this process and its children alone: loopback, and the addresses of pods, all of which lead here."""

import ctypes
import os
import subprocess

POD_RANGE = "10.0.0.0/8"
_CLONE_NEWNET = 0x40000000  # unshare(2)


def enter() -> None:
    """Leave the machine's network for a new one, for good; needs root.

    The API server takes no loopback address for an endpoint, and on the machine's own network any other would be somebody's.
    Threads that run already stay where they are.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(_CLONE_NEWNET):
        number = ctypes.get_errno()
        raise OSError(number, f"no network of our own: {os.strerror(number)}")
    for command in ("ip link set lo up", f"ip route add local {POD_RANGE} dev lo"):
        subprocess.run(command.split(), check=True)
