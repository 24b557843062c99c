"""A lab takes only addresses that the machine does not use."""

import ipaddress
from pathlib import Path

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


def test_the_kernels_settings_are_raised_and_put_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = {"ip_forward": "0\n", "max_user_instances": "128\n", "more_than_enough": "9999\n"}
    for name, value in settings.items():
        (tmp_path / f"proc-{name}").write_text(value)
    monkeypatch.setattr(network, "REGISTRY", tmp_path)
    least = {"ip_forward": 1, "max_user_instances": 1024, "more_than_enough": 1024}
    monkeypatch.setattr(network, "KERNEL", {name: (tmp_path / f"proc-{name}", least[name]) for name in settings})

    def now() -> dict[str, str]:
        return {name: (tmp_path / f"proc-{name}").read_text() for name in settings}

    for _ in range(2):  # a second lab must not record the first one's settings as the original ones
        network._tune_kernel()
        assert now() == {"ip_forward": "1", "max_user_instances": "1024", "more_than_enough": "9999\n"}
    network._restore_kernel()
    assert now() == settings
    assert not [path for path in tmp_path.iterdir() if not path.name.startswith("proc-")]
