"""The Python environment of a stack's jobs."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, Field

from components import files, forms
from components.jobs.settings import PythonSettings
from components.problems import Problems, shown
from components.shapes import Shape, fields

KEY = "python"
PYFLINK = "apache-flink"
_MAX_BYTES = 500_000
"""Of the requirements: each host with Flink gets them."""
_MAX_PROBLEMS = 5


class _Python(Shape):
    version: Annotated[str, AfterValidator(forms.PYTHON_VERSION)] = Field(
        description='the version of the hosts\' interpreter, such as "3.11"'
    )
    requirements: str = Field(description="a file with all packages, their versions and digests")
    index: Annotated[str, AfterValidator(forms.DOWNLOAD_URL)] = ""


def python_settings(values: Mapping[str, Any], root: Path, problems: Problems) -> PythonSettings | None:
    """The environment; None if there is none. What is wrong is added to `problems`."""
    if not values[KEY]:
        return None
    before = len(problems.found)
    known = fields(_Python, values[KEY], KEY, problems)
    lines: list[str] = []
    if "requirements" in known:
        text = problems.catch(
            f"{KEY} requirements", lambda: files.text(files.located(known["requirements"], root)), None
        )
        lines = _checked(text, values["flinkVersion"], problems) if text is not None else []
    if len(problems.found) > before:
        return None
    return PythonSettings(version=known["version"], requirements=tuple(lines), index=known.get("index", ""))


def _checked(text: str, flink: str, problems: Problems) -> list[str]:
    """The packages, each on one line: pip's format, without comments, options and URLs."""
    key = f"{KEY} requirements"
    found: list[str] = []
    wrong: list[str] = []
    form = forms.PYTHON_PACKAGE
    for line in packages(text):
        (found if form.fits(line) else wrong).append(line)
    for line in wrong[:_MAX_PROBLEMS]:
        problems.add(key, f"{shown(line[:60])} is not {form.what}: expected {form.expected}")
    if len(wrong) > _MAX_PROBLEMS:
        problems.add(key, f"{len(wrong) - _MAX_PROBLEMS} more lines are not packages either")
    if len(text) > _MAX_BYTES:
        problems.add(key, f"is {len(text)} bytes long: expected {_MAX_BYTES} at most")
    versions = [_version(line) for line in found if line.startswith(f"{PYFLINK}==")]
    if versions != [flink]:
        has = f"has {PYFLINK}=={' and '.join(versions)}" if versions else f"has no {PYFLINK}"
        problems.add(key, f"{has}: expected {PYFLINK}=={flink}, as flinkVersion")
    return found


def _version(line: str) -> str:
    return line.partition("==")[2].split()[0].rstrip(";")


def packages(text: str) -> list[str]:
    """The lines of a requirements file, with single blanks, without comments."""
    whole = "\n".join("" if line.lstrip().startswith("#") else line for line in text.splitlines())
    joined = whole.replace("\\\n", " ")
    lines = (line.partition(" #")[0] for line in joined.splitlines())
    return [" ".join(line.split()) for line in lines if line.strip()]
