"""Prints URLs with which anybody may use an object of S3 for an hour: Signature Version 4 in query parameters, with the
credentials of this machine's instance profile.

The steps that install releases run it alone (host_scripts/copies.sh), perhaps before the tool is there, with nothing
else than Python on the host. The tool signs with it what it asks of S3 (s3_look.py).
https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-query-string-auth.html
https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instancedata-data-retrieval.html
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import sys
import time
import urllib.parse
import urllib.request

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

METADATA = "http://169.254.169.254"
SECONDS = 3600
ANSWER_SECONDS = 5


def presigned(keys: dict[str, Any], region: str, method: str, url: str, now: float) -> str:
    """The URL of an object, signed for a method. `keys`: AccessKeyId, SecretAccessKey, and with a role Token."""
    place = urllib.parse.urlsplit(url)
    moment = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(now))
    scope = f"{moment[:8]}/{region}/s3/aws4_request"
    query = {
        "X-Amz-Algorithm": "AWS4-HMAC-SHA256",
        "X-Amz-Credential": f"{keys['AccessKeyId']}/{scope}",
        "X-Amz-Date": moment,
        "X-Amz-Expires": str(SECONDS),
        "X-Amz-SignedHeaders": "host",
    }
    if keys.get("Token"):
        query["X-Amz-Security-Token"] = keys["Token"]
    path = urllib.parse.quote(place.path, safe="/-_.~")
    words = urllib.parse.urlencode(sorted(query.items()), quote_via=urllib.parse.quote, safe="-_.~")
    request = "\n".join([method, path, words, f"host:{place.netloc}\n", "host", "UNSIGNED-PAYLOAD"])
    signature = signed(keys, scope, moment, request)
    return f"{place.scheme}://{place.netloc}{path}?{words}&X-Amz-Signature={signature}"


def signed(keys: dict[str, Any], scope: str, moment: str, request: str) -> str:
    """The signature of a canonical request."""
    text = "\n".join(["AWS4-HMAC-SHA256", moment, scope, hashlib.sha256(request.encode()).hexdigest()])
    key = f"AWS4{keys['SecretAccessKey']}".encode()
    for word in (*scope.split("/"), text):
        key = hmac.new(key, word.encode(), hashlib.sha256).digest()
    return key.hex()


def of_this_machine() -> dict[str, Any]:
    """The credentials of the instance profile. Raises OSError or ValueError if there are none."""
    # Never through a proxy
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    server = os.environ.get("AWS_EC2_METADATA_SERVICE_ENDPOINT", METADATA)

    def ask(method: str, path: str, name: str, value: str) -> str:
        asked = urllib.request.Request(f"{server}/latest/{path}", method=method, headers={name: value})
        with opener.open(asked, timeout=ANSWER_SECONDS) as answer:
            return str(answer.read().decode())

    token = ask("PUT", "api/token", "X-aws-ec2-metadata-token-ttl-seconds", "60")
    place = "meta-data/iam/security-credentials/"
    role = ask("GET", place, "X-aws-ec2-metadata-token", token).split()[0]
    found: dict[str, Any] = json.loads(ask("GET", place + role, "X-aws-ec2-metadata-token", token))
    if "SecretAccessKey" not in found:
        raise ValueError(f"the role {role} has no credentials: {found.get('Code')}")
    return found


def main(words: list[str]) -> int:
    """Print a URL for each pair of a method and a URL, in one line each; 1 and the reason without credentials."""
    region, *pairs = words
    try:
        keys = of_this_machine()
    except (OSError, ValueError, IndexError) as error:
        print(f"no credentials of an instance profile: {error}", file=sys.stderr)
        return 1
    for method, url in zip(pairs[::2], pairs[1::2]):
        print(presigned(keys, region, method, url, time.time()))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
