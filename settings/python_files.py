"""Programs in Python of declared jobs: a module, an archive, or a folder, of which an archive is made."""

import atexit
import shutil
import tempfile
import zipfile
from functools import cache
from pathlib import Path

from components import forms

_UNCHANGING = (1980, 1, 1, 0, 0, 0)
_LEFT_OUT = ("__pycache__", "node_modules")
_MAX_BYTES = 50_000_000


def program(path: Path, entry_module: str) -> Path:
    """The file that hosts get: a module NAME.py, or an archive in which the module to run is. Raises ValueError."""
    if path.is_dir():
        path = _packed(path)
    if path.suffix == ".py" and path.is_file():
        if not forms.PYTHON_MODULE.fits(path.stem):
            raise ValueError(f"{path.name} is not the file of a module: expected letters, digits and _ before .py")
        if entry_module not in ("", path.stem):
            raise ValueError(f"{path.name} has no module {entry_module}: expected no entryModule")
        return path
    if not path.is_file():
        raise ValueError(f"{path} does not exist: expected NAME.py, NAME.zip or a folder")
    try:
        with zipfile.ZipFile(path) as archive:
            names = set(archive.namelist())
    except (zipfile.BadZipFile, OSError) as error:
        raise ValueError(f"{path} is neither NAME.py, a folder, nor a zip archive ({error})") from None
    place = (entry_module or "main").replace(".", "/")
    if not {f"{place}.py", f"{place}/__main__.py"} & names:
        raise ValueError(f"{path.name} has no {place}.py: expected it, or entryModule to name the module that is run")
    return path


def _packed(folder: Path) -> Path:
    """An archive of the folder, always the same for the same files."""
    files = sorted(path for path in folder.rglob("*") if path.is_file() and not _is_left_out(path.relative_to(folder)))
    size = sum(path.stat().st_size for path in files)
    if size > _MAX_BYTES:
        raise ValueError(f"{folder} has {size} bytes: expected {_MAX_BYTES} at most, of the program only")
    archive = _work() / f"{folder.resolve().name}.zip"
    if archive.exists():  # another folder with this name
        archive = Path(tempfile.mkdtemp(dir=_work())) / archive.name
    with zipfile.ZipFile(archive, "w") as made:
        for path in files:
            made.writestr(zipfile.ZipInfo(path.relative_to(folder).as_posix(), _UNCHANGING), path.read_bytes())
    return archive


def _is_left_out(path: Path) -> bool:
    return any(part.startswith(".") or part in _LEFT_OUT for part in path.parts)


@cache
def _work() -> Path:
    """A folder for as long as this process runs."""
    made = Path(tempfile.mkdtemp(prefix="flink-python-"))
    atexit.register(shutil.rmtree, made, ignore_errors=True)
    return made
