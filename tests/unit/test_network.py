"""Which addresses a lab takes: none that the machine already uses."""

import ipaddress

import pytest

from lab import network
from lab.errors import LabError


def choose(monkeypatch: pytest.MonkeyPatch, *taken: str, previous: str | None = None) -> ipaddress.IPv4Network:
    monkeypatch.setattr(network, "_taken", lambda lab_id: [ipaddress.IPv4Network(text) for text in taken])
    return network._choose("abcdef", previous)


def test_a_lab_takes_a_private_network_that_is_free(monkeypatch: pytest.MonkeyPatch) -> None:
    first = choose(monkeypatch)
    assert first.prefixlen == 24 and first.is_private
    assert choose(monkeypatch) == first, "the same lab takes the same one again"
    assert not choose(monkeypatch, str(first)).overlaps(first)


def test_a_lab_keeps_its_network_unless_somebody_else_has_it(monkeypatch: pytest.MonkeyPatch) -> None:
    assert str(choose(monkeypatch, previous="10.1.2.0/24")) == "10.1.2.0/24"
    assert str(choose(monkeypatch, "10.1.0.0/16", previous="10.1.2.0/24")) != "10.1.2.0/24"


def test_where_all_of_10_is_routed_another_private_block_serves(monkeypatch: pytest.MonkeyPatch) -> None:
    assert choose(monkeypatch, "10.0.0.0/8").subnet_of(ipaddress.IPv4Network("172.16.0.0/12"))


def test_no_free_network_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(LabError, match="disconnect the VPN"):
        choose(monkeypatch, "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16")
