"""Flink's REST API, through any JobManager that answers: each serves all requests on behalf of the leader."""

import contextlib
import json
import re
import ssl
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib.parse import quote
from uuid import uuid4

from lab.errors import LabError

ASK_SECONDS = 10.0
"""Maximum seconds for one JobManager's answer before the next one is tried."""

UPLOAD_SECONDS = 60.0
"""The same for the upload of a jar, and for its start, which plans the job before it answers."""


class Url(str):
    """Base URL of a JobManager's REST API. With https, `identity` is the folder with authorities.pem and, because who
    asks a JobManager needs a certificate, identity.pem. A front door needs a `login` instead.
    """

    identity: Path | None = None
    login: str = ""

    @classmethod
    def of(cls, text: str, identity: Path, *, login: str = "") -> "Url":
        """The URL of a JobManager with TLS, or of its front door."""
        made = cls(text)
        made.identity, made.login = identity, login
        return made


class RestError(LabError):
    """No usable answer: `status` is the HTTP status, or None if no JobManager answered."""

    def __init__(self, text: str, status: int | None = None) -> None:
        super().__init__(text)
        self.status = status


class Rest:
    """The REST API of one cluster, with the base URLs of all its JobManagers.

    `ask_seconds` is the timeout for each of them. Measurements of a failover need less than the default, because a
    standby delays requests for a leader that has just died.
    """

    def __init__(self, urls: Sequence[str], ask_seconds: float = ASK_SECONDS) -> None:
        if not urls:
            raise ValueError("no REST URL: at least one JobManager is needed")
        self.ask_seconds = ask_seconds
        self.urls = [url if isinstance(url, Url) else Url(url.rstrip("/")) for url in urls]

    def get(self, path: str) -> Any:
        """The decoded answer to GET `path`. Raises RestError."""
        return self._ask(lambda url: urllib.request.Request(url + path), self.ask_seconds)

    def run_jar(
        self, jar: Path, arguments: Sequence[str], parallelism: int, more: Mapping[str, str] | None = None
    ) -> str:
        """Upload the jar, run its main class, return the id of its job (32 hex digits). Raises RestError.

        The id is chosen here. So if a JobManager dies after it has accepted the job and before it answers, the next
        one does not run the job a second time. `more` is added to the request.
        """
        job_id = uuid4().hex
        request = {"jobId": job_id, "parallelism": parallelism, "programArgsList": [*arguments], **(more or {})}
        silent = []
        for url in self.urls:
            # Only the JobManager that received a jar knows it: both requests go to the same one.
            one = Rest([url], self.ask_seconds)
            try:
                one._run(one._upload(jar), request)
                return job_id
            except RestError as error:
                if error.status not in (None, 503):
                    raise
                silent.append(str(error))
                if self._knows(job_id):
                    return job_id
        raise RestError("no JobManager accepted the job: " + "; ".join(silent))

    def cancel(self, job_id: str) -> None:
        """Cancel the job, which takes a moment. Raises RestError."""
        path = f"/jobs/{job_id}?mode=cancel"
        self._ask(lambda url: urllib.request.Request(url + path, method="PATCH"), self.ask_seconds)

    def _upload(self, jar: Path) -> str:
        boundary = uuid4().hex
        head = (
            f'--{boundary}\r\nContent-Disposition: form-data; name="jarfile"; filename="{jar.name}"\r\n'
            "Content-Type: application/x-java-archive\r\n\r\n"
        )
        body = head.encode() + jar.read_bytes() + f"\r\n--{boundary}--\r\n".encode()
        headers = {"Content-Type": f"multipart/form-data; boundary={boundary}"}
        answer = self._ask(lambda url: urllib.request.Request(url + "/jars/upload", body, headers), UPLOAD_SECONDS)
        return Path(answer["filename"]).name

    def _run(self, jar_id: str, request: dict[str, Any]) -> None:
        path = f"/jars/{quote(jar_id)}"
        body, headers = json.dumps(request).encode(), {"Content-Type": "application/json"}
        self._ask(lambda url: urllib.request.Request(f"{url}{path}/run", body, headers), UPLOAD_SECONDS)
        # The job has its own copy; otherwise each run would leave another jar on the JobManager's disk.
        with contextlib.suppress(RestError):
            self._ask(lambda url: urllib.request.Request(url + path, method="DELETE"), self.ask_seconds)

    def _knows(self, job_id: str) -> bool:
        try:
            self.get(f"/jobs/{job_id}")
        except RestError:
            return False
        return True

    @staticmethod
    def _open(url: Url, request: urllib.request.Request, timeout: float) -> Any:
        # The cluster's hosts are never behind the proxy in the environment.
        handlers: list[urllib.request.BaseHandler] = [urllib.request.ProxyHandler({})]
        if url.identity:
            context = ssl.create_default_context(cafile=str(url.identity / "authorities.pem"))
            if url.login:
                request.add_header("Authorization", url.login)
            else:
                context.load_cert_chain(url.identity / "identity.pem")
            handlers.append(urllib.request.HTTPSHandler(context=context))
        return urllib.request.build_opener(*handlers).open(request, timeout=timeout)

    def _ask(self, request: Callable[[str], urllib.request.Request], timeout: float) -> Any:
        """Try one JobManager after the other; the one that answers is tried first from then on."""
        silent = []
        for url in list(self.urls):
            try:
                with self._open(url, request(url), timeout) as answer:
                    text = answer.read()
            except urllib.error.HTTPError as error:
                problem = f"{url}: HTTP {error.code}: {innermost(_errors(error.read()))}"
                if error.code != 503:  # 503: this JobManager knows no leader (yet)
                    raise RestError(problem, error.code) from None
                silent.append(problem)
            except (OSError, HTTPException) as error:
                silent.append(f"{url}: {getattr(error, 'reason', error)}")
            else:
                self.urls.remove(url)
                self.urls.insert(0, url)
                return json.loads(text)
        raise RestError("; ".join(silent))


def _errors(body: bytes) -> str:
    try:
        return "\n".join(json.loads(body)["errors"])
    except (ValueError, KeyError, TypeError):
        return body.decode(errors="replace")


def innermost(trace: str) -> str:
    """The root cause in a Java stack trace: its last cause."""
    causes = re.findall(r"^Caused by: (.+)$", trace, re.MULTILINE)
    lines = [line.strip() for line in trace.splitlines() if line.strip()]
    text = causes[-1] if causes else (lines[0] if lines else "no reason given")
    return re.sub(r"^(?:[a-z_$][\w$]*\.)+(?=[A-Z])", "", text)
