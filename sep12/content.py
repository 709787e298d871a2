"""What a customer's file holds, whatever it claims to be. No database.

Only a file that was opened and written anew is kept (`sep12.decoding`), with the content type of
what it really is. Error messages name the field and what is allowed, never the file's own name.
"""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from dataclasses import dataclass, field
from pathlib import Path

from kernel.errors import BadRequest, Unavailable
from sep12 import decoding, video

PICTURES = ("JPEG", "PNG", "WebP", "HEIC")
VIDEOS = ("MP4", "QuickTime", "WebM")
LIVENESS = "proof_of_liveness"
ANY_FIELD = "file"  # SEP-12, "POST Request": sent ahead of the field that it is for

# What a file of each kind may call itself. The first is the right name.
_TYPES = {
    "JPEG": ("image/jpeg", "image/jpg", "image/pjpeg"),
    "PNG": ("image/png", "image/x-png"),
    "WebP": ("image/webp",),
    "HEIC": ("image/heic", "image/heif", "image/heic-sequence", "image/heif-sequence"),
    "PDF": ("application/pdf", "application/x-pdf"),
    "MP4": ("video/mp4", "video/x-m4v", "video/quicktime", "video/3gpp"),
    "QuickTime": ("video/quicktime", "video/mp4"),
    "WebM": ("video/webm",),
}
_NO_CLAIM = ("", "application/octet-stream", "binary/octet-stream")
_HEIC_BRANDS = frozenset((b"heic", b"heix", b"heim", b"heis", b"hevc", b"mif1", b"msf1"))
_PICTURE_BRANDS = frozenset((b"avif", b"avis", b"jp2 ", b"crx "))

# One at a time in each process: 50 megapixels need a few hundred megabytes.
_TURN = threading.BoundedSemaphore(1)
TURN_SECONDS = 10
# Of the wall clock: the process has its own limit of CPU time, but may not get any.
DECODE_SECONDS = 40


@dataclass(frozen=True)
class CleanFile:
    """A file as we keep it, and its real content type. Personal data: never shown."""

    content: bytes = field(repr=False)
    content_type: str


def check_content(name: str, raw: bytes, claimed_type: str) -> CleanFile:
    """Open the file sent for the field `name` and write it anew.

    `claimed_type` is what the request says it is; empty or application/octet-stream says nothing.
    Raises `BadRequest` naming the field, `Unavailable` while too many files wait. Takes up to
    seconds: never call it with a lock or an open transaction.
    """
    kind = find_kind(raw)
    if kind is None or kind not in _kinds_of(name):
        raise BadRequest(f"{name} must be {_allowed(name)}")
    claim = claimed_type.split(";")[0].strip().lower()
    if claim not in _NO_CLAIM and claim not in _TYPES[kind]:
        raise BadRequest(
            f"{name} is a {kind} file, but its content type says otherwise; send {_TYPES[kind][0]} "
            f"for it. Allowed is {_allowed(name)}"
        )
    if kind in VIDEOS:
        return CleanFile(_clean_video(name, kind, raw), _TYPES[kind][0])
    content = _decode(name, kind, raw)
    made = find_kind(content)
    if made is None:
        raise BadRequest(f"{name} {decoding.DAMAGED}")
    return CleanFile(content, _TYPES[made][0])


def check_type(name: str, field_name: str, content_type: str) -> None:
    """Raises `BadRequest` naming `name` if a stored file is none that `field_name` may have."""
    if content_type not in {_TYPES[kind][0] for kind in _kinds_of(field_name)}:
        raise BadRequest(f"{name} must name {_allowed(field_name)}")


def find_kind(raw: bytes) -> str | None:
    """What the first bytes say it is, None for all that we don't take."""
    if raw.startswith(b"\xff\xd8\xff"):
        return "JPEG"
    if raw.startswith(b"\x89PNG\r\n\x1a\n"):
        return "PNG"
    if raw.startswith(b"RIFF") and raw[8:12] == b"WEBP":
        return "WebP"
    if raw.startswith(b"%PDF-"):
        return "PDF"
    if raw.startswith(b"\x1a\x45\xdf\xa3"):
        return "WebM"
    if raw[4:8] == b"ftyp":
        brand = raw[8:12]
        if brand in _HEIC_BRANDS:
            return "HEIC"
        if brand not in _PICTURE_BRANDS:
            return "QuickTime" if brand == b"qt  " else "MP4"
    return None


def _kinds_of(name: str) -> tuple[str, ...]:
    """SEP-9: a document is a picture (a PDF is one on paper), a liveness proof may be a video."""
    if name == ANY_FIELD:
        return (*PICTURES, "PDF", *VIDEOS)
    return (*PICTURES, *VIDEOS) if name == LIVENESS else (*PICTURES, "PDF")


def _allowed(name: str) -> str:
    *others, last = _kinds_of(name)
    return f"a {', '.join(others)} or {last} file"


def _clean_video(name: str, kind: str, raw: bytes) -> bytes:
    try:
        if kind == "WebM":
            video.check_webm(raw)
            return raw
        return video.clean_mp4(raw)
    except (video.NotAVideo, RecursionError) as error:
        raise BadRequest(f"{name} {decoding.DAMAGED}") from error


def _decode(name: str, kind: str, raw: bytes) -> bytes:
    if not _TURN.acquire(timeout=TURN_SECONDS):
        raise _too_many()
    try:
        done = subprocess.run(  # noqa: S603 - our own file, by a name of our own
            # -I: nothing of the environment or the current folder, -B: it writes no file.
            [sys.executable, "-I", "-B", str(Path(decoding.__file__)), kind],
            input=raw,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd="/",
            # None of our secrets. Else each thread of a decoder would reserve memory of its own.
            env={"MALLOC_ARENA_MAX": "1"},
            timeout=DECODE_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise BadRequest(f"{name} {decoding.TOO_LARGE}") from error
    finally:
        _TURN.release()
    if done.returncode == 0:
        return done.stdout
    if done.returncode == decoding.REFUSED:
        raise BadRequest(f"{name} {done.stdout.decode()}")
    if done.returncode == -signal.SIGXCPU:
        raise BadRequest(f"{name} {decoding.TOO_LARGE}")
    if done.returncode == -signal.SIGKILL:  # the machine ran out of memory
        raise _too_many()
    raise BadRequest(f"{name} {decoding.DAMAGED}")


def _too_many() -> Unavailable:
    return Unavailable("Too many files are being looked at; try again in a moment")
