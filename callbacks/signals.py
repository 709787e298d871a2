"""What this room announces."""

from django.dispatch import Signal

# A callback was queued and may be delivered now. Facts: callback_id (int).
callback_queued = Signal()
