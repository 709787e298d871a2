"""The virtual environment is installed when the requirements change, and only then."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from localnet import bootstrap


@pytest.fixture
def installs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """A project with requirements in tmp_path; the list grows with every installation."""
    done: list[Path] = []

    def install(venv: Path) -> None:
        (venv / "bin").mkdir(parents=True, exist_ok=True)
        python = venv / "bin" / "python"
        if not python.exists():
            python.symlink_to(sys.executable)
        done.append(venv)

    for name in bootstrap.REQUIREMENTS:
        (tmp_path / name).write_text("")
    monkeypatch.setattr(bootstrap, "ROOT", tmp_path)
    monkeypatch.setattr(bootstrap, "_install", install)
    return done


def test_the_second_command_installs_nothing(tmp_path: Path, installs: list[Path]) -> None:
    python = bootstrap.ensure_environment(tmp_path / ".venv")
    assert bootstrap.ensure_environment(tmp_path / ".venv") == python
    assert python.exists()
    assert len(installs) == 1


@pytest.mark.parametrize("name", bootstrap.REQUIREMENTS)
def test_a_changed_requirements_file_is_installed(
    tmp_path: Path, installs: list[Path], name: str
) -> None:
    bootstrap.ensure_environment(tmp_path / ".venv")
    (tmp_path / name).write_text("something==1.0\n")
    bootstrap.ensure_environment(tmp_path / ".venv")
    assert len(installs) == 2


def test_an_installation_that_failed_is_tried_again(
    tmp_path: Path, installs: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    install = bootstrap._install

    def fail(venv: Path) -> None:
        install(venv)
        raise OSError("no network")

    with monkeypatch.context() as patch, pytest.raises(OSError, match="no network"):
        patch.setattr(bootstrap, "_install", fail)
        bootstrap.ensure_environment(tmp_path / ".venv")
    bootstrap.ensure_environment(tmp_path / ".venv")
    assert len(installs) == 2


def test_an_environment_whose_python_is_gone_is_made_again(
    tmp_path: Path, installs: list[Path]
) -> None:
    python = bootstrap.ensure_environment(tmp_path / ".venv")
    python.unlink()
    bootstrap.ensure_environment(tmp_path / ".venv")
    assert len(installs) == 2
