"""Sending anchors: the partners that may call, and the accounts that they sign in with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django import forms
from django.contrib import admin
from django.contrib.postgres.forms import SimpleArrayField
from django.db.models import Q
from django.http import HttpRequest
from stellar_sdk.strkey import StrKey
from unfold.admin import TabularInline
from unfold.decorators import display
from unfold.widgets import UnfoldAdminTextareaWidget

from kernel.admin import ConfirmedAction, Done, RecordAdmin, ago, at
from kernel.assets import parse_asset_name
from sep10.challenge import is_domain
from sep10.models import SendingAnchor, SendingAnchorAccount, UsedChallenge
from sep10.services import revoke_tokens


class AccountForm(forms.ModelForm):
    def clean_account(self) -> str:
        account = str(self.cleaned_data["account"]).strip()
        if not StrKey.is_valid_ed25519_public_key(account):
            raise forms.ValidationError("This must be a Stellar account: G and 55 more characters.")
        return account


class AccountInline(TabularInline):
    model = SendingAnchorAccount
    form = AccountForm
    extra = 0
    verbose_name_plural = "Accounts that it signs in with"

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False  # customers and quotes belong to an account: add another, remove the old one


class SendingAnchorForm(forms.ModelForm):
    allowed_callback_hosts = SimpleArrayField(
        forms.CharField(max_length=253),
        required=False,
        delimiter="\n",
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 3}),
        help_text="Hosts that callback URLs may name, one a line. Empty: any public host.",
    )
    client_domains = SimpleArrayField(
        forms.CharField(max_length=64),
        required=False,
        delimiter="\n",
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 3}),
        help_text="Domains that must vouch for it when it authenticates (SEP-10's client_domain), "
        "one a line: it must name one of them. Empty: it may name any, or none.",
    )
    allowed_assets = SimpleArrayField(
        forms.CharField(max_length=80),
        required=False,
        delimiter="\n",
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 3}),
        help_text="Assets it may send, as stellar:CODE:ISSUER, one a line. "
        "Empty: all that we receive.",
    )

    def clean_allowed_callback_hosts(self) -> list[str]:
        hosts = [host.strip().lower() for host in self.cleaned_data["allowed_callback_hosts"]]
        for host in hosts:
            if "/" in host or " " in host:
                raise forms.ValidationError(f"{host} must be a host alone, like pay.example.com.")
        return [host for host in hosts if host]

    def clean_client_domains(self) -> list[str]:
        names = [name.strip().lower() for name in self.cleaned_data["client_domains"]]
        for name in names:
            if name and not is_domain(name):
                raise forms.ValidationError(f"{name} must be a domain alone, like wallet.com.")
        return [name for name in names if name]

    def clean_allowed_assets(self) -> list[str]:
        names = [name.strip() for name in self.cleaned_data["allowed_assets"] if name.strip()]
        for name in names:
            try:
                parse_asset_name(name)
            except ValueError as error:
                raise forms.ValidationError(f"{name}: {error}.") from error
        return names


class RevokeTokens(ConfirmedAction):
    name = "revoke_tokens"
    label = "Revoke all tokens"
    permission = "sep10.revoke_sendinganchor"
    icon = "key_off"
    is_dangerous = True

    def explain(self, row: SendingAnchor) -> list[tuple[str, Any]]:
        return [
            ("Sending anchor", row.name),
            ("Accounts", row.accounts.count()),
            ("Last revoked", at(row.tokens_valid_from)),
            (
                "What happens",
                "Every token that it has stops working at once. It may authenticate again: to "
                "keep it out, switch Enabled off, or remove the account whose key was lost.",
            ),
        ]

    def perform(self, request: HttpRequest, row: SendingAnchor, data: Mapping[str, Any]) -> Done:
        revoke_tokens(row.pk)
        return Done("All its tokens were revoked.")


@admin.register(SendingAnchor)
class SendingAnchorAdmin(RecordAdmin):
    """The one record here that staff may edit. Never deleted: what it sent points at it."""

    form = SendingAnchorForm
    inlines = (AccountInline,)
    confirmed_actions = (RevokeTokens(),)
    list_display = ("name", "is_enabled", "max_transaction_amount", "max_daily_amount", "added")
    list_filter = ("enabled",)
    ordering = ("name",)
    search_by = {
        "account": ("accounts__account",),
        "text": (lambda term: Q(name__icontains=term),),
        "number": (lambda term: Q(name__icontains=term),),
    }
    search_help_text = "A name, or an account (G…)"
    readonly_fields = ("created_at", "updated_at")
    show_add_link = True

    def has_add_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("sep10.add_sendinganchor")

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.has_perm("sep10.change_sendinganchor")

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        return [
            (None, {"fields": ["name", "enabled", "tokens_valid_from"]}),
            (
                "Limits",
                {
                    "fields": [
                        "client_domains",
                        "allowed_callback_hosts",
                        "allowed_assets",
                        "max_transaction_amount",
                        "max_daily_amount",
                    ]
                },
            ),
            ("Record", {"fields": ["created_at", "updated_at"]}),
        ]

    @display(
        description="May call",
        ordering="enabled",
        label={"yes": "success", "no": "danger"},
    )
    def is_enabled(self, row: SendingAnchor) -> str:
        return "yes" if row.enabled else "no"

    @display(description="Added", ordering="created_at")
    def added(self, row: SendingAnchor) -> str:
        return ago(row.created_at)


@admin.register(UsedChallenge)
class UsedChallengeAdmin(RecordAdmin):
    list_display = ("hash", "expires_at")
    ordering = ("-expires_at",)
    search_by = {"hash": ("pk",)}
