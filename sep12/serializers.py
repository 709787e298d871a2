"""The shapes of SEP-12: what a PUT carries, and how a customer is told."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from django.core.files.uploadedfile import UploadedFile

from kernel.errors import BadRequest
from kernel.languages import ENGLISH, translate
from sep12 import sep9
from sep12.content import CleanFile, check_content
from sep12.sep9 import Kind, Sep9Field
from sep12.status import (
    ACCEPTED,
    NEEDS_INFO,
    PROCESSING,
    REJECTED,
    Assessment,
    FieldState,
    needed_fields,
)
from sep12.together import check_together
from sep12.types import CustomerType, allowed_choices

VERIFICATION = "_verification"
FILE_ID = "_file_id"


@dataclass(frozen=True)
class Submission:
    """The checked SEP-9 part of a PUT, by canonical field name. Personal data: never shown.

    `file_ids` name files that were sent ahead (SEP-12, "Customer Files").
    """

    texts: dict[str, str] = field(default_factory=dict, repr=False)
    files: dict[str, CleanFile] = field(default_factory=dict, repr=False)
    file_ids: dict[str, str] = field(default_factory=dict)
    verifications: dict[str, str] = field(default_factory=dict, repr=False)

    @property
    def names(self) -> frozenset[str]:
        return frozenset({*self.texts, *self.files, *self.file_ids})


def read_submission(body: Mapping[str, Any], customer_type: CustomerType | None) -> Submission:
    """Check the SEP-9 fields of a PUT /customer. Raises `BadRequest` naming the field.

    Names that SEP-9 does not know are ignored; empty values and nulls count as not sent. Fields
    that nobody may keep are checked and left out.
    """
    found = Submission(verifications=read_verifications(body))
    files = {}
    for name, value in body.items():
        if value is None or value == "" or (isinstance(value, str) and not value.strip()):
            continue
        known = sep9.find_field(name)
        if known is None:
            owner = sep9.find_field(name.removesuffix(FILE_ID))
            if owner is not None and owner.is_binary:
                found.file_ids[owner.name] = _read_file_id(name, value)
        elif known.is_binary:
            files[known.name] = value
        else:
            text = _read_text(name, value, known, body, customer_type)
            if found.texts.setdefault(known.name, text) != text:
                raise BadRequest(f"{name} and {known.name} are one field and must be equal")
    check_together(found.texts)
    for name in files.keys() & found.file_ids.keys():
        raise BadRequest(f"{name} and {name}{FILE_ID} must not both be given")
    # Last, because a file takes longer to open than all else.
    found.files.update({name: _read_file(name, value) for name, value in files.items()})
    for name in [name for name in found.texts if not sep9.FIELDS[name].stored]:
        del found.texts[name]
    return found


def _read_text(
    name: str,
    value: object,
    known: Sep9Field,
    body: Mapping[str, Any],
    customer_type: CustomerType | None,
) -> str:
    if isinstance(value, UploadedFile):
        raise BadRequest(f"{name} must be text, not a file")
    kind = known.kind
    # SEP-9: with another mobile_number_format ("hash") the number need not be E.164.
    if known.name == "mobile_number" and body.get("mobile_number_format") not in (
        None,
        "",
        "E.164",
    ):
        kind = Kind.TEXT
    return sep9.parse_text(name, value, kind, choices=allowed_choices(known.name, customer_type))


def _read_file(name: str, value: object) -> CleanFile:
    if not isinstance(value, UploadedFile):
        raise BadRequest(
            f"{name} must be a file, sent as multipart/form-data; or send it to POST "
            f"/customer/files and its id as {name}{FILE_ID}"
        )
    return check_content(name, value.read(), value.content_type or "")


def _read_file_id(name: str, value: object) -> str:
    try:
        return str(uuid.UUID(value if isinstance(value, str) else ""))
    except ValueError as error:
        raise BadRequest(f"{name} must be a file_id that POST /customer/files gave") from error


def read_verifications(body: Mapping[str, Any]) -> dict[str, str]:
    """The codes of a request, by the field that they verify. Raises `BadRequest`."""
    codes = {}
    for name, value in body.items():
        known = sep9.find_field(name.removesuffix(VERIFICATION))
        if not name.endswith(VERIFICATION) or known is None:
            continue
        if not isinstance(value, str) or not value or len(value) > 255:
            raise BadRequest(f"{name} must be text of at most 255 characters")
        codes[known.name] = value
    return codes


def write_customer(
    customer_id: uuid.UUID | None,
    customer_type: CustomerType,
    fields: Mapping[str, FieldState],
    assessment: Assessment,
    language: str = ENGLISH,
) -> dict[str, Any]:
    """The body of GET /customer (SEP-12, "Customer GET", Response), also what callbacks carry."""
    body: dict[str, Any] = {} if customer_id is None else {"id": str(customer_id)}
    body["status"] = assessment.status
    if assessment.message:
        body["message"] = translate(assessment.message, language)
    if assessment.status == NEEDS_INFO:
        # A refused field stands in both lists: SEP-31, "Pending Customer Info Update", wants
        # `fields` to hold all that need to be updated and `provided_fields` all that we have.
        needed = needed_fields(customer_type, fields)
        offered = [name for name in customer_type.optional if name not in fields]
        body["fields"] = {
            **{name: _describe(name, customer_type, language) for name in needed},
            **{name: _describe(name, customer_type, language, optional=True) for name in offered},
        }
    provided = {
        name: _describe(name, customer_type, language, optional=name not in customer_type.required)
        | _describe_state(state, assessment, language)
        for name, state in sorted(fields.items())
        if state.provided
    }
    if provided:
        body["provided_fields"] = provided
    return body


def _describe(
    name: str, customer_type: CustomerType, language: str, *, optional: bool = False
) -> dict[str, Any]:
    known = sep9.FIELDS[name]
    described: dict[str, Any] = {
        "type": known.type,
        "description": translate(known.description, language),
    }
    choices = customer_type.choices_of(name)
    if choices:
        described["choices"] = list(choices)
    if optional:
        described["optional"] = True
    return described


def _describe_state(state: FieldState, assessment: Assessment, language: str) -> dict[str, str]:
    """SEP-12, "Provided Field Statuses": "When all required fields are accepted, the Customer
    Status should also be accepted". So while we check a customer we check its fields, and of whom
    we refuse we don't say which would have done.
    """
    described = {"status": state.status}
    if state.status == ACCEPTED and assessment.status == PROCESSING:
        described["status"] = PROCESSING
    elif state.status == ACCEPTED and assessment.status == REJECTED:
        del described["status"]
    return described | ({"error": translate(state.error, language)} if state.error else {})
