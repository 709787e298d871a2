"""Where the KYC provider's answers come in; docs/kyc.md."""

from __future__ import annotations

import time

from django.conf import settings
from rest_framework.request import Request
from rest_framework.response import Response

from kernel.api import ApiView
from kernel.errors import NotFound, Unauthenticated
from sep12 import provider
from sep12.provider_messages import SIGNATURE_HEADER, is_signed


class ProviderAnswerView(ApiView):
    """One answer on one case. Nothing of the body is read before its signature is known good."""

    parser_classes = []  # what is signed is the body as it came

    def post(self, request: Request) -> Response:
        secrets = settings.KYC_PROVIDER_SECRETS
        if not secrets:
            raise NotFound("Not found")
        raw = request._request.body
        header = request.headers.get(SIGNATURE_HEADER)
        if not is_signed(header, raw, secrets=secrets, now=time.time()):
            raise Unauthenticated(f"{SIGNATURE_HEADER} must be a signature of now by our secret")
        provider.receive_answer(raw)
        return Response({})
