"""Who may sign for an account, asked of Horizon."""

from __future__ import annotations

from functools import lru_cache

from django.conf import settings
from stellar_sdk import Server
from stellar_sdk.client.requests_client import RequestsClient
from stellar_sdk.client.response import Response
from stellar_sdk.exceptions import NotFoundError, SdkError

from kernel.errors import Unavailable
from sep10.challenge import AccountSigners

MAX_ACCOUNT_BYTES = 1024 * 1024  # an account with its thousand trustlines is well below
_UNAVAILABLE = "The account's signers can't be looked up right now; try again later"


class _BoundedClient(RequestsClient):
    """Reads no more than an account's worth, whatever answers under Horizon's name."""

    def get(
        self,
        url: str,
        params: dict[str, str] | None = None,
        max_content_size: int | None = MAX_ACCOUNT_BYTES,
    ) -> Response:
        return super().get(url, params, max_content_size)


@lru_cache(maxsize=2)
def _horizon(url: str, timeout_seconds: float) -> Server:
    # No retries: a client waits for the reply, and may simply ask again.
    # requests takes fractions of a second, whatever the annotation says.
    client = _BoundedClient(num_retries=0, request_timeout=timeout_seconds)  # type: ignore[arg-type]
    return Server(url, client=client)


def load_signers(account: str) -> AccountSigners | None:
    """The signers and medium threshold of `account` (G...); None if it does not exist.

    Raises `Unavailable` if Horizon does not answer.
    """
    horizon = _horizon(settings.HORIZON_URL, settings.HORIZON_TIMEOUT_SECONDS)
    try:
        found = horizon.accounts().account_id(account).call()
        return AccountSigners(
            medium_threshold=int(found["thresholds"]["med_threshold"]),
            weights={
                signer["key"]: int(signer["weight"])
                for signer in found["signers"]
                if signer["type"] == "ed25519_public_key"
            },
        )
    except NotFoundError as error:
        # Some proxy's 404 must not pass for Horizon's: it would let a master key in that the
        # account has switched off.
        if str(error.type).endswith("/not_found"):
            return None
        raise Unavailable(_UNAVAILABLE) from error
    except (SdkError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise Unavailable(_UNAVAILABLE) from error
