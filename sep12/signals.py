"""What this room announces."""

from django.dispatch import Signal

# A customer's fields or the decisions on it changed. Facts: customer_id (uuid.UUID).
customer_changed = Signal()
