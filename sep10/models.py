"""Sending anchors (partners by agreement) and the challenges that they have used up."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.contrib.postgres.fields import ArrayField
from django.db import models

from kernel.statements import Select, Statement


class SendingAnchorQuerySet(models.QuerySet["SendingAnchor"]):
    def lock_for_limits(self, pk: int) -> SendingAnchor:
        """Lock a sending anchor while what it sent is added up: one request at a time."""
        return self.select_for_update().get(pk=pk)


class SendingAnchor(models.Model):
    """A business that may send us payments, by a bilateral agreement (SEP-31, Authentication)."""

    name = models.CharField(max_length=100, unique=True)
    enabled = models.BooleanField(
        default=True, help_text="Off: its tokens stop working at once and no new one is given."
    )
    allowed_callback_hosts = ArrayField(
        models.CharField(max_length=253),
        default=list,
        blank=True,
        help_text="Hosts that callback URLs may name. Empty: any public host.",
    )
    allowed_assets = ArrayField(
        models.CharField(max_length=80),
        default=list,
        blank=True,
        help_text="Assets it may send, as stellar:CODE:ISSUER. Empty: all that we receive.",
    )
    client_domains = ArrayField(
        models.CharField(max_length=64),
        default=list,
        blank=True,
        help_text="Domains that must vouch for it when it authenticates (SEP-10's "
        "client_domain): it must name one of them. Empty: it may name any, or none.",
    )
    max_transaction_amount = models.DecimalField(
        max_digits=19, decimal_places=7, null=True, blank=True
    )
    max_daily_amount = models.DecimalField(max_digits=19, decimal_places=7, null=True, blank=True)
    tokens_valid_from = models.DateTimeField(
        null=True, blank=True, help_text="Tokens issued before this moment are refused."
    )
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    objects = SendingAnchorQuerySet.as_manager()

    class Meta:
        permissions = [("revoke_sendinganchor", "Can revoke all tokens of a sending anchor")]

    def __str__(self) -> str:
        return self.name

    @classmethod
    def of_account(cls, account: str) -> SendingAnchor | None:
        """The sending anchor that `account` (G...) belongs to. One query."""
        return next((anchor for (anchor,) in _OF_ACCOUNT.fetch([account])), None)

    def allows_asset(self, name: str) -> bool:
        """Whether it was agreed that it may send the asset of that SEP-38 name."""
        return not self.allowed_assets or name in self.allowed_assets

    def allows_client_domain(self, name: str | None) -> bool:
        """Whether it may authenticate with `name` as its client domain; None is none."""
        return not self.client_domains or name in self.client_domains


# All that requests ask of it.
_ASKED = (
    SendingAnchor,
    *("name", "enabled", "allowed_callback_hosts", "allowed_assets", "client_domains"),
    *("max_transaction_amount", "max_daily_amount", "tokens_valid_from"),
)
_ACCOUNT_AND_ANCHOR = """
    sep10_sendinganchoraccount AS account
    JOIN sep10_sendinganchor AS anchor ON anchor.id = account.sending_anchor_id
"""


def beside_sending_anchor(parts: Mapping[str, Any], joined: str, *more: str) -> Select:
    """For the account (G...) that is the last parameter, its sending anchor and these `parts` of
    what is `joined` to it (see `Select`), and what `more` selects; nothing if nobody has that
    account. `joined` may name `account` and `anchor`."""
    columns = ", ".join(["{anchor}", *(f"{{{name}}}" for name in parts), *more])
    return Select(
        f"SELECT {columns} FROM {_ACCOUNT_AND_ANCHOR} {joined} WHERE account.account = %s",  # noqa: S608
        {"anchor": _ASKED, **parts},
    )


_OF_ACCOUNT = beside_sending_anchor({}, "")


class SendingAnchorAccount(models.Model):
    """A Stellar account (G...) that a sending anchor authenticates with."""

    sending_anchor = models.ForeignKey(
        SendingAnchor, on_delete=models.PROTECT, related_name="accounts"
    )
    account = models.CharField(max_length=56, unique=True)

    def __str__(self) -> str:
        return self.account


# The account (G...) and client domain of whoever may use this service now. `Caller.admit` says the
# same of a sending anchor that was read.
_MAY_CALL = f"""
    FROM {_ACCOUNT_AND_ANCHOR}
    WHERE account.account = %s AND anchor.enabled
    AND (cardinality(anchor.client_domains) = 0 OR %s = ANY (anchor.client_domains))
"""
# And the moment (Unix seconds) in which their token was issued; selects the sending anchor's key.
ADMITTED = f"""
    SELECT anchor.id {_MAY_CALL}
    AND (anchor.tokens_valid_from IS NULL OR anchor.tokens_valid_from <= to_timestamp(%s::bigint))
"""


class UsedChallengeQuerySet(models.QuerySet["UsedChallenge"]):
    # One statement, so that nothing is used up for whoever may not have a token, and nobody gets
    # in between; the primary key is the referee between requests that bring the same challenge.
    _USE_UP = Statement(
        f"""
        INSERT INTO sep10_usedchallenge (hash, expires_at)
        SELECT %s::varchar, %s::timestamptz {_MAY_CALL} ON CONFLICT DO NOTHING
        """
    )

    def use_up(
        self, *, hash: str, expires_at: datetime, account: str, client_domain: str | None
    ) -> bool:
        """Use a challenge up if the sending anchor of `account` (G...) may have a token for it.

        Whether it did: False if it was used before, or if nobody may have a token for it.
        """
        return self._USE_UP.execute([hash, expires_at, account, client_domain]) == 1


class UsedChallenge(models.Model):
    """A challenge that bought its one token. Kept until the challenge would have expired anyway."""

    hash = models.CharField(max_length=64, primary_key=True)
    expires_at = models.DateTimeField(db_index=True)

    objects = UsedChallengeQuerySet.as_manager()

    def __str__(self) -> str:
        return self.hash
