"""What the running service refuses before it starts anything, in words for people."""

from __future__ import annotations

import fcntl
import socket
import stat
from pathlib import Path

import pytest

from localnet import ports
from localnet.service import CannotRun, RunningService


def test_a_busy_port_is_refused_naming_the_variable(tmp_path: Path) -> None:
    with socket.socket() as busy:
        busy.bind(("127.0.0.1", 0))
        busy.listen()
        port = busy.getsockname()[1]
        with pytest.raises(ports.PortBusy, match=f"Port {port} is in use. Set PORT to"):
            RunningService(tmp_path, port=port, processes=("web",)).start()
        with pytest.raises(ports.PortBusy, match="Set HORIZON_PORT to"):
            RunningService(tmp_path, horizon_port=port, processes=("network",)).start()


def test_a_state_folder_in_use_is_refused(tmp_path: Path) -> None:
    with (tmp_path / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(CannotRun, match="Another command is using"):
            RunningService(tmp_path, processes=("redis",)).start()


def test_a_state_of_which_only_a_part_is_left_is_refused(tmp_path: Path) -> None:
    service = RunningService(tmp_path, processes=("network",))
    (tmp_path / "ready").write_text(service.network_passphrase)
    with pytest.raises(
        CannotRun, match=r"secrets\.env and postgres and localnet\.sqlite3 is gone .* rm -r"
    ):
        service.start()


def test_a_state_of_another_network_is_refused(tmp_path: Path) -> None:
    (tmp_path / "ready").write_text("Another Network")
    with pytest.raises(CannotRun, match="Another Network"):
        RunningService(tmp_path, processes=("network",)).start()


def test_a_process_that_dies_is_started_again_and_stopping_leaves_none(tmp_path: Path) -> None:
    service = RunningService(tmp_path, processes=("redis",))
    with service:
        pid = service.pid_of("redis")
        assert pid is not None
        service.kill("redis")
        assert service.wait_until_running("redis", instead_of=pid) != pid
        config = tmp_path / "redis" / "redis.conf"
        assert stat.S_IMODE(config.stat().st_mode) == 0o600
        assert not ports.is_free(service.ports["redis"])
    assert ports.is_free(service.ports["redis"])


def test_ports_are_found_outside_of_those_taken() -> None:
    taken = {ports.find_free_port(set()) for _ in range(5)}
    assert ports.find_free_port(taken) not in taken
