"""Whom a request means: its parameters held against what the caller registered. Reads only."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Iterable
from typing import Any

from kernel.errors import BadRequest, NotFound
from sep10.authentication import Caller
from sep12.dossiers import Dossier, make_dossier
from sep12.identity import CustomerParams, Identity, token_memo
from sep12.models import Customer
from sep12.transactions import customer_transactions


def owned(caller: Caller) -> dict[str, str]:
    """What a customer must match to be the caller's. SEP-12, GET and PUT "Errors": else 404.

    A token with a memo speaks for one user of a shared account only.
    """
    memo = token_memo(caller)
    own = {"account": caller.account}
    return own if memo is None else {**own, "memo_type": "id", "memo": memo}


def _parse_id(text: str) -> uuid.UUID:
    try:
        return uuid.UUID(text)
    except ValueError as error:
        raise no_such_id() from error


def no_such_id() -> NotFound:
    return NotFound("customer not found for the id given")


def read_owned_dossiers(
    caller: Caller, customer_ids: Collection[uuid.UUID]
) -> dict[uuid.UUID, Dossier]:
    """What we know of those of these customers that are the caller's, and were not erased.

    Those of all users of its account, also for a token with a memo: a payment has two customers,
    and a token can name but one.

    One query, which reads the sending anchor too and admits the caller: may raise `InvalidToken`.
    """
    found = Customer.objects.owned_with_states(customer_ids, caller.account)
    return {dossier.customer.pk: dossier for dossier in _admit(caller, found)}


def _admit(caller: Caller, rows: Iterable[tuple[Any, ...]]) -> list[Dossier]:
    found = list(rows)
    caller.admit(found[0][0] if found else None)
    return [make_dossier(*row) for _, *row in found if row[0] is not None]


def locate(caller: Caller, params: CustomerParams) -> dict[str, Any]:
    """The filter that finds the customer whom `params` mean, among the caller's.

    Raises `NotFound` for an id or a transaction that can't be the caller's.
    """
    attached = None
    if params.transaction_id is not None:
        attached = customer_transactions().find_customer(caller, params.transaction_id, params.type)
    if params.id is not None:
        return {"pk": _parse_id(params.id), **owned(caller)}
    if params.transaction_id is None or params.names_memo:
        return _by_identity(params.identity)
    if attached and Customer.objects.present().filter(pk=attached, **owned(caller)).exists():
        return {"pk": attached}
    return _by_identity(
        Identity(
            caller.account,
            Customer.MemoType.TRANSACTION,
            f"{params.transaction_id} {params.type}",
        )
    )


def _by_identity(identity: Identity) -> dict[str, str]:
    return {
        "account": identity.account,
        "memo_type": identity.memo_type,
        "memo": identity.memo,
    }


def check_found(customer: Customer | None, params: CustomerParams) -> None:
    """Raises `NotFound` for an `id` of nobody, `BadRequest` for one that contradicts the memo."""
    if customer is None and params.id is not None:
        raise no_such_id()
    if customer is not None and params.id is not None and params.names_memo:
        found = (customer.account, customer.memo_type, customer.memo)
        named = params.identity
        if found != (named.account, named.memo_type, named.memo):
            raise BadRequest("id and memo must name the same customer; leave one of them out")


def find_dossier(caller: Caller, params: CustomerParams) -> Dossier | None:
    """What we know of the customer whom a request means, None if (account, memo) is not registered
    yet.

    Two queries less than `find_customer` and `open_dossiers`, and admits the caller as
    `read_owned_dossiers` does. Raises `NotFound` for an unknown `id` or transaction.
    """
    where = locate(caller, params)
    if "pk" in where:
        rows = Customer.objects.owned_with_states([where["pk"]], caller.account)
    else:
        rows = Customer.objects.named_with_states(**where)
    found = next((one for one in _admit(caller, rows) if _is(one.customer, where)), None)
    check_found(found.customer if found else None, params)
    return found


def _is(customer: Customer, where: dict[str, Any]) -> bool:
    return all(getattr(customer, name) == value for name, value in where.items())


def find_customer(caller: Caller, params: CustomerParams) -> Customer | None:
    """The customer whom a request means, None if (account, memo) is not registered yet.

    Raises `NotFound` for an unknown `id` or transaction.
    """
    customer = Customer.objects.present().filter(**locate(caller, params)).first()
    check_found(customer, params)
    return customer


def not_registered(params: CustomerParams) -> NotFound:
    if params.id is not None:
        return no_such_id()
    return NotFound("customer not found for this account and memo")
