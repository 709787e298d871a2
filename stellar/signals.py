"""What this room announces after commit; `anchor.wiring` connects who listens."""

from django.dispatch import Signal

# New payments were recorded. No facts: listeners look for what is unclaimed.
payments_recorded = Signal()
# An outgoing payment waits to be signed and submitted. Facts: outgoing_payment_id.
outgoing_payment_due = Signal()
# An outgoing payment was confirmed, failed or put back. Facts: outgoing_payment_id.
outgoing_payment_changed = Signal()
