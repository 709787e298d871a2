"""bin/demo: the whole service on this machine, and a sending anchor that pays through it."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import sys
import threading
from contextlib import ExitStack
from pathlib import Path
from types import FrameType
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from localnet.bank import TEST_ACCOUNTS
from localnet.callback_receiver import LOOPBACK, CallbackReceiver
from localnet.ports import PortBusy
from localnet.preparation import OPERATOR
from localnet.sending_anchor import SendingAnchor
from localnet.service import DEFAULT_PASSPHRASE, CannotRun, RunningService
from localnet.stage import Service, Stage, describe_stage
from localnet.stories import STORIES, Result, Story, Teller, draw_document

# Nobody who watches a demo wants to wait for production's delays.
DEMO_SETTINGS = {
    "SWEEP_SECONDS": "2",
    "PAYOUT_FIRST_RETRY_SECONDS": "1",
    "CALLBACK_FIRST_RETRY_SECONDS": "1",
}


class Stopped(Exception):
    """Somebody asked us to end."""


def write_demo_file(service: RunningService, stage: Stage) -> Path:
    """STATE_DIR/demo.json: all that a client of the running demo needs, secrets included."""
    document = {
        "base_url": service.base_url,
        "horizon_url": service.horizon_url,
        "friendbot_url": service.friendbot_url,
        "bank_url": service.bank_url,
        "network_passphrase": service.network_passphrase,
        "asset": {"code": stage.asset.code, "issuer": stage.asset.issuer},
        "source_asset": {"code": stage.source_asset.code, "issuer": stage.source_asset.issuer},
        "sending_anchors": [
            {"name": sender.name, "secret": sender.keypair.secret}
            for sender in stage.sending_anchors
        ],
        "admin": {
            "url": f"{service.base_url}/admin/",
            "username": OPERATOR,
            "password": service.keys["ADMIN_PASSWORD"],
        },
        "bank_accounts": TEST_ACCOUNTS,
    }
    path = service.state_dir / "demo.json"
    partial = path.with_suffix(".partial")
    with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        json.dump(document, file, indent=2)
    partial.rename(path)
    return path


class Show:
    """The stories on the terminal, live; plain lines where there is no terminal."""

    def __init__(self, console: Console, results: list[Result]) -> None:
        self._console = console
        self._results = results
        self._told = [0] * len(results)
        self._lock = threading.Lock()
        self._live = Live(self.table(), console=console) if console.is_terminal else None

    def __enter__(self) -> Show:
        if self._live is not None:
            self._live.__enter__()
        return self

    def __exit__(self, *arguments: Any) -> None:
        if self._live is not None:
            self._live.__exit__(*arguments)

    def update(self) -> None:
        with self._lock:
            if self._live is not None:
                self._live.update(self.table())
                return
            for number, result in enumerate(self._results):
                for seconds, text in result.timeline[self._told[number] :]:
                    self._console.print(f"{seconds:6.1f}s  {result.story.title}: {text}")
                self._told[number] = len(result.timeline)

    def table(self) -> Table:
        table = Table(
            "Story", "Sending anchor", "Now", "Seconds", title="Payments", title_justify="left"
        )
        for result in self._results:
            seconds, text = result.timeline[-1] if result.timeline else (0.0, "waiting")
            table.add_row(result.story.title, result.sender, _mark(result, text), f"{seconds:.1f}")
        return table


def _mark(result: Result, text: str) -> Text:
    if result.problem:
        return Text(f"✗ {text}", style="red")
    return Text(f"✓ {text}", style="green") if result.finished else Text(f"… {text}")


def tell_stories(
    service: Service, stage: Stage, console: Console, *, callback_host: str = LOOPBACK
) -> list[Result]:
    """Let both sending anchors send the stories' payments, all at once.

    `callback_host` is our name or address where the anchor's workers are.
    """
    senders = [
        SendingAnchor(
            service.base_url.split("://")[1], sender.keypair, horizon_url=service.horizon_url
        )
        for sender in stage.sending_anchors
    ]
    with ExitStack() as stack:
        tellers = []
        for described, sender in zip(stage.sending_anchors, senders, strict=True):
            sender.discover()
            sender.authenticate()
            if stage.asset.code not in sender.info():
                raise CannotRun(f"GET /info does not offer {stage.asset.code}")
            receiver = stack.enter_context(
                CallbackReceiver(sender.toml["SIGNING_KEY"], name=callback_host)
            )
            tellers.append(
                Teller(
                    described.name,
                    sender,
                    receiver,
                    stage.asset,
                    stage.source_asset,
                    document=draw_document(),
                )
            )
        casts: list[tuple[Teller, Story]] = [
            (tellers[number % len(tellers)], story) for number, story in enumerate(STORIES)
        ]
        results = [Result(story, teller.name) for teller, story in casts]
        with Show(console, results) as show:
            # Daemons: when somebody stops the demo, a payment half-way must not hold it up.
            threads = [
                threading.Thread(target=teller.tell, args=(story, result, show.update), daemon=True)
                for (teller, story), result in zip(casts, results, strict=True)
            ]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        for teller in tellers:
            if problems := teller.receiver.problems():
                raise CannotRun(f"A callback was not the anchor's: {problems[0]}")
    return results


def print_results(results: list[Result], console: Console) -> None:
    """The final table: each story's timeline and amounts."""
    table = Table(title="What happened", title_justify="left", show_lines=True)
    for name in ("Story", "Timeline", "Sent", "Received", "Fee", "Paid out"):
        table.add_column(name)
    for result in results:
        transaction = result.transaction
        timeline = "\n".join(f"{seconds:5.1f}s {text}" for seconds, text in result.timeline)
        table.add_row(
            _mark(result, result.story.title),
            Text(timeline),
            result.sent,
            _amount(transaction, "amount_in"),
            _amount(transaction, "amount_fee"),
            _amount(transaction, "amount_out"),
        )
    console.print(table)


def _amount(transaction: dict[str, Any], name: str) -> str:
    if name not in transaction:
        return ""
    asset = str(transaction.get(f"{name}_asset", "")).split(":")
    return f"{transaction[name]} {asset[1] if len(asset) > 1 else ''}"


def check_books(service: Service, console: Console) -> bool:
    """Per asset, received = paid out + fees + refunded + held, proved against the ledger."""
    try:
        rows = json.loads(service.manage("reconcile", "--json"))
    except CannotRun as error:
        console.print(Text(str(error), style="red"))
        return False
    table = Table(title="The books, per asset", title_justify="left")
    columns = ("asset", "received", "paid_out", "fees", "refunded", "held")
    for name in columns:
        table.add_column(name.replace("_", " "))
    for row in rows:
        code = str(row["asset"]).split(":")[1]
        table.add_row(code, *(str(row[name]) for name in columns[1:]))
    console.print(table)
    for row in rows:
        for asset, amount in row["fees_after_conversion"].items():
            console.print(f"And {amount} {asset.split(':')[1]} of fees taken after conversion.")
    return bool(rows)


def print_addresses(service: RunningService, stage: Stage, console: Console) -> None:
    console.print(
        f"\n[bold]Admin[/]            {service.base_url}/admin/   "
        f"{OPERATOR} / {service.keys['ADMIN_PASSWORD']}\n"
        f"[bold]stellar.toml[/]     {service.base_url}/.well-known/stellar.toml\n"
        f"[bold]Local network[/]    {service.horizon_url}   ({service.network_passphrase})\n"
        f"[bold]Sandbox bank[/]     {service.bank_url}\n"
        f"[bold]For clients[/]      {service.state_dir / 'demo.json'}\n"
        f"[bold]Logs[/]             {service.logs}\n",
        highlight=False,
    )


def run(options: argparse.Namespace, console: Console) -> int:
    environment = os.environ
    service = RunningService(
        Path(environment.get("STATE_DIR", ".local")),
        port=int(environment.get("PORT", "8000")),
        horizon_port=int(environment.get("HORIZON_PORT", "8001")),
        network_passphrase=environment.get("NETWORK_PASSPHRASE", DEFAULT_PASSPHRASE),
        settings={name: environment.get(name, value) for name, value in DEMO_SETTINGS.items()},
        report=lambda text: console.print(f"[dim]{text} ...[/]"),
    )
    good = True
    with service:
        stage = describe_stage(service)
        demo_file = write_demo_file(service, stage)
        try:
            if not options.no_stories:
                results = tell_stories(service, stage, console)
                print_results(results, console)
                good = check_books(service, console) and not any(
                    result.problem for result in results
                )
            print_addresses(service, stage, console)
            if not options.once:
                console.print("Up until Ctrl-C.")
                _wait_for_signal()
        finally:
            demo_file.unlink(missing_ok=True)
    return 0 if good else 1


def _wait_for_signal() -> None:
    with contextlib.suppress(Stopped):
        threading.Event().wait()


def _stop(number: int, frame: FrameType | None) -> None:
    # Once is enough: a second Ctrl-C must not cut the stopping short and leave processes behind.
    for name in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(name, signal.SIG_IGN)
    raise Stopped


def main() -> int:
    parser = argparse.ArgumentParser(prog="bin/demo", description=__doc__)
    parser.add_argument("--once", action="store_true", help="end after the stories")
    parser.add_argument("--no-stories", action="store_true", help="only serve")
    options = parser.parse_args()
    console = Console()
    if not console.is_terminal:
        console = Console(width=140)  # a log has no width of its own
    for name in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(name, _stop)
    try:
        return run(options, console)
    except Stopped:
        return 130  # before the stories had ended
    except (CannotRun, PortBusy) as error:
        console.print(Text(f"bin/demo: {error}", style="red"))
        return 1


if __name__ == "__main__":
    sys.exit(main())
