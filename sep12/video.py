"""Videos: the outer structure of MP4, QuickTime and WebM, and where they say where they were taken.
Pure.

We have no decoder for them, so this is less than what `decoding` does for pictures: a file that
is something else is found out, and what phones write beside the film (place, device) is blanked.
"""

from __future__ import annotations

from collections.abc import Iterator

# ISO/IEC 14496-12: boxes that hold other boxes on the way to the metadata.
_CONTAINERS = frozenset((b"moov", b"trak", b"mdia", b"minf"))
_METADATA = frozenset((b"udta", b"meta", b"uuid"))
_TOP = frozenset(
    (
        *(b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide", b"pnot", b"uuid", b"meta"),
        *(b"moof", b"mfra", b"sidx", b"styp", b"ssix", b"prft", b"emsg", b"udta"),
    )
)
_MAX_BOXES = 10_000

# RFC 9559, section 5: the elements on top of a WebM file, and an unknown size.
_EBML = 0x1A45DFA3
_SEGMENT = 0x18538067
_DOC_TYPE = 0x4282


class NotAVideo(Exception):
    """The structure is broken, or is another format's."""


def clean_mp4(raw: bytes) -> bytes:
    """The film, of the same length, its metadata boxes blanked. Raises `NotAVideo`."""
    clean = bytearray(raw)
    found = set()
    for count, (kind, start, body, end, depth) in enumerate(_boxes(raw, 0, len(raw), 0)):
        if count > _MAX_BOXES or (depth == 0 and kind not in _TOP):
            raise NotAVideo
        if depth == 0:
            found.add(kind)
        if kind in _METADATA:
            clean[start + 4 : start + 8] = b"free"
            clean[body:end] = bytes(end - body)
    if not {b"ftyp", b"moov", b"mdat"} <= found:
        raise NotAVideo
    return bytes(clean)


def _boxes(
    raw: bytes, at: int, stop: int, depth: int
) -> Iterator[tuple[bytes, int, int, int, int]]:
    """(kind, start, start of its content, end, depth) of each box up to `stop`."""
    while at < stop:
        size, kind = int.from_bytes(raw[at : at + 4], "big"), raw[at + 4 : at + 8]
        body = at + 8
        if size == 1:
            size, body = int.from_bytes(raw[at + 8 : at + 16], "big"), at + 16
        elif size == 0 and depth == 0:
            size = stop - at  # the last box may reach to the end
        # QuickTime ends a udta with 32 bits of zero; it is blanked before we would look inside.
        if at + size > stop or at + size < body:
            raise NotAVideo
        yield kind, at, body, at + size, depth
        if kind in _CONTAINERS:
            yield from _boxes(raw, body, at + size, depth + 1)
        at += size


def check_webm(raw: bytes) -> None:
    """Raises `NotAVideo`."""
    kind, body, end = _element(raw, 0)
    if kind != _EBML or end is None or end > len(raw):
        raise NotAVideo
    doc_type, at = b"", body
    while at < end:
        kind, body, stop = _element(raw, at)
        if stop is None or stop > end:
            raise NotAVideo
        if kind == _DOC_TYPE:
            doc_type = raw[body:stop].rstrip(b"\0")
        at = stop
    kind, _, stop = _element(raw, end)
    # What a browser records has a segment of unknown size.
    if doc_type != b"webm" or kind != _SEGMENT or stop not in (None, len(raw)):
        raise NotAVideo


def _element(raw: bytes, at: int) -> tuple[int, int, int | None]:
    """(id, start of its content, its end or None if that is unknown)."""
    kind, at = _number(raw, at, keep_marker=True)
    size, body = _number(raw, at, keep_marker=False)
    unknown = size == (1 << (7 * (body - at))) - 1
    return kind, body, None if unknown else body + size


def _number(raw: bytes, at: int, *, keep_marker: bool) -> tuple[int, int]:
    """RFC 8794, section 4: a number whose first byte says how long it is; where the next begins."""
    if at >= len(raw) or raw[at] == 0:
        raise NotAVideo
    length = 9 - raw[at].bit_length()
    value = int.from_bytes(raw[at : at + length], "big")
    if not keep_marker:
        value &= (1 << (7 * length)) - 1
    return value, at + length
