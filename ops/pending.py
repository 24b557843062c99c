"""Settles the pending operations of a killed run (automation.pending), with what AWS knows about them."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from automation import pending
from automation.pending import ChangedError, Operation, PendingError, Plan
from automation.stack import Stack
from ops.errors import BusyError, OpsError


def settle(stack: Stack, copies: Path | None = None, *, account: str = "") -> Plan:
    """Clear the operations that can run again, and adopt what AWS has created, in the state of a stack.

    `account` is the stack's AWS account, for a state that does not name it.
    The state before is copied to the folder `copies`, which is in the engine's home if it is not given. Raises OpsError
    with the reason, and auto.CommandError as `pending.settle` does. Running it again is safe.
    """
    variables = {**os.environ, **stack.workspace.env_vars}
    try:
        return pending.settle(
            stack, copies or pending.copies(variables.get("PULUMI_HOME")), finder(stack.name, variables, account)
        )
    except ChangedError as error:
        raise BusyError(str(error)) from None
    except PendingError as error:
        raise OpsError(str(error)) from None


def finder(stack: str, variables: Mapping[str, str], account: str = "") -> pending.Find:
    """Looks on AWS, with the credentials in the environment `variables`."""

    def find(deployment: Mapping[str, Any], operations: Sequence[Operation]) -> pending.Found:
        # Imported here: existing hosts do not need it
        from ops.aws import Aws

        return Aws(stack, deployment, variables=variables, account=account).find(operations)

    return find
