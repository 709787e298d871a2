"""The admin's login: a password can't be guessed by trying many."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.exceptions import ValidationError
from unfold.forms import AuthenticationForm

from kernel.errors import TooManyRequests
from kernel.throttling import Limit, client_address, count_request

# Of one name from everywhere together, so that many addresses don't help either. It is more than
# of one address, or whoever knows a name could easily keep its owner out.
TIMES_OF_A_NAME = 4


class LoginForm(AuthenticationForm):
    """Counts each try, right or wrong, before it looks at the password."""

    def clean(self) -> dict[str, Any]:
        tries = settings.ADMIN_LOGINS_PER_MINUTE
        name = str(self.cleaned_data.get("username", "")).casefold()
        address = client_address(self.request) if self.request else ""
        try:
            count_request(
                Limit("login from", address, tries),
                Limit("login as", name, TIMES_OF_A_NAME * tries),
            )
        except TooManyRequests as error:
            raise ValidationError(
                f"Too many tries. Wait for {error.retry_after} s and try again."
            ) from error
        return super().clean()
