"""SEP-12: customers, their fields and decisions on them."""
