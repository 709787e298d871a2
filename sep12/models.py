"""Customers of sending anchors. All that says who they are is sealed."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Iterable, Iterator
from datetime import datetime
from typing import Any

from django.db import models
from django.db.models import BooleanField, Exists, ExpressionWrapper, F, OuterRef, Q

from kernel.languages import ENGLISH
from kernel.sealed import SealedBytesField, SealedTextField
from kernel.statements import Select
from sep10.models import SendingAnchor, beside_sending_anchor


class CustomerQuerySet(models.QuerySet["Customer"]):
    def is_erased(self, pk: uuid.UUID) -> bool:
        return self.filter(pk=pk, erased_at__isnull=False).exists()

    def is_due(self, pk: uuid.UUID) -> bool:
        """Whether it waits for its first screening under its present name."""
        return self.present().filter(pk=pk, screening="DUE").exists()

    def present(self) -> CustomerQuerySet:
        """Those that were not erased."""
        return self.filter(erased_at__isnull=True)

    def with_states(
        self, ids: Collection[uuid.UUID]
    ) -> Iterator[tuple[Customer, list[list[Any]], list[list[Any]]]]:
        """Those of `ids` that were not erased, each with the states of its fields (name, status,
        error, whether there is a value) and what was decided on it (type, status, message,
        revision). One query, which opens no value."""
        return _WITH_STATES.fetch([list(ids)])

    def owned_with_states(
        self, ids: Collection[uuid.UUID], account: str
    ) -> Iterator[tuple[SendingAnchor, Customer | None, list[list[Any]], list[list[Any]]]]:
        """As `with_states`, those of `account` (G...), each beside the account's sending anchor;
        None once if there are none of it, and nothing at all if nobody has that account."""
        return _OWNED_WITH_STATES.fetch([list(ids), account])

    def named_with_states(
        self, account: str, memo_type: str, memo: str
    ) -> Iterator[tuple[SendingAnchor, Customer | None, list[list[Any]], list[list[Any]]]]:
        """As `owned_with_states`, the one of `account` that has that memo."""
        return _NAMED_WITH_STATES.fetch([memo_type, memo, account])

    def lock_present(self, **which: Any) -> Customer | None:
        """Lock the one customer that `which` names; None if there is none or it was erased.

        Whoever changes a customer's fields or decisions holds this lock, so that two PUTs of one
        customer follow each other. NO KEY: a transaction that merely points at the customer need
        not wait.
        """
        return self.present().select_for_update(no_key=True).filter(**which).order_by("pk").first()


class Customer(models.Model):
    """A client of a sending anchor, known to us by id, or by (account, memo).

    It belongs to the sending anchor's account that registered it; for all others it is a 404.
    After erasure (`erased_at`) the row stays for the money records that point at it, empty.
    """

    class MemoType(models.TextChoices):
        ID = "id"
        TEXT = "text"
        HASH = "hash"
        # No memo on the wire: who was registered for one transaction, and named by nothing else,
        # has "<transaction id> <customer type>" here.
        TRANSACTION = "transaction"

    class Screening(models.TextChoices):
        NEVER = ""
        DUE = "DUE"  # the name is new and was not looked for yet
        CLEAR = "CLEAR"
        HIT = "HIT"  # looks like a name on a list; an operator decides
        BLOCKED = "BLOCKED"  # an operator said that it is the one on the list

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    sending_anchor = models.ForeignKey(SendingAnchor, on_delete=models.PROTECT)
    account = models.CharField(max_length=56)
    memo_type = models.CharField(max_length=11, blank=True, choices=MemoType.choices)
    memo = models.CharField(max_length=130, blank=True)
    type = models.CharField(
        max_length=60,
        blank=True,
        help_text="The type it was last registered for; meant where a request names none.",
    )
    callback_url = models.CharField(max_length=2000, blank=True)
    callback_language = models.CharField(
        max_length=2, default=ENGLISH, db_default=ENGLISH, help_text="What its callbacks are in."
    )
    revision = models.PositiveIntegerField(
        default=0, help_text="How often its values changed; a decision says which it judged."
    )
    screening = models.CharField(
        max_length=7, blank=True, choices=Screening.choices, default=Screening.NEVER
    )
    screened_with = models.PositiveIntegerField(
        default=0, help_text="The version of the sanctions lists that it was last held against."
    )
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)
    erased_at = models.DateTimeField(null=True, blank=True)

    objects = CustomerQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["account", "memo_type", "memo"],
                condition=Q(erased_at__isnull=True),
                name="customer_once_per_memo",
            )
        ]
        indexes = [
            models.Index(fields=["-created_at"], name="customer_newest"),
            models.Index(
                fields=["id"],
                condition=Q(screening="DUE", erased_at__isnull=True),
                name="customer_to_screen",
            ),
            models.Index(
                fields=["screened_with", "id"],
                condition=Q(erased_at__isnull=True),
                name="customer_screened_with",
            ),
            models.Index(
                fields=["-created_at"],
                condition=Q(screening__in=["HIT", "BLOCKED"]),
                name="customer_found_on_list",
            ),
        ]
        permissions = [
            ("reveal_customer", "Can see a customer's personal data"),
            ("decide_customer", "Can accept or reject a customer"),
        ]

    def __str__(self) -> str:
        return str(self.id)


class CustomerFileQuerySet(models.QuerySet["CustomerFile"]):
    def lock_all(self, *which: Q, **names: Any) -> list[CustomerFile]:
        """Lock the files that a filter finds, without their content, in primary-key order."""
        found = self.select_for_update(no_key=True, of=("self",)).filter(*which, **names)
        return list(found.defer("content").order_by("pk"))

    def lock_expired(self, now: datetime, *, limit: int) -> list[uuid.UUID]:
        """Lock the ids of files that expired and that nobody else holds, the oldest first."""
        found = self.select_for_update(skip_locked=True).filter(expires_at__lte=now)
        return list(found.order_by("expires_at").values_list("pk", flat=True)[:limit])

    def without_field(self) -> CustomerFileQuerySet:
        """Those that no field has."""
        return self.filter(~Exists(CustomerField.objects.filter(file=OuterRef("pk"))))

    def delete_unread(self) -> None:
        """Delete without reading a row, as Django would do to look for what points at it: the
        database itself refuses to delete what a field has."""
        self._raw_delete(self.db)


class CustomerFile(models.Model):
    """A file that a sending anchor sent (SEP-12, "Customer Files"), for a field or ahead of one.

    Until a field of a customer takes it, it is the uploading account's (with the memo of its
    token), and is deleted at `expires_at`.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    sending_anchor = models.ForeignKey(SendingAnchor, on_delete=models.PROTECT)
    account = models.CharField(max_length=56)
    memo = models.CharField(max_length=20, blank=True, help_text="The memo of the token, if any.")
    customer = models.ForeignKey(
        Customer, null=True, blank=True, on_delete=models.CASCADE, related_name="files"
    )
    content = SealedBytesField()
    content_type = models.CharField(max_length=100)
    size = models.PositiveIntegerField(help_text="Bytes of the content in the clear.")
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField(null=True, blank=True)

    objects = CustomerFileQuerySet.as_manager()

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(customer__isnull=True) ^ Q(expires_at__isnull=True),
                name="customer_file_used_or_expires",
            )
        ]
        indexes = [
            models.Index(
                fields=["expires_at"],
                condition=Q(expires_at__isnull=False),
                name="customer_file_expiring",
            )
        ]

    def __str__(self) -> str:
        return str(self.id)


_STATES = """
    coalesce((
        SELECT json_agg(json_build_array(
            field.name, field.status, field.error,
            field.value IS NOT NULL OR field.file_id IS NOT NULL
        )) FROM sep12_customerfield AS field WHERE field.customer_id = customer.id
    ), '[]'),
    coalesce((
        SELECT json_agg(json_build_array(
            decision.type, decision.status, decision.message, decision.revision
        )) FROM sep12_decision AS decision WHERE decision.customer_id = customer.id
    ), '[]')
"""
_ASKED_OF_CUSTOMER = (
    Customer,
    *("account", "memo_type", "memo", "type", "revision", "screening"),
)
# OFFSET 0 keeps other conditions out, so that each is looked for by its key alone. A plan outlives
# what was known of a table when it was made: of a small one, that any index would do.
_BY_ID = """(
    SELECT one.* FROM unnest(%s::uuid[]) AS wanted (id)
    CROSS JOIN LATERAL (SELECT * FROM sep12_customer WHERE id = wanted.id OFFSET 0) AS one
)"""
_WITH_STATES = Select(
    f"SELECT {{customer}}, {_STATES} FROM {_BY_ID} AS customer WHERE customer.erased_at IS NULL",  # noqa: S608
    {"customer": _ASKED_OF_CUSTOMER},
)


def _owned_with_states(customers: str) -> Select:
    return beside_sending_anchor(
        {"customer": _ASKED_OF_CUSTOMER},
        f"""
            LEFT JOIN {customers}
                AND customer.account = account.account AND customer.erased_at IS NULL
        """,
        _STATES,
    )


_OWNED_WITH_STATES = _owned_with_states(f"{_BY_ID} AS customer ON true")
_NAMED_WITH_STATES = _owned_with_states(
    "sep12_customer AS customer ON customer.memo_type = %s AND customer.memo = %s"
)


_HAS_TEXT = ExpressionWrapper(Q(value__isnull=False), output_field=BooleanField())


class CustomerFieldQuerySet(models.QuerySet["CustomerField"]):
    def states(
        self, customer_ids: Iterable[uuid.UUID]
    ) -> Iterator[tuple[uuid.UUID, str, tuple[str, str, bool]]]:
        """(customer id, name, (status, error, whether there is a value)); opens no value."""
        rows = self.filter(customer_id__in=customer_ids).annotate(has_text=_HAS_TEXT)
        for customer_id, name, status, error, has_text, file_id in rows.values_list(
            "customer_id", "name", "status", "error", "has_text", "file_id"
        ):
            yield customer_id, name, (status, error, has_text or file_id is not None)

    def states_and_values(
        self, customer: Customer, names: Collection[str]
    ) -> Iterator[tuple[str, tuple[str, str, bool], str | None, uuid.UUID | None]]:
        """(name, state as in `states`, text, file's id) of a customer's fields; opens the texts
        of `names` only."""
        text = models.Case(models.When(name__in=names, then="value"))
        rows = self.filter(customer=customer).annotate(text=text, has_text=_HAS_TEXT)
        for name, status, error, has_text, value, file_id in rows.values_list(
            "name", "status", "error", "has_text", "text", "file_id"
        ):
            yield name, (status, error, has_text or file_id is not None), value, file_id


class CustomerField(models.Model):
    """One SEP-9 field of a customer; the value is text, or a file.

    A field that was refused before the client ever sent it (a rail that wants one more) has
    neither: it is REJECTED, and so it is asked for.
    """

    class Status(models.TextChoices):
        ACCEPTED = "ACCEPTED"
        PROCESSING = "PROCESSING"
        REJECTED = "REJECTED"
        VERIFICATION_REQUIRED = "VERIFICATION_REQUIRED"

    # The unique constraint below begins with it.
    customer = models.ForeignKey(
        Customer, on_delete=models.CASCADE, related_name="fields", db_index=False
    )
    name = models.CharField(max_length=80)
    value = SealedTextField(null=True, blank=True)
    file = models.ForeignKey(
        CustomerFile,
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="fields",
        db_index=False,
    )
    status = models.CharField(max_length=21, choices=Status.choices, default=Status.ACCEPTED)
    error = models.CharField(max_length=300, blank=True)
    updated_at = models.DateTimeField(auto_now=True)

    objects = CustomerFieldQuerySet.as_manager()

    class Meta:
        indexes = [
            models.Index(
                fields=["file"], condition=Q(file__isnull=False), name="customer_field_file"
            )
        ]
        constraints = [
            models.UniqueConstraint(fields=["customer", "name"], name="customer_field_once"),
            models.CheckConstraint(
                condition=Q(value__isnull=False) ^ Q(file__isnull=False)
                | Q(value__isnull=True, file__isnull=True, status="REJECTED"),
                name="customer_field_text_or_file",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.name} of {self.customer_id}"


class VerificationQuerySet(models.QuerySet["Verification"]):
    def due(self, now: datetime) -> VerificationQuerySet:
        return self.filter(due_at__lte=now).order_by("due_at", "pk")

    def lock_all(self, **which: Any) -> list[Verification]:
        """Lock the codes that `which` names, in primary-key order; the customer's lock comes
        first."""
        return list(self.select_for_update().filter(**which).order_by("pk"))


class Verification(models.Model):
    """A confirmation code that a customer must repeat for one field (SEP-12, "Verification").

    Gone as soon as the field is verified, or has another value. `id` is also the key under which
    this code is sent.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    customer = models.ForeignKey(Customer, on_delete=models.CASCADE, related_name="verifications")
    name = models.CharField(max_length=80)
    code = SealedTextField()
    value_digest = models.CharField(
        max_length=64, help_text="Keyed digest of the value that it is for."
    )
    wrong_tries = models.PositiveSmallIntegerField(default=0)
    expires_at = models.DateTimeField(null=True, blank=True, help_text="Set when it was sent.")
    due_at = models.DateTimeField(
        null=True, blank=True, help_text="When to send it; empty once it was sent or given up."
    )
    send_tries = models.PositiveSmallIntegerField(default=0)
    created_at = models.DateTimeField(auto_now_add=True)

    objects = VerificationQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["customer", "name"], name="verification_once")
        ]
        indexes = [
            models.Index(
                fields=["due_at"], condition=Q(due_at__isnull=False), name="verification_due"
            )
        ]

    def __str__(self) -> str:
        return f"{self.name} of {self.customer_id}"


class SentCode(models.Model):
    """That a code left us, kept for as long as limits count it. It outlives the customer's
    erasure, for else PUT and DELETE in turn would get round them."""

    sending_anchor = models.ForeignKey(SendingAnchor, on_delete=models.CASCADE)
    customer = models.ForeignKey(Customer, on_delete=models.CASCADE, related_name="sent_codes")
    name = models.CharField(max_length=80)
    value_digest = models.CharField(max_length=64)
    sent_at = models.DateTimeField()

    class Meta:
        indexes = [models.Index(fields=["sent_at"], name="sent_code_newest")]

    def __str__(self) -> str:
        return f"{self.name} of {self.customer_id}"


class Decision(models.Model):
    """What KYC decided on a customer for one type ("sep31-sender", ...)."""

    class Status(models.TextChoices):
        ACCEPTED = "ACCEPTED"
        PROCESSING = "PROCESSING"
        REJECTED = "REJECTED"

    customer = models.ForeignKey(Customer, on_delete=models.CASCADE, related_name="decisions")
    type = models.CharField(max_length=60)
    status = models.CharField(max_length=10, choices=Status.choices)
    message = models.CharField(max_length=300, blank=True)
    revision = models.PositiveIntegerField(
        default=0, help_text="The customer's revision that was judged."
    )
    decided_by = models.CharField(max_length=100)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["customer", "type"], name="decision_once_per_type")
        ]

    def __str__(self) -> str:
        return f"{self.type}: {self.status}"


class CaseQuerySet(models.QuerySet["Case"]):
    def due(self, now: datetime) -> CaseQuerySet:
        """Those that an outside provider is to be asked about, longest due first."""
        return self.filter(closed_at__isnull=True, due_at__lte=now).order_by("due_at", "pk")

    def provider_is_failing(self) -> bool:
        """Whether the last call for some open case brought no answer that we understand."""
        waiting = self.filter(due_at__isnull=False, closed_at__isnull=True)
        return waiting.exclude(last_error="").exists()

    def newest(self, customer: Customer, kinds: Collection[str]) -> list[Case]:
        """The open case, else the last one, of each (kind, type) that the customer ever had.

        Whoever writes a case holds its customer's lock, so that these need none.
        """
        rows = self.filter(customer=customer, kind__in=kinds)
        newest_first = F("closed_at").desc(nulls_first=True)
        return list(rows.order_by("kind", "type", newest_first).distinct("kind", "type"))


class Case(models.Model):
    """A customer who waits for somebody's decision: our operators', or an outside provider's.

    `id` is also the key that an outside provider knows it by.
    """

    class Kind(models.TextChoices):
        REVIEW = "REVIEW", "KYC review"
        PROVIDER = "PROVIDER", "With the KYC provider"
        SCREENING = "SCREENING", "Sanctions screening"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    customer = models.ForeignKey(Customer, on_delete=models.CASCADE, related_name="cases")
    kind = models.CharField(max_length=9, choices=Kind.choices)
    type = models.CharField(max_length=60, blank=True, help_text="Customer type; for all if empty.")
    revision = models.PositiveIntegerField(default=0)
    opened_at = models.DateTimeField(auto_now_add=True)
    closed_at = models.DateTimeField(null=True, blank=True)
    closed_by = models.CharField(max_length=100, blank=True)
    outcome = models.CharField(max_length=40, blank=True)
    due_at = models.DateTimeField(
        null=True, blank=True, help_text="When to call the provider; empty once it answered."
    )
    tries = models.PositiveSmallIntegerField(default=0)
    last_error = models.CharField(max_length=300, blank=True)

    objects = CaseQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["customer", "kind", "type"],
                condition=Q(closed_at__isnull=True),
                name="case_open_once",
            )
        ]
        indexes = [
            models.Index(
                fields=["opened_at"], condition=Q(closed_at__isnull=True), name="case_open_oldest"
            ),
            models.Index(fields=["-opened_at"], name="case_newest"),
            models.Index(fields=["due_at"], condition=Q(due_at__isnull=False), name="case_due"),
        ]

    def __str__(self) -> str:
        return f"{self.get_kind_display()} of {self.customer_id}"


class SanctionsList(models.Model):
    """A list of sanctioned persons and organizations, as last loaded from its files."""

    name = models.CharField(max_length=100, unique=True)
    digest = models.CharField(max_length=64, help_text="SHA-256 of its files.")
    version = models.PositiveIntegerField(
        unique=True, help_text="Grows with each load of any list."
    )
    entries = models.PositiveIntegerField()
    as_of = models.DateTimeField(help_text="When its oldest file was written to our disk.")
    loaded_at = models.DateTimeField(auto_now=True)

    def __str__(self) -> str:
        return self.name


class SanctionsName(models.Model):
    """One name, or other name, of an entry of a list. Public data."""

    list = models.ForeignKey(SanctionsList, on_delete=models.CASCADE, related_name="names")
    entry = models.CharField(max_length=100, help_text="The entry's id on its list.")
    kind = models.CharField(
        max_length=20, blank=True, help_text="person, organization; empty where it may be either."
    )
    name = models.CharField(max_length=500)
    birth_dates = models.CharField(max_length=300, blank=True)
    countries = models.CharField(max_length=300, blank=True)
    programs = models.CharField(max_length=300, blank=True)

    class Meta:
        indexes = [models.Index(fields=["list", "entry"], name="sanctions_name_entry")]

    def __str__(self) -> str:
        return self.name


class ScreeningHit(models.Model):
    """A likeness of a customer's name to one on a list. It never holds the customer's own name."""

    class Status(models.TextChoices):
        OPEN = "OPEN"
        DISMISSED = "DISMISSED"
        CONFIRMED = "CONFIRMED"

    customer = models.ForeignKey(Customer, on_delete=models.CASCADE, related_name="hits")
    list = models.CharField(max_length=100)
    entry = models.CharField(max_length=100)
    listed_name = models.CharField(max_length=500)
    listed_details = models.CharField(max_length=500, blank=True)
    score = models.DecimalField(max_digits=5, decimal_places=2, help_text="0 to 100.")
    name_digest = models.CharField(
        max_length=64,
        help_text="Keyed digest of the customer's name and of both sides' birth dates: a dismissal "
        "holds for the same ones only.",
    )
    status = models.CharField(max_length=9, choices=Status.choices, default=Status.OPEN)
    decided_by = models.CharField(max_length=100, blank=True)
    decided_at = models.DateTimeField(null=True, blank=True)
    found_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["customer", "list", "entry", "listed_name", "name_digest"],
                name="screening_hit_once",
            )
        ]
        permissions = [("decide_screening", "Can say whether a customer is one on a list")]

    def __str__(self) -> str:
        return f"{self.listed_name} ({self.score})"
