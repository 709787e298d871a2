"""What the KYC pages say, and how they colour it."""

from __future__ import annotations

from django.db.models import QuerySet

from sep12.models import Case, Customer, CustomerField
from sep12.sep9 import FIELDS

STATUS_KINDS = {
    "ACCEPTED": "success",
    "PROCESSING": "info",
    "NEEDS_INFO": "warning",
    "VERIFICATION_REQUIRED": "warning",
    "REJECTED": "danger",
    "erased": "",
    "present": "success",
}
CASE_KINDS = {
    Case.Kind.REVIEW.value: "info",
    Case.Kind.PROVIDER.value: "",
    Case.Kind.SCREENING.value: "danger",
}
SCREENING_KINDS = {
    Customer.Screening.NEVER.value: "",
    Customer.Screening.DUE.value: "info",
    Customer.Screening.CLEAR.value: "success",
    Customer.Screening.HIT.value: "warning",
    Customer.Screening.BLOCKED.value: "danger",
}
SCREENING_MEANINGS = {
    Customer.Screening.NEVER.value: "No list was loaded when the customer came.",
    Customer.Screening.DUE.value: "The name will be looked for on the lists in a moment.",
    Customer.Screening.CLEAR.value: "The name looks like none on the lists, or only like those "
    "that an operator found to be somebody else.",
    Customer.Screening.HIT.value: "The name looks like one on a list; an operator decides.",
    Customer.Screening.BLOCKED.value: "An operator found that it is the one on a list.",
}
HIT_KINDS = {"OPEN": "warning", "DISMISSED": "success", "CONFIRMED": "danger"}

# Sending anchors read these. They say what is wrong and what would be right, and name nobody.
FIELD_REASONS = (
    "The picture is blurred: send a sharper one.",
    "Part of the document is cut off: send a picture of all of it.",
    "The document has expired: send a valid one.",
    "This is not the document that was asked for.",
    "We don't accept a document of this kind.",
    "The name does not match the document.",
    "The date of birth does not match the document.",
    "The number does not match the document.",
    "The address does not match the document.",
    "The document is older than three months: send a recent one.",
    "It is incomplete.",
)
REJECTION_REASONS = (
    "We can't serve this customer.",
    "We don't serve customers of this country.",
    "The customer is under age.",
    "The documents could not be confirmed.",
)
HOLD_REASONS = (
    "The information is being checked.",
    "The documents are being confirmed with their issuer.",
)


def description_of(name: str) -> str:
    """What SEP-9 says a field is, without its notes on how to write it."""
    field = FIELDS.get(name)
    return field.description.split(",")[0] if field else name


def size(count: int) -> str:
    """A number of bytes in words."""
    return f"{count / 1024**2:.1f} MB" if count >= 1024**2 else f"{max(1, count // 1024)} kB"


def states_of(customer: Customer) -> QuerySet[CustomerField]:
    """The customer's fields with their files' type and size; opens nothing."""
    fields = customer.fields.select_related("file").order_by("name")
    return fields.defer("value", "file__content")
