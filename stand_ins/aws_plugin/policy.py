"""Policy documents: whether two have the same meaning, and what AWS refuses in one and moto accepts.

Grammar: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_grammar.html. Lengths:
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html (without the white space) and, for a bucket,
https://docs.aws.amazon.com/AmazonS3/latest/userguide/add-bucket-policy.html.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeAlias

from stand_ins.plugin.values import UNKNOWN, Value

TRUST_LENGTH, INLINE_LENGTH, BUCKET_LENGTH = 2048, 10_240, 20_480
"""Characters of a role's trust policy, of all its inline policies together, and bytes of a bucket's policy."""

_Statement: TypeAlias = dict[str, Any]
_LISTS = ("Action", "NotAction", "Resource", "NotResource")
_ELEMENTS = {"Sid", "Effect", "Principal", "NotPrincipal", "Condition", *_LISTS}
_ACTION = re.compile(r"\*|[a-zA-Z0-9-]+:[a-zA-Z0-9*?]+")
_ARN = re.compile(r"\*|arn:[^:]+:[^:]+:[^:]*:[^:]*:.+", re.DOTALL)
_CONDITION = re.compile(
    r"(ForAllValues:|ForAnyValue:)?"
    r"(String(Not)?(Equals|EqualsIgnoreCase|Like)|(Numeric|Date)((Not)?Equals|(Less|Greater)Than(Equals)?)"
    r"|Bool|BinaryEquals|(Not)?IpAddress|Arn(Not)?(Equals|Like))(IfExists)?|Null",
)
_PRINCIPALS = {
    "AWS": re.compile(
        r"\*|\d{12}|arn:aws[a-z-]*:iam::\d{12}:(root|(user|role)/[\w+=,.@/-]+)"
        r"|arn:aws[a-z-]*:sts::\d{12}:(assumed-role/[\w+=,.@-]+|federated-user)/[\w+=,.@-]+|A[A-Z]{3}[A-Z0-9]{12,124}"
    ),
    "Service": re.compile(r"[a-z0-9-]+(\.[a-z0-9-]+)*\.amazonaws\.com(\.cn)?"),
    "Federated": re.compile(r"arn:aws[a-z-]*:iam::\d{12}:(saml|oidc)-provider/.+|[a-z0-9-]+(\.[a-z0-9-]+)+"),
    "CanonicalUser": re.compile(r"[0-9a-f]{64}"),
}
_ACCOUNT_ROOT = re.compile(r"arn:aws[a-z-]*:iam::(\d{12}):root")
_OBJECT_ACTION = re.compile(r"s3:((Get|Put|Delete|Restore|Replicate|Bypass)Object\w*|\w*Multipart\w*)")
_BUCKET_ACTIONS = {"s3:ListBucketMultipartUploads"}
_NARROWING = re.compile(
    r"aws:(source\w+|principal\w+|userid)|s3:(x-amz-server-side-encryption-aws-kms-key-id|dataaccess\w+)"
)
"""Condition keys with which a statement for everyone is not public:
https://docs.aws.amazon.com/AmazonS3/latest/userguide/access-control-block-public-access.html"""


def text(value: Value) -> str:
    """The document of an input, which may be text or an object."""
    return value if isinstance(value, str) else json.dumps(value)


def same(old: Value, new: Value) -> bool:
    """Whether two documents have the same meaning: order and form of JSON, and of AWS's lists, do not matter."""
    try:
        return bool(_normal(json.loads(text(old))) == _normal(json.loads(text(new))))
    except (ValueError, TypeError, AttributeError):
        return bool(old == new)


def kept(old: Value, now: Value) -> Value:
    """The document as output for `now` in AWS: its old form as long as that has the same meaning."""
    return old if old is not None and same(old, now) else text(now)


def length(document: Value) -> int:
    """Its length as IAM counts it: without white space."""
    return len(re.sub(r"\s", "", text(document)))


def trust_problem(document: Value) -> str | None:
    """Why IAM refuses a role's trust policy, with its error code."""
    if problem := _problem(document, _trust_problems):
        return problem
    if not _undecided(document) and length(document) > TRUST_LENGTH:
        return f"LimitExceeded: Cannot exceed quota for ACLSizePerRole: {TRUST_LENGTH}"
    return None


def inline_problem(document: Value) -> str | None:
    """Why IAM refuses a policy of a role, even as its only one."""
    if problem := _problem(document, _inline_problems):
        return problem
    if not _undecided(document) and length(document) > INLINE_LENGTH:
        return f"LimitExceeded: Maximum policy size of {INLINE_LENGTH} bytes exceeded"
    return None


def bucket_problem(document: Value, bucket: Value) -> str | None:
    """Why S3 refuses a bucket's policy."""
    if _undecided(document):
        return None
    problem = _problem(document, lambda statement: _bucket_problems(statement, bucket))
    if problem is not None:
        return problem.replace("MalformedPolicyDocument", "MalformedPolicy")
    if (size := len(text(document).encode())) > BUCKET_LENGTH:
        return f"S3 takes bucket policies of at most {BUCKET_LENGTH} bytes, this one has {size}"
    return None


def public(document: Value) -> bool:
    """Whether a bucket's policy is for everyone without a condition, so that a public access block refuses it."""
    for statement in _statements(json.loads(text(document))):
        keys = {key.lower() for condition in statement.get("Condition", {}).values() for key in condition}
        everyone = "*" in _principals(statement).get("AWS", [])
        if statement.get("Effect") == "Allow" and everyone and not any(map(_NARROWING.fullmatch, keys)):
            return True
    return False


def _undecided(document: Value) -> bool:
    """Whether the value is unknown in the preview, or is absent, which another check reports."""
    return document is None or UNKNOWN in text(document)


def _problem(document: Value, of_statement: Callable[[_Statement], Iterator[str]]) -> str | None:
    """The first problem; `of_statement` returns those that depend on the type of policy."""
    if _undecided(document):
        return None
    try:
        parsed = json.loads(text(document))
    except ValueError:
        return "MalformedPolicyDocument: This policy contains invalid Json"
    for problem in _document_problems(parsed):
        return f"MalformedPolicyDocument: {problem}"
    for statement in _statements(parsed):
        for problem in (*_statement_problems(statement), *of_statement(statement)):
            return f"MalformedPolicyDocument: {problem}"
    return None


def _document_problems(parsed: Any) -> Iterator[str]:
    if not isinstance(parsed, dict) or parsed.keys() - {"Version", "Id", "Statement"} or "Statement" not in parsed:
        yield "Syntax errors in policy. A policy has Version, Id and Statement, and nothing else."
    elif parsed.get("Version", "2008-10-17") not in ("2012-10-17", "2008-10-17"):
        yield f"The policy's Version {parsed['Version']} is none of 2012-10-17 and 2008-10-17"
    elif not (statements := _statements(parsed)) or not all(isinstance(item, dict) for item in statements):
        yield "Syntax errors in policy. Statement is an object or a list of them, and not empty."
    else:
        sids = [statement["Sid"] for statement in statements if statement.get("Sid")]
        if len(sids) != len(set(sids)):
            yield "Statement IDs (SID) in a single policy must be unique."


def _statement_problems(statement: _Statement) -> Iterator[str]:
    if unknown := statement.keys() - _ELEMENTS:
        yield f"Syntax errors in policy. A statement has no {', '.join(sorted(unknown))}."
    if statement.get("Effect") not in ("Allow", "Deny"):
        yield f"Syntax errors in policy. Effect is Allow or Deny, not {statement.get('Effect')}."
    if ("Action" in statement) == ("NotAction" in statement):
        yield "Policy statement must contain actions."
    if not re.fullmatch(r"[A-Za-z0-9 ]*", str(statement.get("Sid", ""))):
        yield f"Statement IDs (SID) must be alpha-numeric, not {statement['Sid']}."
    for name in _LISTS:
        if name in statement and not _strings(statement[name]):
            yield f"Syntax errors in policy. {name} is a text or a list of them, and not empty."
    for action in _strings(statement.get("Action", statement.get("NotAction"))):
        if not _ACTION.fullmatch(action):
            yield f"Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc.; got {action}"
    yield from _condition_problems(statement)


def _condition_problems(statement: _Statement) -> Iterator[str]:
    conditions = statement.get("Condition", {})
    if not isinstance(conditions, dict):
        yield "Syntax errors in policy. Condition is an object."
        return
    for operator, keys in conditions.items():
        if not _CONDITION.fullmatch(operator):
            yield f"Invalid Condition type : {operator}."
        elif not isinstance(keys, dict) or not keys or not all(":" in key for key in keys):
            yield f"Syntax errors in policy. {operator} has an object of condition keys such as aws:SecureTransport."


def _resource_problems(statement: _Statement) -> Iterator[str]:
    if ("Resource" in statement) == ("NotResource" in statement):
        yield "Policy statement must contain resources."
    for resource in _strings(statement.get("Resource", statement.get("NotResource"))):
        if not _ARN.fullmatch(resource):
            yield f'Resource {resource} must be in ARN format or "*".'


def _inline_problems(statement: _Statement) -> Iterator[str]:
    if "Principal" in statement or "NotPrincipal" in statement:
        yield "Policy document should not specify a principal."
    if " " in str(statement.get("Sid", "")):
        yield f"Statement IDs (SID) must be alpha-numeric, not {statement['Sid']}."
    yield from _resource_problems(statement)


def _trust_problems(statement: _Statement) -> Iterator[str]:
    yield from _principal_problems(statement)
    if "Resource" in statement or "NotResource" in statement:
        yield "Has prohibited field Resource"
    for action in _strings(statement.get("Action", statement.get("NotAction"))):
        if not action.startswith("sts:"):
            yield f"AssumeRole policy may only specify STS AssumeRole actions; got {action}"


def _bucket_problems(statement: _Statement, bucket: Value) -> Iterator[str]:
    yield from _principal_problems(statement)
    yield from _resource_problems(statement)
    actions = _strings(statement.get("Action", statement.get("NotAction")))
    for action in actions:
        if action != "*" and not action.startswith("s3:"):
            yield f"Policy has invalid action; got {action}"
    own = re.compile(rf"arn:aws[a-z-]*:s3:::{re.escape(str(bucket))}(/.*)?", re.DOTALL)
    resources = _strings(statement.get("Resource", statement.get("NotResource")))
    for resource in resources:
        if bucket != UNKNOWN and not own.fullmatch(resource):
            yield f"Policy has invalid resource; got {resource}, which is not in bucket {bucket}"
    if "Action" in statement and "Resource" in statement:
        yield from _idle_actions(actions, resources)


def _idle_actions(actions: list[str], resources: list[str]) -> Iterator[str]:
    """Actions on objects with only the bucket as resource, and the other way round."""
    on_objects, on_bucket = (any(("/" in item) == expected for item in resources) for expected in (True, False))
    for action in actions:
        if "*" in action or "?" in action:
            continue
        of_object = bool(_OBJECT_ACTION.fullmatch(action)) and action not in _BUCKET_ACTIONS
        if not (on_objects if of_object else on_bucket):
            yield f"Action does not apply to any resource(s) in statement; got {action}"


def _principal_problems(statement: _Statement) -> Iterator[str]:
    if ("Principal" in statement) == ("NotPrincipal" in statement):
        yield "Missing required field Principal"
        return
    value = statement.get("Principal", statement.get("NotPrincipal"))
    if value == "*":
        return
    if not isinstance(value, dict) or not value or value.keys() - _PRINCIPALS.keys():
        yield f"Invalid principal in policy: {json.dumps(value)}"
        return
    for kind, names in value.items():
        if not _strings(names):
            yield f'Invalid principal in policy: "{kind}": {json.dumps(names)}'
        for name in _strings(names):
            if not _PRINCIPALS[kind].fullmatch(name):
                yield f'Invalid principal in policy: "{kind}":"{name}"'


def _principals(statement: _Statement) -> Mapping[str, list[str]]:
    value = statement.get("Principal", {})
    return {"AWS": ["*"]} if value == "*" else {kind: _strings(names) for kind, names in value.items()}


def _statements(parsed: dict[str, Any]) -> list[_Statement]:
    statements = parsed.get("Statement")
    return statements if isinstance(statements, list) else [statements] if statements else []


def _strings(value: Any) -> list[str]:
    """The strings of an element that may be one or many; none if it contains anything else."""
    items = value if isinstance(value, list) else [value]
    return items if all(isinstance(item, str) for item in items) else []


def _normal(parsed: dict[str, Any]) -> Any:
    """A canonical form: equal for all documents with the same meaning."""
    statements = [_normal_statement(statement) for statement in _statements(parsed)]
    return {
        "Version": parsed.get("Version", "2008-10-17"),
        "Id": parsed.get("Id", ""),
        "Statement": sorted(statements, key=lambda statement: json.dumps(statement, sort_keys=True)),
    }


def _normal_statement(statement: _Statement) -> _Statement:
    normal: _Statement = {}
    for name, value in statement.items():
        if name in ("Principal", "NotPrincipal"):
            people = {"AWS": "*"} if value == "*" else value
            normal[name] = {kind: _sorted(names) for kind, names in people.items()}
        elif name == "Condition":
            normal[name] = {
                operator: {key: _sorted(values) for key, values in keys.items()} for operator, keys in value.items()
            }
        elif name in _LISTS:
            normal[name] = _sorted(value)
        elif name != "Sid" or value:
            normal[name] = value
    return normal


def _sorted(value: Any) -> list[str]:
    items = value if isinstance(value, list) else [value]
    return sorted({_normal_item(item) for item in items})


def _normal_item(item: Any) -> str:
    if isinstance(item, bool):
        return "true" if item else "false"
    found = _ACCOUNT_ROOT.fullmatch(str(item))
    return found[1] if found else str(item)
