"""Rules of the account of which moto knows nothing: its plan, free or paid, and the tags that its organization requires
of what is launched.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any

TARGET = "AWSFreeTierService.GetAccountPlanState"
PATH = "/lab/plan"
TAGS_PATH = "/lab/required-tags"


class Plan:
    """The account's plan and rules, and the answers about them."""

    def __init__(self) -> None:
        self.kind = "PAID"
        self.required: list[str] = []
        """Keys of tags without which the organization's policy denies a launch, for machines and for volumes."""

    def answer(self, environ: Mapping[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes] | None:
        """The answer to GetAccountPlanState, or to a test that sets a rule; None to any other request."""
        if environ["PATH_INFO"] == PATH:
            self.kind = str(environ.get("QUERY_STRING"))
            start_response("200 OK", [("Content-Type", "text/plain")])
            return [self.kind.encode()]
        if environ["PATH_INFO"] == TAGS_PATH:
            self.required = [key for key in str(environ.get("QUERY_STRING")).split(",") if key]
            start_response("200 OK", [("Content-Type", "text/plain")])
            return [",".join(self.required).encode()]
        if environ.get("HTTP_X_AMZ_TARGET") != TARGET:
            return None
        from moto.core.models import DEFAULT_ACCOUNT_ID

        found = {"accountId": DEFAULT_ACCOUNT_ID, "accountPlanType": self.kind, "accountPlanStatus": "ACTIVE"}
        start_response("200 OK", [("Content-Type", "application/x-amz-json-1.0")])
        return [json.dumps(found).encode()]


plan = Plan()
"""Of this process."""
