"""Amazon Data Lifecycle Manager, which moto has not: its policies, without the snapshots that they make."""

from __future__ import annotations

import re
import sys
from datetime import UTC, datetime
from typing import Any
from urllib.parse import unquote

from moto import backend_index
from moto.core.base_backend import BackendDict, BaseBackend
from moto.core.exceptions import ServiceException
from moto.core.responses import ActionResult, BaseResponse, EmptyResult
from moto.iam.models import iam_backends
from moto.moto_api._internal import mock_random

_DESCRIPTION = re.compile(r"[0-9A-Za-z _-]{1,500}")


class DLMBackend(BaseBackend):
    """The policies of a region."""

    def __init__(self, region_name: str, account_id: str) -> None:
        super().__init__(region_name, account_id)
        self.policies: dict[str, dict[str, Any]] = {}

    @property
    def _url_module(self) -> Any:
        """Where moto finds `url_bases` and `url_paths`."""
        return sys.modules[__name__]


class DLMResponse(BaseResponse):
    """The service's operations."""

    def __init__(self) -> None:
        super().__init__(service_name="dlm")
        self.automated_parameter_parsing = True

    @property
    def _policies(self) -> dict[str, dict[str, Any]]:
        return dlm_backends[self.current_account][self.region].policies

    def _policy(self, id: str) -> dict[str, Any]:
        if id not in self._policies:
            raise _error("ResourceNotFoundException", f"policy with id {id} does not exist")
        return self._policies[id]

    def create_lifecycle_policy(self) -> ActionResult:
        """CreateLifecyclePolicy."""
        role, description = self._get_param("ExecutionRoleArn"), self._get_param("Description")
        if not _DESCRIPTION.fullmatch(description):
            raise _error("InvalidRequestException", "Description must match ^[0-9A-Za-z _-]+$")
        self._check_role(role)
        id = f"policy-{mock_random.get_random_hex(17)}"
        now = datetime.now(UTC)
        arn = f"arn:aws:dlm:{self.region}:{self.current_account}:policy/{id}"
        self._policies[id] = {
            "PolicyId": id,
            "Description": description,
            "State": self._get_param("State"),
            "ExecutionRoleArn": role,
            "DateCreated": now,
            "DateModified": now,
            "PolicyDetails": self._get_param("PolicyDetails"),
            "Tags": dict(self._get_param("Tags") or {}),
            "PolicyArn": arn,
        }
        return ActionResult({"PolicyId": id})

    def _check_role(self, arn: str) -> None:
        """A role that Data Lifecycle Manager cannot assume is refused."""
        roles = iam_backends[self.current_account]["aws"].roles.values()
        role = next((each for each in roles if each.arn == arn), None)
        if role is None or "dlm.amazonaws.com" not in str(role.assume_role_policy_document):
            raise _error("InvalidRequestException", f"Role {arn} cannot be assumed by the service")

    def get_lifecycle_policy(self) -> ActionResult:
        """GetLifecyclePolicy."""
        return ActionResult({"Policy": self._policy(self._get_param("PolicyId"))})

    def get_lifecycle_policies(self) -> ActionResult:
        """GetLifecyclePolicies."""
        return ActionResult({"Policies": list(self._policies.values())})

    def update_lifecycle_policy(self) -> ActionResult:
        """UpdateLifecyclePolicy."""
        policy = self._policy(self._get_param("PolicyId"))
        for name in ("Description", "State", "ExecutionRoleArn", "PolicyDetails"):
            if self._get_param(name) is not None:
                policy[name] = self._get_param(name)
        return EmptyResult()

    def delete_lifecycle_policy(self) -> ActionResult:
        """DeleteLifecyclePolicy: the snapshots stay."""
        del self._policies[self._policy(self._get_param("PolicyId"))["PolicyId"]]
        return EmptyResult()

    def _tagged(self) -> dict[str, str]:
        tags: dict[str, str] = self._policy(unquote(self._get_param("ResourceArn")).rpartition("/")[2])["Tags"]
        return tags

    def list_tags_for_resource(self) -> ActionResult:
        """ListTagsForResource."""
        return ActionResult({"Tags": self._tagged()})

    def tag_resource(self) -> ActionResult:
        """TagResource."""
        self._tagged().update(self._get_param("Tags"))
        return EmptyResult()

    def untag_resource(self) -> ActionResult:
        """UntagResource."""
        for key in self._get_param("TagKeys"):
            self._tagged().pop(key, None)
        return EmptyResult()


class DLMError(ServiceException):
    """A refusal."""


DLMError.__module__ = "moto.dlm.exceptions"  # by which moto finds the service's model


def _error(code: str, message: str) -> ServiceException:
    error = DLMError(message)
    error.code, error.message = code, message
    return error


dlm_backends = BackendDict(DLMBackend, "dlm")
url_bases = [r"https?://dlm\.(.+)\.amazonaws\.com"]
url_paths = {
    "{0}/policies$": DLMResponse.dispatch,
    "{0}/policies/(?P<policy_id>[^/]+)/?$": DLMResponse.dispatch,
    "{0}/tags/(?P<resource_arn>.+)$": DLMResponse.dispatch,
}


def apply() -> None:
    """Add it to moto, in this process."""
    if "moto.dlm" not in sys.modules:
        sys.modules["moto.dlm"] = sys.modules[__name__]
        backend_index.backend_url_patterns.append(("dlm", re.compile(url_bases[0])))
