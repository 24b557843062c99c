"""A `gh` for a GitHub in a JSON file: only what the workflows use.

The file, $FAKE_GITHUB, has `comments` (number → comments), `labels` (number → names), `pulls` (number → pull request),
`permissions` (login → permission), `issues`, and gets `calls`, the arguments of every call. Pages have two entries, so
that a missing --paginate, or code that cannot handle several pages, fails.
"""

import argparse
import json
import os
import re
import sys
from pathlib import Path
from typing import Any

import jq

PAGE = 2
LONGEST = 65_536
FILE = Path(os.environ.get("FAKE_GITHUB", ""))


def say(value: Any, query: str | None) -> None:
    """Print the query's result, strings without quotes, as `gh --jq` does."""
    for found in jq.compile(query).input_value(value).all() if query else [value]:
        if found is None:
            print()
        else:
            print(found if isinstance(found, str) else json.dumps(found, separators=(",", ":")))


def fields(words: argparse.Namespace) -> dict[str, Any]:
    """The fields to send: `-f` literally, `-F` with @FILE read, names that end in [] as lists."""
    sent: dict[str, Any] = {}
    for text, typed in [*((text, False) for text in words.raw or []), *((text, True) for text in words.typed or [])]:
        name, _, value = text.partition("=")
        if typed and value.startswith("@"):
            value = Path(value[1:]).read_text()
        if name.endswith("[]"):
            sent.setdefault(name[:-2], []).append(value)
        else:
            sent[name] = value
    return sent


def api(github: dict[str, Any], argv: list[str]) -> None:
    parser = argparse.ArgumentParser("gh api")
    parser.add_argument("path")
    parser.add_argument("-X", dest="method")
    parser.add_argument("-f", dest="raw", action="append")
    parser.add_argument("-F", dest="typed", action="append")
    parser.add_argument("--jq")
    parser.add_argument("--paginate", action="store_true")
    parser.add_argument("--silent", action="store_true")
    words = parser.parse_args(argv)
    sent = fields(words)
    path, _, _ = words.path.partition("?")
    path = path.removeprefix(f"repos/{os.environ['GITHUB_REPOSITORY']}/")
    if len(sent.get("body", "")) > LONGEST:
        sys.exit("gh: Validation Failed (HTTP 422): body is too long (maximum is 65536 characters)")
    method = words.method or ("POST" if sent else "GET")
    answer = answered(github, method, path, sent)
    if words.silent:
        return
    pages = [answer[at : at + PAGE] for at in range(0, len(answer), PAGE)] if isinstance(answer, list) else [answer]
    for page in pages if words.paginate else pages[:1]:
        say(page, words.jq)


def answered(github: dict[str, Any], method: str, path: str, sent: dict[str, Any]) -> Any:
    comments, labels = github.setdefault("comments", {}), github.setdefault("labels", {})
    if found := re.fullmatch(r"issues/(\d+)/comments", path):
        there = comments.setdefault(found[1], [])
        if method == "POST":
            there.append(
                {"id": 1000 + sum(map(len, comments.values())), "user": {"login": "github-actions[bot]"}, **sent}
            )
        return there
    if (found := re.fullmatch(r"issues/comments/(\d+)", path)) and method == "PATCH":
        (comment,) = (it for there in comments.values() for it in there if it["id"] == int(found[1]))
        comment.update(sent)
        return comment
    if found := re.fullmatch(r"issues/(\d+)/labels", path):
        there = labels.setdefault(found[1], [])
        there += [name for name in sent.get("labels", []) if name not in there]
        return [{"name": name} for name in there]
    if (found := re.fullmatch(r"issues/(\d+)/labels/(\w+)", path)) and method == "DELETE":
        if found[2] not in labels.get(found[1], []):
            sys.exit("gh: Label does not exist (HTTP 404)")
        labels[found[1]].remove(found[2])
        return []
    if (found := re.fullmatch(r"collaborators/([^/]+)/permission", path)) and method == "GET":
        return {"permission": github["permissions"].get(found[1], "none")}
    sys.exit(f"fake gh: {method} {path} is not of what it knows")


def pr_view(github: dict[str, Any], argv: list[str]) -> None:
    parser = argparse.ArgumentParser("gh pr view")
    parser.add_argument("number")
    parser.add_argument("--repo", required=True)
    parser.add_argument("--json", required=True)
    parser.add_argument("--jq")
    words = parser.parse_args(argv)
    if words.repo != os.environ["GITHUB_REPOSITORY"]:
        sys.exit(f"fake gh: no repository {words.repo}")
    labels = [{"name": name} for name in github.get("labels", {}).get(words.number, [])]
    pull = {**github["pulls"][words.number], "labels": labels}
    say({name: pull[name] for name in words.json.split(",")}, words.jq)


def issue(github: dict[str, Any], command: str, argv: list[str]) -> None:
    parser = argparse.ArgumentParser(f"gh issue {command}")
    issues = github.setdefault("issues", [])
    if command == "list":
        for option in ("--state", "--label", "--limit", "--json", "--jq"):
            parser.add_argument(option)
        words = parser.parse_args(argv)
        found = [it for it in issues if it["state"] == words.state and words.label in it["labels"]]
        return say([{name: it[name] for name in words.json.split(",")} for it in found[: int(words.limit)]], words.jq)
    if command == "create":
        for option in ("--title", "--label", "--body-file"):
            parser.add_argument(option, required=True)
        words = parser.parse_args(argv)
        if words.label not in github.get("known labels", []):
            sys.exit(f"could not add label: '{words.label}' not found")
        new = {"number": 70 + len(issues), "state": "open", "labels": [words.label], "title": words.title}
        issues.append({**new, "body": Path(words.body_file).read_text()})
        return print(f"https://github.com/{os.environ['GH_REPO']}/issues/{new['number']}")
    parser.add_argument("number", type=int)
    parser.add_argument("--body-file" if command == "edit" else "--comment", dest="text", required=True)
    words = parser.parse_args(argv)
    (found,) = (it for it in issues if it["number"] == words.number)
    found.update({"body": Path(words.text).read_text()} if command == "edit" else {"state": "closed"})
    return None


def main(argv: list[str]) -> None:
    if not os.environ.get("GH_TOKEN"):
        sys.exit("gh: To use GitHub CLI in a GitHub Actions workflow, set the GH_TOKEN environment variable.")
    github = json.loads(FILE.read_text())
    github.setdefault("calls", []).append(argv)
    match argv:
        case ["api", *rest]:
            api(github, rest)
        case ["pr", "view", *rest]:
            pr_view(github, rest)
        case ["issue", ("list" | "create" | "edit" | "close") as command, *rest]:
            issue(github, command, rest)
        case ["label", "create", name, "--description", _, "--force"]:
            github.setdefault("known labels", []).append(name)
        case _:
            sys.exit(f"fake gh: does not know {argv}")
    FILE.write_text(json.dumps(github))


if __name__ == "__main__":
    main(sys.argv[1:])
