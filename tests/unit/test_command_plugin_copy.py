"""The stand-in command plugin: `command:remote:CopyToRemote`, and the hashes of files, directories and archives."""

from __future__ import annotations

import hashlib
import io
import tarfile
from pathlib import Path
from typing import Any

import grpc
import pytest

from stand_ins.command_plugin.assets import asset_archive, content_hash, file_asset, find_assets
from stand_ins.plugin.values import ARCHIVE, ASSET, SIGNATURE
from tests.plugin_client import COPY, PluginClient
from tests.ssh_server import SshServer, serving


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A directory with files of several types."""
    root = tmp_path / "source"
    (root / "sub" / "deep").mkdir(parents=True)
    (root / "a.txt").write_text("a")
    (root / "sub.txt").write_text("sorted after what is in sub")
    (root / "sub" / "b.bin").write_bytes(bytes(range(256)) * 3000)
    (root / "sub" / "deep" / "empty").touch()
    (root / "link").symlink_to("a.txt")
    return root


@pytest.fixture
def target(tmp_path: Path) -> Path:
    """An existing directory on the host."""
    path = tmp_path / "target"
    path.mkdir()
    return path


def file(path: Path | str) -> dict[str, Any]:
    source = {SIGNATURE: ASSET, "path": str(path)}
    return {**source, "hash": content_hash(source)}


def directory(path: Path | str) -> dict[str, Any]:
    source = {SIGNATURE: ARCHIVE, "path": str(path)}
    return {**source, "hash": content_hash(source)}


def text(content: str) -> dict[str, Any]:
    source = {SIGNATURE: ASSET, "text": content}
    return {**source, "hash": content_hash(source)}


def contents(root: Path) -> dict[str, bytes]:
    return {str(p.relative_to(root)): p.read_bytes() for p in root.rglob("*") if p.is_file()}


def inputs(ssh: SshServer, source: dict[str, Any], path: Path) -> dict[str, Any]:
    return {"connection": ssh.connection(), "source": source, "remotePath": str(path)}


def test_a_server_without_sftp_is_named_in_the_words_of_the_official_plugin(
    client: PluginClient, source: Path, target: Path
) -> None:
    with serving(sftp=False) as ssh, pytest.raises(grpc.RpcError) as error:
        client.create(COPY, inputs(ssh, file(source / "a.txt"), target / "f"))
    assert "ssh: subsystem request failed" in str(error.value)


def test_file_to_a_new_path_makes_parents(client: PluginClient, ssh: SshServer, source: Path, target: Path) -> None:
    to = target / "new" / "er" / "f"
    state = client.create(COPY, inputs(ssh, file(source / "sub" / "b.bin"), to))
    assert to.read_bytes() == (source / "sub" / "b.bin").read_bytes()
    assert "stdout" not in state
    assert state["source"]["hash"] == hashlib.sha256(to.read_bytes()).hexdigest()


def test_file_into_a_directory_and_over_a_file(
    client: PluginClient, ssh: SshServer, source: Path, target: Path
) -> None:
    client.create(COPY, inputs(ssh, file(source / "a.txt"), target))
    assert contents(target) == {"a.txt": b"a"}
    (target / "a.txt").write_text("longer than before")
    (target / "a.txt").chmod(0o600)
    client.create(COPY, inputs(ssh, file(source / "a.txt"), target / "a.txt"))
    assert contents(target) == {"a.txt": b"a"}
    assert (target / "a.txt").stat().st_mode & 0o777 == 0o600, "an existing file keeps its mode"


def test_text(client: PluginClient, ssh: SshServer, target: Path) -> None:
    client.create(COPY, inputs(ssh, text("héllo"), target / "t"))
    assert (target / "t").read_text() == "héllo"
    with pytest.raises(grpc.RpcError, match="remotePath must be a file path"):
        client.create(COPY, inputs(ssh, text("x"), target))


def test_directory_into_an_existing_one_and_a_new_one(
    client: PluginClient, ssh: SshServer, source: Path, target: Path
) -> None:
    expected = contents(source)
    for to in (target, target.parent / "made"):
        client.create(COPY, inputs(ssh, directory(source), to))
        assert contents(to / "source") == expected
    assert not (target / "source" / "link").is_symlink(), "a link is copied as its target"


def test_contents_of_a_directory(client: PluginClient, ssh: SshServer, source: Path, target: Path) -> None:
    (target / "kept").write_text("k")
    client.create(COPY, inputs(ssh, directory(f"{source}/"), target))
    assert contents(target) == {**contents(source), "kept": b"k"}


def test_directory_over_a_file_fails(client: PluginClient, ssh: SshServer, source: Path, target: Path) -> None:
    (target / "f").write_text("x")
    with pytest.raises(grpc.RpcError, match="exists but is not a directory"):
        client.create(COPY, inputs(ssh, directory(source), target / "f"))


def test_archive_file_is_not_unpacked(client: PluginClient, ssh: SshServer, tmp_path: Path, target: Path) -> None:
    packed = tmp_path / "x.tgz"
    packed.write_bytes(b"not really")
    client.create(COPY, inputs(ssh, directory(packed), target))
    assert contents(target) == {"x.tgz": b"not really"}


def test_failures_name_the_host_and_the_path(client: PluginClient, ssh: SshServer, source: Path) -> None:
    with pytest.raises(grpc.RpcError, match=f"admin@127.0.0.1:{ssh.port}:/proc/nope/x"):
        client.create(COPY, inputs(ssh, file(source / "a.txt"), Path("/proc/nope/x")))


def test_preview_never_connects(client: PluginClient, ssh: SshServer, source: Path, target: Path) -> None:
    client.create(COPY, inputs(ssh, file(source / "a.txt"), target), preview=True)
    assert ssh.connections == 0


def test_update_copies_only_other_content_or_to_another_path(
    client: PluginClient, ssh: SshServer, source: Path, target: Path
) -> None:
    first = inputs(ssh, file(source / "a.txt"), target / "a")
    state = client.create(COPY, first)
    (target / "a").unlink()
    client.update(COPY, state, {**first, "connection": ssh.connection(dialErrorLimit=3)})
    assert contents(target) == {}, "another connection is no reason to copy"
    client.update(COPY, state, {**first, "remotePath": str(target / "b")})
    assert contents(target) == {"b": b"a"}
    (source / "a.txt").write_text("changed")
    client.update(COPY, state, {**first, "source": file(source / "a.txt")})
    assert contents(target) == {"a": b"changed", "b": b"a"}


def test_delete_leaves_the_copy(client: PluginClient, ssh: SshServer, source: Path, target: Path) -> None:
    state = client.create(COPY, inputs(ssh, file(source / "a.txt"), target))
    client.delete(COPY, state)
    assert contents(target) == {"a.txt": b"a"}
    assert ssh.connections == 1


# Hashes


def ustar(members: dict[str, bytes]) -> bytes:
    """The stream that Pulumi hashes, by tarfile: it leaves the device fields empty, which Go fills with zeros."""
    stream = io.BytesIO()
    for name, content in members.items():
        info = tarfile.TarInfo(name)
        info.size, info.mode = len(content), 0o600
        header = bytearray(info.tobuf(tarfile.USTAR_FORMAT))
        header[329:345] = b"0000000\0" * 2
        header[148:156] = b" " * 8
        header[148:156] = b"%06o\0 " % sum(header)
        stream.write(bytes(header) + content + bytes(-len(content) % 512))
    return stream.getvalue() + bytes(1024)


def test_hash_of_a_file_and_a_text(source: Path) -> None:
    assert file(source / "a.txt")["hash"] == hashlib.sha256(b"a").hexdigest() == text("a")["hash"]


def test_hash_of_a_directory_is_that_of_a_ustar_stream(source: Path) -> None:
    (source / ".pulumi").mkdir()
    (source / ".pulumi" / "ignored").touch()
    (source / "linked directory").symlink_to("sub")
    names = ["a.txt", "link", "sub/b.bin", "sub/deep/empty", "sub.txt"]
    stream = ustar({name: (source / name).read_bytes() for name in names})
    assert directory(source)["hash"] == hashlib.sha256(stream).hexdigest()
    with tarfile.open(fileobj=io.BytesIO(stream)) as tar:
        assert tar.getnames() == names


def test_hash_of_an_archive_file_is_that_of_its_bytes(tmp_path: Path) -> None:
    (tmp_path / "x.tar.gz").write_bytes(b"abc")
    assert directory(tmp_path / "x.tar.gz")["hash"] == hashlib.sha256(b"abc").hexdigest()


def test_hash_of_an_asset_archive(source: Path) -> None:
    assets = {"z": file_asset(source / "a.txt"), "b/c": file_asset(source / "sub" / "b.bin")}
    stream = ustar({"b/c": (source / "sub" / "b.bin").read_bytes(), "z": b"a"})
    assert asset_archive(assets)["hash"] == hashlib.sha256(stream).hexdigest()


def test_hash_of_no_assets_is_pulumis_own() -> None:
    expected = "5f70bf18a086007016e948b04aed3b82103a36bea41755b6cddfaf10ace3c6ef"  # sdk/go/common/resource/archive
    assert asset_archive({})["hash"] == expected


def test_patterns(tmp_path: Path) -> None:
    for name in ("assets/logos/logo.svg", "src/index.js", "src/secret.js", "src/deep/x.js", "a.txt", "b1.txt", "c,d"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)

    def found(*patterns: str) -> list[str]:
        return list(find_assets(tmp_path, patterns))

    assert found("assets/**", "src/**.js", "!**secret.*") == ["assets/logos/logo.svg", "src/deep/x.js", "src/index.js"]
    assert found("src/*.js", "!src/secret.js", "src/s*") == ["src/index.js", "src/secret.js"]
    assert found("?.txt") == ["a.txt"]
    assert found("[a-b]*.txt") == ["a.txt", "b1.txt"]
    assert found("[!a]*.txt") == ["b1.txt"]
    assert found("{a,b1}.txt") == ["a.txt", "b1.txt"]
    assert found(r"c\,d", "c,d") == ["c,d"]
    assert found("*") == ["a.txt", "b1.txt", "c,d"]
    asset = find_assets(tmp_path, ["a.txt"])["a.txt"]
    assert asset == {SIGNATURE: ASSET, "hash": hashlib.sha256(b"a.txt").hexdigest(), "path": str(tmp_path / "a.txt")}
