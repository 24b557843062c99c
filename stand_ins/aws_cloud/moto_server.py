"""moto as a separate server: AWS's API, for a lab that makes its instances real.

`python -m stand_ins.aws_cloud.moto_server --host ADDRESS --port PORT [--public CIDR]`

It adds to moto: Debian's images and the parameters with their ids, unique addresses from a range reserved for
documentation, a lock around everything except S3, the limits of hosts' roles (`access`) and of operators' identities
(`rights`: `POST /lab/rights`, `GET /lab/rights?key=…`), `GET /lab/calls`, the requests that EventBridge has
sent to other systems, and `GET /lab/changes?after=N`, which answers after the next
request that may have changed something.
"""

from __future__ import annotations

import argparse
import hashlib
import html
import io
import ipaddress
import json
import logging
import os
import random
import re
import sys
import threading
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote

from stand_ins.aws_cloud import access, corrections, evaluation
from stand_ins.aws_cloud.authorization import Request
from stand_ins.aws_cloud.known import PUBLIC, WATCHER
from stand_ins.aws_cloud.limits import LIMITS
from stand_ins.aws_cloud.plan import plan

DEBIAN = "136693071363"
"""The account that publishes Debian's images (https://wiki.debian.org/Cloud/AmazonEC2Image)."""
IMAGES = {
    architecture: {
        "ami_id": f"ami-{hashlib.sha256(architecture.encode()).hexdigest()[:17]}",
        "name": f"debian-12-{architecture}-20261027-2281",
        "description": f"Debian 12 (20261027-2281) {architecture}",
        "owner_id": DEBIAN,
        "architecture": name,
        "public": True,
        "virtualization_type": "hvm",
        "image_type": "machine",
        "image_location": "amazon/debian-12",
        "hypervisor": "xen",
        "root_device_name": "/dev/xvda",
        "root_device_type": "ebs",
        "sriov": "simple",
        "state": "available",
        "creation_date": "2026-10-27T00:00:00.000Z",
    }
    for architecture, name in (("amd64", "x86_64"), ("arm64", "arm64"))
}
PARAMETER = "/aws/service/debian/release/12/latest/{architecture}"
_WAIT_SECONDS = 30.0
_THROTTLED = (
    b'<ErrorResponse xmlns="https://route53.amazonaws.com/doc/2013-04-01/"><Error><Type>Sender</Type>'
    b"<Code>Throttling</Code><Message>Rate exceeded</Message></Error><RequestId>lab</RequestId></ErrorResponse>"
)


class Addresses:
    """Addresses that are assigned in random order, and never twice."""

    def __init__(self, public: str) -> None:
        hosts = [str(address) for address in ipaddress.IPv4Network(public).hosts()]
        random.shuffle(hosts)
        self._public = iter(hosts)
        self._size = len(hosts)
        self._private: set[str] = set()

    def public(self) -> str:
        """A public address. They are not reused: what is cached about a deleted machine never applies to another."""
        found = next(self._public, None)
        if found is None:
            raise RuntimeError(f"all {self._size} public addresses of this cloud have been used")
        return found

    def private(self, cidr: str | None = None, ipv6: bool = False) -> str:
        """An address in a subnet, except AWS's four reserved ones and the first ones, which moto assigns."""
        if ipv6 or cidr is None:
            return _random_private_ip(cidr, ipv6)
        network = ipaddress.IPv4Network(cidr)
        for number in range(network.num_addresses - 2, 4, -1):
            if (address := str(network[number])) not in self._private:
                self._private.add(address)
                return address
        raise RuntimeError(f"no address in {cidr} is free")


def _random_private_ip(cidr: str | None, ipv6: bool) -> str:
    from moto.ec2.utils import random_private_ip

    made: str = random_private_ip(cidr, ipv6)
    return made


def prepare(public: str, directory: Path) -> None:
    """Configure moto, in this process and before it creates a backend."""
    images = directory / "images.json"
    images.write_text(json.dumps(list(IMAGES.values())))
    os.environ |= {
        "MOTO_AMIS_PATH": str(images),
        "MOTO_ENABLE_AMI_VALIDATION": "true",
        "MOTO_EC2_ENABLE_INSTANCE_TYPE_VALIDATION": "true",
        "S3_IGNORE_SUBDOMAIN_BUCKETNAME": "true",
    }
    _give_addresses(Addresses(public))
    _publish_parameters()
    corrections.apply()


def _give_addresses(addresses: Addresses) -> None:
    """Make all modules of moto's EC2 take addresses from here, wherever they have imported the function."""
    from moto.ec2.models import elastic_ip_addresses  # noqa: F401 - it imports all of them

    given: dict[str, Callable[..., str]] = {
        "random_public_ip": addresses.public,
        "random_ip": addresses.public,
        "random_private_ip": addresses.private,
    }
    for name, module in list(sys.modules.items()):
        if name.startswith("moto.ec2.models"):
            for function in given.keys() & vars(module).keys():
                setattr(module, function, given[function])


def _publish_parameters() -> None:
    """Add Debian's parameters to each region's Parameter Store, where only AWS can write them."""
    from moto.core.utils import utcnow
    from moto.ssm.models import Parameter, ParameterDict

    load = ParameterDict._check_loading_status

    def check(self: Any, key: str) -> None:
        load(self, key)
        for architecture, image in IMAGES.items():
            name, newest = PARAMETER.format(architecture=architecture), str(image["ami_id"])
            if architecture == "amd64" and LIMITS.newest_image:
                newest = LIMITS.newest_image
            there = dict.get(self, name)
            if there is None or there[-1].value != newest:
                value = Parameter(  # type: ignore[abstract]  # moto makes them, too
                    account_id=self.account_id,
                    name=name,
                    value=newest,
                    parameter_type="String",
                    description=None,
                    allowed_pattern=None,
                    keyid=None,
                    last_modified_date=utcnow(),
                    version=1,
                    data_type="aws:ec2:image",
                )
                dict.__setitem__(self, name, [value])

    corrections.replace(ParameterDict, "_check_loading_status", check)


class Changes:
    """The number of requests that may have changed something."""

    def __init__(self) -> None:
        self._number = 0
        self._more = threading.Condition()

    def add(self) -> None:
        """Count one more."""
        with self._more:
            self._number += 1
            self._more.notify_all()

    def after(self, number: int, timeout: float) -> int:
        """The number, as soon as it is not `number`, or after the timeout."""
        with self._more:
            self._more.wait_for(lambda: self._number != number, timeout)
            return self._number


WSGI = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


class Application:
    """The WSGI layer before moto: one request at a time, and a count of those that may have changed something.

    Requests from the addresses `operators` may do anything, unless their identity has limits. Others come from hosts,
    which may only use S3, as far as the role allows whose credentials they have from the metadata service.
    """

    def __init__(self, moto: WSGI, operators: frozenset[str]) -> None:
        self._moto = moto
        self._operators = operators
        self._changes = Changes()
        self._one = threading.Lock()
        from stand_ins.aws_cloud.rights import Rights  # it loads moto, which has to be configured before

        self._rights = Rights()

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        """Answer a request."""
        if environ["REMOTE_ADDR"] not in self._operators:
            return self._answer_host(environ, start_response)
        if environ["PATH_INFO"] == "/lab/changes":
            return self._answer_watcher(environ, start_response)
        if environ["PATH_INFO"] == "/lab/rights":
            return self._answer_rights(environ, start_response)
        key = access.access_key(environ.get("HTTP_AUTHORIZATION", ""))
        if self._rights.limited(key) and (why := self._refusal(key, environ)):
            return _refuse(environ, start_response, _CODES.get(_service(environ), "AccessDenied"), why)
        if (answer := plan.answer(environ, start_response)) is not None:
            return answer
        if environ["PATH_INFO"] == "/lab/calls":
            start_response("200 OK", [("Content-Type", "application/json")])
            return [json.dumps(corrections.CALLS).encode()]
        if environ["PATH_INFO"] == "/lab/limits":
            return _answer_limits(environ, start_response)
        if _is_route53(environ) and WATCHER not in environ.get("HTTP_USER_AGENT", "") and LIMITS.throttles():
            start_response("400 Bad Request", [("Content-Type", "text/xml")])
            return [_THROTTLED]
        if _is_s3(environ):
            return self._moto(environ, start_response)  # bodies may be large, and moto handles these in parallel
        try:
            with self._one:
                return self._moto(environ, start_response)
        finally:
            if WATCHER not in environ.get("HTTP_USER_AGENT", ""):
                self._changes.add()

    def _answer_watcher(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        asked = {key: values[0] for key, values in parse_qs(environ.get("QUERY_STRING", "")).items()}
        timeout = min(float(asked.get("timeout", "0")), _WAIT_SECONDS)
        number = self._changes.after(int(asked.get("after", "-1")), timeout)
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [str(number).encode()]

    def _answer_rights(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        if environ["REQUEST_METHOD"] == "POST":
            self._rights.set(environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"])))
            answer: dict[str, Any] = {}
        else:
            answer = self._rights.report(parse_qs(environ["QUERY_STRING"])["key"][0])
        start_response("200 OK", [("Content-Type", "application/json")])
        return [json.dumps(answer).encode()]

    def _refusal(self, key: str, environ: dict[str, Any]) -> str:
        """What the identity is not permitted to do. moto's data must not change meanwhile."""
        query = environ.get("QUERY_STRING", "")
        url = quote(_path(environ)) + (f"?{query}" if query else "")
        # Objects may be large, and their content gives no rights
        body = _body(environ) if _is_s3(environ) else _read(environ)
        target = environ.get("HTTP_X_AMZ_TARGET", "")
        service, region = _service(environ), _scope(environ)[0]
        with self._one:
            return self._rights.refusal(key, Request(service, region, environ["REQUEST_METHOD"], url, body, target))

    def _answer_host(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        method, path, query = environ["REQUEST_METHOD"], _path(environ), environ.get("QUERY_STRING", "")
        authorization, token = _signature(environ)
        key = access.access_key(authorization)
        if not _is_s3(environ) or not key:
            return _refuse(environ, start_response, "AccessDenied", "a host may use S3 only, and only signed")
        found = access.policies_of(key, token)
        if found is None:
            return _refuse(environ, start_response, "InvalidAccessKeyId", "not of this cloud, or expired")
        policies, boundary = found
        try:
            headers = {"x-amz-copy-source": environ.get("HTTP_X_AMZ_COPY_SOURCE", "")}
            asked = access.asked_for(method, path, query, headers, _body(environ))
        except access.Unknown as unknown:
            return _refuse(environ, start_response, "AccessDenied", str(unknown))
        for each in asked:
            if not evaluation.permitted(policies, each, boundary):
                return _refuse(environ, start_response, "AccessDenied", f"{each.action} of {each.resource}")
        missing = access.listing_of(path)
        if missing is None or evaluation.permitted(policies, missing, boundary):
            return self._moto(environ, start_response)
        return self._hide_missing(environ, start_response, missing)

    def _hide_missing(
        self, environ: dict[str, Any], start_response: Callable[..., Any], missing: evaluation.Asked
    ) -> Iterable[bytes]:
        """Answer 403 instead of 404, as S3 does without permission to list."""
        said: list[Any] = []
        body = b"".join(self._moto(environ, lambda *told: said.append(told)))
        if said[-1][0].startswith("404"):
            return _refuse(environ, start_response, "AccessDenied", f"{missing.action} of {missing.context}")
        start_response(*said[-1])
        return [body]


_CODES = {"ec2": "UnauthorizedOperation"}


def _scope(environ: Mapping[str, Any]) -> tuple[str, str]:
    """Region and service of the signature."""
    found = re.search(r"Credential=[^/]+/\d+/([^/]*)/([a-z0-9-]+)/aws4_request", environ.get("HTTP_AUTHORIZATION", ""))
    return (found[1], found[2]) if found else ("", "")


def _service(environ: Mapping[str, Any]) -> str:
    return _scope(environ)[1]


def _is_s3(environ: Mapping[str, Any]) -> bool:
    return "/s3/aws4_request" in _signature(environ)[0]


def _is_route53(environ: Mapping[str, Any]) -> bool:
    return "/route53/aws4_request" in environ.get("HTTP_AUTHORIZATION", "")


def _answer_limits(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """Set the limits; a `GET` returns how many requests Route 53 has answered and refused since then."""
    if environ["REQUEST_METHOD"] == "PUT":
        LIMITS.set(json.loads(environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"]))))
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps({"answered": LIMITS.answered, "throttled": LIMITS.throttled}).encode()]


def _signature(environ: Mapping[str, Any]) -> tuple[str, str]:
    """What a request has for authorization, and its security token: in headers, or in the query of a signed URL.

    https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-query-string-auth.html
    """
    if "HTTP_AUTHORIZATION" in environ:
        return environ["HTTP_AUTHORIZATION"], environ.get("HTTP_X_AMZ_SECURITY_TOKEN", "")
    options = parse_qs(environ.get("QUERY_STRING", ""))
    credential, token = (options.get(f"X-Amz-{name}", [""])[0] for name in ("Credential", "Security-Token"))
    return f"Credential={credential}" if credential else "", token


def _path(environ: Mapping[str, Any]) -> str:
    """The path as UTF-8; WSGI provides its bytes as Latin-1 (PEP 3333)."""
    text: str = environ["PATH_INFO"]
    return text.encode("latin-1").decode(errors="replace")


def _body(environ: dict[str, Any]) -> bytes:
    """The body of a request that names objects, which moto can read again; empty for all others."""
    if environ["REQUEST_METHOD"] != "POST" or "delete" not in parse_qs(environ["QUERY_STRING"], keep_blank_values=True):
        return b""
    return _read(environ)


def _read(environ: dict[str, Any]) -> bytes:
    """The body of a request, which moto can read again."""
    body: bytes = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    environ["wsgi.input"] = io.BytesIO(body)
    return body


def _refuse(environ: Mapping[str, Any], start_response: Callable[..., Any], code: str, why: str) -> Iterable[bytes]:
    """AWS's answer to a request without permission; the log states the reason."""
    print(f"refused {environ['REMOTE_ADDR']} {environ['REQUEST_METHOD']} {environ['PATH_INFO']}: {why}", flush=True)
    start_response("403 Forbidden", [("Content-Type", "application/xml")])
    if environ["REQUEST_METHOD"] == "HEAD":
        return []
    error = f"<Error><Code>{code}</Code><Message>{html.escape(why)}</Message></Error>"
    match _service(environ):
        case "ec2":
            error = f"<Response><Errors>{error}</Errors></Response>"
        case "elasticloadbalancing" | "iam" | "route53" | "sts":
            error = f"<ErrorResponse>{error}</ErrorResponse>"
        case "acm" | "dlm" | "events" | "freetier" | "kms" | "ssm" | "tagging":
            error = json.dumps({"__type": code, "message": why})
    return [error.encode()]


def main(argv: list[str]) -> None:
    """Serve until it is killed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--public", default=PUBLIC, help="public addresses of instances")
    parser.add_argument("--directory", type=Path, default=Path(), help="folder for its files")
    args = parser.parse_args(argv)
    prepare(args.public, args.directory)
    from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
    from werkzeug.serving import run_simple

    logging.getLogger("werkzeug").setLevel(logging.WARNING)
    application = Application(DomainDispatcherApplication(create_backend_app), frozenset({"127.0.0.1", args.host}))
    run_simple(args.host, args.port, application, threaded=True, request_handler=MotoRequestHandler)


if __name__ == "__main__":
    main(sys.argv[1:])
