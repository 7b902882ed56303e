"""python -m jhash encode: the evaluation's codes, from files and a run's folder alone."""

import hashlib
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import flax.serialization
import numpy as np
import pytest
from PIL import Image

from tests.support import hostile

ROOT = Path(__file__).resolve().parents[2]


def encode(jhash, run, output, *arguments):
    status, out, err = jhash("encode", "--run", run, "--output", output, *arguments)
    assert status == 0, err
    with np.load(output) as file:
        return dict(file), out, err


def evaluated(run):
    """{place in the source: packed code}, as the evaluation left them."""
    codes = {}
    for name in ("queries", "database"):
        with np.load(run / "codes" / f"{name}.npz") as file:
            codes |= dict(zip(file["ids"].tolist(), file["codes"], strict=True))
    return codes


@pytest.mark.parametrize("batch", [(), ("--batch-size", "1"), ("--batch-size", "100")])
def test_codes_are_those_of_the_evaluation(jhash, run, photos, tmp_path, batch):
    made, out, err = encode(jhash, run, tmp_path / "codes.npz", "--images", photos, *batch)
    expected = evaluated(run)
    assert sorted(expected) == list(range(240))
    names = [f"{'odd/' * (number % 2)}{number}.png" for number in range(240)]
    assert made["ids"].tolist() == sorted(names)
    assert made["bits"] == 12
    assert made["run"] == str(run)
    for name, code in zip(made["ids"].tolist(), made["codes"], strict=True):
        np.testing.assert_array_equal(code, expected[int(Path(name).stem)], name)
    assert "Encoded 240 of 240 images:" in out
    assert not err, "no bar where stderr is no terminal"


@pytest.mark.slow
def test_one_image_and_a_process_that_knows_no_data_set(run, photos, tmp_path):
    command = [sys.executable, "-m", "jhash", "encode", "--run", run, "--output", "codes.npz"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}  # Without tests/, where the source is.
    done = subprocess.run(
        [*command, "--images", photos / "6.png"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    with np.load(tmp_path / "codes.npz") as made:
        assert made["ids"].tolist() == [str(photos / "6.png")]
        np.testing.assert_array_equal(made["codes"][0], evaluated(run)[6])


def test_unreadable_images_are_reported_counted_and_left_out(jhash, run, photos, tmp_path):
    folder = tmp_path / "images"
    folder.mkdir()
    content = (photos / "2.png").read_bytes()
    (folder / "b.png").write_bytes(content)
    (folder / "a.png").write_bytes(content[: len(content) // 2])
    (folder / "text.JPG").write_text("no image")
    (folder / "zero.png").touch()
    (folder / "gone.png").symlink_to("nowhere")
    (folder / "notes.txt").write_text("not asked for")
    (folder / "folder.png").mkdir()
    made, out, err = encode(jhash, run, tmp_path / "codes.npz", "--images", folder)
    assert made["ids"].tolist() == ["b.png"]
    np.testing.assert_array_equal(made["codes"][0], evaluated(run)[2])
    assert "Encoded 1 of 5 images (4 cannot be read, see above)" in out
    for name in ("a.png", "text.JPG", "zero.png", "gone.png"):
        assert f"image {folder / name} cannot be read: " in err
    assert len(err.splitlines()) == 4
    (folder / "b.png").unlink()
    status, _, err = jhash("encode", "--run", run, "--images", folder, "--output", tmp_path / "n")
    assert status == 1
    assert "jhash: --images: 4 files given, none of which can be read; allowed: at least one" in err
    assert not (tmp_path / "n").exists()


def test_images_of_32_bits_count_as_unreadable(jhash, run, photos, tmp_path):
    folder = tmp_path / "images"
    folder.mkdir()
    shutil.copy(photos / "0.png", folder)
    Image.fromarray(np.full((8, 8), 40_000, np.int32)).save(folder / "deep.tif")
    made, out, err = encode(jhash, run, tmp_path / "codes.npz", "--images", folder)
    assert made["ids"].tolist() == ["0.png"]
    assert f"image {folder / 'deep.tif'} cannot be read: its pixels are of 32 bits" in err
    assert "(1 cannot be read, see above)" in out


def test_nothing_but_the_file_of_the_encoder_is_read(jhash, run, photos, tmp_path):
    lonely = tmp_path / "run"
    lonely.mkdir()
    shutil.copy(run / "encoder.bin", lonely)
    (lonely / "config.json").write_text("damaged")
    one, *_ = encode(jhash, run, tmp_path / "one.npz", "--images", photos)
    two, *_ = encode(jhash, lonely, tmp_path / "two.npz", "--images", photos)
    np.testing.assert_array_equal(one["codes"], two["codes"])
    assert one["network"] == two["network"] == (run / "encoder.bin").read_bytes()[:32].hex()


def test_transparency_and_rotation_are_ignored(jhash, run, tmp_path):
    """As --help says."""
    folder = tmp_path / "images"
    folder.mkdir()
    pixels = np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    alpha = np.arange(0, 256, 4, dtype=np.uint8).reshape(8, 8, 1)
    Image.fromarray(pixels).save(folder / "plain.png")
    Image.fromarray(np.concatenate([pixels, alpha], axis=-1)).save(folder / "clear.png")
    turned = Image.Exif()
    turned[0x0112] = 6  # Orientation: to be turned by 90 degrees.
    Image.fromarray(pixels).save(folder / "turned.png", exif=turned)
    made, *_ = encode(jhash, run, tmp_path / "codes.npz", "--images", folder)
    assert len(made["codes"]) == 3
    assert len(np.unique(made["codes"])) == 1
    help_words = " ".join(jhash("encode", "--help")[1].split())
    assert "turns images as their EXIF data say and puts transparency on white; other" in help_words


def test_folders_are_searched_through_links_once(jhash, run, photos, tmp_path):
    folder, elsewhere = tmp_path / "images", tmp_path / "elsewhere"
    (folder / "sub").mkdir(parents=True)
    elsewhere.mkdir()
    for path in (folder / "z.PNG", folder / "sub" / "a.png", elsewhere / "b.png"):
        shutil.copy(photos / "0.png", path)
    (folder / "sub" / "loop").symlink_to(folder)
    (folder / "linked").symlink_to(elsewhere)
    made, *_ = encode(jhash, run, tmp_path / "codes.npz", "--images", folder)
    assert made["ids"].tolist() == ["linked/b.png", "sub/a.png", "z.PNG"]


def test_color_and_other_sizes_become_those_of_training(jhash, run, tmp_path):
    """As image lists are read: PIL's gray, then PIL's bilinear resize to the 8 x 8 of the run."""
    rng = np.random.default_rng(0)
    given, ready = tmp_path / "given", tmp_path / "ready"
    given.mkdir()
    ready.mkdir()
    for number in range(16):
        coarse = rng.integers(0, 256, (3, 2, 3), dtype=np.uint8)
        image = Image.fromarray(coarse).resize((20, 12))
        image.save(given / f"{number}.png")
        image.convert("L").resize((8, 8), Image.Resampling.BILINEAR).save(ready / f"{number}.png")
    one, *_ = encode(jhash, run, tmp_path / "one.npz", "--images", given)
    two, *_ = encode(jhash, run, tmp_path / "two.npz", "--images", ready)
    np.testing.assert_array_equal(one["codes"], two["codes"])
    assert len(np.unique(one["codes"])) > 1


def test_bad_input_is_named(jhash, run, photos, tmp_path):
    def error(*arguments):
        status, _, err = jhash("encode", "--output", tmp_path / "codes.npz", *arguments)
        assert status == 1
        assert len(err.splitlines()) == 1
        assert not (tmp_path / "codes.npz").exists()
        return err

    assert "no file or folder missing" in error("--run", run, "--images", "missing")
    (tmp_path / "empty").mkdir()
    message = error("--run", run, "--images", tmp_path / "empty")
    assert "with no file; allowed: folders in which some file ends in one of .avif" in message
    (tmp_path / "empty" / "a.MOV").touch()
    (tmp_path / "empty" / "b.mov").touch()
    message = error("--run", run, "--images", tmp_path / "empty")
    assert "with 2 files that are not read (2 .mov); allowed: " in message
    assert "of the formats JPEG, PNG, WebP, GIF, BMP, TIFF, PPM, AVIF, HEIF." in message
    twice = f"{photos}/0.png given twice; allowed: each image once"
    assert twice in error("--run", run, "--images", photos, photos)
    assert "--mode=eval --workdir=nothing" in error("--run", "nothing", "--images", photos)
    broken = tmp_path / "broken"
    broken.mkdir()
    content = (run / "encoder.bin").read_bytes()
    flipped = bytearray(content)
    flipped[len(content) // 2] ^= 1
    for wrong in (b"", content[:-1], content + b"x", flipped):
        (broken / "encoder.bin").write_bytes(wrong)
        assert "is damaged" in error("--run", broken, "--images", photos)
    for changes, found in (({}, 1), ({"version": 3}, 3)):
        stored = flax.serialization.msgpack_restore(content[32:])
        stored.pop("version")
        other = flax.serialization.msgpack_serialize({**stored, **changes})
        (broken / "encoder.bin").write_bytes(hashlib.sha256(other).digest() + other)
        message = error("--run", broken, "--images", photos)
        expected = f"{broken}/encoder.bin: format version {found} given; allowed: 2, which "
        assert expected + "python launch.py --mode=eval" in message


def test_what_is_among_images_and_is_none(jhash, run, photos, tmp_path):
    """Nothing of this is opened, and nothing hangs: FIFOs, sockets, loops, folders, names."""
    folder = tmp_path / "images"
    (folder / "folder.jpg").mkdir(parents=True)
    os.mkfifo(folder / "fifo.png")
    (folder / "loop.png").symlink_to("loop.png")
    (folder / "zero.png").symlink_to("/dev/zero")
    with socket.socket(socket.AF_UNIX) as server:
        here = Path.cwd()
        os.chdir(folder)  # The path of a socket has to be short.
        server.bind("socket.png")
        os.chdir(here)
    odd = b"\xff\n\x1b[2J.png"
    for name in (odd, b"a.png"):
        shutil.copy(photos / "2.png", os.path.join(os.fsencode(folder), name))
    (folder / "eps.png").write_bytes(hostile.EPS)
    made, out, err = encode(jhash, run, tmp_path / "codes.npz", "--images", folder)
    assert made["ids"].tolist() == [r"\xff" + "\n\x1b[2J.png", "a.png"]
    np.testing.assert_array_equal(made["codes"][0], made["codes"][1])
    assert "Encoded 2 of 7 images (5 cannot be read, see above)" in out
    assert len(err.splitlines()) == 5
    assert all(line.isprintable() for line in err.splitlines())
    for name in ("fifo", "zero", "socket"):
        assert f"image {folder / name}.png cannot be read: Not a regular file" in err
