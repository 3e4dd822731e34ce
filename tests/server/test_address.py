"""An address that cannot be listened on gives one sentence with the cause and the remedy."""

from __future__ import annotations

import socket

import pytest

from xds.server.address import ListenError, check_listenable


@pytest.fixture
def taken():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener.getsockname()[1]


@pytest.mark.parametrize("address", ["127.0.0.1:0", "localhost:0", "0.0.0.0:0"])
def test_free_addresses_pass(address):
    check_listenable(address)


@pytest.mark.parametrize("address", ["", "18000", "127.0.0.1", "127.0.0.1:99999", "127.0.0.1:-1", "::1:80", "http://x:1", "h:"])
def test_other_forms_are_refused_with_the_right_ones(address):
    with pytest.raises(ListenError, match=r"use HOST:PORT with a port from 0 to 65535, \[IPV6\]:PORT or unix:/PATH"):
        check_listenable(address)


def test_a_taken_port_is_named(taken):
    with pytest.raises(ListenError, match=rf"127\.0\.0\.1:{taken}.*another program listens there; stop it or choose") as raised:
        check_listenable(f"127.0.0.1:{taken}")
    assert raised.value.address == f"127.0.0.1:{taken}"


def test_an_address_of_another_machine():
    with pytest.raises(ListenError, match=r"no interface of this machine has that address; 0\.0\.0\.0 stands for all"):
        check_listenable("192.0.2.1:0")


def test_an_unknown_host():
    with pytest.raises(ListenError, match=r"the host 'no\.such\.invalid' is not known"):
        check_listenable("no.such.invalid:80")


def test_a_unix_socket_in_use_is_not_stolen(tmp_path):
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "s"))
        listener.listen()
        with pytest.raises(ListenError, match="another server listens there"):
            check_listenable(f"unix:{tmp_path}/s")
    check_listenable(f"unix:{tmp_path}/s")  # its server is gone


def test_a_unix_path_that_is_no_place_for_a_socket(tmp_path):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(ListenError, match="something other than a socket is there"):
        check_listenable(f"unix:{tmp_path}/file")
    for path in ("relative", f"{tmp_path}/no/such"):
        with pytest.raises(ListenError, match="absolute and in a directory that exists"):
            check_listenable(f"unix:{path}")
