"""Writes, lists, reads and deletes an object below each place on S3, as Flink will: what is wrong there is said by name
within seconds, before Flink starts.

Server, form of URLs, proxy, certificates, encryption and keys are those of Flink's plugin. What S3 says is told with
what is expected instead. An answer that is not known here is shown, and refuses nothing: servers differ, and Flink may
be able to use it.
https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html
"""

from __future__ import annotations

import contextlib
import hashlib
import html
import http.client
import re
import ssl
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request

from . import credentials
from .output import Failure, differs, say
from .presign import of_this_machine, signed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from .clock import Clock

KEYTOOL = "/opt/java/bin/keytool"
RETRY_SECONDS = 20.0
"""For a server that does not answer, as while it restarts; rights of a new instance profile take as long."""
ANSWER_SECONDS = 10.0
PAUSE_SECONDS = 1.0
_RIGHTS = {"write": "s3:PutObject", "list": "s3:ListBucket", "read": "s3:GetObject", "delete": "s3:DeleteObject"}
_KMS_RIGHTS = {"write": "kms:GenerateDataKey", "read": "kms:Decrypt"}
_DENIED = ("AccessDenied", "AllAccessDisabled", "AccountProblem", "Forbidden")
_EXPIRED = ("ExpiredToken", "TokenRefreshRequired", "InvalidToken", "ExpiredTokenException")
_LATER = ("AccessDenied", "InvalidAccessKeyId", "NoSuchBucket", *_EXPIRED)
"""What AWS may say for some seconds of an instance profile or a bucket that was just made."""
_ADDRESS = re.compile(r"[0-9.]+|\[.*\]")


class Answer:
    """What the server says to a request; `code` is empty if that is not in S3's words."""

    def __init__(self, status: int, headers: Any, body: bytes) -> None:
        self.status, self.body = status, body
        self.date: str = headers.get("Date") or ""
        text = body.decode(errors="replace") if status >= 300 else ""
        self.code = _element(text, "Code")
        self.message = _element(text, "Message")
        self.region: str = headers.get("x-amz-bucket-region") or _element(text, "Region")
        self.said = " ".join((f"{self.code}: {self.message}" if self.code else f"HTTP {status} {text[:200]}").split())


class Unknown(Exception):
    """An answer of which nobody knows here what it means to Flink."""


class Stranger(Exception):
    """There are no credentials, perhaps not yet."""


class Look:
    """One host's look. `values`: host, places (keys of the configuration → URIs), server (URL), region, pathStyle,
    encryption, kmsKey, proxy (URL, or nothing), certificates (a file with those of the stack's own, or nothing), store
    (what keytool has to know of the JVM's trust store; nothing if it is not known), followsRegion (whether Flink's
    plugin finds a bucket that is in another region). `keys` are access key and secret key of the daemons, empty if this
    machine has an identity.
    """

    def __init__(
        self,
        values: dict[str, Any],
        keys: tuple[str, str],
        clock: Clock,
        identity: Callable[[], dict[str, Any]] = of_this_machine,
    ) -> None:
        self._values, self._keys, self._clock, self._identity = values, keys, clock, identity
        self._server, self._region, self._follows_region = values["server"], values["region"], False
        self._quiet = False
        self._tls: ssl.SSLContext | None = None
        self._is_as_the_jvm = False

    def apply(self) -> None:
        """Look at all places. Raises Failure at the first that cannot be used."""
        for key, uri in self._values["places"].items():
            where = f"the storage at {uri} ({key})"
            try:
                self._use(uri)
            except Unknown as unknown:
                self._say(f"{where}: {unknown}; going on, because Flink may be able to use it")
            except Failure as failure:
                raise Failure(f"cannot use {where}: {failure}") from None
            else:
                self._say(f"{where}: this host writes, lists, reads and deletes")

    def check(self) -> None:
        """Report what cannot be used."""
        self._quiet = True
        try:
            self.apply()
        except Failure as failure:
            differs("storage", str(failure))

    def _say(self, text: str) -> None:
        if not self._quiet:
            say(self._values["host"], text)

    # What is done

    def _use(self, uri: str) -> None:
        values = self._values
        self._server, self._region, self._follows_region = values["server"], values["region"], values["followsRegion"]
        bucket, _, prefix = uri.partition("://")[2].partition("/")
        key = "/".join(filter(None, (prefix, f".access-{self._values['host']}")))
        content = f"written by {self._values['host']}\n".encode()
        self._ask("write", "PUT", bucket, key, content, self._encryption())
        done = False
        try:
            query = {"list-type": "2", "max-keys": "1", "prefix": key}
            if f"<Key>{html.escape(key)}</Key>".encode() not in self._ask("list", "GET", bucket, query=query).body:
                raise Unknown(f"{key} was written, and is not listed")
            if self._ask("read", "GET", bucket, key).body != content:
                raise Failure(f"cannot read: {key} has other contents than were written")
            self._ask("delete", "DELETE", bucket, key)
            done = True
        finally:
            if not done:
                self._leave_nothing(bucket, key)

    def _leave_nothing(self, bucket: str, key: str) -> None:
        with contextlib.suppress(OSError, http.client.HTTPException, Stranger):
            self._once("DELETE", bucket, key, b"", {}, {})

    def _encryption(self) -> dict[str, str]:
        wanted, key = self._values["encryption"], self._values["kmsKey"]
        if not wanted:
            return {}
        found = {"x-amz-server-side-encryption": "aws:kms" if wanted == "sse-kms" else "AES256"}
        return {**found, **({"x-amz-server-side-encryption-aws-kms-key-id": key} if key else {})}

    def _ask(
        self,
        step: str,
        method: str,
        bucket: str,
        key: str = "",
        body: bytes = b"",
        headers: dict[str, str] | None = None,
        query: dict[str, str] | None = None,
    ) -> Answer:
        """The answer to a request that succeeds. Raises Failure, or Unknown."""
        end = self._clock.now() + RETRY_SECONDS
        while True:
            late = self._clock.now() >= end
            try:
                found = self._once(method, bucket, key, body, headers or {}, query or {})
            except ssl.SSLCertVerificationError as error:
                self._trust_as_the_jvm(error)
                continue
            except Stranger as error:
                if late:
                    raise Failure(str(error)) from None
            except (OSError, http.client.HTTPException) as error:
                if late:
                    raise Failure(
                        f"cannot {step}: {self._server} does not answer ({_words(error)}) for {RETRY_SECONDS:.0f} s; "
                        "expected an S3 server there that this host reaches (storageEndpoint)"
                    ) from None
            else:
                if found.status < 300:
                    return found
                if self._follows(bucket, found):
                    continue
                passes = found.status in (307, 500, 502, 503, 504) or (not self._keys[0] and found.code in _LATER)
                if late or not passes:
                    raise self._problem(step, bucket, found)
            self._clock.pause(PAUSE_SECONDS)

    def _once(
        self, method: str, bucket: str, key: str, body: bytes, headers: dict[str, str], query: dict[str, str]
    ) -> Answer:
        server = urllib.parse.urlsplit(self._server)
        # As Amazon's SDK: there are no names below an address
        in_path = self._values["pathStyle"] or bool(
            _ADDRESS.fullmatch(server.netloc.rpartition(":")[0] or server.netloc)
        )
        host = server.netloc if in_path else f"{bucket}.{server.netloc}"
        path = urllib.parse.quote(f"/{bucket}/{key}" if in_path else f"/{key}", safe="/-_.~")
        words = urllib.parse.urlencode(sorted(query.items()), quote_via=urllib.parse.quote, safe="-_.~")
        request = urllib.request.Request(
            f"{server.scheme}://{host}{path}{f'?{words}' if words else ''}",
            method=method,
            data=body or None,
            headers={**self._signed(method, host, path, words, body, headers), "Content-Type": "text/plain"},
        )
        try:
            with self._opener().open(request, timeout=ANSWER_SECONDS) as answer:
                return Answer(answer.status, answer.headers, answer.read())
        except urllib.error.HTTPError as error:
            with error:
                return Answer(error.code, error.headers, error.read())
        except urllib.error.URLError as error:
            if isinstance(error.reason, OSError):
                raise error.reason from None
            raise

    def _signed(
        self, method: str, host: str, path: str, words: str, body: bytes, more: dict[str, str]
    ) -> dict[str, str]:
        keys = self._credentials()
        digest = hashlib.sha256(body).hexdigest()
        moment = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(self._clock.wall()))
        scope = f"{moment[:8]}/{self._region}/s3/aws4_request"
        headers = {"host": host, "x-amz-content-sha256": digest, "x-amz-date": moment, **more}
        if keys.get("Token"):
            headers["x-amz-security-token"] = keys["Token"]
        names = sorted(headers)
        lines = [method, path, words, *(f"{name}:{headers[name]}" for name in names), "", ";".join(names), digest]
        signature = signed(keys, scope, moment, "\n".join(lines))
        headers["authorization"] = (
            f"AWS4-HMAC-SHA256 Credential={keys['AccessKeyId']}/{scope}, SignedHeaders={';'.join(names)}, "
            f"Signature={signature}"
        )
        return headers

    def _credentials(self) -> dict[str, Any]:
        access, secret = self._keys
        if access:
            return {"AccessKeyId": access, "SecretAccessKey": secret}
        try:
            return self._identity()
        except (OSError, ValueError, IndexError) as error:
            raise Stranger(
                f"there is no storageAccessKey, and this machine has no instance profile ({_words(error)}); expected "
                "storageAccessKey and storageSecretKey, or an instance profile"
            ) from None

    def _opener(self) -> urllib.request.OpenerDirector:
        if self._tls is None and self._server.startswith("https:"):
            self._tls = ssl.create_default_context()  # reads all certificates of this system
            if self._values["certificates"]:
                self._tls.load_verify_locations(self._values["certificates"])
        proxy = self._values["proxy"]
        proxies = urllib.request.ProxyHandler({"http": proxy, "https": proxy} if proxy else {})
        return urllib.request.build_opener(proxies, urllib.request.HTTPSHandler(context=self._tls), _Stays())

    def _trust_as_the_jvm(self, error: ssl.SSLCertVerificationError) -> None:
        """Flink's JVM does not ask what this system trusts: its store decides."""
        said = f"the certificate of {self._server} is refused ({error.verify_message})"
        store: list[str] = self._values["store"]
        if not store:
            raise Unknown(said)
        if self._is_as_the_jvm:
            raise Failure(f"{said}; expected one that is signed by trustedCertificates or a public authority")
        argv = [KEYTOOL, "-J-XX:-UsePerfData", "-list", "-rfc", "-storepass", "changeit", *store]
        nothing = subprocess.DEVNULL
        done = subprocess.run(argv, stdin=nothing, stdout=subprocess.PIPE, stderr=nothing, text=True, check=False)
        pem = "".join(re.findall(r"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----\n", done.stdout, re.DOTALL))
        if not pem:
            raise Unknown(f"{said}, and keytool shows nothing of {' '.join(store)}")
        self._tls, self._is_as_the_jvm = ssl.create_default_context(cadata=pem), True

    # What it means

    def _follows(self, bucket: str, found: Answer) -> bool:
        """Whether Flink's plugin goes on in the bucket's own region, as this then does."""
        if not (self._follows_region and found.region and found.region != self._region):
            return False
        self._follows_region = False
        self._say(
            f"bucket {bucket} is in {found.region}, and storageRegion is {self._region}: Flink finds it, by more "
            f"requests; expected storageRegion: {found.region}"
        )
        self._server, self._region = self._server.replace(self._region, found.region), found.region
        return True

    def _problem(self, step: str, bucket: str, found: Answer) -> Exception:
        expected = self._expected(step, bucket, found)
        if not expected:
            return Unknown(f"cannot {step}: {self._server} says {found.said}")
        return Failure(f"cannot {step}: {self._server} says {found.said}; {expected}")

    def _expected(self, step: str, bucket: str, found: Answer) -> str:
        code, access = found.code, self._keys[0]
        kms = "kms" in found.message.lower()
        if code == "RequestTimeTooSkewed":
            return f"this host's clock is {self._off(found)}: expected 900 s at most; use NTP (chrony)"
        if found.region and found.region != self._region:
            return f"bucket {bucket} is in {found.region}: expected storageRegion: {found.region}, not {self._region}"
        if code in ("PermanentRedirect", "AuthorizationHeaderMalformed", "IllegalLocationConstraintException"):
            return f"expected the region of bucket {bucket}, not {self._region} (storageRegion), and its endpoint"
        if code == "NoSuchBucket":
            return f"expected an existing bucket {bucket}"
        if code in ("InvalidAccessKeyId", "XAdminUserNotFound"):
            own = "storageAccessKey" if access else "instance profile"
            more = "; one that begins with ASIA is valid with a session token only" if access[:4] == "ASIA" else ""
            return f"expected a key that this server knows ({own}){more}"
        if code == "SignatureDoesNotMatch" and access:
            return "expected the storageSecretKey that belongs to storageAccessKey"
        if code in _EXPIRED:
            return (
                "the credentials of the instance profile have expired: expected that its metadata service renews them"
            )
        if code.startswith("KMS.") or (code in _DENIED and kms):
            right = f", and the right {_KMS_RIGHTS[step]}" if step in _KMS_RIGHTS else ""
            return f"expected an enabled KMS key in the bucket's region (storageKmsKey){right}"
        if code in _DENIED or (found.status == 403 and not code):
            who = "storageAccessKey" if access else "the instance profile"
            asks = step == "write" and not self._values["encryption"]
            more = ", and storageEncryption if the bucket's policy asks for it" if asks else ""
            return f"expected that {who} has the right {_RIGHTS[step]} there{more}"
        if found.status in (500, 502, 503, 504):
            return f"that did not end within {RETRY_SECONDS:.0f} s"
        if not code and found.status != 501:
            return "which is not S3: expected the URL of an S3 server (storageEndpoint)"
        return ""

    def _off(self, found: Answer) -> str:
        from email.utils import parsedate_to_datetime

        try:
            seconds = self._clock.wall() - parsedate_to_datetime(found.date).timestamp()
        except (TypeError, ValueError):
            return "not the storage's"
        return f"{abs(seconds):.0f} s {'ahead of' if seconds > 0 else 'behind'} the storage's"


class _Stays(urllib.request.HTTPRedirectHandler):
    """A request that is signed for a host is of no use to another."""

    def redirect_request(self, *_: Any) -> None:
        """Never."""


def _element(text: str, name: str) -> str:
    """An element of an error that S3 answers with; empty if it has none."""
    found = re.search(f"<{name}>([^<]*)</{name}>", text)
    return html.unescape(found.group(1)) if found else ""


def _words(error: BaseException) -> str:
    return str(getattr(error, "reason", error)) or type(error).__name__


def of(values: dict[str, Any], clock: Clock) -> Look:
    """The look of this host, with the daemons' credentials."""
    known = credentials.variables()
    return Look(values, (known.get("AWS_ACCESS_KEY_ID", ""), known.get("AWS_SECRET_ACCESS_KEY", "")), clock)
