"""The rules for every workflow: permissions, pins, triggers, and that no text of strangers gets into a shell."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from automation.workspace import PROJECT
from branches import names
from components.aws import healing
from components.aws.ci import HealingSettings
from stand_ins.builds import programs
from tests.unit import workflows
from tests.unit.workflows import ACTIONS, REPOSITORY, ROOT, WORKFLOWS, Yaml, value

FILES = [*sorted(workflows.FOLDER.glob("*.yml")), *ACTIONS]
PINNED = re.compile(r"^[\w-]+/[\w.-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$")
GUIDE = ROOT / "docs/ci.md"

RIGHTS = {
    ("check.yml", "check"): {"contents": "read"},
    ("check.yml", "engine"): {"contents": "read"},
    ("check.yml", "lab"): {"contents": "read"},
    ("drift.yml", "drift"): {"contents": "read", "id-token": "write", "issues": "write"},
    ("ephemeral.yml", "asked"): {"pull-requests": "write"},
    ("ephemeral.yml", "cluster"): {"contents": "read", "id-token": "write", "pull-requests": "write"},
    ("heal.yml", "heal"): {"contents": "read", "id-token": "write"},
    ("nightly.yml", "lab"): {"contents": "read"},
    ("preview.yml", "preview"): {"contents": "read", "id-token": "write", "pull-requests": "write"},
    ("sweep.yml", "sweep"): {"contents": "read", "id-token": "write"},
}

JOBS = {(file, name): job for file, name, job in workflows.jobs()}


def all_steps() -> list[tuple[str, Yaml]]:
    inside = [(path.parent.name, step) for path, action in ACTIONS.items() for step in action["runs"]["steps"]]
    return [*((file, step) for (file, _), job in JOBS.items() for step in job["steps"]), *inside]


def test_these_are_the_workflows() -> None:
    assert sorted(WORKFLOWS) == [
        "check.yml",
        "drift.yml",
        "ephemeral.yml",
        "heal.yml",
        "nightly.yml",
        "preview.yml",
        "sweep.yml",
    ]


@pytest.mark.parametrize("file", WORKFLOWS)
def test_no_job_has_a_right_that_it_was_not_given(file: str) -> None:
    assert WORKFLOWS[file]["permissions"] == {}


def test_each_job_has_the_rights_that_it_needs_and_no_other() -> None:
    assert {where: job["permissions"] for where, job in JOBS.items()} == RIGHTS


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_actions_are_pinned_by_commit(path: Path) -> None:
    uses = re.findall(r"uses: (.+)$", path.read_text(), re.MULTILINE)
    assert uses
    for used in uses:
        assert used == "./.github/actions/tools" or PINNED.match(used), used


def test_an_action_has_one_pin() -> None:
    pins: dict[str, set[str]] = {}
    for path in FILES:
        for name, pin in re.findall(r"uses: ([\w/-]+)@(.+)$", path.read_text(), re.MULTILINE):
            pins.setdefault(name, set()).add(pin)
    assert pins.keys() == {
        "actions/checkout",
        "actions/setup-python",
        "aws-actions/configure-aws-credentials",
        "pulumi/actions",
    }
    assert all(len(found) == 1 for found in pins.values())


def test_the_engine_of_ci_is_the_one_that_the_tests_use() -> None:
    (tools,) = ACTIONS.values()
    (pulumi,) = (step for step in tools["runs"]["steps"] if step.get("uses", "").startswith("pulumi/actions@"))
    assert pulumi["with"] == {"pulumi-version": programs.PULUMI}
    assert f"--version {programs.PULUMI}" in (ROOT / "docs/ci/gitlab-ci.yml").read_text()


def test_python_packages_are_installed_with_their_hashes() -> None:
    installs = [step["run"] for _, step in all_steps() if "pip install" in step.get("run", "")]
    assert installs
    assert all("--require-hashes -r requirements.txt" in text for text in installs)


@pytest.mark.parametrize(("file", "step"), all_steps())
def test_what_a_shell_runs_is_text_that_nobody_else_has_written(file: str, step: Yaml) -> None:
    assert "${{" not in step.get("run", ""), "put it into `env` and use the variable"


def test_no_checkout_leaves_a_token_behind() -> None:
    checkouts = [step for _, step in all_steps() if step.get("uses", "").startswith("actions/checkout@")]
    assert len(checkouts) == 9
    assert all(step["with"]["persist-credentials"] == "false" for step in checkouts)


@pytest.mark.parametrize("file", WORKFLOWS)
def test_no_workflow_is_started_with_the_rights_of_the_base_by_a_pull_request_of_others(file: str) -> None:
    assert not {"pull_request_target", "workflow_run"} & WORKFLOWS[file]["on"].keys()


@pytest.mark.parametrize(("file", "name"), JOBS)
def test_each_job_ends(file: str, name: str) -> None:
    # AWS's credentials last for an hour; the lab's tests have none
    most = {("check.yml", "lab"): 90, ("nightly.yml", "lab"): 600}.get((file, name), 59)
    assert 0 < int(JOBS[file, name]["timeout-minutes"]) <= most


def test_only_the_tool_gets_the_secrets_and_it_never_gets_the_token() -> None:
    for file, step in all_steps():
        text = json.dumps(step)
        runs_the_tool = "python -m branches" in step.get("run", "")
        assert ("secrets." in text) == runs_the_tool, (file, step)
        assert not (runs_the_tool and "github.token" in text), (file, step)


def test_the_reading_role_is_for_previews_and_the_writing_one_for_clusters() -> None:
    found = {
        file: step["with"]["role-to-assume"]
        for file, step in all_steps()
        if step.get("uses", "").startswith("aws-actions/")
    }
    preview, drift, deploy = (f"${{{{ vars.AWS_{name}_ROLE }}}}" for name in ("PREVIEW", "DRIFT", "DEPLOY"))
    assert found == {
        "preview.yml": preview,
        "drift.yml": drift,
        "ephemeral.yml": deploy,
        "sweep.yml": deploy,
        "heal.yml": "${{ vars.AWS_HEAL_ROLE }}",
    }


def test_clusters_of_branches_have_a_state_of_their_own() -> None:
    found = {
        file: step["env"]["PULUMI_BACKEND_URL"]
        for file, step in all_steps()
        if "python -m branches" in step.get("run", "")
    }
    own = "${{ vars.PULUMI_BRANCHES_BACKEND_URL || vars.PULUMI_BACKEND_URL }}"
    common = "${{ vars.PULUMI_BACKEND_URL }}"
    assert found == {
        "preview.yml": common,
        "drift.yml": common,
        "ephemeral.yml": own,
        "sweep.yml": own,
        "heal.yml": common,
    }


# Triggers


def pull_request(
    action: str = "synchronize", *, head: str = REPOSITORY, labels: tuple[str, ...] = (), label: str = ""
) -> Yaml:
    event: Yaml = {
        "action": action,
        "pull_request": {
            "number": 12,
            "head": {"repo": {"full_name": head}},
            "labels": [{"name": it} for it in labels],
        },
    }
    if label:
        event["label"] = {"name": label}
    return {"event_name": "pull_request", "repository": REPOSITORY, "event": event}


def comment(body: str, *, on_pull_request: bool = True) -> Yaml:
    issue = {"number": 12, **({"pull_request": {"url": "…"}} if on_pull_request else {})}
    return {
        "event_name": "issue_comment",
        "repository": REPOSITORY,
        "event": {"action": "created", "issue": issue, "comment": {"body": body}},
    }


def starts(file: str, job: str, github: Yaml, **variables: str) -> bool:
    given = {
        "PULUMI_STACKS": '["dev"]',
        "HEAL_STACKS": '["dev"]',
        "AWS_HEAL_ROLE": "arn:…",
        "AWS_DEPLOY_ROLE": "arn:…",
        "AWS_PREVIEW_ROLE": "arn:…",
        "LAB_RUNNER": "lab",
    }
    return bool(value(JOBS[file, job]["if"].strip(), {"github": github, "vars": given | variables}))


FORK = "stranger/flink"


@pytest.mark.parametrize(("file", "job"), [("preview.yml", "preview"), ("check.yml", "lab")])
def test_what_is_for_pull_requests_of_this_repository_only(file: str, job: str) -> None:
    assert starts(file, job, pull_request())
    assert not starts(file, job, pull_request(head=FORK))


def test_checks_run_for_everybody_and_the_lab_after_a_merge() -> None:
    assert [name for (file, name), job in JOBS.items() if file == "check.yml" and "if" not in job] == [
        "check",
        "engine",
    ]
    assert starts("check.yml", "lab", {"event_name": "push", "repository": REPOSITORY, "event": {"ref": "main"}})


def test_all_tests_run_at_night_on_the_default_branch_alone() -> None:
    repository = {"event": {"repository": {"default_branch": "main"}}}
    assert starts("nightly.yml", "lab", {"event_name": "schedule", **repository})
    assert starts("nightly.yml", "lab", {"event_name": "workflow_dispatch", "ref_name": "main", **repository})
    assert not starts("nightly.yml", "lab", {"event_name": "workflow_dispatch", "ref_name": "other", **repository})
    assert not starts("nightly.yml", "lab", {"event_name": "schedule", **repository}, LAB_RUNNER="")


def test_checks_are_targets_that_there_are() -> None:
    for file, job in (("check.yml", "check"), ("check.yml", "engine"), ("check.yml", "lab"), ("nightly.yml", "lab")):
        (step,) = (step for step in JOBS[file, job]["steps"] if "run" in step)
        subprocess.run([*step["run"].split(), "--dry-run"], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)


@pytest.mark.parametrize("action", ["labeled", "unlabeled", "synchronize", "reopened", "closed"])
def test_a_fork_gets_no_cluster_and_takes_none_away(action: str) -> None:
    github = pull_request(action, head=FORK, labels=("cluster",), label="cluster" if "label" in action else "")
    assert not starts("ephemeral.yml", "asked", github)


@pytest.mark.parametrize(
    ("github", "expected"),
    [
        (pull_request("labeled", labels=("cluster",), label="cluster"), True),
        (pull_request("labeled", labels=("cluster", "docs"), label="docs"), False),
        (pull_request("unlabeled", label="cluster"), True),
        (pull_request("unlabeled", labels=("cluster",), label="docs"), False),
        (pull_request("synchronize", labels=("docs", "cluster")), True),
        (pull_request("synchronize", labels=("docs", "clusters")), False),
        (pull_request("reopened", labels=("cluster",)), True),
        (pull_request("closed", labels=("cluster",)), True),
        (pull_request("closed"), False),
        (comment("/cluster up"), True),
        (comment("/cluster down\r\nthanks"), True),
        (comment("see /cluster up"), False),
        (comment("/cluster up", on_pull_request=False), False),
    ],
)
def test_what_starts_a_cluster(github: Yaml, expected: bool) -> None:
    assert starts("ephemeral.yml", "asked", github) is expected


@pytest.mark.parametrize(
    ("file", "job", "variable"),
    [
        ("preview.yml", "preview", "PULUMI_STACKS"),
        ("drift.yml", "drift", "PULUMI_STACKS"),
        ("ephemeral.yml", "asked", "AWS_DEPLOY_ROLE"),
        ("sweep.yml", "sweep", "AWS_DEPLOY_ROLE"),
        ("heal.yml", "heal", "AWS_HEAL_ROLE"),
        ("heal.yml", "heal", "HEAL_STACKS"),
        ("check.yml", "lab", "LAB_RUNNER"),
    ],
)
def test_where_nothing_is_set_up_nothing_runs(file: str, job: str, variable: str) -> None:
    github: dict[str, Any] = {**pull_request(labels=("cluster",)), "ref_name": "main"}
    github["event"]["repository"] = {"default_branch": "main"}
    assert starts(file, job, github)
    assert not starts(file, job, github, **{variable: ""})


@pytest.mark.parametrize("file", ["sweep.yml", "drift.yml", "heal.yml"])
def test_nightly_work_is_of_the_default_branch(file: str) -> None:
    event = {"repository": {"default_branch": "main"}}
    (job,) = WORKFLOWS[file]["jobs"]
    assert starts(file, job, {"event_name": "workflow_dispatch", "ref_name": "main", "event": event})
    assert not starts(file, job, {"event_name": "workflow_dispatch", "ref_name": "mine", "event": event})
    # A schedule's run has no information on the repository from GitHub
    assert starts(file, job, {"event_name": "schedule", "ref_name": "main", "event": {"schedule": "23 2 * * *"}})


def test_jobs_with_a_role_are_guarded_against_forks() -> None:
    same = "github.event.pull_request.head.repo.full_name == github.repository"
    for (file, name), job in JOBS.items():
        if "pull_request" in WORKFLOWS[file]["on"] and "id-token" in job["permissions"]:
            before = JOBS[file, job["needs"]] if "needs" in job else job
            assert same in before["if"], (file, name)


def test_what_aws_sends_to_github_are_inputs_of_the_workflow() -> None:
    url = "https://api.github.com/repos/acme/flink/actions/workflows/heal.yml/dispatches"
    sent = json.loads(healing.template(HealingSettings(url=url, ref="main", token="t"), "dev"))
    assert sent == {"ref": "main", "inputs": {"stack": "dev", "instance": "<instance>"}}
    # GitHub refuses others
    assert sent["inputs"].keys() == WORKFLOWS["heal.yml"]["on"]["workflow_dispatch"]["inputs"].keys()


def test_the_healing_role_is_for_the_default_branch() -> None:
    trust = (ROOT / "docs/iam/github-heal-trust.json").read_text()
    assert re.findall(r'"SUBJECT:[^"]+"', trust) == ['"SUBJECT:ref:refs/heads/main"']


def test_a_sweep_by_hand_is_a_dry_run_unless_said_otherwise() -> None:
    assert WORKFLOWS["sweep.yml"]["on"]["workflow_dispatch"]["inputs"]["dry-run"]["default"] == "true"


# One run for each stack


def test_a_change_under_way_is_never_cancelled() -> None:
    cancelled = {
        (file, name): (job.get("concurrency") or WORKFLOWS[file].get("concurrency", {})).get("cancel-in-progress")
        for (file, name), job in JOBS.items()
    }
    assert cancelled == {
        **{("check.yml", name): "${{ github.event_name == 'pull_request' }}" for name in ("check", "engine", "lab")},
        ("drift.yml", "drift"): "false",
        ("ephemeral.yml", "asked"): None,
        ("ephemeral.yml", "cluster"): "false",
        ("heal.yml", "heal"): "false",
        ("nightly.yml", "lab"): "false",
        ("preview.yml", "preview"): "true",  # only reads
        ("sweep.yml", "sweep"): "false",
    }


def test_all_runs_of_a_cluster_are_in_the_group_of_its_branch() -> None:
    group = JOBS["ephemeral.yml", "cluster"]["concurrency"]["group"]
    assert group == "cluster-${{ needs.asked.outputs.group }}"
    # Of the workflow it would be shared by runs that do nothing, and those would push out one that waits
    assert "concurrency" not in WORKFLOWS["ephemeral.yml"]


# The documents


def test_every_variable_and_secret_is_explained() -> None:
    text = "".join(path.read_text() for path in FILES)
    told = GUIDE.read_text()
    for kind, command in (("vars", "variable"), ("secrets", "secret")):
        used = set(re.findall(rf"\b{kind}\.(\w+)", text))
        assert used
        explained = set(re.findall(rf"gh {command} set (\w+)", told))
        if kind == "vars":
            # The outputs of the administrator's program, which the guide sets
            program = (ROOT / "examples/aws-administrator/__main__.py").read_text()
            explained |= set(re.findall(r'pulumi\.export\(\s*"([A-Z_0-9]+)"', program))
        assert explained == used


IAM = sorted((ROOT / "docs/iam").glob("*.json"))
PLACEHOLDERS = {
    *("ACCOUNT", "STACK", "SUBJECT", "BUCKET", "KEYARN", "GITLABHOST", "GITLABPROJECT"),
    # docs/iam/README.md says what to put there
    *("PREFIX", "REGION", "POLICYARN", "BOUNDARYARN", "PROFILEARN", "ROLEARN"),
}


@pytest.mark.parametrize("path", IAM, ids=lambda path: path.name)
def test_documents_of_rights_are_json_whose_placeholders_the_guide_fills_in(path: Path) -> None:
    assert json.loads(path.read_text())["Version"] == "2012-10-17"
    assert set(re.findall(r"\b[A-Z]{6,}\b", path.read_text())) <= PLACEHOLDERS
    pages = [GUIDE, ROOT / "docs/iam/README.md", ROOT / "docs/aws.md"]
    assert any(path.name in page.read_text() for page in pages)


@pytest.mark.parametrize("path", [path for path in IAM if "trust" in path.name], ids=lambda path: path.name)
def test_a_role_is_taken_by_named_subjects_with_the_audience_of_aws_only(path: Path) -> None:
    (statement,) = json.loads(path.read_text())["Statement"]
    assert statement["Action"] == "sts:AssumeRoleWithWebIdentity"
    tests = {key: found for operator in statement["Condition"].values() for key, found in operator.items()}
    (audience,) = (found for key, found in tests.items() if key.endswith(":aud"))
    (subjects,) = (found for key, found in tests.items() if key.endswith(":sub"))
    assert audience == "sts.amazonaws.com"
    if path.name.startswith("github"):
        assert set(statement["Condition"]) == {"StringEquals"}, "no pattern: each subject is written out"
    assert all(subject.startswith(("SUBJECT:", "project_path:GITLABPROJECT:")) for subject in subjects)


def test_the_writing_role_is_for_the_environment_that_the_job_names_and_for_the_default_branch() -> None:
    trust = (ROOT / "docs/iam/github-deploy-trust.json").read_text()
    assert f'"SUBJECT:environment:{JOBS["ephemeral.yml", "cluster"]["environment"]}"' in trust
    assert '"SUBJECT:pull_request"' not in trust


def limited(name: str) -> dict[str, Yaml]:
    return {it["Sid"]: it for it in json.loads((ROOT / "docs/iam" / name).read_text())["Statement"]}


def test_the_state_that_the_role_for_branches_writes_is_of_their_stacks() -> None:
    written = limited("state-branches-policy.json")["StateOfBranches"]["Resource"]
    assert all(it.startswith("arn:aws:s3:::BUCKET/.pulumi/") for it in written)
    written = [it for it in written if not it.endswith("/meta.yaml")]  # the backend's version
    assert all(it.endswith(f"/{PROJECT}/{names.PREFIX}*") for it in written)


# GitLab


def test_the_example_for_gitlab_is_what_the_workflows_are() -> None:
    example = workflows.gitlab()
    assert {"check", "preview", "cluster", "cluster-stop", "sweep", "drift", "heal"} <= example.keys()
    assert example["cluster"]["environment"]["on_stop"] == "cluster-stop"
    assert example["cluster"]["environment"]["auto_stop_in"]
    assert example["cluster-stop"]["environment"]["action"] == "stop"
    assert example["cluster-stop"]["variables"]["GIT_STRATEGY"] == "none"
    for name in ("cluster", "cluster-stop", "sweep", "heal"):
        assert example[name]["interruptible"] == "false"
    assert example["cluster"]["resource_group"] == example["cluster-stop"]["resource_group"]
    for name in ("preview", "cluster", "cluster-stop"):
        (rule,) = example[name]["rules"]
        assert "$CI_MERGE_REQUEST_SOURCE_PROJECT_ID == $CI_PROJECT_ID" in rule["if"], "forks"


def test_gitlab_gives_each_job_the_role_that_it_needs() -> None:
    example = workflows.gitlab()
    roles = {name: job["variables"]["AWS_ROLE_ARN"] for name, job in example.items() if "extends" in (job or {})}
    preview, drift, deploy = "$AWS_PREVIEW_ROLE", "$AWS_DRIFT_ROLE", "$AWS_DEPLOY_ROLE"
    assert roles == {
        "preview": preview,
        "drift": drift,
        "cluster": deploy,
        "cluster-stop": deploy,
        "sweep": deploy,
        "heal": "$AWS_HEAL_ROLE",
    }
    own = {name for name in roles if "PULUMI_BACKEND_URL" in example[name]["variables"]}
    assert own == {name for name, role in roles.items() if role == deploy}


def test_gitlab_gives_the_writing_role_to_protected_branches_only() -> None:
    """A token of GitLab has no other claim that AWS compares."""
    example, subject = workflows.gitlab(), "project_path:GITLABPROJECT:ref_type:branch:ref:"
    trust = (ROOT / "docs/iam/gitlab-deploy-trust.json").read_text()
    assert set(re.findall(rf'"{subject}([^"]*)"', trust)) == {"main", "cluster/*"}
    for name in ("cluster", "cluster-stop"):
        assert "$CI_MERGE_REQUEST_SOURCE_BRANCH_NAME =~ /^cluster\\//" in example[name]["rules"][0]["if"]
    assert '"cluster/*"' not in trust and "`cluster/*`" in GUIDE.read_text()
    assert example["preview"]["id_tokens"]["AWS_ID_TOKEN"]["aud"] == "sts.amazonaws.com"


def scripts() -> dict[str, list[str]]:
    """The shell that actionlint does not check."""
    jobs = {name: job for name, job in workflows.gitlab().items() if isinstance(job, dict) and "script" in job}
    lines = {f"gitlab {name}": [*job.get("before_script", []), *job["script"]] for name, job in jobs.items()}
    for path, action in ACTIONS.items():
        lines[path.parent.name] = [step["run"] for step in action["runs"]["steps"] if "run" in step]
    return lines


@pytest.mark.parametrize(("name", "lines"), scripts().items(), ids=scripts())
def test_shellcheck_has_nothing_to_say(name: str, lines: list[str]) -> None:
    shellcheck = Path(sys.executable).with_name("shellcheck")
    # GitLab's and GitHub's shells end at the first command that fails
    text = "\n".join(["#!/bin/bash", "set -eo pipefail", *lines])
    done = subprocess.run([shellcheck, "-"], input=text, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
