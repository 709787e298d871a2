"""What this room announces."""

from django.dispatch import Signal

# A customer's fields, screening or the decisions on it changed. Facts: customer_id (uuid.UUID);
# is_new (bool), registered just now, so that no transaction can name it yet.
customer_changed = Signal()

# A case for the KYC provider was opened. Facts: case_id (uuid.UUID).
case_due = Signal()

# Confirmation codes are to be sent. Facts: verification_ids (list[uuid.UUID]).
codes_due = Signal()
