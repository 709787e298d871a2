"""Payouts to receiving clients, attempt by attempt, over rails."""
