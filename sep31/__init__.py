"""SEP-31: transactions, their state machine, refunds and API."""
