"""What this room announces."""

from django.dispatch import Signal

# A payout's status changed after it was made. Facts: payout_id (uuid.UUID).
payout_changed = Signal()

# A payout may be sent right now. Facts: payout_id (uuid.UUID).
payout_due = Signal()
