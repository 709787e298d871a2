"""Multipart forms with a limit on each file and on the whole. Files stay in memory, for on disk
they would be personal data in the clear.
"""

from __future__ import annotations

from collections.abc import Mapping
from io import BytesIO
from typing import Any

from django.conf import settings
from django.core.files.uploadedfile import InMemoryUploadedFile
from django.core.files.uploadhandler import FileUploadHandler
from django.http.multipartparser import MultiPartParser as DjangoMultiPartParser
from django.http.multipartparser import MultiPartParserError
from rest_framework.parsers import BaseParser, DataAndFiles

from kernel.errors import BadRequest, TooLarge


class BoundedFiles(FileUploadHandler):
    """Takes each file into memory, and gives up on the request as soon as one is too large."""

    def new_file(self, *args: Any, **kwargs: Any) -> None:
        super().new_file(*args, **kwargs)
        self.bytes = BytesIO()

    def receive_data_chunk(self, raw_data: bytes, start: int) -> None:
        if start + len(raw_data) > settings.MAX_FILE_BYTES:
            raise TooLarge(f"A file must be at most {settings.MAX_FILE_BYTES} bytes")
        self.bytes.write(raw_data)

    def file_complete(self, file_size: int) -> InMemoryUploadedFile:
        self.bytes.seek(0)
        return InMemoryUploadedFile(
            self.bytes,
            self.field_name,
            self.file_name or "",
            self.content_type or "",
            file_size,
            self.charset,
        )


class MultiPartParser(BaseParser):
    """`multipart/form-data`, always UTF-8."""

    media_type = "multipart/form-data"

    def parse(
        self, stream: Any, media_type: str | None = None, parser_context: Any = None
    ) -> DataAndFiles[Any, Any]:
        meta = {**parser_context["request"].META, "CONTENT_TYPE": media_type}
        # Before a byte is read; no server hands us more than the header says.
        if _length(meta) > settings.MAX_UPLOAD_BYTES:
            raise TooLarge(f"A request must be at most {settings.MAX_UPLOAD_BYTES} bytes")
        try:
            data, files = DjangoMultiPartParser(meta, stream, [BoundedFiles()], "utf-8").parse()
        except MultiPartParserError as error:
            raise BadRequest("The request body must be valid multipart/form-data") from error
        return DataAndFiles(data, files)


def _length(meta: Mapping[str, Any]) -> int:
    try:
        return int(meta.get("CONTENT_LENGTH") or 0)
    except ValueError:
        return 0  # so does Django, which then reads nothing
