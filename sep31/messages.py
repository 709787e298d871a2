"""`status_message`: what a reason means, for the people at the sending anchor."""

from __future__ import annotations

from sep31.machine import Reason

STATUS_MESSAGES: dict[str, str] = {
    Reason.CREATED_READY: "Waiting for your payment on Stellar.",
    Reason.CREATED_CHECKING: "We are checking the customers; payment details follow.",
    Reason.CHECKS_PASSED: "All checks passed. Waiting for your payment on Stellar.",
    Reason.CUSTOMER_REJECTED: "We can't serve one of the customers.",
    Reason.DEADLINE_PASSED: "No payment arrived in time.",
    Reason.CANCEL_ASKED: (
        "You cancelled it. It ends once the ledger shows that no payment came before."
    ),
    Reason.CANCELLED: "You cancelled it. A payment that still arrives is not taken.",
    Reason.PAYMENT_RECEIVED: "Your payment arrived; we are paying the receiving client.",
    Reason.CUSTOMER_INFO_MISSING: (
        "We need more about a customer. See GET /customer for the fields, then send them again."
    ),
    Reason.RAIL_ACCEPTED: "The payout is on its way to the receiving client.",
    Reason.RAIL_DELIVERED: "The receiving client was paid.",
    Reason.RAIL_REFUSED_CUSTOMER_FIELDS: (
        "The payout was refused because of wrong customer information. "
        "See GET /customer for the fields, then send them again."
    ),
    Reason.RAIL_REFUSED_TRANSACTION_FIELDS: (
        "The payout was refused because of wrong transaction fields; see required_info_updates."
    ),
    Reason.UNDELIVERABLE: "The payout can't be delivered; the money is being returned or held.",
    Reason.PAYOUT_HELD: "The information about a customer is being checked before we pay out.",
    Reason.PAYOUT_RELEASED: "All checks passed; we are paying the receiving client.",
    Reason.INFO_CORRECTED: "The corrected information arrived; we are trying the payout again.",
    Reason.REFUND_STARTED: "The payment is being sent back on Stellar.",
    Reason.REFUND_CONFIRMED: "The payment was sent back on Stellar.",
    Reason.REFUND_FAILED: "The payment could not be sent back yet; our operators are on it.",
    Reason.OPERATOR_RETRY: "Our operators are trying again.",
    Reason.PAYMENT_UNDERPAID: (
        "A payment of less than the agreed amount arrived and was not taken. "
        "The agreed amount is still awaited."
    ),
    Reason.PAYMENT_OVERPAID: "More than the agreed amount arrived; the excess was not taken.",
    Reason.PAYMENT_LATE: "A payment arrived after the deadline and was not taken.",
    Reason.PAYMENT_WRONG_ASSET: (
        "A payment in another asset than the agreed one arrived and was not taken. "
        "The agreed payment is still awaited."
    ),
    Reason.PAYMENT_SECOND: "A further payment arrived after the agreed one and was not taken.",
    Reason.PAYMENT_NOT_READY: "A payment arrived that could not be taken.",
}
