"""Errors that a client may see, and the one place that turns them into replies.

Every error body is `{"error": "<plain words>"}`, with the SEP's status code.
"""

from __future__ import annotations


class ApiError(Exception):
    """An error for the client. `message` goes out as it is: plain words, no secret, no stack.

    `extra` is merged into the body beside `error` (for example SEP-31's `type` and `fields`).
    """

    status = 400

    def __init__(
        self, message: str, *, status: int | None = None, extra: dict[str, object] | None = None
    ) -> None:
        super().__init__(message)
        self.message = message
        self.extra = extra or {}
        if status is not None:
            self.status = status

    @property
    def body(self) -> dict[str, object]:
        return {"error": self.message, **self.extra}


class BadRequest(ApiError):
    """400: the request is wrong, and says which field and what is allowed."""


class Unauthenticated(ApiError):
    """401: no token, or one that is not valid (SEP-12)."""

    status = 401


class Forbidden(ApiError):
    """403: the caller may not; SEP-31 and SEP-38 also answer a missing token with it."""

    status = 403


class NotFound(ApiError):
    """404: there is none, or it belongs to someone else; the reply never tells which."""

    status = 404


class Conflict(ApiError):
    """409: the request is right, but the state no longer allows it."""

    status = 409


class TooLarge(ApiError):
    """413: the body or a file is over the limit."""

    status = 413


class TooManyRequests(ApiError):
    """429: asked too often; the reply says after how many seconds to ask again."""

    status = 429

    def __init__(self, message: str, *, retry_after: int) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class Unavailable(ApiError):
    """503: something that we depend on does not answer; try again later."""

    status = 503
