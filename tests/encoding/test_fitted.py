"""An encoder fitted to images: their codes are those of queries, bit for bit."""

import numpy as np
import pytest
from PIL import Image

from jhash.encoding import encoder, fitted
from jhash.errors import InputError
from jhash.pretrained import efficientnet_lite


@pytest.fixture
def quick(monkeypatch):
    """A backbone without weights: the mean of each row."""
    monkeypatch.setattr(fitted, "_BACKBONE", "row_means.RowMeans")


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """70 images whose rows differ."""
    folder = tmp_path_factory.mktemp("images")
    rng = np.random.default_rng(0)
    paths = []
    for number in range(70):
        rows = rng.integers(0, 256, (12, 1, 3), dtype=np.uint8)
        Image.fromarray(np.repeat(rows, 9, axis=1)).save(folder / f"{number:02}.png")
        paths.append(str(folder / f"{number:02}.png"))
    return paths


def load(made, folder):
    encoder.write(str(folder / "i.encoder"), made.content)
    return fitted.load(str(folder / "i"), "i.encoder")


def check_same_codes(made, images, folder, sizes):
    loaded = load(made, folder)
    for size in sizes:
        codes = np.concatenate([codes for codes, _ in loaded.encode(images, size)])
        np.testing.assert_array_equal(codes, made.codes)
    np.testing.assert_array_equal(loaded.encode_query(images[3])[0], made.codes[3])
    return loaded


@pytest.mark.parametrize(("count", "bits", "method"), [(33, 32, "itq"), (32, 32, "lsh")])
def test_codes_of_the_fit_are_those_of_queries(quick, images, tmp_path, count, bits, method):
    made = fitted.fit(images[:count], bits)
    assert made.method == method
    assert made.errors == [None] * count
    loaded = check_same_codes(made, images[:count], tmp_path, (1, 7, 64))
    assert (loaded.bits, loaded.image_shape) == (bits, (96, 96, 3))
    assert len(np.unique(made.codes)) > count // 2
    again = fitted.fit(images[:count], bits)
    np.testing.assert_array_equal(again.codes, made.codes)
    assert encoder.write(str(tmp_path / "again"), again.content) == loaded.digest


def test_many_images_are_encoded_by_a_fit_to_a_sample(quick, images, tmp_path, monkeypatch):
    monkeypatch.setattr(fitted, "SAMPLE", 40)
    broken = tmp_path / "broken.png"
    broken.write_text("no image")
    given = [*images[:5], str(broken), *images[5:]]
    calls = []
    made = fitted.fit(given, 16, lambda *call: calls.append(call))
    assert made.method == "itq"
    assert sum(count for count, _ in calls) == fitted.count_reads(71) == 111
    assert [error[:6] for _, errors in calls for error in errors] == ["image "]
    assert [error is None for error in made.errors] == [path != str(broken) for path in given]
    assert made.codes.shape == (70, 1)
    check_same_codes(made, images, tmp_path, (1, 64))


def test_equal_images_have_equal_codes(quick, images, tmp_path):
    for given in ([images[0]] * 9, [images[0]] * 40, [images[0], *[images[1]] * 30]):
        made = fitted.fit(given, 8)
        assert len(np.unique(made.codes)) == len(set(given))
        check_same_codes(made, given, tmp_path, (1, 64))


def test_thresholds_lie_in_gaps():
    rng = np.random.default_rng(0)
    outputs = rng.normal(size=(500, 20)).astype(np.float32)
    outputs[:, 0] = outputs[0, 0]  # All are equal.
    outputs[:300, 1] = 1e-7 * rng.normal(size=300)  # Most are 0, but for rounding.
    rounding = np.full(20, 1e-5)
    thresholds = fitted.between(outputs, rounding)
    assert thresholds.shape == (20,)
    assert np.abs(outputs - thresholds).min() > 4e-6
    assert thresholds[0] < outputs[0, 0]
    moved = np.mean((outputs > 0) != (outputs > thresholds), axis=0)[2:]
    assert moved.max() <= 0.012 + 1e-6
    assert moved.max() > 0
    # The widest of few gaps: 0 lies between the second and the third.
    few = np.float32([[-2.0], [-0.1], [0.1], [3.0]])
    np.testing.assert_allclose(fitted.between(few, np.float32([1e-5])), [1.55])


def test_bad_input_is_named(quick, tmp_path, monkeypatch):
    (tmp_path / "a.png").write_text("no image")
    with pytest.raises(InputError, match=r"^images: 1 files given, none of which can be read"):
        fitted.fit([str(tmp_path / "a.png")], 8)
    with pytest.raises(InputError, match=r"^bits: 513 given; allowed: 1 to 512"):
        fitted.fit([str(tmp_path / "a.png")], 513)
    monkeypatch.setattr(efficientnet_lite, "_PACKAGE", "no_such_package")
    with pytest.raises(InputError, match=r"^run: none given; .* pip install 'jhash\[features\]'"):
        fitted.check(64)


@pytest.mark.parametrize("name", ["../i", "a/b", "/etc/passwd", "", ".", "..", 5, None, "a\0b"])
def test_an_encoder_beside_the_index_and_nowhere_else(tmp_path, name):
    with pytest.raises(InputError, match="allowed: the name of a file beside the index, without"):
        fitted.load(str(tmp_path / "i"), name)


def test_an_encoder_that_is_missing_or_damaged(quick, images, tmp_path):
    def error():
        with pytest.raises(InputError) as caught:
            fitted.load(str(tmp_path / "i"), "i.encoder")
        return str(caught.value)

    path = tmp_path / "i.encoder"
    belongs = f"It belongs beside {tmp_path}/i, which names it; move both together."
    assert error() == f"{path}: there is no such file. {belongs}"
    loaded = load(fitted.fit(images[:9], 8), tmp_path)
    assert loaded.bits == 8
    path.write_bytes(path.read_bytes()[:-1])
    rewrite = "python -m jhash index build --overwrite writes it again."
    assert error() == f"{path}: the file is damaged; {rewrite}"


def test_the_path_of_an_encoder_is_that_of_the_index_behind_links(tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "i.index")
    assert fitted.path_of(str(tmp_path / "link")) == f"{tmp_path}/i.index.encoder"


@pytest.mark.slow
def test_the_weights_of_imagenet(images, tmp_path):
    made = fitted.fit(images[:10], 16)
    assert made.method == "lsh"
    assert made.content["variables"]["params"]["hash"]["kernel"].shape == (1280, 16)
    check_same_codes(made, images[:10], tmp_path, (8, 64))
