"""Which image files are decoded, and that the others end in one line, in little memory."""

import io
import os
import re
import subprocess
import threading
import time

import numpy as np
import pytest
from PIL import Image, ImageFile

from jhash.data import decoding
from jhash.errors import InputError
from tests.support import hostile, memory

SHAPE = (9, 7, 3)
pytestmark = pytest.mark.filterwarnings("ignore")  # Of Pillow; pytest shows what jhash ignores.


def decode(content):
    return decoding.decode_image(content, "x.png", SHAPE)


def refusal(content):
    """The message for a file that cannot be decoded, which the check before training has, too."""
    with pytest.raises(InputError, match=r"^image x\.png cannot be read: ") as caught:
        decode(content)
    assert decoding.find_unreadable([content], ["x.png"], SHAPE) == [str(caught.value)]
    return str(caught.value)


@pytest.mark.parametrize("kind", [*decoding.FORMATS, "MPO"])
def test_the_allowed_formats_are_decoded(kind):
    if kind not in Image.registered_extensions().values() and kind.upper() not in Image.SAVE:
        pytest.skip(f"this Pillow has no {kind}")
    content = hostile.encode(hostile.PIXELS, kind.upper())
    expected = np.asarray(Image.open(io.BytesIO(content)).convert("RGB"))
    np.testing.assert_array_equal(decode(content), expected)
    assert decoding.find_unreadable([content], ["x"], SHAPE) == []


@pytest.mark.parametrize(
    "content",
    [
        hostile.EPS,
        hostile.encode(hostile.PIXELS, "TGA"),
        hostile.encode(hostile.PIXELS, "ICO"),
        b"no image",
        b"",
    ],
)
def test_no_other_format_is_tried_and_no_program_started(content, monkeypatch):
    """Pillow has Ghostscript draw PostScript, whatever the file's name is."""
    started = []
    monkeypatch.setattr(subprocess, "Popen", lambda *words, **_: started.append(words))
    monkeypatch.setattr(os, "system", started.append)
    assert refusal(content).endswith(
        "it is damaged or of another format; allowed: JPEG, PNG, WebP, GIF, BMP, TIFF, PPM, "
        "AVIF, HEIF"
    )
    assert not started


@pytest.mark.parametrize(("name", "content"), hostile.too_large().items())
def test_the_size_is_checked_before_pixels_are_decoded(name, content, monkeypatch):
    monkeypatch.setattr(Image.Image, "load", lambda image: pytest.fail("decodes"))
    message = refusal(content)
    assert re.search("pixels; allowed: up to 178,956,970, also with its rows resized$", message)


@pytest.mark.parametrize(("name", "content"), hostile.bombs().items())
def test_bombs_are_read_in_little_memory_or_refused(name, content):
    began = time.monotonic()
    with memory.at_most(16 << 20):
        if name in ("zTXt", "iTXt", "iCCP", "digits"):
            assert refusal(content).isprintable()
        else:
            assert decode(content).shape == SHAPE
    assert time.monotonic() - began < 5


@pytest.mark.parametrize("kind", decoding.FORMATS)
def test_a_file_that_is_cut_off_is_refused(kind):
    if kind.upper() not in Image.SAVE:
        pytest.skip(f"this Pillow has no {kind}")
    large = np.random.default_rng(1).integers(0, 256, (64, 64, 3), np.uint8)
    content = hostile.encode(large, kind.upper())
    refusal(content[: len(content) // 2])


def test_a_file_of_many_bytes_is_refused_by_its_size(tmp_path):
    path = tmp_path / "x.png"
    path.touch()
    os.truncate(path, decoding.MAX_BYTES + 1)  # It takes no room on disk.
    message = (
        f"image {path} cannot be read: it has 1,073,741,825 bytes; allowed: up to 1,073,741,824"
    )
    with pytest.raises(InputError, match=message):
        decoding.decode_image(str(path), str(path), SHAPE)


def test_only_regular_files_are_read(tmp_path):
    os.mkfifo(tmp_path / "fifo.png")
    (tmp_path / "loop.png").symlink_to("loop.png")
    (tmp_path / "folder.png").mkdir()
    for path, reason in (
        (tmp_path / "fifo.png", "Not a regular file"),
        ("/dev/zero", "Not a regular file"),
        ("/proc/self/maps", "Not a regular file"),
        (tmp_path / "loop.png", "Too many levels of symbolic links"),
        (tmp_path / "folder.png", "Is a directory"),
        (tmp_path / "none.png", "No such file or directory"),
        ("a\0b.png", "(stat: )?embedded null (byte|character in path)"),  # By Python's version.
    ):
        with pytest.raises(InputError) as caught:
            decoding.decode_image(str(path), str(path), SHAPE)
        shown = str(path).replace("\0", r"\x00")
        expected = re.escape(f"image {shown} cannot be read: ") + reason
        assert re.fullmatch(expected, str(caught.value)), str(caught.value)


def test_threads_wait_for_memory(monkeypatch):
    """Two images that together have more pixels than there is memory for follow one another."""
    monkeypatch.setattr(decoding, "_pixels", decoding._Shared(100))
    monkeypatch.setattr(decoding, "MAX_PIXELS", 100)
    content = hostile.encode(hostile.PIXELS, "PNG")  # 63 pixels
    inside, most = [], []
    load = ImageFile.ImageFile.load

    def slow(image):
        inside.append(1)
        most.append(len(inside))
        time.sleep(0.01)
        inside.pop()
        return load(image)

    monkeypatch.setattr(ImageFile.ImageFile, "load", slow)
    threads = [threading.Thread(target=decode, args=(content,)) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
        assert not thread.is_alive()
    assert max(most) == 1
    assert len(most) >= 5


def test_decode_images_converts_and_resizes(tmp_path):
    rows, columns = np.mgrid[:40, :30]
    pixels = np.stack([2 * rows, 4 * columns, rows + columns], axis=-1).astype(np.uint8)
    Image.fromarray(pixels).save(tmp_path / "color.png")
    Image.fromarray(pixels[:20, :10, 0]).save(tmp_path / "gray.png")
    paths = [str(tmp_path / name) for name in ("color.png", "gray.png")]
    decoded = decoding.decode_images(paths, paths, (20, 10, 3))
    # A slope stays one away from the border: the mean of each block of 2x3 pixels.
    blocks = pixels.reshape(20, 2, 10, 3, 3).mean((1, 3))
    np.testing.assert_allclose(decoded[0, 1:-1, 1:-1], blocks[1:-1, 1:-1], atol=1)
    np.testing.assert_array_equal(decoded[1], np.repeat(pixels[:20, :10, :1], 3, axis=2))
    same = decoding.decode_images(paths[:1], paths[:1], (40, 30, 3))
    np.testing.assert_array_equal(same[0], pixels)
    assert decoding.decode_images(paths, paths, (20, 10, 1)).shape == (2, 20, 10, 1)
    assert decoding.decode_images([], [], (20, 10, 3)).shape == (0, 20, 10, 3)


@pytest.mark.parametrize(
    ("pixels", "ending", "mode"),
    [
        (np.full((4, 4), 40_000, np.int32), "tif", "I"),
        (np.full((4, 4), 0.5, np.float32), "tif", "F"),
    ],
)
@pytest.mark.parametrize("channels", [1, 3])
def test_gray_values_of_32_bits_are_refused(tmp_path, pixels, ending, mode, channels):
    """Pillow's `convert` would make white of all that is above 255, and black of 0.5."""
    path = str(tmp_path / f"wide.{ending}")
    Image.fromarray(pixels).save(path)
    with pytest.raises(InputError, match=f"image {path} cannot be read: .*mode {mode}"):
        decoding.decode_images([path], [path], (4, 4, channels))


def test_missing_files_are_found_in_order(tmp_path):
    paths = [str(tmp_path / f"{number}.png") for number in range(1000)]
    for number in range(1000):
        if number not in (3, 700):
            (tmp_path / f"{number}.png").touch()
    assert decoding.missing_files(paths) == [paths[3], paths[700]]
