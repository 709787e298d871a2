"""Sending anchors (partners by agreement) and the challenges that they have used up."""

from __future__ import annotations

from django.contrib.postgres.fields import ArrayField
from django.db import models


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

    def __str__(self) -> str:
        return self.name


class SendingAnchorAccount(models.Model):
    """A Stellar account (G...) that a sending anchor authenticates with."""

    sending_anchor = models.ForeignKey(
        SendingAnchor, on_delete=models.PROTECT, related_name="accounts"
    )
    account = models.CharField(max_length=56, unique=True)

    def __str__(self) -> str:
        return self.account


class UsedChallenge(models.Model):
    """A challenge that bought its one token. Kept until the challenge would have expired anyway."""

    hash = models.CharField(max_length=64, primary_key=True)
    expires_at = models.DateTimeField(db_index=True)

    def __str__(self) -> str:
        return self.hash
