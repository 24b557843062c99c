"""`pulumi` for the blocks of the documents, where the official CLI cannot be had. It is the engine's own CLI, and adds

- the language host: `preview` and `up` run `__main__.py` of the current folder inline;
- `install`: `.venv` becomes a link to the environment of this checkout, which has the same pinned packages; the plugins
  are on PATH, official or stand-ins;
- the person who answers "yes" to `up`, `destroy` and `stack rm`;
- a home directory: `login --local` means the one of HOME, not the user's own, which Go takes from /etc/passwd.

Stack files, state, configuration, secrets and outputs are the engine's. A command that it does not know is refused, so
that no document can use one that was never tried. Variables: ENGINE, the engine's CLI; ENVIRONMENT, the Python
environment.
"""

import os
import runpy
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

AS_IT_IS = {
    *("login", "version", "whoami", "cancel"),
    *("stack", "stack init", "stack ls", "stack output", "stack export", "stack select", "stack history"),
    *("config", "config get", "config set", "config rm", "state delete"),
}
WITH_PROGRAM = {"preview", "up"}
CONFIRMED = {"up", "destroy", "stack rm"}
INSTALL = "install"
GROUPS = {"stack", "config", "state"}
"""Commands that have others below them."""
VALUED = {"--stack", "-s", "--secrets-provider"}
"""Options with a value of their own, as far as the documents have them."""


def main(words: list[str]) -> int:
    """Run a command; its exit code."""
    command = _command(words)
    if command not in AS_IT_IS | WITH_PROGRAM | CONFIRMED | {INSTALL}:
        print(f"tests/documented/cli.py does not know `pulumi {command}`: add it there", file=sys.stderr)
        return 2
    if command == INSTALL:
        return _install()
    words = [f"file://{os.environ['HOME']}" if word == "--local" else word for word in words]
    if command in CONFIRMED and "--yes" not in words:
        words = [*words, "--yes"]
    # `python -m branches` brings its own
    if command in WITH_PROGRAM and not any(word.startswith("--client") for word in words):
        return _with_program(words)
    return _engine(words)


def _command(words: list[str]) -> str:
    """The command without options: `stack init`."""
    plain = [
        word
        for before, word in zip(["", *words], words, strict=False)
        if not word.startswith("-") and before not in VALUED
    ]
    return " ".join(plain[: 2 if plain[:1] and plain[0] in GROUPS else 1])


def _engine(words: list[str]) -> int:
    return subprocess.run([os.environ["ENGINE"], *words], check=False).returncode


def _install() -> int:
    """What the official CLI does by pip and from its registry of plugins."""
    if not Path("Pulumi.yaml").exists() or not Path("requirements.txt").exists():
        print("no Pulumi.yaml or no requirements.txt here", file=sys.stderr)
        return 1
    if not Path(".venv").exists():
        Path(".venv").symlink_to(os.environ["ENVIRONMENT"])
    return 0


def _with_program(words: list[str]) -> int:
    """The Automation API's way to run a program inline, for the CLI with all of its options."""
    import grpc
    from pulumi.automation._server import LanguageServer
    from pulumi.runtime._grpc_settings import _GRPC_CHANNEL_OPTIONS
    from pulumi.runtime.proto import language_pb2_grpc

    folder = str(Path.cwd())
    sys.path[0] = folder  # as `python __main__.py` would; until now it was the folder of this file
    server = grpc.server(ThreadPoolExecutor(max_workers=4), options=_GRPC_CHANNEL_OPTIONS)

    def run() -> None:
        runpy.run_path(f"{folder}/__main__.py", run_name="__main__")

    program = LanguageServer(run)
    language_pb2_grpc.add_LanguageRuntimeServicer_to_server(program, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        return _engine([*words, f"--client=127.0.0.1:{port}", "--exec-kind=auto.inline"])
    finally:
        server.stop(0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
