"""The files in `cluster/` are accepted by Ray and KubeRay, as far as can be checked offline."""

import json
import shlex
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from click import Context

from nas.cli import nas

ROOT = Path(__file__).parents[3]
FOLDER = ROOT / "cluster"


def _read(name: str) -> dict[str, Any]:
    return yaml.safe_load((FOLDER / name).read_text(encoding="utf-8"))


def _command(text: str) -> list[str]:
    """Return the arguments after `nas` or `python -m nas.cli`."""
    return shlex.split(text.partition("nas.cli ")[2] or text.removeprefix("nas "))


def _check_command(words: list[str]) -> None:
    command = nas.get_command(Context(nas), words[0])
    command.make_context(words[0], words[1:])  # raises for an option that is not there


@pytest.mark.cluster
def test_ray_takes_the_cluster_file() -> None:
    jsonschema = pytest.importorskip("jsonschema")
    ray = pytest.importorskip("ray")
    schema = json.loads((Path(ray.__file__).parent / "autoscaler/ray-schema.json").read_text())
    jsonschema.validate(_read("ray-up.yaml"), schema)


def test_the_cluster_file_keeps_tokens_on_and_the_dashboard_on_loopback() -> None:
    config = _read("ray-up.yaml")
    starts = config["head_start_ray_commands"] + config["worker_start_ray_commands"]
    starts = [line for line in starts if "ray start" in line]
    assert len(starts) == 2
    assert all(line.startswith("RAY_AUTH_MODE=token ") for line in starts)
    assert "--dashboard-host=127.0.0.1" in starts[0]
    assert any(path.endswith("/.ray/auth_token") for path in config["file_mounts"])


@pytest.mark.cluster
def test_ray_takes_the_runtime_environment() -> None:
    runtime_env = pytest.importorskip("ray.runtime_env")
    found = runtime_env.RuntimeEnv(**_read("runtime-env.yaml"))
    assert set(found) >= {"working_dir", "excludes", "pip"}


def test_the_runtime_environment_has_what_training_needs() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    wanted = {*project["dependencies"], *extras["torch"], *extras["data"]}
    assert set(_read("runtime-env.yaml")["pip"]) == wanted


def test_the_job_has_what_version_1_of_rayjob_requires() -> None:
    job = _read("kuberay-rayjob.yaml")
    assert (job["apiVersion"], job["kind"]) == ("ray.io/v1", "RayJob")
    assert job["metadata"]["name"]
    assert set(job["spec"]) <= {"entrypoint", "backoffLimit", "shutdownAfterJobFinishes",
                                "ttlSecondsAfterFinished", "rayClusterSpec"}  # fmt: skip
    cluster = job["spec"]["rayClusterSpec"]
    assert cluster["authOptions"] == {"mode": "token"}
    head, (group,) = cluster["headGroupSpec"], cluster["workerGroupSpecs"]
    assert set(head) == {"rayStartParams", "template"}
    assert set(group) == {"groupName", "replicas", "minReplicas", "maxReplicas", "rayStartParams",
                          "template"}  # fmt: skip
    assert 1 <= group["minReplicas"] <= group["replicas"] <= group["maxReplicas"]
    for pod in (head["template"]["spec"], group["template"]["spec"]):
        (container,) = pod["containers"]
        mounted = {mount["name"] for mount in container["volumeMounts"]}
        assert mounted == {volume["name"] for volume in pod["volumes"]}
        assert set(container) == {"name", "image", "resources", "volumeMounts"}
        assert all(isinstance(value, str) for value in container["resources"]["limits"].values())


def test_versions_of_ray_agree() -> None:
    version = _read("kuberay-rayjob.yaml")["spec"]["rayClusterSpec"]["rayVersion"]
    assert f"FROM rayproject/ray:{version}-" in (FOLDER / "Dockerfile").read_text()
    assert f"ray[default]=={version}" in _read("ray-up.yaml")["setup_commands"][0]


def test_the_commands_exist() -> None:
    _check_command(_command(_read("kuberay-rayjob.yaml")["spec"]["entrypoint"]))
    page = (FOLDER / "README.md").read_text(encoding="utf-8").replace("\\\n", " ")
    submitted = [line for line in page.splitlines() if "nas.cli" in line]
    assert len(submitted) == 1
    _check_command(_command(submitted[0]))
