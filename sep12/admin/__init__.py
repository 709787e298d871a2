"""The operators' KYC pages: customers, cases, documents, screening."""

from sep12.admin import cases, customers, screening
from sep12.admin.wording import STATUS_KINDS

__all__ = ["STATUS_KINDS", "cases", "customers", "screening"]
