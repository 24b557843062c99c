"""Writes FILE as a note on the merge request of this pipeline, replacing the one with the same MARK if it exists.

    python docs/ci/gitlab_note.py MARK FILE

Runs in a job of a merge request's pipeline, with GITLAB_TOKEN: a project access token (role Reporter, scope `api`),
masked. A job's own token may not write notes.
"""

import json
import os
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

PAGE = 100


def call(method: str, path: str, content: dict[str, Any] | None = None) -> Any:
    """GitLab's answer to a request below the merge request's notes. Raises OSError with its reason."""
    base = f"{os.environ['CI_API_V4_URL']}/projects/{os.environ['CI_PROJECT_ID']}"
    request = urllib.request.Request(
        f"{base}/merge_requests/{os.environ['CI_MERGE_REQUEST_IID']}/notes{path}",
        method=method,
        data=None if content is None else json.dumps(content).encode(),
        headers={"PRIVATE-TOKEN": os.environ["GITLAB_TOKEN"], "Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=30) as response:
        return json.load(response)


def me() -> str:
    """User name of the token, because anybody else can begin a note with the mark, too."""
    url = f"{os.environ['CI_API_V4_URL']}/user"
    request = urllib.request.Request(url, headers={"PRIVATE-TOKEN": os.environ["GITLAB_TOKEN"]})
    with urllib.request.urlopen(request, timeout=30) as response:
        return str(json.load(response)["username"])


def ours(mark: str) -> int | None:
    """Id of our note with this mark, or None."""
    name, page = me(), 1
    while found := call("GET", f"?per_page={PAGE}&page={page}"):
        for note in found:
            if note["author"]["username"] == name and note["body"].startswith(mark):
                return int(note["id"])
        page += 1
    return None


def main(mark: str, file: str) -> int:
    """Write the note; returns the exit status, 0 if GitLab accepted it."""
    mark = f"<!-- {mark} -->"
    content = {"body": f"{mark}\n{Path(file).read_text()}"}
    try:
        there = ours(mark)
        if there is None:
            call("POST", "", content)
        else:
            call("PUT", f"/{there}", content)
    except (OSError, urllib.error.HTTPError) as error:
        print(f"gitlab_note: no note on merge request {os.environ['CI_MERGE_REQUEST_IID']}: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
