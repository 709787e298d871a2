"""What becomes of a customer's file: opened, judged by what it holds, written anew."""

from __future__ import annotations

import multiprocessing
import resource
import zlib
from collections.abc import Iterator
from contextlib import suppress
from io import BytesIO
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms, PngImagePlugin
from pypdf import PdfReader, PdfWriter

from kernel.errors import ApiError, BadRequest, Unavailable
from sep12 import content, decoding
from sep12.content import CleanFile, check_content, check_type, find_kind
from tests.fixtures import uploads

PHOTO = "photo_id_front"


def opened(file: CleanFile) -> Image.Image:
    image = Image.open(BytesIO(file.content))
    image.load()
    return image


def refusal(raw: bytes, *, name: str = PHOTO, claim: str = "") -> str:
    with pytest.raises(BadRequest) as refused:
        check_content(name, raw, claim)
    message = str(refused.value)
    assert message.startswith(name)
    return message


# -- What is taken ----------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("raw", "real_type", "stored_type"),
    [
        (uploads.jpeg(), "image/jpeg", "image/jpeg"),
        (uploads.png(), "image/png", "image/png"),
        (uploads.encode(uploads.picture(), "WEBP"), "image/webp", "image/jpeg"),
        (uploads.PHONE_HEIC.read_bytes(), "image/heic", "image/jpeg"),
        (uploads.pdf(), "application/pdf", "application/pdf"),
    ],
    ids=["jpeg", "png", "webp", "heic", "pdf"],
)
@pytest.mark.parametrize("claim", ["the real one", "", "application/octet-stream"])
def test_a_file_is_kept_as_what_it_is_whether_it_says_so_or_nothing(
    raw: bytes, real_type: str, stored_type: str, claim: str
) -> None:
    file = check_content(PHOTO, raw, real_type if claim == "the real one" else claim)
    assert file.content_type == stored_type
    if stored_type != "application/pdf":
        image = opened(file)
        assert image.size == (64, 48)
        red, green, blue = image.convert("RGB").getpixel((5, 5))  # type: ignore[misc]
        assert red > 200 > green > blue  # orange, still
        assert Image.MIME[image.format or ""] == stored_type


@pytest.mark.parametrize("claim", ["IMAGE/JPG", "image/jpeg; charset=utf-8", " image/pjpeg"])
def test_other_spellings_of_a_right_claim_are_right(claim: str) -> None:
    assert check_content(PHOTO, uploads.jpeg(), claim).content_type == "image/jpeg"


def test_the_same_file_is_written_the_same_each_time() -> None:
    for raw in (uploads.jpeg(), uploads.png(), uploads.PHONE_HEIC.read_bytes(), uploads.pdf()):
        assert check_content(PHOTO, raw, "") == check_content(PHOTO, raw, "")


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "I;16"])
def test_pictures_of_all_colour_modes_are_taken(mode: str) -> None:
    image = Image.new(mode, (8, 8), 1 if mode in ("1", "L", "P", "I;16") else None)
    assert opened(check_content(PHOTO, uploads.encode(image, "PNG"), "")).size == (8, 8)


def test_a_jpeg_in_the_colours_of_print_becomes_one_that_screens_show() -> None:
    raw = uploads.encode(uploads.picture().convert("CMYK"), "JPEG")
    assert opened(check_content(PHOTO, raw, "")).mode == "RGB"


def test_a_transparent_photo_gets_a_white_ground() -> None:
    raw = uploads.encode(Image.new("RGBA", (8, 8), (0, 0, 0, 0)), "WEBP", lossless=True)
    assert opened(check_content(PHOTO, raw, "")).getpixel((4, 4)) == (255, 255, 255)


def test_a_jpeg_loses_next_to_nothing() -> None:
    raw = uploads.encode(Image.effect_noise((200, 200), 60).convert("RGB"), "JPEG", quality=95)
    before, after = Image.open(BytesIO(raw)), opened(check_content(PHOTO, raw, ""))
    worst = max(abs(a - b) for a, b in zip(before.tobytes(), after.tobytes(), strict=True))
    assert worst <= 8


# -- What is left out -------------------------------------------------------------------------
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_where_and_with_what_a_photo_was_taken_is_gone(kind: str) -> None:
    raw = uploads.encode(uploads.picture(), kind, exif=uploads.phone_exif())
    assert Image.open(BytesIO(raw)).getexif()
    file = check_content(PHOTO, raw, "")
    assert not opened(file).getexif()
    assert b"PhoneMaker" not in file.content


def test_so_it_is_with_what_an_iphone_takes() -> None:
    raw = uploads.PHONE_HEIC.read_bytes()
    assert b"PhoneMaker" in raw
    file = check_content(PHOTO, raw, "image/heic")
    assert not opened(file).getexif()
    assert b"PhoneMaker" not in file.content


def test_comments_texts_and_colour_profiles_are_gone() -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    texts = PngImagePlugin.PngInfo()
    texts.add_text("Author", "PhoneMaker")
    for raw in (
        uploads.jpeg(comment=b"PhoneMaker", icc_profile=profile),
        uploads.png(pnginfo=texts, icc_profile=profile),
    ):
        image = opened(check_content(PHOTO, raw, ""))
        assert not {"comment", "Author", "icc_profile"} & image.info.keys()


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_photo_is_turned_upright_before_its_exif_goes(orientation: int) -> None:
    """The corner that is orange in the end is where the phone's orientation says."""
    exif = uploads.phone_exif(orientation)
    lying = opened(CleanFile(uploads.encode(uploads.picture(), "JPEG", exif=exif), ""))
    assert lying.size == (64, 48)
    image = opened(check_content(PHOTO, uploads.jpeg(exif=exif), ""))
    assert image.size == ((64, 48) if orientation < 5 else (48, 64))
    corner = {
        1: (0, 0),
        2: (1, 0),
        3: (1, 1),
        4: (0, 1),
        5: (0, 0),
        6: (1, 0),
        7: (1, 1),
        8: (0, 1),
    }
    right, low = corner[orientation]
    at = (image.width - 5 if right else 5, image.height - 5 if low else 5)
    red, _, blue = image.getpixel(at)  # type: ignore[misc]
    assert red > 200 > blue


def test_a_broken_exif_does_not_cost_the_photo() -> None:
    raw = uploads.jpeg(exif=b"Exif\0\0MM\0*\xff\xff\xff\xff")
    assert opened(check_content(PHOTO, raw, "")).size == (64, 48)


@pytest.mark.parametrize("raw", [uploads.jpeg(), uploads.png(), uploads.pdf()])
def test_what_hides_behind_the_end_is_cut_off(raw: bytes) -> None:
    archive = b"PK\x03\x04" + b"<script>alert(1)</script>"
    assert archive not in check_content(PHOTO, raw + archive, "").content


# -- What is refused --------------------------------------------------------------------------
@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"hello",
        b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>",
        b"<!doctype html><script>alert(1)</script>",
        b"PK\x03\x04 a zip",
        b"MZ a program",
        uploads.encode(uploads.picture(), "GIF"),
        uploads.encode(uploads.picture(), "TIFF"),
        uploads.encode(uploads.picture(), "AVIF"),
        b"GIF89a" + b"\x01\x00\x01\x00\x00\x00\x00" + b",\0\0\0\0\1\0\1\0\0\2\2D\1\0" * 100_000,
    ],
    ids=["empty", "text", "svg", "html", "zip", "exe", "gif", "tiff", "avif", "100000 frames"],
)
@pytest.mark.parametrize("claim", ["image/png", ""])
def test_what_is_no_photo_is_refused_whatever_it_claims_to_be(raw: bytes, claim: str) -> None:
    assert "JPEG, PNG, WebP, HEIC or PDF" in refusal(raw, claim=claim)


@pytest.mark.parametrize(
    ("raw", "claim"),
    [
        (uploads.jpeg(), "image/png"),
        (uploads.png(), "application/pdf"),
        (uploads.pdf(), "image/jpeg"),
        (uploads.png(), "text/html"),
        (uploads.png(), "image/\x00png"),
    ],
)
def test_a_claim_that_is_not_true_is_refused_and_not_repeated(raw: bytes, claim: str) -> None:
    kind = find_kind(raw)
    message = refusal(raw, claim=claim)
    assert f"is a {kind} file" in message
    assert claim not in message.split(";")[0]


@pytest.mark.parametrize(
    "raw",
    [
        uploads.jpeg()[:-200],
        uploads.png()[:-30],
        uploads.PHONE_HEIC.read_bytes()[:-50],
        uploads.encode(uploads.picture(), "WEBP")[:-20],
        uploads.jpeg()[:3],
        b"\xff\xd8\xff" + bytes(1000),
        b"%PDF-1.7\n",
    ],
)
def test_a_truncated_file_is_refused(raw: bytes) -> None:
    assert decoding.DAMAGED in refusal(raw)


@pytest.mark.parametrize("side", [7_100, 10_000, 2**31 - 1])
def test_a_picture_of_too_many_pixels_is_refused_before_they_are_made(side: int) -> None:
    assert decoding.TOO_MANY_PIXELS in refusal(uploads.png_of(side, side))


def test_so_is_a_jpeg_whose_header_says_so() -> None:
    size = b"\x00\x30\x00\x40"  # 48 by 64
    raw = uploads.jpeg().replace(
        b"\xff\xc0\x00\x11\x08" + size, b"\xff\xc0\x00\x11\x08" + b"\xff" * 4
    )
    assert decoding.TOO_MANY_PIXELS in refusal(raw)


def test_a_picture_with_a_bomb_of_text_is_refused() -> None:
    bomb = uploads.png_chunk(b"zTXt", b"Comment\0\0" + zlib.compress(b"a" * 20_000_000))
    assert decoding.DAMAGED in refusal(uploads.png_of(1, 1, bomb, pixels=b"\0\0\0\0"))


@pytest.mark.parametrize("kind", ["PNG", "WEBP"])
def test_an_animation_is_refused(kind: str) -> None:
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "green", "blue")]
    raw = uploads.encode(frames[0], kind, save_all=True, append_images=frames[1:])
    assert decoding.NOT_STILL in refusal(raw)


# -- PDF --------------------------------------------------------------------------------------
LINK = "/Annots [<< /Type /Annot /Subtype /Link /Rect [0 0 9 9] /A %s >>]"
CONTENT = uploads.stream(b"0 0 9 9 re f")


@pytest.mark.parametrize(
    "objects",
    [
        (
            "<< /Type /Catalog /Pages 2 0 R /OpenAction << /S /JavaScript /JS (evil) >> "
            "/Names << /JavaScript << /Names [(a) << /S /JavaScript /JS (evil) >>] >> >> >>",
            uploads.PAGES,
            uploads.page(),
            CONTENT,
        ),
        (
            uploads.CATALOG,
            uploads.PAGES,
            uploads.page(LINK % "<< /S /Launch /F (evil) >>"),
            CONTENT,
        ),
        (
            uploads.CATALOG,
            uploads.PAGES,
            uploads.page(LINK % "<< /S /URI /URI (evil) >>" + " /AA << /O << /JS (evil) >> >>"),
            CONTENT,
        ),
        (
            uploads.CATALOG,
            uploads.PAGES,
            uploads.page(resources="<< /XObject << /X 5 0 R >> >>"),
            CONTENT,
            uploads.stream(b"q Q", "/Subtype /Form /BBox [0 0 9 9] /Metadata 6 0 R"),
            uploads.stream(b"evil", "/Type /Metadata"),
        ),
    ],
    ids=["script", "launch", "link", "metadata"],
)
def test_all_that_a_pdf_does_is_left_behind_and_what_it_shows_is_kept(objects: Any) -> None:
    made = check_content(PHOTO, uploads.pdf(objects), "application/pdf").content
    assert b"evil" not in made
    for word in (b"/JavaScript", b"/Launch", b"/URI", b"/OpenAction", b"/AA", b"/Metadata"):
        assert word not in made
    contents = PdfReader(BytesIO(made)).pages[0].get_contents()
    assert contents is not None
    assert b"re f" in contents.get_data()


def test_attached_files_and_the_author_of_a_pdf_are_gone() -> None:
    writer = PdfWriter(clone_from=BytesIO(uploads.pdf()))
    writer.add_attachment("invoice.xml", b"<evil/>")
    writer.add_metadata({"/Author": "evil"})
    out = BytesIO()
    writer.write(out)
    made = check_content(PHOTO, out.getvalue(), "").content
    assert not PdfReader(BytesIO(made)).attachments
    assert b"evil" not in made


def test_what_a_filled_form_shows_stays_and_its_script_goes() -> None:
    widget = (
        "/Annots [<< /Type /Annot /Subtype /Widget /FT /Tx /T (evil) /Rect [0 0 9 9] "
        "/AP << /N 5 0 R >> /AA << /E << /S /JavaScript /JS (evil) >> >> >>]"
    )
    looks = uploads.stream(b"(Maria) Tj", "/Type /XObject /Subtype /Form /BBox [0 0 9 9]")
    objects = (uploads.CATALOG, uploads.PAGES, uploads.page(widget), CONTENT, looks)
    made = check_content(PHOTO, uploads.pdf(objects), "").content
    assert b"(Maria) Tj" in made
    assert b"evil" not in made


def test_a_script_hidden_among_what_a_page_needs_is_refused() -> None:
    resources = "<< /Properties << /X << /S /JavaScript /JS (evil) >> >> >>"
    objects = (uploads.CATALOG, uploads.PAGES, uploads.page(resources=resources), CONTENT)
    assert decoding.ACTIVE in refusal(uploads.pdf(objects))


def test_a_photo_inside_a_pdf_loses_its_exif_but_no_pixel() -> None:
    photo = uploads.jpeg(exif=uploads.phone_exif(), comment=b"PhoneMaker")
    image = uploads.stream(
        photo + b"hidden", "/Subtype /Image /Width 64 /Height 48 /Filter /DCTDecode"
    )
    resources = "<< /XObject << /Im 5 0 R >> >>"
    objects = (uploads.CATALOG, uploads.PAGES, uploads.page(resources=resources), CONTENT, image)
    made = check_content(PHOTO, uploads.pdf(objects), "").content
    assert b"PhoneMaker" not in made
    assert b"hidden" not in made
    kept = PdfReader(BytesIO(made)).pages[0]["/Resources"]["/XObject"]["/Im"]  # type: ignore[index]
    pixels = Image.open(BytesIO(kept._data)).tobytes()
    assert pixels == Image.open(BytesIO(photo)).tobytes()


def test_a_pdf_with_a_password_is_refused() -> None:
    writer = PdfWriter(clone_from=BytesIO(uploads.pdf()))
    writer.encrypt("secret")
    out = BytesIO()
    writer.write(out)
    assert decoding.HAS_PASSWORD in refusal(out.getvalue())


def test_a_pdf_of_no_page_or_of_too_many_is_refused() -> None:
    for kids in ("", "3 0 R " * (decoding.MAX_PAGES + 1)):
        pages = f"<< /Type /Pages /Kids [{kids}] /Count 1 >>"
        raw = uploads.pdf((uploads.CATALOG, pages, uploads.page(), CONTENT))
        assert decoding.WRONG_PAGES in refusal(raw)


@pytest.mark.parametrize(
    "objects",
    [
        (uploads.CATALOG, "<< /Type /Pages /Kids [2 0 R] /Count 1 >>"),
        (
            uploads.CATALOG,
            *(
                f"<< /Type /Pages /Kids [{' '.join([f'{number + 1} 0 R'] * 10)}] /Count 1 >>"
                for number in range(2, 12)
            ),
            uploads.page(),
        ),
        (
            uploads.CATALOG,
            uploads.PAGES,
            uploads.page(resources="<< /X 5 0 R >>"),
            CONTENT,
            *(f"[{number + 1} 0 R]" for number in range(5, 3000)),
            "[]",
        ),
    ],
    ids=["loop of pages", "ten to the power of ten pages", "deep nesting"],
)
def test_a_pdf_that_leads_its_reader_in_circles_is_refused(objects: Any) -> None:
    assert decoding.DAMAGED in refusal(uploads.pdf(objects))


def test_a_cross_reference_table_that_names_itself_does_no_harm() -> None:
    at = uploads.pdf().rindex(b"xref\n0 ")
    raw = uploads.pdf(trailer=f"/Root 1 0 R /Prev {at}")
    assert raw.rindex(b"xref\n0 ") == at
    assert check_content(PHOTO, raw, "").content_type == "application/pdf"


@pytest.mark.parametrize("filters", ["/FlateDecode", "[/FlateDecode /FlateDecode]"])
def test_a_pdf_that_inflates_to_too_much_is_refused(
    filters: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    bomb = zlib.compress(bytes(5_000_000))
    if filters.count("/") > 1:
        bomb = zlib.compress(bomb)
    stream = uploads.stream(bomb, f"/Filter {filters}")
    raw = uploads.pdf((uploads.CATALOG, uploads.PAGES, uploads.page(), stream))
    monkeypatch.setattr(decoding, "MAX_INFLATED_BYTES", 4_000_000)
    with pytest.raises(decoding.Refused, match=decoding.TOO_LARGE):
        decoding.clean("PDF", raw)


def test_a_picture_of_too_many_pixels_is_refused_inside_a_pdf_too() -> None:
    image = uploads.stream(
        b"", "/Subtype /Image /Width 30000 /Height 30000 /Filter /CCITTFaxDecode"
    )
    resources = "<< /XObject << /Im 5 0 R >> >>"
    objects = (uploads.CATALOG, uploads.PAGES, uploads.page(resources=resources), CONTENT, image)
    assert decoding.TOO_MANY_PIXELS in refusal(uploads.pdf(objects))


# -- Videos -----------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("raw", "claim", "stored_type"),
    [
        (uploads.mp4(), "video/mp4", "video/mp4"),
        (uploads.mp4(b"qt  "), "video/quicktime", "video/quicktime"),
        (uploads.webm(), "video/webm", "video/webm"),
        (uploads.webm(segment=b"\x01" + b"\xff" * 7 + b"film"), "", "video/webm"),
    ],
)
def test_a_proof_of_liveness_may_be_a_video(raw: bytes, claim: str, stored_type: str) -> None:
    file = check_content("proof_of_liveness", raw, claim)
    assert file.content_type == stored_type
    assert b"film" in file.content
    assert "JPEG, PNG, WebP, HEIC or PDF" in refusal(raw, claim=claim)


def test_where_a_video_was_taken_is_blanked_and_nothing_moves() -> None:
    raw = uploads.mp4()
    file = check_content("proof_of_liveness", raw, "video/mp4")
    assert b"-12.0464" not in file.content
    assert b"PhoneMaker" not in file.content
    assert len(file.content) == len(raw)
    assert file.content.index(b"the film") == raw.index(b"the film")


@pytest.mark.parametrize(
    "raw",
    [
        uploads.mp4()[:-3],
        uploads.mp4() + b"PK\x03\x04 a zip behind it",
        uploads.box(b"ftyp", b"isom"),
        uploads.box(b"ftyp", b"isom") + uploads.box(b"moov") + b"\0\0\0\x02mdat",
        uploads.box(b"ftyp", b"isom") + uploads.box(b"free") * 20_000,
        uploads.box(b"ftyp", b"isom") + uploads.box(b"html", b"<script>"),
        uploads.webm(b"matroska"),
        uploads.webm()[:-1],
        uploads.webm() + b"PK",
        b"\x1a\x45\xdf\xa3",
    ],
)
def test_a_video_with_a_broken_outside_is_refused(raw: bytes) -> None:
    assert decoding.DAMAGED in refusal(raw, name="proof_of_liveness")


def test_a_liveness_proof_is_no_pdf() -> None:
    assert "MP4" in refusal(uploads.pdf(), name="proof_of_liveness")


def test_a_file_that_was_sent_ahead_must_suit_the_field_that_names_it() -> None:
    assert check_content("file", uploads.mp4(), "").content_type == "video/mp4"
    check_type("proof_of_liveness_file_id", "proof_of_liveness", "video/mp4")
    with pytest.raises(BadRequest, match=r"photo_id_front_file_id .* JPEG"):
        check_type("photo_id_front_file_id", "photo_id_front", "video/mp4")


# -- Whatever comes ---------------------------------------------------------------------------
SEEDS = {
    "JPEG": uploads.jpeg(exif=uploads.phone_exif()),
    "PNG": uploads.png(exif=uploads.phone_exif()),
    "WebP": uploads.encode(uploads.picture(), "WEBP", exif=uploads.phone_exif()),
    "HEIC": uploads.PHONE_HEIC.read_bytes(),
    "PDF": uploads.pdf(),
}


@given(
    raw=st.binary(max_size=200), claim=st.text(max_size=30), name=st.sampled_from([PHOTO, "file"])
)
def test_any_bytes_with_any_claim_are_refused_or_clean(raw: bytes, claim: str, name: str) -> None:
    try:
        assert check_content(name, raw, claim).content
    except ApiError as error:
        assert str(error).startswith(name)


class Decoders:
    """`decoding.clean` in a process that lives on, since one for each file takes long. As in
    production, where each has its own, a decoder that dies or loops is a refusal."""

    def __init__(self) -> None:
        self._spawn = multiprocessing.get_context("spawn")
        self.process: multiprocessing.process.BaseProcess | None = None

    def clean(self, kind: str, raw: bytes) -> bytes | None:
        if self.process is None:
            self._ours, theirs = self._spawn.Pipe()
            self.process = self._spawn.Process(target=serve_decoders, args=(theirs,), daemon=True)
            self.process.start()
            theirs.close()
        try:
            self._ours.send((kind, raw))
            if self._ours.poll(content.DECODE_SECONDS):
                made: bytes | None = self._ours.recv()
                return made
        except (EOFError, OSError):
            pass
        self.close()
        return None

    def close(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.join()
            self._ours.close()
        self.process = None


def serve_decoders(pipe: Connection) -> None:
    for limit, value in (
        (resource.RLIMIT_AS, decoding.MEMORY_BYTES),
        (resource.RLIMIT_CORE, 0),
    ):
        with suppress(ValueError, OSError):  # macOS has no limit of address space
            resource.setrlimit(limit, (value, value))
    while True:
        kind, raw = pipe.recv()
        try:
            made = decoding.clean(kind, raw)
        except decoding.Refused:
            pipe.send(None)
        else:
            pipe.send(made)


@pytest.fixture(scope="module")
def decoders() -> Iterator[Decoders]:
    decoders = Decoders()
    yield decoders
    decoders.close()


def test_a_decoder_that_dies_takes_nothing_with_it(decoders: Decoders) -> None:
    assert all(decoders.clean(kind, raw) for kind, raw in SEEDS.items())
    assert decoders.process is not None
    decoders.process.kill()
    assert decoders.clean("PNG", uploads.png()) is None
    assert decoders.clean("PNG", uploads.png())


@settings(max_examples=300, suppress_health_check=[HealthCheck.too_slow])
@given(
    kind=st.sampled_from(sorted(SEEDS)),
    at=st.floats(0, 1, exclude_max=True),
    patch=st.binary(min_size=1, max_size=8),
    insert=st.booleans(),
)
def test_a_file_with_any_bytes_changed_is_refused_or_clean(
    decoders: Decoders, kind: str, at: float, patch: bytes, insert: bool
) -> None:
    seed = SEEDS[kind]
    start = int(at * len(seed))
    raw = seed[:start] + patch + seed[start + (0 if insert else len(patch)) :]
    made = decoders.clean(kind, raw)
    if made is not None:
        assert find_kind(made) is not None
        assert b"PhoneMaker" not in made


@settings(max_examples=200)
@given(raw=st.binary(max_size=100), film=st.sampled_from([uploads.mp4(), uploads.webm()]))
def test_any_bytes_that_begin_as_a_video_are_refused_or_taken(raw: bytes, film: bytes) -> None:
    for bad in (film[:12] + raw, film[: len(film) - len(raw)] + raw):
        try:
            check_content("proof_of_liveness", bad, "")
        except BadRequest as error:
            assert str(error).startswith("proof_of_liveness")


# -- The process that does it -----------------------------------------------------------------
def test_a_decoder_that_loops_or_dies_is_a_refusal(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for program, words in (
        ("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", decoding.DAMAGED),
        ("import os, signal; os.kill(os.getpid(), signal.SIGXCPU)", decoding.TOO_LARGE),
        ("while True: pass", decoding.TOO_LARGE),
    ):
        path = tmp_path / "decoder.py"
        path.write_text(program)
        monkeypatch.setattr(decoding, "__file__", str(path))
        monkeypatch.setattr(content, "DECODE_SECONDS", 0.5)
        assert words in refusal(uploads.jpeg())


def test_the_process_gets_none_of_our_secrets(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = tmp_path / "decoder.py"
    path.write_text("import os, sys; sys.stdout.write(' '.join(os.environ)); sys.exit(3)")
    monkeypatch.setattr(decoding, "__file__", str(path))
    monkeypatch.setenv("SIGNING_SECRET", "S...")
    assert "SECRET" not in refusal(uploads.jpeg())


@pytest.mark.parametrize(
    ("what", "words"),
    [
        ("bytes(2 * MEMORY_BYTES)", decoding.TOO_LARGE),
        ("(_ for _ in ()).throw(Refused(str(resource.getrlimit(resource.RLIMIT_CORE))))", "(0, 0)"),
        ("open('/tmp/sep12-decoding', 'wb', 0).write(b'x')", decoding.DAMAGED),
    ],
    ids=["memory", "core dump", "files"],
)
def test_the_process_takes_no_more_than_its_memory_and_writes_no_file(
    what: str, words: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    end = 'if __name__ == "__main__":'
    program = Path(decoding.__file__).read_text()
    path = tmp_path / "decoder.py"
    what = what.replace("/tmp", str(tmp_path))
    path.write_text(program.replace(end, f'CLEANERS["JPEG"] = lambda raw: {what}\n{end}'))
    monkeypatch.setattr(decoding, "__file__", str(path))
    assert words in refusal(uploads.jpeg())
    assert all(file.stat().st_size == 0 for file in tmp_path.glob("sep12-*"))


def test_a_process_that_runs_into_its_limit_of_cpu_time_is_a_refusal(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = tmp_path / "decoder.py"
    program = Path(decoding.__file__).read_text().replace("CPU_SECONDS = 20", "CPU_SECONDS = 1")
    end = 'if __name__ == "__main__":'
    path.write_text(
        program.replace(end, f'CLEANERS["JPEG"] = lambda raw: max(iter(int, 1))\n{end}')
    )
    monkeypatch.setattr(decoding, "__file__", str(path))
    assert decoding.TOO_LARGE in refusal(uploads.jpeg())


def test_a_process_that_the_machine_ends_for_want_of_memory_is_no_fault_of_the_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = tmp_path / "decoder.py"
    path.write_text("import os, signal; os.kill(os.getpid(), signal.SIGKILL)")
    monkeypatch.setattr(decoding, "__file__", str(path))
    with pytest.raises(Unavailable):
        check_content(PHOTO, uploads.jpeg(), "")


def test_while_one_file_is_opened_too_long_others_are_told_to_come_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(content, "TURN_SECONDS", 0.01)
    with content._TURN, pytest.raises(Unavailable):
        check_content(PHOTO, uploads.jpeg(), "")
    assert check_content(PHOTO, uploads.jpeg(), "").content_type == "image/jpeg"
