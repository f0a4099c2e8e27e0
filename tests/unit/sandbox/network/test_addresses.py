"""Blocks of addresses that never overlap, and ports that are elsewhere."""

from __future__ import annotations

import socket

import pytest
from convoy_sandbox.network import addresses as module
from convoy_sandbox.network.addresses import Addresses, NoFreeBlockError, Pool, Ports, PortTakenError
from unit.sandbox.network.support import addresses


def test_clusters_of_one_name_have_blocks_of_their_own() -> None:
    with addresses() as one, addresses() as two:
        assert not one.pods.network.overlaps(two.pods.network)
        first = one.pods.network
    with addresses() as again:
        assert again.pods.network == first


def test_the_networks_of_a_block_do_not_overlap() -> None:
    with addresses() as block:
        pools = [block.pods, block.services, block.external, block.nodes]
        for index, pool in enumerate(pools):
            assert all(not pool.network.overlaps(other.network) for other in pools[index + 1 :])
            assert pool.network.is_loopback


def test_no_block_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_FIRST", 251)
    monkeypatch.setattr(module, "_LAST", 251)
    block = Addresses.claim("a")
    with pytest.raises(NoFreeBlockError, match="stop a sandbox"):
        Addresses.claim("b")
    block.close()
    Addresses.claim("b").close()


def test_a_pool_hands_released_addresses_out_last() -> None:
    pool = Pool("127.64.0.0/29")
    taken = [pool.take() for _ in range(3)]
    assert taken == ["127.64.0.1", "127.64.0.2", "127.64.0.3"]
    pool.release("127.64.0.1")
    rest = [pool.take() for _ in range(4)]
    assert rest == ["127.64.0.4", "127.64.0.5", "127.64.0.6", "127.64.0.1"]
    with pytest.raises(RuntimeError, match="no address is left"):
        pool.take()
    pool.release("10.0.0.1")
    with pytest.raises(RuntimeError, match="no address is left"):
        pool.take()


def test_a_pool_lets_one_certain_address_be_claimed_once() -> None:
    pool = Pool("127.64.0.0/29")
    assert pool.claim("127.64.0.2")
    assert not pool.claim("127.64.0.2")
    assert not pool.claim("10.0.0.1")
    assert not pool.claim("no address")
    assert [pool.take(), pool.take()] == ["127.64.0.1", "127.64.0.3"]
    pool.release("127.64.0.2")
    assert pool.claim("127.64.0.2")


def test_a_port_is_bound_once() -> None:
    with addresses() as block:
        ip, ports = block.pods.take(), Ports()
        sock = ports.bind(ip, 8080)
        assert sock.getsockname() == (ip, 8080)
        assert ports.real(ip, 8080) == 8080
        with pytest.raises(PortTakenError, match="address already in use"):
            ports.bind(ip, 8080)
        sock.close()
        ports.release(ip, 8080)
        ports.bind(ip, 8080).close()


def test_a_port_of_another_program_is_replaced() -> None:
    with addresses() as block, socket.socket() as other:
        ip, ports = block.pods.take(), Ports()
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # connections that ended a moment ago linger
        other.bind((ip, 8080))
        other.listen()
        with ports.bind(ip, 8080) as sock:
            place = ports.place(ip, 8080)
            assert place is not None
            assert place.error == "PortInUse"
            assert (ip, place.port) == sock.getsockname()
            assert ports.real(ip, 8080) == place.port != 8080


def test_a_port_that_the_user_may_not_bind_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    bound = module._bound

    def plain_user(ip: str, port: int) -> socket.socket:
        if 0 < port < 1024:
            raise PermissionError(13, "Permission denied")
        return bound(ip, port)

    monkeypatch.setattr(module, "_bound", plain_user)
    with addresses() as block:
        ip, ports = block.pods.take(), Ports()
        sock = ports.bind(ip, 443)
        real = sock.getsockname()[1]
        place = ports.place(ip, 443)
        assert place is not None
        assert (place.port, place.error) == (real, "PortNotPermitted")
        sock.close()
        ports.release(ip, 443)
        assert ports.place(ip, 443) is None
        # The same one again, so that who was told stays right.
        with ports.bind(ip, 443, preferred=real) as again:
            assert again.getsockname()[1] == real


def test_an_address_that_is_not_this_machines_is_an_error() -> None:
    with pytest.raises(OSError, match="assign"):
        Ports().bind("192.0.2.1", 8080)
