"""Who is accepted beyond doubt, as a condition in the statement of what needs them accepted.

Most payments name customers about whom there is nothing to find out: what is needed is there, none
of it was refused or waits for anybody, and KYC said yes. The database can tell these by itself. Of
all others it says no, also where `Dossier.assess` would say ACCEPTED: whoever asked reads the
dossier then, which knows the whole rule (`sep12.status`).
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from functools import lru_cache

from kernel.rows import Condition
from sep12.decisions import customer_decisions
from sep12.dossiers import effective_screening
from sep12.models import Customer
from sep12.screening import screening_enabled
from sep12.status import ACCEPTED, CLEAR, Verdict
from sep12.tiers import choose_type
from sep12.types import CustomerType, CustomerTypes, customer_types

# Each is looked for by its key, whatever is known of the tables; see OFFSET 0 in sep12.models.
_ACCEPTED = """
    EXISTS (
        SELECT FROM (SELECT * FROM sep12_customer WHERE id = %s::uuid OFFSET 0) AS customer
        WHERE customer.account = %s AND customer.erased_at IS NULL
        AND customer.screening = ANY (%s::varchar[]) AND customer.type <> ALL (%s::varchar[])
        AND (
            SELECT count(*) FILTER (WHERE field.name = ANY (%s::varchar[])) = %s::integer
                AND count(*) FILTER (WHERE field.status <> 'ACCEPTED') = 0
            FROM sep12_customerfield AS field WHERE field.customer_id = customer.id
        )
        AND coalesce(
            (
                SELECT %s::boolean AND decision.status = 'ACCEPTED'
                    AND decision.message = '' AND decision.revision = customer.revision
                FROM sep12_decision AS decision
                WHERE decision.customer_id = customer.id AND decision.type = %s
            ),
            %s::boolean
        )
    )
"""


_YES = Verdict(ACCEPTED)


def accepted_beyond_doubt(
    customer_id: uuid.UUID, account: str, types: Sequence[CustomerType]
) -> Condition:
    """That a customer of `account` (G...) is accepted for the first of `types`, and that this is
    the one that `choose_type` chooses for them."""
    asked, decide = types[0].name, customer_decisions().decide
    of_other_kinds = _of_other_kinds(customer_types(), tuple(one.name for one in types))
    required = list(types[0].required)
    return Condition(
        _ACCEPTED,
        [
            *(customer_id, account, _screened_well(screening_enabled()), of_other_kinds),
            *(required, len(required)),
            *(
                decide(asked, _YES).status == ACCEPTED,
                asked,
                decide(asked, None).status == ACCEPTED,
            ),
        ],
    )


@lru_cache(maxsize=256)
def _of_other_kinds(known: CustomerTypes, names: tuple[str, ...]) -> list[str]:
    types = [known[name] for name in names]
    return [name for name in known if choose_type(types, name) is not types[0]]


@lru_cache(maxsize=2)
def _screened_well(enabled: bool) -> list[str]:
    states = Customer.Screening.values
    return [state for state in states if effective_screening(state, enabled) == CLEAR]
