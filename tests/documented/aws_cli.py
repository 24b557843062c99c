"""`aws` for the blocks of the documents: a small part of the AWS command line interface, on botocore's own models.

Real are names of services, operations and parameters, their types, `--query`, `wait`, and what is asked of the API. It
refuses what these do not know. Not real: profiles, single sign-on, pages, output other than JSON and text.
"""

import json
import os
import sys
from pathlib import Path
from typing import Any

import boto3
import jmespath
from botocore import xform_name


def main(words: list[str]) -> int:
    """`SERVICE [wait] OPERATION --parameter value…`; its exit code."""
    service, *rest = words
    waits = rest[0] == "wait"
    name, *rest = rest[1:] if waits else rest
    client = boto3.client(
        service, endpoint_url=os.environ["AWS_ENDPOINT_URL"], region_name=os.environ["AWS_DEFAULT_REGION"]
    )
    options = _options(rest)
    query, output = options.pop("query", [None])[0], options.pop("output", ["json"])[0]
    if waits:
        waiter = client.get_waiter(name.replace("-", "_"))
        waiter.wait(**_parameters(client, waiter.config.operation, options))
        return 0
    operation = {xform_name(each, "-"): each for each in client.meta.service_model.operation_names}[name]
    answer = getattr(client, xform_name(operation))(**_parameters(client, operation, options))
    answer.pop("ResponseMetadata")
    found = jmespath.search(query, answer) if query else answer
    print(_text(found) if output == "text" else json.dumps(found, indent=4, default=str))
    return 0


def _options(words: list[str]) -> dict[str, list[str]]:
    """Words by the option that they follow."""
    found: dict[str, list[str]] = {}
    for word in words:
        if word.startswith("--"):
            values = found.setdefault(word.removeprefix("--"), [])
        else:
            values.append(word)
    return found


def _parameters(client: Any, operation: str, options: dict[str, list[str]]) -> dict[str, Any]:
    members = client.meta.service_model.operation_model(operation).input_shape.members
    names = {xform_name(each, "-"): each for each in members}
    return {names[name]: _value(members[names[name]], words) for name, words in options.items()}


def _value(shape: Any, words: list[str]) -> Any:
    """`file://PATH`, or the shorthand of https://docs.aws.amazon.com/cli/latest/userguide/cli-usage-shorthand.html."""
    if shape.type_name == "list":
        return [_value(shape.member, [word]) for word in words]
    (word,) = words
    if shape.type_name == "structure":
        found: dict[str, Any] = {}
        for part in word.split(","):
            key, _, value = part.partition("=")
            found[key] = [value] if shape.members[key].type_name == "list" else value
        return found
    if shape.type_name != "string":
        raise SystemExit(f"tests/documented/aws_cli.py knows no {shape.type_name}")
    return Path(word.removeprefix("file://")).read_text() if word.startswith("file://") else word


def _text(found: Any) -> str:
    return "\t".join(str(each) for each in found) if isinstance(found, list) else str(found)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
