"""The whole service with all that it needs, as real processes under a supervisor.

`bin/demo`, the tests of faults and `bin/bench` start it from here:

    with RunningService(Path(".local")) as service:
        killed = service.kill("web")
        service.wait_until_running("web", instead_of=killed)

Everything it keeps is under its state folder; two services need two state folders and two sets
of ports.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import secrets
import shlex
import signal
import subprocess
import sys
import time
import xmlrpc.client
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Self

import psutil
import psycopg2
import redis
import requests

from localnet import ports
from localnet.embedded import Postgres, Redis
from localnet.keys import Keys, keep_keys

ROOT = Path(__file__).resolve().parent.parent
DEFAULT_PASSPHRASE = "Local Landfall Network ; November 2026"
# Every supervised process carries it in its environment, which tells ours from anybody else's.
_MARK = "LANDFALL_SERVICE"
_START_SECONDS = 90.0

BACKING = ("postgres", "redis")
OUTSIDE = ("network", "bank")
ANCHOR = ("web", "worker", "watcher", "beat")
ALL = BACKING + OUTSIDE + ANCHOR


class CannotRun(Exception):
    """The service could not be started; the message says why and what to do, for people."""


@dataclass(frozen=True)
class Program:
    """One supervised process."""

    command: list[str]
    environment: dict[str, str]
    stop_signal: str = "TERM"
    stop_seconds: int = 5


class RunningService:
    """The service as processes that are started again when they die.

    `processes` are some of `ALL`. A port of 0 is any free one. `settings` are further settings
    of the anchor, by the names of its environment, and `wsgi` is what gunicorn serves. `env` holds
    all that the anchor's settings read: run anything of the project's with it. After `start`
    everything answers and, when the network is among the processes, the database is migrated and
    `localnet.stage` is set.
    """

    def __init__(
        self,
        state_dir: Path,
        *,
        port: int = 0,
        horizon_port: int = 0,
        processes: Iterable[str] = ALL,
        network_passphrase: str = DEFAULT_PASSPHRASE,
        durable: bool = True,
        settings: dict[str, str] | None = None,
        wsgi: str = "anchor.wsgi",
        report: Callable[[str], None] = lambda text: None,
    ) -> None:
        self.state_dir = state_dir.resolve()
        self.processes = tuple(name for name in ALL if name in set(processes))
        self.network_passphrase = network_passphrase
        self.logs = self.state_dir / "logs"
        self._wanted_ports = {"web": port, "network": horizon_port}
        self._durable = durable
        self._settings = settings or {}
        self._wsgi = wsgi
        self._report = report
        self._lock: IO[str] | None = None
        self._supervisor: subprocess.Popen[bytes] | None = None
        self._control: xmlrpc.client.ServerProxy | None = None
        self.keys = Keys()
        self.ports: dict[str, int] = {}
        self.env: dict[str, str] = {}

    # -- Addresses ----------------------------------------------------------------------------

    @property
    def base_url(self) -> str:
        return f"http://localhost:{self.ports['web']}"

    @property
    def horizon_url(self) -> str:
        return f"http://127.0.0.1:{self.ports['network']}"

    @property
    def friendbot_url(self) -> str:
        return f"{self.horizon_url}/friendbot"

    @property
    def bank_url(self) -> str:
        return f"http://127.0.0.1:{self.ports['bank']}"

    @property
    def postgres(self) -> Postgres:
        return Postgres(self.state_dir / "postgres", self.ports["postgres"], durable=self._durable)

    @property
    def redis(self) -> Redis:
        return Redis(self.state_dir / "redis", self.ports["redis"])

    # -- Life ---------------------------------------------------------------------------------

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Start everything and wait until it answers. Raises `CannotRun`, `ports.PortBusy`."""
        self.state_dir.mkdir(parents=True, exist_ok=True)
        self.state_dir.chmod(0o711)  # PostgreSQL's user passes through; files are 0600
        self._take_lock()
        try:
            self._start()
        except BaseException:
            self.stop()
            raise

    def _start(self) -> None:
        _end_leftovers(self.state_dir)
        (self.state_dir / "demo.json").unlink(missing_ok=True)  # addresses of a killed demo
        is_new = self._check_state()
        self.keys = keep_keys(self.state_dir / "secrets.env")
        self._choose_ports()
        self.env = self._build_env()
        self._start_supervisor()

        first = [name for name in self.processes if name not in ANCHOR]
        self._report(f"Starting {', '.join(first)}")
        self._start_programs(first)
        if "postgres" in self.processes:
            self._make_database()
        if "network" in self.processes:
            from localnet.stage import set_stage

            self._report("Setting up the database, accounts, assets and rates")
            set_stage(self)
        rest = [name for name in self.processes if name in ANCHOR]
        if rest:
            self._report(f"Starting {', '.join(rest)}")
            self._start_programs(rest)
        if is_new:
            (self.state_dir / "ready").write_text(self.network_passphrase)

    def stop(self) -> None:
        """Stop everything that was started. May be called twice."""
        supervisor, self._supervisor = self._supervisor, None
        if supervisor is not None:
            with contextlib.suppress(xmlrpc.client.Error, OSError):
                # All at once; the supervisor itself would stop them one by one.
                for name in (*ANCHOR, *OUTSIDE):
                    if name in self.processes:
                        self._rpc("stopProcess", name, False)
            self._control = None
            supervisor.terminate()
            try:
                supervisor.wait(timeout=60)
            except subprocess.TimeoutExpired:
                supervisor.kill()
                supervisor.wait()
            _end_leftovers(self.state_dir)
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    # -- Processes ----------------------------------------------------------------------------

    def pid_of(self, name: str) -> int | None:
        """The pid of a running process, None while it is down."""
        info = self._process_info(name)
        return int(info["pid"]) if info["statename"] in ("STARTING", "RUNNING") else None

    def wait_until_running(self, name: str, *, instead_of: int | None = None) -> int:
        """Wait until the process answers (under another pid than `instead_of`); its pid."""

        def is_running() -> bool:
            pid = self.pid_of(name)
            return pid is not None and pid != instead_of and self._answers(name)

        self._wait(is_running, name)
        pid = self.pid_of(name)
        return pid if pid is not None else self.wait_until_running(name, instead_of=instead_of)

    def kill(self, name: str) -> int:
        """Kill a running process at once (SIGKILL); the pid it had."""
        pid = self.wait_until_running(name)
        os.kill(pid, signal.SIGKILL)
        return pid

    def stop_process(self, name: str) -> None:
        """Stop one process and keep it down until `start_process`."""
        with contextlib.suppress(xmlrpc.client.Fault):  # it is down already
            self._rpc("stopProcess", name)

    def start_process(self, name: str) -> None:
        """Start one process and wait until it answers."""
        self._start_programs([name])

    def start_twin(self, name: str) -> subprocess.Popen[bytes]:
        """Start a process beside the one of the same name. Nobody starts it again when it dies;
        `stop` ends it."""
        program = self._programs()[name]
        with (self.logs / f"{name}-twin.log").open("ab") as log:
            return subprocess.Popen(
                program.command,
                cwd=ROOT,
                env={**self.env, **program.environment, _MARK: str(self.state_dir)},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def manage(self, *arguments: str, env: dict[str, str] | None = None) -> str:
        """Run a command of manage.py; its standard output. Raises `CannotRun` if it fails."""
        result = subprocess.run(
            [sys.executable, "manage.py", *arguments],
            cwd=ROOT,
            env={**self.env, **(env or {})},
            capture_output=True,
            text=True,
            check=False,
        )
        if result.returncode != 0:
            said = (result.stderr or result.stdout).strip()
            raise CannotRun(f"manage.py {' '.join(arguments)} failed:\n{said}")
        return result.stdout

    def prepare_database(self, commands: list[list[str]]) -> None:
        """Migrate, run further commands of manage.py, and make the operator's login."""
        result = subprocess.run(
            [sys.executable, "-m", "localnet.preparation"],
            cwd=ROOT,
            env={**self.env, "OPERATOR_PASSWORD": self.keys["ADMIN_PASSWORD"]},
            input=json.dumps([["migrate", "--verbosity", "0"], *commands]),
            capture_output=True,
            text=True,
            check=False,
        )
        if result.returncode != 0:
            raise CannotRun(f"The database could not be prepared:\n{result.stderr.strip()}")

    # -- Preparation --------------------------------------------------------------------------

    def _take_lock(self) -> None:
        lock = (self.state_dir / "lock").open("a+")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            lock.close()
            raise CannotRun(
                f"Another command is using {self.state_dir}. Stop it, or set STATE_DIR to another "
                "folder (and PORT and HORIZON_PORT to other ports) to run beside it."
            ) from error
        self._lock = lock

    def _check_state(self) -> bool:
        """Whether this is the first start. Raises `CannotRun` when only a part was deleted."""
        ready = self.state_dir / "ready"
        if not ready.exists() or "network" not in self.processes:
            return not ready.exists()
        if ready.read_text() != self.network_passphrase:
            raise CannotRun(
                f"{self.state_dir} was made for the network {ready.read_text()!r}. Set "
                "NETWORK_PASSPHRASE to it, or set STATE_DIR to another folder."
            )
        here = {
            "secrets.env": (self.state_dir / "secrets.env").exists(),
            "postgres": Postgres(self.state_dir / "postgres", 0).exists,
            "localnet.sqlite3": (self.state_dir / "localnet.sqlite3").exists(),
        }
        if lost := [name for name, is_here in here.items() if not is_here]:
            # The database remembers payments, the network holds them, and the keys open both.
            raise CannotRun(
                f"{' and '.join(lost)} is gone from {self.state_dir}, and what is left does not "
                f"work without it. Delete the whole folder to start anew: rm -r {self.state_dir}"
            )
        return False

    def _choose_ports(self) -> None:
        memory = self.state_dir / "ports.json"
        remembered = json.loads(memory.read_text()) if memory.exists() else {}
        variables = {"web": "PORT", "network": "HORIZON_PORT"}
        for name in ("web", "network", "bank", "postgres", "redis", "control"):
            wanted = self._wanted_ports.get(name, 0)
            if wanted and name in self.processes and not ports.is_free(wanted):
                raise ports.PortBusy(
                    f"Port {wanted} is in use. Set {variables[name]} to a free port."
                )
            port = wanted or remembered.get(name, 0)
            if not port or port in self.ports.values() or not (wanted or ports.is_free(port)):
                port = ports.find_free_port(set(self.ports.values()))
            self.ports[name] = port
        memory.write_text(json.dumps(self.ports))

    def _build_env(self) -> dict[str, str]:
        host = f"localhost:{self.ports['web']}"
        return {
            **os.environ,
            **self.keys.anchor_settings(),
            "READ_DOT_ENV": "false",
            "STATE_DIR": str(self.state_dir),
            "DATABASE_URL": self.postgres.url(),
            "REDIS_URL": self.redis.url,
            "BASE_URL": self.base_url,
            "ALLOWED_HOSTS": "localhost,127.0.0.1,[::1],testserver",
            "HOME_DOMAINS": host,
            "NETWORK_PASSPHRASE": self.network_passphrase,
            "HORIZON_URL": self.horizon_url,
            "HORIZON_PORT": str(self.ports["network"]),
            "BANK_URL": self.bank_url,
            "BANK_PORT": str(self.ports["bank"]),
            "ALLOW_INSECURE_URLS": "true",  # callbacks of the demo go to this machine by http
            "PYTHONUNBUFFERED": "1",
            **self._settings,
        }

    def _programs(self) -> dict[str, Program]:
        python = sys.executable
        celery = [python, "-m", "celery", "--app", "anchor"]
        # Threads: the work waits for other machines, and one process needs a quarter of the
        # memory of four. The watcher is not given the time to end its task; that must be safe.
        worker = [*celery, "worker", "--loglevel", "INFO", "--pool", "threads"]
        worker += ["--without-gossip", "--without-mingle", "--without-heartbeat"]
        not_durable = [] if self._durable else ["--not-durable"]
        no_keys = {"DISTRIBUTION_SECRET": ""}
        embedded = [python, "-m", "localnet.embedded"]
        postgres, redis_ = self.postgres, self.redis
        return {
            "postgres": Program(
                [*embedded, "postgres", str(postgres.folder), str(postgres.port), *not_durable],
                {},
                stop_signal="INT",
                stop_seconds=20,
            ),
            "redis": Program([*embedded, "redis", str(redis_.folder), str(redis_.port)], {}),
            "network": Program([python, "-m", "localnet.network"], no_keys),
            "bank": Program([python, "-m", "localnet.bank"], no_keys),
            "web": Program(
                [
                    *(python, "-m", "gunicorn", self._wsgi, "--worker-class", "gthread"),
                    *("--keep-alive", "75"),
                    *("--workers", "2", "--threads", "4", "--access-logfile", "-"),
                    *("--bind", f"127.0.0.1:{self.ports['web']}", "--graceful-timeout", "3"),
                    # A killed master's workers hold the port until they notice.
                    "--reuse-port",
                    # It would be one file for all services of this user.
                    "--no-control-socket",
                ],
                no_keys,
            ),
            "worker": Program(
                [*worker, "-n", "worker@%h", "--queues", "default,callbacks", "--concurrency", "4"],
                {},
            ),
            "watcher": Program(
                [*worker, "-n", "watcher@%h", "--queues", "watcher", "--concurrency", "2"],
                {},
                stop_seconds=2,
            ),
            "beat": Program(
                [
                    *(*celery, "beat", "--loglevel", "INFO", "--pidfile="),
                    *("--schedule", str(self.state_dir / "beat-schedule")),
                ],
                no_keys,
            ),
        }

    # -- The supervisor -----------------------------------------------------------------------

    def _start_supervisor(self) -> None:
        self.logs.mkdir(exist_ok=True)
        password = secrets.token_urlsafe(24)
        config = self.state_dir / "supervisor.conf"
        with os.fdopen(os.open(config, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            file.write(self._supervisor_config(password))
        log = (self.logs / "supervisor.out").open("w")
        self._supervisor = subprocess.Popen(
            [sys.executable, "-m", "localnet.supervise", str(os.getpid()), str(config)],
            cwd=ROOT,
            env={**self.env, _MARK: str(self.state_dir)},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            # Ctrl-C on the terminal reaches us alone; we then stop things in their order.
            start_new_session=True,
        )
        log.close()
        self._control = xmlrpc.client.ServerProxy(
            f"http://landfall:{password}@127.0.0.1:{self.ports['control']}/RPC2"
        )

        def is_up() -> bool:
            if self._supervisor is not None and self._supervisor.poll() is not None:
                raise CannotRun(f"The supervisor ended at once; see {self.logs}/supervisor.out")
            try:
                self._rpc("getState")
            except OSError:
                return False
            return True

        self._wait(is_up, "the supervisor")

    def _supervisor_config(self, password: str) -> str:
        def quote(text: str) -> str:
            return text.replace("%", "%%")

        sections = [
            f"""
[supervisord]
logfile={quote(str(self.logs / "supervisor.log"))}
pidfile={quote(str(self.state_dir / "supervisor.pid"))}
childlogdir={quote(str(self.logs))}
minfds=256
{"user=root" if os.geteuid() == 0 else ""}

[inet_http_server]
port=127.0.0.1:{self.ports["control"]}
username=landfall
password={password}

[rpcinterface:supervisor]
supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface
"""
        ]
        programs = self._programs()
        for priority, name in enumerate(self.processes):
            program = programs[name]
            environment = ",".join(f'{key}="{value}"' for key, value in program.environment.items())
            sections.append(
                f"""
[program:{name}]
command={quote(shlex.join(program.command))}
directory={quote(str(ROOT))}
environment={quote(environment)}
priority={priority}
autostart=false
autorestart=true
startretries=1000000
stopsignal={program.stop_signal}
stopwaitsecs={program.stop_seconds}
stopasgroup={"false" if name == "postgres" else "true"}
killasgroup=true
redirect_stderr=true
stdout_logfile={quote(str(self.logs / name))}.log
stdout_logfile_maxbytes=10MB
stdout_logfile_backups=1
"""
            )
        return "".join(sections)

    def _rpc(self, method: str, *arguments: Any) -> Any:
        assert self._control is not None, "the service is not started"
        return getattr(self._control.supervisor, method)(*arguments)

    def _process_info(self, name: str) -> dict[str, Any]:
        info: dict[str, Any] = self._rpc("getProcessInfo", name)
        return info

    def _start_programs(self, names: list[str]) -> None:
        for name in names:
            with contextlib.suppress(xmlrpc.client.Fault):  # it runs already
                self._rpc("startProcess", name, False)
        for name in names:
            self.wait_until_running(name)

    def _wait(self, condition: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + _START_SECONDS
        while not condition():
            if time.monotonic() > deadline:
                raise CannotRun(f"{what} does not answer; see {self.logs}/{what}.log")
            time.sleep(0.1)

    def _answers(self, name: str) -> bool:
        """Whether a process serves, and not only runs."""
        if name == "postgres":
            return _postgres_answers(self.postgres.url("postgres"))
        if name == "redis":
            return _redis_answers(self.redis.url)
        url = {
            "web": f"http://127.0.0.1:{self.ports['web']}/health/ready",
            "network": f"{self.horizon_url}/",
            "bank": f"{self.bank_url}/",
        }.get(name)
        if url is None:
            return bool(self._process_info(name)["statename"] == "RUNNING")
        try:
            return requests.get(url, timeout=5).status_code < 500
        except requests.RequestException:
            return False

    def _make_database(self) -> None:
        connection = psycopg2.connect(self.postgres.url("postgres"))
        connection.autocommit = True
        try:
            with connection.cursor() as cursor:
                cursor.execute("SELECT 1 FROM pg_database WHERE datname = 'landfall'")
                if cursor.fetchone() is None:
                    cursor.execute("CREATE DATABASE landfall")
        finally:
            connection.close()


def _postgres_answers(url: str) -> bool:
    try:
        psycopg2.connect(url, connect_timeout=5).close()
    except psycopg2.OperationalError:
        return False
    return True


def _redis_answers(url: str) -> bool:
    client = redis.Redis.from_url(url, socket_timeout=5)
    try:
        return bool(client.ping())
    except redis.RedisError:
        return False
    finally:
        client.close()


def _is_ours(process: psutil.Process, state_dir: Path) -> bool:
    with contextlib.suppress(psutil.Error, OSError):
        return bool(process.environ().get(_MARK) == str(state_dir))
    return False


def _find_postmaster(state_dir: Path) -> list[psutil.Process]:
    """PostgreSQL writes over its environment, but leaves its pid and its data folder's path."""
    data = Postgres(state_dir / "postgres", 0).data_folder
    with contextlib.suppress(psutil.Error, OSError, ValueError, IndexError):
        process = psutil.Process(int((data / "postmaster.pid").read_text().splitlines()[0]))
        if str(data) in process.cmdline():
            return [process]
    return []


def _end_leftovers(state_dir: Path) -> None:
    """End what a killed earlier run of the same state folder left behind."""
    ours = [process for process in psutil.process_iter() if _is_ours(process, state_dir)]
    # Whoever would start the others again goes first.
    ours.sort(key=lambda process: "localnet.supervise" not in _cmdline(process))
    for process in ours:
        with contextlib.suppress(psutil.Error):
            process.kill()
    postmaster = _find_postmaster(state_dir)
    for process in postmaster:
        with contextlib.suppress(psutil.Error):
            process.send_signal(signal.SIGINT)  # fast shutdown; killed, it would have to recover
    psutil.wait_procs([*ours, *postmaster], timeout=20)


def _cmdline(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []
