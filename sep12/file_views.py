"""SEP-12, "Customer Files", over HTTP."""

from __future__ import annotations

from typing import Any

from django.core.files.uploadedfile import UploadedFile
from rest_framework.request import Request
from rest_framework.response import Response

from kernel.api import read_body, require_text, single_values
from kernel.errors import BadRequest
from sep12 import stored_files
from sep12.content import ANY_FIELD, check_content
from sep12.models import CustomerFile
from sep12.views import CustomerBaseView


class FilesView(CustomerBaseView):
    """SEP-12, "Customer Files": its "POST Request" and "GET Request"."""

    def get(self, request: Request) -> Response:
        query = single_values(request.query_params)
        file_id = require_text(query, "file_id", max_length=100, required=False)
        customer_id = require_text(query, "customer_id", max_length=100, required=False)
        if file_id is None and customer_id is None:
            raise BadRequest("file_id or customer_id is required")
        files = stored_files.find_files(self.caller, file_id=file_id, customer_id=customer_id)
        return Response({"files": [write_file(file) for file in files]})

    def post(self, request: Request) -> Response:
        upload = read_body(request).get(ANY_FIELD)
        if not isinstance(upload, UploadedFile):
            raise BadRequest(f"{ANY_FIELD} must be a file, sent as multipart/form-data")
        clean = check_content(ANY_FIELD, upload.read(), upload.content_type or "")
        return Response(write_file(stored_files.new_file(self.caller, None, clean)))


def write_file(file: CustomerFile) -> dict[str, Any]:
    """The body of "POST Response", and each of the files of "GET Response"."""
    body: dict[str, Any] = {
        "file_id": str(file.pk),
        "content_type": file.content_type,
        "size": file.size,
        "customer_id": None if file.customer_id is None else str(file.customer_id),
    }
    if file.expires_at is not None:
        body["expires_at"] = file.expires_at
    return body
