"""Which machines are launched where AWS lacks some, what stays, and what is refused before anything is deleted."""

import re
from typing import Any

import pulumi
import pytest
from pulumi import automation as auto
from pulumi.automation._cmd import CommandResult

import branches.capacity
import settings
from automation.steps import Recorder
from branches import stacks
from branches.errors import LockedError
from components import roles
from components.aws import capacity, facts, infrastructure
from components.aws.capacity import Lack, Offer
from components.host import Role
from components.naming import Labels
from tests.unit.program import Recorded, mocked
from tests.unit.test_aws_program import Aws, configuration, of_type, run, stdin

TYPES: dict[str, Any] = {"taskManagerType": None, "taskManagerTypes": ["m6i.large", "m7i.large"]}
A, B, C = Aws().zones


def declared(mocks: Aws, stack: str, **changes: Any) -> dict[str, Recorded]:
    """What is registered of the machines, without the cluster on them."""

    def program() -> None:
        found = settings.load(configuration(stack, **changes), stack=stack)
        needed = {role: roles.needed_mib(role, found.cluster) for role in Role}
        for host in infrastructure.declare(stack, found.site, found.storage, needed).hosts:
            assert host.service is not None
            host.service.keep(pulumi.ComponentResource("flink:test:Service", f"{host.name}-service"))

    mocked(program, mocks, stack=stack, preview=False)
    return mocks.found


def kinds(mocks: Aws | None = None, stack: str = "dev", **changes: Any) -> dict[str, str]:
    """TaskManager → market, type and zone of its machine."""
    mocks = mocks or Aws()
    found = declared(mocks, stack, **{**TYPES, **changes})
    subnets = of_type(found, ":Subnet")
    return {
        name: f"{'spot' if 'instanceMarketOptions' in entry.inputs else 'on-demand'} {entry.inputs['instanceType']} "
        + subnets[entry.inputs["subnetId"].removeprefix("subnet-")].inputs["availabilityZone"]
        for name, entry in of_type(found, ":Instance").items()
        if name.startswith("tm-")
    }


def test_a_new_machine_is_the_first_that_aws_does_not_lack() -> None:
    first, second = f"on-demand m6i.large {A}", f"on-demand m7i.large {A}"
    assert kinds() == {"tm-0": first, "tm-1": first}
    for lack in (f"m6i.large {A}", f"{A} on-demand m6i.large", "m6i.large"):
        assert kinds(noCapacity=[lack]) == {"tm-0": second, "tm-1": second}, lack
    for lack in ("spot", f"m6i.large {B}", "m7i.large"):
        assert kinds(noCapacity=[lack]) == {"tm-0": first, "tm-1": first}, lack


def test_machines_of_any_listed_type_stay_and_only_others_are_replaced() -> None:
    for lack in ([], ["m6i.large"], ["m7i.large"]):
        found = kinds(Aws(running={"taskmanager": ["m6i.large", "m7i.large"]}), noCapacity=lack)
        assert [found["tm-0"].split()[1], found["tm-1"].split()[1]] == ["m6i.large", "m7i.large"], lack
    # A gap, and a type that is not in the list: what comes again is the first; the next waits for it
    mocks = Aws(running={"taskmanager": ["m7i.large", "", "m6i.xlarge", "m7i.large"]})
    found = kinds(mocks, workers=5)
    assert [found[f"tm-{index}"].split()[1] for index in range(5)] == [
        "m7i.large", "m6i.large", "m6i.large", "m7i.large", "m6i.large",
    ]  # fmt: skip
    order = [step.name for step in mocks.found.values() if step.type.endswith((":Service", ":Instance"))]
    assert order.index("tm-1-service") < order.index("tm-2")


@pytest.mark.parametrize("count", [1, 2, 3, 7, 8, 30, 450])
def test_each_machine_is_known_by_its_host(count: int) -> None:
    expected = {f"i-taskmanager-{index}": index for index in range(count)}
    asked: list[int] = []

    def there(labels: Labels, role: str, filters: dict[str, list[str]], states: Any) -> list[str]:
        asked.append(len(filters["tag:Name"]))
        names = set(filters["tag:Name"])
        return [id for id, index in expected.items() if f"dev-tm-{index}" in names]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(facts, "_there", there)
        assert facts._numbers(Role.TASKMANAGER, count, Labels(project="flink", stack="dev", owner="me")) == expected
    assert max(asked) <= facts.MOST_VALUES and len(asked) <= 20


def test_spot_comes_first_and_on_demand_where_it_is_allowed() -> None:
    spot: dict[str, Any] = {"taskManagerSpot": True, "taskManagerSpotFallback": True}
    assert set(kinds(**spot).values()) == {f"spot m6i.large {A}"}
    assert set(kinds(**spot, noCapacity=[f"spot m6i.large {A}"]).values()) == {f"spot m7i.large {A}"}
    assert set(kinds(**spot, noCapacity=["spot"]).values()) == {f"on-demand m6i.large {A}"}
    # What exists stays, in both markets, and only a spot instance looks for notices
    mocks = Aws(running={"taskmanager": ["m6i.large", "spot m7i.large"]})
    assert kinds(mocks, **spot) == {"tm-0": f"on-demand m6i.large {A}", "tm-1": f"spot m7i.large {A}"}
    mixed = run("dev", Aws(running=mocks.running), **TYPES, **spot)
    assert [name for name in mixed if name.endswith("-spot")] == ["tm-1-spot"]
    with pytest.raises(Exception, match=r"noCapacity: leaves no machine for tm-0, which may be spot m6i\.large"):
        kinds(taskManagerSpot=True, noCapacity=["spot"])


def test_another_zone_comes_after_the_other_types() -> None:
    prod: dict[str, Any] = {"stack": "prod", "taskManagerTypes": ["m6i.xlarge", "m6i.2xlarge"]}
    each = kinds(**prod)
    assert [each[f"tm-{index}"][-1] for index in range(3)] == ["a", "b", "c"]
    assert kinds(**prod, noCapacity=[f"m6i.xlarge {B}"]) == {**each, "tm-1": f"on-demand m6i.2xlarge {B}"}
    both = [f"m6i.xlarge {B}", f"m6i.2xlarge {B}"]
    assert kinds(**prod, noCapacity=both) == {**each, "tm-1": f"on-demand m6i.xlarge {C}"}
    # The next type is not offered there
    only = Aws(offered={"m6i.2xlarge": (A,)})
    assert kinds(only, **prod, noCapacity=[f"m6i.xlarge {B}"]) == {**each, "tm-1": f"on-demand m6i.xlarge {C}"}
    # Only the zones that the TaskManagers are spread over
    with pytest.raises(Exception, match="leaves no machine for tm-0"):
        kinds(**prod, taskManagerZones=1, noCapacity=[lack.replace(B, A) for lack in both])


def test_one_more_type_moves_no_network() -> None:
    """A zone that lacks the second type stays one of the zones."""
    assert set(kinds(Aws(offered={"m7i.large": (B, C)})).values()) == {f"on-demand m6i.large {A}"}


def test_nothing_is_deleted_for_a_machine_that_aws_lacks() -> None:
    there = Aws(running={"taskmanager": ["m6i.large"] * 2, "zookeeper": ["t3.small"] * 3})
    with pytest.raises(
        Exception, match=r"nothing was changed:(?s:.*)noCapacity: leaves no machine for tm-0, which may be"
    ):
        declared(there, "dev", taskManagerType="m7i.large", noCapacity=["m7i.large"])
    assert not of_type(there.found, ":Instance")
    # A data volume cannot follow to another zone
    with pytest.raises(
        Exception, match=f"leaves no machine for zk-1, which may be on-demand t3.medium {B}: expected ano"
    ):
        declared(Aws(), "prod", noCapacity=[f"t3.medium {B}"])


def test_every_listed_type_is_checked() -> None:
    for name, said in {
        "m6i.huge": "taskManagerTypes: 'm6i.huge' is not an instance type of this region",
        "t3.micro": "taskManagerTypes: t3.micro has 960 MiB, but the system and a taskmanager need",
    }.items():
        with pytest.raises(Exception, match=re.escape(said)):
            kinds(taskManagerTypes=["m6i.large", name])
    with pytest.raises(
        Exception, match=r"taskManagerInstanceStore: m6i\.large has no NVMe instance store: expected a task"
    ):
        kinds(taskManagerTypes=["m6id.large", "m6i.large"], taskManagerInstanceStore=True)


def test_slots_and_memory_are_those_of_the_own_machine() -> None:
    mocks = Aws(running={"taskmanager": ["m6i.large", "m6i.xlarge"]})
    found = run("dev", mocks, taskManagerType=None, taskManagerTypes=["m6i.large", "m6i.xlarge"])
    assert "numberOfTaskSlots: 2" in stdin(found, "tm-0-config") and "numberOfTaskSlots: 4" in stdin(
        found, "tm-1-config"
    )


def test_only_the_named_machines_without_the_newest_image_are_replaced_one_after_the_other() -> None:
    there: dict[str, Any] = {"running": {"taskmanager": ["m6i.large"] * 4, "jobmanager": ["t3.medium"] * 2}}
    there["newest"] = ("i-taskmanager-1", "i-jobmanager-0")

    def replaced(hosts: list[str]) -> tuple[set[str], list[str]]:
        mocks, known = Aws(**there), []

        def look_up(*args: Any) -> facts.Facts:
            known.append(ask(*args))
            return known[-1]

        with pytest.MonkeyPatch.context() as patch:
            ask = facts.look_up
            patch.setattr(facts, "look_up", look_up)
            found = declared(mocks, "dev", workers=4, newestImage=hosts)
        order = [it.name for it in found.values() if it.type.endswith((":Service", ":Instance"))]
        launches = {
            f"{roles.ROLES[role].prefix}-{index}": it
            for role, all_of_it in known[0].launches.items()
            for index, it in enumerate(all_of_it)
        }
        return {name for name, it in launches.items() if it.replaced}, order

    assert replaced([])[0] == set()
    assert replaced(["tm-0", "tm-1", "jm-0"])[0] == {"tm-0"}
    names, order = replaced(["all"])
    assert names == {"tm-0", "tm-2", "tm-3", "jm-1"}
    assert order.index("tm-1-service") < order.index("tm-2") and order.index("tm-2-service") < order.index("tm-3")


def test_a_machine_that_is_shutting_down_is_waited_for() -> None:
    """The plugin still finds it: `up --refresh` would change nothing."""
    there = Aws(running={"taskmanager": ["m6i.large", ""]}, ending={"taskmanager": [1]})
    with pytest.raises(Exception, match=r"Shutting down: tm-1 \(i-taskmanager-1\)\..*nothing was changed.*--refresh"):
        declared(there, "dev")
    assert not of_type(there.found, ":Instance")


def test_what_is_launched_is_announced(capfd: pytest.CaptureFixture[str]) -> None:
    offer = Offer(market="spot", type="m6i.large", zone=A)
    line = capacity.announcement(["tm-0", "tm-12"], offer)
    assert capacity.announced(f"{line}\n") == {"tm-0": offer, "tm-12": offer}
    assert capacity.announced("operatorCidrs: auto is 198.51.100.1/32") == {}
    assert capacity.lack(line.partition(": ")[2]).covers(offer)


def said(text: str, host: str = "", severity: str = "error") -> auto.EngineEvent:
    """A diagnostic of the engine."""
    urn = f"urn:pulumi:dev::flink::flink:aws:Machines$aws:ec2/instance:Instance::{host}" if host else None
    event = auto.DiagnosticEvent(message=text, color="never", severity=severity, urn=urn)
    return auto.EngineEvent(sequence=0, timestamp=0, diagnostic_event=event)


class Engine:
    """A stack whose AWS refuses some machines. `attempts` has the entries of noCapacity at each `up`."""

    name = "dev"

    def __init__(self, *refusals: tuple[str, str, str]) -> None:
        self._refusals = list(refusals)
        self._entries: list[str] = []
        self.attempts: list[list[str]] = []

    def up(self, recorder: Recorder, **options: Any) -> None:
        """Fail with the next refusal: the machine that was announced, and the error's host and code."""
        self.attempts.append([*self._entries])
        if self._refusals:
            offer, host, code = self._refusals.pop(0)
            recorder.event(said(f"new machines tm-0, tm-1: {offer}\n", severity="info"))
            recorder.event(said(f"creating EC2 Instance: RunInstances, api error {code}: No.", host))
            raise auto.CommandError(CommandResult(stdout="", stderr="update failed", code=255))

    def pulumi(self, *args: str) -> None:
        assert args[:3] == ("config", "set", "--path")
        assert args[3] == f"flink:noCapacity[{len(self._entries) + 1}]"
        self._entries.append(args[4])


def attempt(engine: Engine) -> Recorder:
    refused = branches.capacity.Refused()
    recorder = Recorder(on_event=refused.event)
    content = {"config": {"flink:noCapacity": ["c9.large"]}}
    branches.capacity.up(engine, content, refused, print, recorder)  # type: ignore[arg-type]
    return recorder


def test_the_tool_tries_the_next_machine_until_there_is_one() -> None:
    first, second = f"spot m6i.large {A}", f"spot m7i.large {A}"
    engine = Engine(
        (first, "tm-0", "InsufficientInstanceCapacity"),
        (second, "tm-1", "SpotMaxPriceTooLow"),
        (second, "tm-0", "MaxSpotInstanceCountExceeded"),
    )
    attempt(engine)
    assert engine.attempts == [[], [first], [first, second], [first, second, "spot"]]


@pytest.mark.parametrize(
    ("host", "code"),
    [("tm-0", "VcpuLimitExceeded"), ("tm-0", "UnauthorizedOperation"), ("tm-9", "InsufficientInstanceCapacity")],
)
def test_another_error_is_the_end(host: str, code: str) -> None:
    engine = Engine((f"spot m6i.large {A}", host, code))
    with pytest.raises(auto.CommandError):
        attempt(engine)
    assert engine.attempts == [[]]


def test_a_lack_that_stays_is_the_end() -> None:
    again = (f"spot m6i.large {A}", "tm-0", "InsufficientInstanceCapacity")
    engine = Engine(again, again)
    with pytest.raises(auto.CommandError):
        attempt(engine)
    assert len(engine.attempts) == 2


class Ending(Engine):
    """A stack of which AWS still shows a lost machine for some attempts."""

    def __init__(self, attempts: int) -> None:
        super().__init__()
        self._left = attempts
        self.refreshed: list[bool] = []

    def up(self, recorder: Recorder, **options: Any) -> None:
        """Refuse it, as the program does."""
        self.refreshed.append(options.get("refresh", False))
        if self._left:
            self._left -= 1
            recorder.event(said(facts.wait_for(["tm-1 (i-1)"])))
            raise auto.CommandError(CommandResult(stdout="", stderr="update failed", code=255))


def test_the_tool_waits_for_the_end_of_a_lost_machine_and_then_reads_the_actual_state(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    waits: list[float] = []
    monkeypatch.setattr(branches.capacity, "sleep", waits.append)
    engine = Ending(2)
    recorder = attempt(engine)
    assert engine.refreshed == [False, True, True] and len(waits) == 2
    assert "waiting for AWS to end tm-1 (i-1)" in capsys.readouterr().out
    assert recorder.found.errors == [], "a later error would be taken for this one"


def test_the_wait_for_the_end_of_a_lost_machine_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []
    monkeypatch.setattr(branches.capacity, "sleep", waits.append)
    with pytest.raises(auto.CommandError):
        attempt(Ending(10**6))
    assert sum(waits) == branches.capacity.WAIT_SECONDS


def test_the_refusal_of_a_machine_that_is_shutting_down_is_waited_for() -> None:
    text = facts.wait_for(["tm-1 (i-1)"])
    failed = auto.CommandError(CommandResult(stdout="", stderr="", code=255))
    assert isinstance(stacks.explained("dev", "preview", failed, [text]), LockedError)
    assert not isinstance(stacks.explained("dev", "preview", failed, ["else"]), LockedError)


WORDS = "does not name machines: expected a market (spot or on-demand), an instance type and a zone"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        *(({"noCapacity": [text]}, f"noCapacity: {text!r} {WORDS}") for text in (
            "", " ", "m6i.large ", "m6i.large  eu-central-1a", "m6i.large m7i.large", "m6i.large\n", "eu-central-1",
            "eu-central-1\u0661", "SPOT", "m6i.large;id", "m6i.$(id)", "spot on-demand")),
        ({"noCapacity": [1]}, f"noCapacity: '1' {WORDS}"),
        ({"noCapacity": [None]}, f"noCapacity: 'None' {WORDS}"),
        ({"noCapacity": [["a"]]}, f"noCapacity: \"['a']\" {WORDS}"),
        ({"noCapacity": "spot"}, "noCapacity: "),
        *(({"newestImage": [text]}, f"newestImage: {text!r} is no host of the stack: expected all, or names such as")
          for text in ("", "tm", "tm-2", "tm-0 ", "All", "tm-\u0661", "bastion", "tm-$(id)")),
        ({"newestImage": [["tm-0"]]}, "newestImage: \"['tm-0']\" is no host"),
        ({"newestImage": ["tm-0", "tm-0"]}, "newestImage: contains an entry twice"),
        ({"taskManagerTypes": ["m6i.large"]}, "taskManagerTypes: has one type: expected several, or taskManagerType"),
        ({"taskManagerTypes": ["m6i.large", "m6i.large"]}, "taskManagerTypes: contains an entry twice"),
        ({"taskManagerTypes": ["m6i.large", ""]}, "taskManagerTypes: contains an empty entry"),
        ({"taskManagerTypes": ["m6i.large", "m7i.large\n"]}, "taskManagerTypes: 'm7i.large\\n' is not an "),
        ({"taskManagerTypes": ["m6i.large", "m7i.larg\u0661"]}, "taskManagerTypes: 'm7i.larg\u0661' is not an"),
        ({"taskManagerTypes": ["m6i.large", 7]}, "taskManagerTypes: 7 is not an instance type"),
        ({"taskManagerTypes": [["m6i.large"], "m7i.large"]}, "taskManagerTypes: ['m6i.large'] is not an instance type"),
        ({"taskManagerTypes": {"a": 1}}, "taskManagerTypes: "),
        ({**TYPES, "taskManagerType": "m7i.large"}, "taskManagerType: has no effect with taskManagerTypes"),
        ({"taskManagerSpotFallback": True}, "taskManagerSpotFallback: has no effect without taskManagerSpot"),
        ({"taskManagerSpotFallback": "yes"}, "taskManagerSpotFallback: "),
    ],
)  # fmt: skip
def test_what_names_no_machines_is_refused_without_a_question_to_aws(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(settings.ConfigError) as error:
        settings.load(configuration("dev", **{"taskManagerType": None, **changes}), stack="dev")
    assert f"  - {said}" in str(error.value), str(error.value)


def test_words_in_any_order_are_taken() -> None:
    assert capacity.lack(f"{A} spot m6i.large") == Lack(market="spot", type="m6i.large", zone=A)
    assert str(capacity.lack("u-6tb1.112xlarge us-gov-west-1a")) == "u-6tb1.112xlarge us-gov-west-1a"


def test_jobs_that_need_more_slots_than_there_are_get_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    monkeypatch.setattr(pulumi.log, "warn", lambda text, *_, **__: said.append(text))
    run("dev", flinkConfig={"parallelism.default": 5})
    assert said == ["flinkConfig: parallelism.default is 5, and the TaskManagers have 4 slots together"]
    said.clear()
    run("dev", taskManagerSlots=3, flinkConfig={"parallelism.default": 5})
    assert said == []
