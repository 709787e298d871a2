"""A picture or a PDF from a stranger, read to its last byte and written anew. Pure.

What comes out was made by our own encoders from pixels and pages: no EXIF, no place, no author, no
script, no attachment, nothing hidden behind the end. A decoder that meets hostile bytes may still
loop, swallow memory or crash, so `sep12.content` runs this file as a process of its own:

    python -I decoding.py KIND < file > clean file

It exits 0 with the clean file, or 3 with the reason of a refusal. It imports nothing of ours.
"""

from __future__ import annotations

import logging
import os
import resource
import sys
import zlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from PIL import Image
    from pypdf.generic import DictionaryObject, StreamObject

REFUSED = 3
MAX_PIXELS = 50_000_000  # what phones of today take
MAX_PAGES = 50
QUALITY = 88  # of a JPEG made from another format: no letter of a document blurs
MAX_CLEAN_BYTES = 30 * 1024 * 1024
# What the streams of one PDF may grow to: a dozen pages scanned without loss.
MAX_INFLATED_BYTES = 500 * 1024 * 1024
CPU_SECONDS = 20
MEMORY_BYTES = 1024**3  # 50 megapixels as RGBA, three times over


class Refused(Exception):
    """The file is not taken. The message follows the name of its field: "must be ..."."""


DAMAGED = "is damaged or incomplete, and can't be opened"
TOO_MANY_PIXELS = f"must have at most {MAX_PIXELS // 1_000_000} million pixels"
NOT_STILL = "must be one still picture, not an animation"
TOO_LARGE = "is too large once it is opened; send it smaller"
HAS_PASSWORD = "must be a PDF without a password"  # noqa: S105
WRONG_PAGES = f"must be a PDF of 1 to {MAX_PAGES} pages"
ACTIVE = "must be a PDF without scripts, actions, attached or linked files"


# -- Pictures ---------------------------------------------------------------------------------
def clean_jpeg(raw: bytes) -> bytes:
    """A JPEG with the same tables of quantization: a new encoding loses next to nothing."""
    from PIL import JpegImagePlugin

    with _open(raw, "JPEG") as image:
        image.load()
        how: dict[str, Any] = {"quality": QUALITY}
        if image.mode in ("L", "RGB"):
            sampling = JpegImagePlugin.get_sampling(image)
            # Turned by 90 degrees, 4:2:2 would be 4:4:0, which Pillow does not write.
            how = {
                "qtables": image.quantization,  # type: ignore[attr-defined]
                "subsampling": 0 if sampling == 1 else sampling,
            }
        return _write_jpeg(_upright(image), **how)


def clean_png(raw: bytes) -> bytes:
    with _open(raw, "PNG") as image:
        if getattr(image, "n_frames", 1) > 1:
            raise Refused(NOT_STILL)
        image.load()
        upright = _upright(image)
        # A colour profile is dropped as well: it may hold anything, and an identity card is as
        # readable without.
        upright.info = {name: value for name, value in image.info.items() if name == "transparency"}
        out = BytesIO()
        upright.save(out, "PNG")
        return out.getvalue()


def clean_webp(raw: bytes) -> bytes:
    """A JPEG: what reviewers and KYC providers all can show."""
    with _open(raw, "WEBP") as image:
        if getattr(image, "n_frames", 1) > 1:
            raise Refused(NOT_STILL)
        image.load()
        return _write_jpeg(_upright(image), quality=QUALITY)


def clean_heic(raw: bytes) -> bytes:
    """A JPEG, for no browser but Apple's shows HEIC. The main picture, without its companions."""
    import pi_heif  # type: ignore[import-untyped]

    pi_heif.options.THUMBNAILS = pi_heif.options.DEPTH_IMAGES = False
    pi_heif.options.AUX_IMAGES = False
    container = pi_heif.open_heif(BytesIO(raw))
    main = container[container.primary_index]
    if main.size[0] * main.size[1] > MAX_PIXELS:
        raise Refused(TOO_MANY_PIXELS)
    return _write_jpeg(main.to_pillow(), quality=QUALITY)  # libheif has turned it upright


def _open(raw: bytes, kind: str) -> Image.Image:
    """The picture with its header read and no pixel yet."""
    from PIL import Image

    Image.MAX_IMAGE_PIXELS = None  # ours is less
    image = Image.open(BytesIO(raw), formats=[kind])
    if image.width * image.height > MAX_PIXELS:
        raise Refused(TOO_MANY_PIXELS)
    return image


def _upright(image: Image.Image) -> Image.Image:
    """The picture turned as its EXIF says; where that can't be read, as it lies."""
    from PIL import ExifTags, Image

    orientation = None
    with suppress(Exception):  # whatever a broken EXIF raises, the pixels are good
        orientation = image.getexif().get(ExifTags.Base.Orientation)
    turn = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_270,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_90,
    }.get(orientation or 1)
    return image if turn is None else image.transpose(turn)


def _write_jpeg(image: Image.Image, **how: Any) -> bytes:
    from PIL import Image

    if image.has_transparency_data:
        layer = image.convert("RGBA")
        image = Image.new("RGB", layer.size, "white")
        image.paste(layer, mask=layer.getchannel("A"))
    elif image.mode not in ("L", "RGB"):
        image = image.convert("RGB")
    image.info = {}
    out = BytesIO()
    image.save(out, "JPEG", **how)
    return out.getvalue()


# -- PDF --------------------------------------------------------------------------------------
# All that a page needs to look as it does. The rest (metadata, actions, links, forms, attached
# files, earlier versions of the document) stays behind.
PAGE_KEYS = frozenset(
    ("/Type", "/Resources", "/Contents", "/MediaBox", "/CropBox", "/Rotate", "/UserUnit", "/Group")
)
# Further down. A longer list would meet the names that a page gives to its own fonts and pictures.
LEFT_BEHIND = ("/Metadata", "/PieceInfo", "/AF", "/StructParent", "/StructParents", "/OPI")
FORBIDDEN = frozenset(
    (
        *("/JS", "/JavaScript", "/Launch", "/EF", "/EmbeddedFile", "/EmbeddedFiles", "/RichMedia"),
        *("/XFA", "/URI", "/GoToR", "/GoToE", "/SubmitForm", "/ImportData", "/Movie", "/Sound"),
        *("/Rendition", "/Filespec", "/Ref", "/FFilter"),
    )
)
INFLATING = frozenset(
    (
        *("/FlateDecode", "/Fl", "/LZWDecode", "/LZW", "/RunLengthDecode", "/RL"),
        *("/BrotliDecode",),
    )
)
HIDDEN = 2  # PDF 32000-1, table 165: an annotation's flags


def clean_pdf(raw: bytes) -> bytes:
    """A new PDF with the pages alone, as they look."""
    from pypdf import PdfReader, PdfWriter
    from pypdf.generic import ArrayObject, NameObject

    reader = PdfReader(BytesIO(raw))
    if reader.is_encrypted:
        raise Refused(HAS_PASSWORD)
    if not 1 <= len(reader.pages) <= MAX_PAGES:
        raise Refused(WRONG_PAGES)
    writer = PdfWriter()
    for page in reader.pages:
        looks = ArrayObject(_annotation_looks(page))
        for key in page.keys() - PAGE_KEYS:
            del page[key]
        if looks:
            page[NameObject("/Annots")] = looks
        writer.add_page(page, excluded_keys=LEFT_BEHIND)
    _check_objects(writer)
    writer.metadata = None
    out = BytesIO()
    writer.write(out)
    return out.getvalue()


def _annotation_looks(page: DictionaryObject) -> Iterator[DictionaryObject]:
    """What annotations and filled form fields show, without what they do."""
    from pypdf.generic import DictionaryObject, NameObject, NumberObject

    annotations = page.get("/Annots")
    for entry in annotations.get_object() if annotations is not None else ():
        annotation = entry.get_object()
        looks = annotation.get("/AP")
        if looks is None or "/Rect" not in annotation or int(annotation.get("/F", 0)) & HIDDEN:
            continue
        shown = DictionaryObject(
            {
                NameObject("/Type"): NameObject("/Annot"),
                NameObject("/Subtype"): NameObject("/Stamp"),
                NameObject("/Rect"): annotation["/Rect"],
                NameObject("/F"): NumberObject(4),  # also on paper
                NameObject("/AP"): DictionaryObject(
                    {NameObject("/N"): looks.get_object().raw_get("/N")}
                ),
            }
        )
        if "/AS" in annotation:
            shown[NameObject("/AS")] = annotation["/AS"]
        yield shown


def _check_objects(writer: Any) -> None:
    """Nothing active slipped through inside the pages, and no stream is a bomb."""
    from pypdf.generic import StreamObject

    inflated = 0
    for item in writer._objects:
        _check_quiet(item)
        if isinstance(item, StreamObject):
            inflated += _check_stream(item, MAX_INFLATED_BYTES - inflated)


def _check_quiet(item: Any) -> None:
    from pypdf.generic import ArrayObject, DictionaryObject, NameObject

    if isinstance(item, DictionaryObject):
        for key in item:
            if key in FORBIDDEN:
                raise Refused(ACTIVE)
            _check_quiet(item.raw_get(key))
    elif isinstance(item, ArrayObject):
        for part in item:
            _check_quiet(part)
    elif isinstance(item, NameObject) and item in FORBIDDEN:
        raise Refused(ACTIVE)


def _check_stream(stream: StreamObject, most: int) -> int:
    """How many bytes it inflates to. Raises `Refused` for more than `most`."""
    from pypdf.generic import ArrayObject

    if "/F" in stream:  # its data is in another file
        raise Refused(ACTIVE)
    width, height = stream.get("/Width", 0), stream.get("/Height", 0)
    if int(width) * int(height) > MAX_PIXELS:
        raise Refused(TOO_MANY_PIXELS)
    named = stream.get("/Filter", ArrayObject())
    named = named.get_object()
    filters = [str(name) for name in named] if isinstance(named, ArrayObject) else [str(named)]
    if filters == ["/DCTDecode"]:
        stream._data = strip_jpeg(stream._data)
        return len(stream._data)
    if sum(name in INFLATING for name in filters) > 1:
        raise Refused(TOO_LARGE)
    if filters[:1] == ["/FlateDecode"]:
        return _inflated_size(stream._data, most)
    # Rare and slow ones, by pypdf's own limits.
    return len(stream.get_data()) if INFLATING & set(filters) else len(stream._data)


def _inflated_size(data: bytes, most: int) -> int:
    """Counted in slices that are thrown away."""
    inflate = zlib.decompressobj()
    size = 0
    with suppress(zlib.error):  # readers show what comes before an error
        while data and not inflate.eof:
            size += len(inflate.decompress(data, 1 << 20))
            data = inflate.unconsumed_tail
            if size > most:
                raise Refused(TOO_LARGE)
    return size


def strip_jpeg(data: bytes) -> bytes:
    """The JPEG of a PDF without EXIF, XMP, comments and whatever follows its end; pixels as they
    are."""
    kept, at = bytearray(b"\xff\xd8"), 2
    if not data.startswith(kept):
        raise Refused(DAMAGED)
    while data[at : at + 1] == b"\xff" and data[at + 1 : at + 2] != b"\xda":
        marker = data[at + 1]
        end = at + 2 + int.from_bytes(data[at + 2 : at + 4], "big")
        if end < at + 4 or end > len(data):
            raise Refused(DAMAGED)
        # APP0 and APP14 say how to read the colours; the other APPs and COM are about the picture.
        if not (0xE1 <= marker <= 0xEF or marker == 0xFE) or marker == 0xEE:
            kept += data[at:end]
        at = end
    end = data.rfind(b"\xff\xd9")
    return bytes(kept + data[at : end + 2 if end > at else len(data)])


# -- The process ------------------------------------------------------------------------------
CLEANERS: dict[str, Callable[[bytes], bytes]] = {
    "JPEG": clean_jpeg,
    "PNG": clean_png,
    "WebP": clean_webp,
    "HEIC": clean_heic,
    "PDF": clean_pdf,
}


def clean(kind: str, raw: bytes) -> bytes:
    """The file of `kind` (a key of CLEANERS) written anew. Raises `Refused`."""
    try:
        made = CLEANERS[kind](raw)
    except Refused:
        raise
    except MemoryError as error:
        raise Refused(TOO_LARGE) from error
    except Exception as error:  # decoders raise anything for bytes that are not theirs
        raise Refused(DAMAGED) from error
    if len(made) > MAX_CLEAN_BYTES:
        raise Refused(TOO_LARGE)
    return made


def _limit_process() -> None:
    os.nice(10)  # who looks at a file waits; whoever waits for money does not
    with suppress(OSError):  # Linux: if memory runs out, then this is what ends, not our server
        Path("/proc/self/oom_score_adj").write_text("1000")
    for limit, soft, hard in (
        (resource.RLIMIT_CPU, CPU_SECONDS, CPU_SECONDS + 1),  # SIGXCPU comes with the soft one
        (resource.RLIMIT_AS, MEMORY_BYTES, MEMORY_BYTES),
        (resource.RLIMIT_FSIZE, 0, 0),
        (resource.RLIMIT_CORE, 0, 0),  # it would be personal data, in the clear, on disk
    ):
        with suppress(ValueError, OSError):  # macOS has no limit of address space
            resource.setrlimit(limit, (soft, hard))


def _main(kind: str) -> int:
    _limit_process()
    logging.disable()
    try:
        out, status = clean(kind, sys.stdin.buffer.read()), 0
    except Refused as refusal:
        out, status = str(refusal).encode(), REFUSED
    sys.stdout.buffer.write(out)
    return status


if __name__ == "__main__":
    sys.exit(_main(sys.argv[1]))
