"""All contact with the Stellar network: watching, signing, submitting."""
