"""What SEP-31 announces to whoever runs tasks (see kernel.announce)."""

from django.dispatch import Signal

transactions_touched = Signal()  # transaction_ids: list[UUID]; facts changed, `advance` is due
