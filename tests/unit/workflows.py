"""The workflows as data, their expressions, and their steps run by bash without GitHub."""

import json
import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
FOLDER = ROOT / ".github/workflows"
REPOSITORY = "acme/flink"
RUN = "https://github.com/acme/flink/actions/runs/1"

EXPRESSION = re.compile(r"\$\{\{\s*(.*?)\s*\}\}")

Yaml = dict[str, Any]


def load(path: Path) -> Yaml:
    """A YAML file whose keys stay strings: `on` is not converted to true."""
    content: Yaml = yaml.load(path.read_text(), yaml.BaseLoader)
    return content


class GitLab(yaml.BaseLoader):
    """YAML as GitLab reads it: with references to other places in the file."""


def _reference(loader: Any, node: Any) -> tuple[str, ...]:
    return ("reference", *loader.construct_sequence(node))


GitLab.add_constructor("!reference", _reference)


def gitlab() -> Yaml:
    """The example for GitLab, with its `extends` resolved."""
    content: Yaml = yaml.load((ROOT / "docs/ci/gitlab-ci.yml").read_text(), GitLab)
    for name, job in content.items():
        if isinstance(job, dict) and "extends" in job:
            base = content[job["extends"]]
            merged = {**base, **job, "variables": {**base["variables"], **job.get("variables", {})}}
            scripts = [content[it[1]][it[2]] if isinstance(it, tuple) else [it] for it in merged["before_script"]]
            content[name] = {**merged, "before_script": [line for lines in scripts for line in lines]}
    return content


WORKFLOWS = {path.name: load(path) for path in sorted(FOLDER.glob("*.yml"))}
ACTIONS = {path: load(path) for path in sorted(ROOT.glob(".github/actions/*/action.yml"))}


def jobs() -> list[tuple[str, str, Yaml]]:
    """File, name and content of every job."""
    return [(file, name, job) for file, workflow in WORKFLOWS.items() for name, job in workflow["jobs"].items()]


def steps() -> dict[tuple[str, str], Yaml]:
    """Every step that runs something, by its file and name (or, without a name, its command)."""
    found = [(file, step) for file, _, job in jobs() for step in job["steps"] if "run" in step]
    return {(file, step.get("name", step["run"])): step for file, step in found}


# Expressions


def value(expression: str, context: Mapping[str, Any]) -> Any:
    """GitHub's result of an expression, for those that we use; an unknown name is empty, as in GitHub."""

    def look(path: str) -> Any:
        found: Any = context
        for part in path.split("."):
            if part == "*":
                continue
            if isinstance(found, list):
                found = [item.get(part, "") for item in found]
            else:
                found = found.get(part, "") if isinstance(found, Mapping) else ""
        return found

    words = re.findall(r"'[^']*'|&&|\|\||[!=]=|[!(),]|[\w.*-]+|\s+", expression)
    assert "".join(words) == expression, f"unsupported expression: {expression}"
    text = {"&&": " and ", "||": " or ", "!": " not ", "==": "==", "!=": "!=", "(": "(", ")": ")", ",": ","}
    functions = {
        "contains": lambda where, what: what in where,
        "startsWith": lambda where, what: where.lower().startswith(what.lower()),
        "cancelled": lambda: False,
    }
    python = ""
    for word in words:
        if word.startswith("'") or word in text:
            python += text.get(word, word)
        elif word.strip():
            python += word if word in functions else f"look({word!r})"
        else:
            python += " "
    return eval(python.strip(), {"__builtins__": {}, "look": look, **functions})


def filled(text: str, context: Mapping[str, Any]) -> str:
    """A text of a workflow with its expressions evaluated."""

    def shown(found: re.Match[str]) -> str:
        result = value(found[1], context)
        return str(result).lower() if isinstance(result, bool) else str(result)

    return EXPRESSION.sub(shown, text)


# Steps


@dataclass(frozen=True)
class Done:
    """How a step ended, what it printed, and the files that it left."""

    code: int
    said: str
    """Output on both streams."""
    outputs: dict[str, str]
    summary: str
    calls: list[list[str]]
    """Arguments after `python -m branches`."""
    saw_token: bool
    """Whether the tool could read GitHub's token."""


class Runner:
    """A machine of GitHub, as the steps see it: a folder, `gh`, and `python` with a `branches` whose results the test
    sets.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.temp = folder / "temp"
        self.bin = folder / "bin"
        for made in (self.temp, self.bin):
            made.mkdir()
        self.github_file, self.branches_file = folder / "github.json", folder / "branches.json"
        self.github({})
        self.branches()
        self.program("gh", f'exec {sys.executable} {HERE / "fake_gh.py"} "$@"')
        tool = f'exec {sys.executable} {HERE / "fake_branches.py"} "${{@:3}}"'
        python = f'exec {sys.executable} "$@"'
        self.program("python", f'if [[ "$1 $2" == "-m branches" ]]; then {tool}; fi\n{python}')

    def program(self, name: str, text: str) -> None:
        """A command of this name, in bash."""
        path = self.bin / name
        path.write_text(f"#!/usr/bin/env bash\n{text}\n")
        path.chmod(0o755)

    def real_branches(self) -> None:
        """From now on use the real `python -m branches`."""
        self.program("python", f'exec {sys.executable} "$@"')

    def github(self, content: Mapping[str, Any]) -> None:
        """The initial content of GitHub."""
        self.github_file.write_text(json.dumps(content))

    def on_github(self) -> Yaml:
        """The current content of GitHub."""
        content: Yaml = json.loads(self.github_file.read_text())
        return content

    def branches(self, code: int = 0, **by_stack: int) -> None:
        """Set the results of `python -m branches` from now on."""
        self.branches_file.write_text(json.dumps({"codes": {"*": code, **by_stack}}))

    def run(self, file: str, name: str, context: Mapping[str, Any]) -> Done:
        """Run a step as GitHub does, with the environment of the workflow, the job and the step."""
        everywhere = [(job, step) for job in WORKFLOWS[file]["jobs"].values() for step in job["steps"]]
        ((job, step),) = ((job, step) for job, step in everywhere if step.get("name") == name)
        found = {**WORKFLOWS[file].get("env", {}), **job.get("env", {}), **step.get("env", {})}
        return self.bash(step["run"], {key: filled(text, context) for key, text in found.items()})

    def bash(self, script: str, variables: Mapping[str, str]) -> Done:
        """Run a script with `shell: bash`, the workflows' default, in the root of this checkout."""
        outputs, summary, path = self.folder / "outputs", self.folder / "summary", self.folder / "step.sh"
        for each in (outputs, summary):
            each.write_text("")
        told = json.loads(self.branches_file.read_text())
        self.branches_file.write_text(json.dumps({"codes": told["codes"]}))
        path.write_text(script)
        done = subprocess.run(
            ["bash", "--noprofile", "--norc", "-eo", "pipefail", path],
            cwd=ROOT,
            env={
                "PATH": f"{self.bin}:/usr/bin:/bin",
                "HOME": str(self.folder),
                "LANG": "C.UTF-8",
                "RUNNER_TEMP": str(self.temp),
                "GITHUB_OUTPUT": str(outputs),
                "GITHUB_STEP_SUMMARY": str(summary),
                "GITHUB_REPOSITORY": REPOSITORY,
                "FAKE_GITHUB": str(self.github_file),
                "FAKE_BRANCHES": str(self.branches_file),
                "PYTHONDONTWRITEBYTECODE": "1",
                **variables,
            },
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=60,
        )
        calls = json.loads(self.branches_file.read_text()).get("calls", [])
        return Done(
            code=done.returncode,
            said=done.stdout,
            outputs=dict(line.split("=", 1) for line in outputs.read_text().splitlines()),
            summary=summary.read_text(),
            calls=[call["argv"] for call in calls],
            saw_token=any(call["token"] for call in calls),
        )
