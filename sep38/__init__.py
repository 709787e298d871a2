"""SEP-38: prices, firm quotes and where rates come from."""
