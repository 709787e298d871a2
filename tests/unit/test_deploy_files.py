"""What the images, the compose file, the examples and the documents say is true of the code."""

from __future__ import annotations

import ast
import importlib.util
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from django.core.management import get_commands

ROOT = Path(__file__).resolve().parent.parent.parent
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, Any] = COMPOSE["services"]
OURS = [name for name, service in SERVICES.items() if service["image"].startswith("landfall")]
LOCAL = [name for name in OURS if "localnet" in SERVICES[name]["image"]]
DOCUMENTS = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")]


def variables_of_the_settings() -> set[str]:
    """The names that settings.py passes to `env.<type>(...)`."""
    tree = ast.parse((ROOT / "anchor/settings.py").read_text())
    return {
        node.args[0].value
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and isinstance(node.func.value, ast.Name)
        and node.func.value.id == "env"
        and isinstance(node.args[0], ast.Constant)
        and isinstance(node.args[0].value, str)
    }


def variables_of_the_offer() -> set[str]:
    text = re.sub(r"#.*", "", (ROOT / "anchor.toml").read_text())
    return set(re.findall(r"\$\{([A-Z0-9_]+)\}", text))


def listed_variables(path: str) -> list[str]:
    return re.findall(r"(?m)^(?:# )?([A-Z][A-Z0-9_]*)=", (ROOT / path).read_text())


ALL_VARIABLES = variables_of_the_settings() | variables_of_the_offer()


def test_the_settings_are_found_by_this_test() -> None:
    assert {"SECRET_KEY", "DATABASE_URL", "HORIZON_URL", "ASSET_ISSUER"} <= ALL_VARIABLES


def test_env_example_lists_exactly_the_variables_that_are_read() -> None:
    assert sorted(listed_variables(".env.example")) == sorted(ALL_VARIABLES)


def test_each_variable_is_documented() -> None:
    documented = set(re.findall(r"`([A-Z0-9_]+)`", (ROOT / "docs/configuration.md").read_text()))
    assert documented >= ALL_VARIABLES


@pytest.mark.parametrize("path", ["deploy/local.env", "deploy/testnet.env.example"])
def test_the_sets_of_variables_for_docker_name_only_variables_that_are_read(path: str) -> None:
    of_compose = set(re.findall(r"\$\{([A-Z_]+)[:}]", (ROOT / "docker-compose.yml").read_text()))
    assert set(listed_variables(path)) <= ALL_VARIABLES | of_compose


def test_what_compose_reads_is_documented() -> None:
    of_compose = set(re.findall(r"\$\{([A-Z_]+)[:}]", (ROOT / "docker-compose.yml").read_text()))
    documented = set(re.findall(r"`([A-Z0-9_]+)`", (ROOT / "docs/configuration.md").read_text()))
    assert documented >= of_compose


@pytest.mark.parametrize("name", OURS)
def test_compose_runs_only_commands_that_exist(name: str) -> None:
    service = SERVICES[name]
    command = [*service.get("entrypoint", []), *service["command"]]
    if command[0] in ("run-with-keys", "when-migrated"):
        assert os.access(ROOT / "deploy" / command.pop(0), os.X_OK)
    match command:
        case ["gunicorn", *_] | ["celery", "--app=anchor", "worker" | "beat", *_]:
            pass
        case ["migrate"]:
            assert os.access(ROOT / "deploy/migrate", os.X_OK)
        case ["python", "manage.py", subcommand, *_]:
            assert subcommand == "help" or subcommand in get_commands()
        case ["python", "-m", module, *_]:
            assert importlib.util.find_spec(module) is not None
        case _:
            pytest.fail(f"{name} runs {command}")


def test_every_queue_of_the_settings_has_a_worker() -> None:
    from django.conf import settings

    queues = {route["queue"] for route in settings.CELERY_TASK_ROUTES.values()}
    queues.add(settings.CELERY_TASK_DEFAULT_QUEUE)
    served = re.findall(r"--queues=(\S+)", (ROOT / "docker-compose.yml").read_text())
    assert {queue for each in served for queue in each.split(",")} == queues


@pytest.mark.parametrize("name", SERVICES)
def test_each_container_is_hardened(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["mem_limit"]


@pytest.mark.parametrize(
    "name", [name for name, service in SERVICES.items() if service["restart"] == "unless-stopped"]
)
def test_each_container_that_stays_has_a_health_check(name: str) -> None:
    assert SERVICES[name]["healthcheck"]["test"]


@pytest.mark.parametrize("name", ["web", "watcher", "beat", "migrate"])
def test_only_workers_get_the_key_that_signs_payments(name: str) -> None:
    assert SERVICES[name]["environment"]["DISTRIBUTION_SECRET"] == ""
    assert not any("payments" in volume for volume in SERVICES[name]["volumes"])


def test_nothing_of_the_local_network_runs_on_a_real_one() -> None:
    for name in LOCAL:
        by_hand = SERVICES[name].get("profiles") == ["tools"]
        assert by_hand or SERVICES[name]["deploy"]["replicas"] == "${LOCAL_NETWORK:-1}"


def dockerfile_stages() -> dict[str, str]:
    parts = re.split(r"(?m)^FROM \S+ AS (\S+)$", (ROOT / "Dockerfile").read_text())
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def test_the_production_image_holds_nothing_of_the_local_network() -> None:
    stages = dockerfile_stages()
    assert "localnet" in stages["localnet"]
    assert list(stages)[-1] == "production"
    assert "localnet" not in stages["service"] + stages["production"]


@pytest.mark.parametrize("stage", ["production", "localnet"])
def test_images_do_not_run_as_root(stage: str) -> None:
    assert "USER 10001:10001" in dockerfile_stages()[stage]


def test_the_builder_sees_every_room() -> None:
    allowed = set(re.findall(r"(?m)^!(\S+)$", (ROOT / ".dockerignore").read_text()))
    rooms = {path.parent.name for path in ROOT.glob("*/__init__.py")} - {"tests"}
    assert rooms <= allowed
    assert "tests" not in allowed


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_relative_links_lead_somewhere(path: Path) -> None:
    links = re.findall(r"\]\((?!https?:|#)([^)#\s]+)", path.read_text())
    assert [link for link in links if not (path.parent / link).exists()] == []


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_documents_name_only_commands_of_manage_py_that_exist(path: Path) -> None:
    named = re.findall(r"(?:manage\.py|compose run --rm manage) ([a-z_]+)", path.read_text())
    assert set(named) <= {*get_commands(), "help"}


def run_with_keys(
    tmp_path: Path, keys: str, environment: dict[str, str], *command: str
) -> subprocess.CompletedProcess[str]:
    file = tmp_path / "keys.env"
    file.write_text(keys)
    return subprocess.run(
        [ROOT / "deploy/run-with-keys", *command],
        env={"PATH": os.environ["PATH"], "KEY_FILES": str(file), **environment},
        capture_output=True,
        text=True,
        timeout=10,
        check=False,
    )


def test_keys_are_read_as_they_stand_and_never_executed(tmp_path: Path) -> None:
    keys = f"SECRET_KEY=a$(touch {tmp_path}/x)'\"=\nnot a name=1\nJWT_KEYS=k:1"
    shown = run_with_keys(tmp_path, keys, {}, "sh", "-c", 'echo "$SECRET_KEY|$JWT_KEYS"')
    assert shown.stdout == f"a$(touch {tmp_path}/x)'\"=|k:1\n"
    assert not (tmp_path / "x").exists()


def test_the_environment_wins_over_the_key_files_even_when_empty(tmp_path: Path) -> None:
    keys = "SECRET_KEY=file\nDISTRIBUTION_SECRET=file\n"
    given = {"DISTRIBUTION_SECRET": ""}
    shown = run_with_keys(tmp_path, keys, given, "sh", "-c", 'echo "$DISTRIBUTION_SECRET."')
    assert shown.stdout == ".\n"


def test_no_key_file_is_waited_for_where_the_keys_come_from_the_environment(
    tmp_path: Path,
) -> None:
    given = {"SECRET_KEY": "environment", "KEY_FILES": str(tmp_path / "never")}
    shown = run_with_keys(tmp_path, "", given, "sh", "-c", 'echo "$SECRET_KEY"')
    assert shown.stdout == "environment\n"
