"""What an operator fills in on the page of a case."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from django import forms
from django.forms.boundfield import BoundField
from unfold.widgets import (
    UnfoldAdminSelectWidget,
    UnfoldAdminTextInputWidget,
    UnfoldBooleanWidget,
)

from sep12.models import ScreeningHit
from sep12.sep9 import FIELDS

ACCEPT, REFUSE, HOLD, REJECT = "accept", "refuse", "hold", "reject"
MAX_REASON = 300


class ReasonInput(UnfoldAdminTextInputWidget):
    """Free text, or one of the common wordings of a <datalist> of the page."""

    def __init__(self, wordings: str) -> None:
        super().__init__(
            attrs={"list": wordings, "placeholder": "Why; pick or write", "autocomplete": "off"}
        )


class ReviewForm(forms.Form):
    """A decision on a customer, or the refusal of some of its fields, each with a reason.

    `names` are the fields that the customer has; `others` those that could be asked for.
    """

    deed = forms.ChoiceField(
        label="Decision",
        widget=forms.RadioSelect,
        choices=[
            (ACCEPT, "Accept"),
            (REFUSE, "Refuse the ticked fields: the client can send them anew"),
            (HOLD, "Hold: still being checked"),
            (REJECT, "Reject for good"),
        ],
        error_messages={"required": "Choose what you decide."},
    )
    message = forms.CharField(
        label="Message to the sending anchor",
        max_length=MAX_REASON,
        required=False,
        widget=ReasonInput("wordings-of-decisions"),
        help_text="A rejection needs one. No personal data: it leaves the house.",
    )

    def __init__(self, names: Iterable[str], others: Iterable[str], data: Any = None) -> None:
        super().__init__(data)
        self.names = list(names)
        for name in self.names:
            self.fields[f"refuse:{name}"] = forms.BooleanField(
                label=f"Refuse {name}", required=False, widget=UnfoldBooleanWidget
            )
            self.fields[f"reason:{name}"] = _reason(f"Why {name} is refused")
        choices = [("", "-"), *((name, f"{name}: {FIELDS[name].description}") for name in others)]
        self.fields["further"] = forms.ChoiceField(
            label="Ask for a further field",
            choices=choices,
            required=False,
            widget=UnfoldAdminSelectWidget,
        )
        self.fields["further_reason"] = _reason("Why it is needed")

    def refusal_of(self, name: str) -> tuple[BoundField, BoundField]:
        """The checkbox and the reason of one field."""
        return self[f"refuse:{name}"], self[f"reason:{name}"]

    def reasons(self) -> Iterator[tuple[str, str]]:
        """(form field, text) of all that the sending anchor would read."""
        for name in ("message", "further_reason", *(f"reason:{name}" for name in self.names)):
            if self.cleaned_data.get(name):
                yield name, self.cleaned_data[name]

    def clean(self) -> dict[str, Any]:
        data: dict[str, Any] = super().clean() or {}
        deed = data.get("deed")
        if deed == REJECT and not data.get("message"):
            self.add_error("message", "A rejection needs a message for the sending anchor.")
        ticked = [(f"reason:{name}", name) for name in self.names if data.get(f"refuse:{name}")]
        if data.get("further"):
            ticked.append(("further_reason", data["further"]))
        data["refusals"] = {name: data.get(reason, "") for reason, name in ticked}
        if deed == REFUSE:
            if not ticked:
                self.add_error("deed", "Tick the fields that you refuse.")
            for reason, name in ticked:
                if not data.get(reason) and reason not in self.errors:
                    self.add_error(reason, f"Say why {name} is refused.")
        elif deed and ticked:
            self.add_error("deed", "You ticked fields to refuse, and chose another decision.")
        return data


def _reason(label: str) -> forms.CharField:
    return forms.CharField(
        label=label, max_length=MAX_REASON, required=False, widget=ReasonInput("wordings-of-fields")
    )


class ScreeningForm(forms.Form):
    """What the operator found for each open likeness to a listed name."""

    DISMISS, CONFIRM = "dismiss", "confirm"
    is_meant = forms.BooleanField(
        label="I compared the names and the details, and mean it",
        required=False,
        widget=UnfoldBooleanWidget,
    )

    def __init__(self, hits: Iterable[ScreeningHit], data: Any = None) -> None:
        super().__init__(data)
        self.hits = list(hits)
        for hit in self.hits:
            self.fields[f"hit:{hit.pk}"] = forms.ChoiceField(
                label=f"Is it {hit.listed_name}?",
                required=False,
                choices=[
                    ("", "Not decided yet"),
                    (self.DISMISS, "It is somebody else"),
                    (self.CONFIRM, "It is the one on the list: block"),
                ],
                widget=UnfoldAdminSelectWidget,
            )

    def rows(self) -> Iterator[tuple[ScreeningHit, BoundField]]:
        for hit in self.hits:
            yield hit, self[f"hit:{hit.pk}"]

    def clean(self) -> dict[str, Any]:
        data: dict[str, Any] = super().clean() or {}
        data["decided"] = {
            hit: data[f"hit:{hit.pk}"] == self.CONFIRM
            for hit in self.hits
            if data.get(f"hit:{hit.pk}")
        }
        if not data["decided"]:
            raise forms.ValidationError("Say of at least one listed name what you found.")
        if not data.get("is_meant"):
            self.add_error("is_meant", "Tick this box to confirm what you found.")
        return data
