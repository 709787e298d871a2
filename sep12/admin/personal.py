"""Personal data on the screen: who is shown what, and for how long.

A customer's values come to the screen by one way only: a POST that says so, and that the history
records. The page that answers it names the customer's documents by links that open for the same
operator, for some minutes, and no link of such a kind comes from anywhere else: so a document is
looked at after that POST alone, and a GET has nothing to record.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.core.exceptions import PermissionDenied
from django.core.signing import BadSignature, TimestampSigner
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.safestring import SafeString

from kernel.admin import ago, label
from sep12.admin.wording import STATUS_KINDS, description_of, size, states_of
from sep12.models import Customer, CustomerFile
from sep12.screening import NAME_FIELDS, PERSON_NAMES
from sep12.sep9 import FIELDS
from sep12.services import reveal_fields

LINK_LIFE = timedelta(minutes=15)
# What a browser shows as a picture and as nothing else; the rest is downloaded.
PICTURES = {"image/jpeg": "jpg", "image/png": "png", "image/webp": "webp", "image/gif": "gif"}
ENDINGS = {**PICTURES, "application/pdf": "pdf"}

_ORDER = {name: place for place, name in enumerate(FIELDS)}
# Of these a reason may well speak: "the passport has expired".
_ORDINARY = frozenset(
    {
        *("id_type", "sex", "tax_id_name", "bank_account_type", "bank_name", "card.network"),
        *("mobile_money_provider", "city", "state_or_province", "language_code", "occupation"),
        *("organization.bank_name", "organization.city", "organization.state_or_province"),
    }
)
_SHORTEST_TELLING = 3

_signer = TimestampSigner(salt="sep12.admin.document")


@dataclass(frozen=True)
class ShownField:
    """A field of a customer as an operator sees it. `value` is "" for a document, and for what
    was asked for and not sent yet."""

    name: str
    description: str
    value: str
    status: SafeString
    error: str
    changed: Any


@dataclass(frozen=True)
class ShownDocument:
    name: str
    description: str
    status: SafeString
    error: str
    changed: Any
    kind: str
    url: str
    is_picture: bool


@dataclass(frozen=True)
class PersonalData:
    """All that a customer told us, in the clear."""

    fields: list[ShownField]
    documents: list[ShownDocument]

    @property
    def called(self) -> str:
        """The person's whole name."""
        given = {one.name: one.value for one in self.fields}
        return " ".join(given[name] for name in PERSON_NAMES if given.get(name))

    @property
    def compared(self) -> list[ShownField]:
        """All else that a likeness to a listed name is judged by."""
        names = NAME_FIELDS - set(PERSON_NAMES)
        return [one for one in self.fields if one.value and one.name in names]

    @property
    def names(self) -> str:
        """What was shown, for the history."""
        shown: list[ShownField | ShownDocument] = [*self.fields, *self.documents]
        return ", ".join(one.name for one in shown) or "nothing"


def open_personal_data(request: HttpRequest, customer: Customer) -> PersonalData:
    """Unseal a customer's texts, and sign links to the documents for this operator.

    Whoever calls it records in the history that it was looked at, and answers `no_store`.
    """
    values = reveal_fields([customer.pk])[customer.pk]
    fields, documents = [], []
    for row in sorted(states_of(customer), key=lambda row: _ORDER.get(row.name, len(_ORDER))):
        common: dict[str, Any] = {
            "name": row.name,
            "description": description_of(row.name),
            "status": label(row.status, STATUS_KINDS[row.status]),
            "error": row.error,
            "changed": ago(row.updated_at),
        }
        if row.file is None:
            fields.append(ShownField(value=values.get(row.name, ""), **common))
            continue
        documents.append(
            ShownDocument(
                kind=f"{row.file.content_type}, {size(row.file.size)}",
                url=_link(request, row.file),
                is_picture=row.file.content_type in PICTURES,
                **common,
            )
        )
    return PersonalData(fields, documents)


def told_in(text: str, customer: Customer) -> str:
    """The field whose value stands in `text`, which a sending anchor is to read; "" if none."""
    for name, value in reveal_fields([customer.pk])[customer.pk].items():
        whole = rf"(?<!\w){re.escape(value)}(?!\w)"
        is_telling = name not in _ORDINARY and len(value) >= _SHORTEST_TELLING
        if is_telling and re.search(whole, text, re.IGNORECASE):
            return name
    return ""


def looked_at(personal: PersonalData) -> str:
    """For the history: which fields were looked at, and never their values."""
    return f"Looked at personal data: {personal.names}."


def no_store(response: HttpResponse) -> None:
    """Nothing of it stays in a browser's or a proxy's cache."""
    response.headers["Cache-Control"] = "no-store, private"


def _link(request: HttpRequest, file: CustomerFile) -> str:
    signed = _signer.sign(f"{request.user.pk}:{file.pk}")
    return reverse("admin:sep12_customerfile_content", args=[file.pk], query={"look": signed})


def check_link(request: HttpRequest, file_id: str) -> None:
    """Raises `PermissionDenied` unless this operator was shown the link some minutes ago."""
    try:
        meant = _signer.unsign(request.GET.get("look", ""), max_age=LINK_LIFE)
    except BadSignature as error:
        raise PermissionDenied from error
    if meant != f"{request.user.pk}:{file_id}":
        raise PermissionDenied


def serve_document(file: CustomerFile, name: str) -> HttpResponse:
    """A customer's document, which may be hostile: it never runs in our origin.

    A picture is served as the picture that it was found to be when it came; all else is a
    download. The sandbox takes scripts, forms and our origin from whatever it opens as.
    """
    is_picture = file.content_type in PICTURES
    response = HttpResponse(
        file.content,
        content_type=file.content_type if is_picture else "application/octet-stream",
    )
    place = "inline" if is_picture else "attachment"
    ending = ENDINGS.get(file.content_type, "bin")
    response.headers["Content-Disposition"] = f'{place}; filename="{name}.{ending}"'
    response.headers["Content-Security-Policy"] = (
        "default-src 'none'; sandbox; frame-ancestors 'none'"
    )
    response.headers["Cross-Origin-Resource-Policy"] = "same-origin"
    no_store(response)
    return response
