"""`manage.py settle_customers`: open and close cases after CUSTOMER_DECISIONS was changed."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand

from sep12.changes import changing
from sep12.models import Customer

BATCH = 500


class Command(BaseCommand):
    help = (
        "Open a case for each customer who waits for a decision and has none, and close those "
        "that nobody needs. Run it after changing CUSTOMER_DECISIONS or customer types; as often "
        "as you like."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        settled = 0
        ids = Customer.objects.present().order_by("pk").values_list("pk", flat=True)
        batch = list(ids[:BATCH])
        while batch:
            for customer_id in batch:
                with changing(customer_id):
                    pass  # what follows from a change follows from none
            settled += len(batch)
            batch = list(ids.filter(pk__gt=batch[-1])[:BATCH])
        self.stdout.write(f"{settled} customers settled")
