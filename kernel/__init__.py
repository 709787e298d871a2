"""Ground floor: money, asset names, errors, safe outbound HTTP, sealed fields.

Imports nothing of ours and has no models.
"""
