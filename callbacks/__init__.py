"""Signed status callbacks: an outbox and its delivery."""
