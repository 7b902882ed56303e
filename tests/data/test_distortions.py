"""Strong augmentation against loops over pixels, and its dependence on keys alone."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jhash.data import augment, distortions
from tests.support.pictures import some_images

pytestmark = pytest.mark.usefixtures("quick_compilation")

ALL = {"crop_area": 0.5, "jitter": 0.4, "gray": 0.2, "blur": 0.5}


def keys(count, seed=0):
    return jax.random.split(jax.random.key(seed), count)


@functools.cache
def compiled(options):
    return jax.jit(functools.partial(distortions.distort, **dict(options)))


def distort(images, own, **options):
    return np.asarray(compiled(tuple(options.items()))(images, own))


def test_nothing_is_done_by_default():
    images = some_images(4, 6, 5, 3)
    assert distortions.distort(images, keys(4)) is images


def test_an_image_depends_on_its_own_key_alone():
    images, own = some_images(12, 8, 8, 3), keys(12)
    expected = distort(images, own, **ALL)
    assert expected.shape == images.shape
    assert ((expected >= 0) & (expected <= 255)).all()
    order = np.random.default_rng(0).permutation(12)
    np.testing.assert_array_equal(distort(images[order], own[order], **ALL), expected[order])
    assert not np.array_equal(distort(images, keys(12, seed=1), **ALL), expected)
    # The window is another one than that of `augment` by the same key, whose draws do not change.
    weak = functools.partial(augment.train_images, mean=0.0, size=8, pad=2, flip=True)
    strong = jax.jit(functools.partial(weak, **ALL))(images, own)
    np.testing.assert_allclose(strong, jax.jit(weak)(expected, own), atol=1e-3)


def test_a_window_is_a_part_of_the_image_resized():
    """In an image whose channels are the coordinates, which bilinear interpolation keeps."""
    height, width, count = 12, 20, 200
    rows, columns = np.mgrid[:height, :width]
    image = np.stack([10.0 * rows, 10.0 * columns, 0 * rows], axis=2)
    images = np.broadcast_to(np.float32(image), (count, height, width, 3))
    found = distort(images, keys(count), crop_area=0.3) / 10
    # Inside, away from the border, where places are clipped, neighbors are a constant apart.
    steps = [np.diff(found[:, 4:8, :, 0], axis=1), np.diff(found[:, :, 8:12, 1], axis=2)]
    shares = [step.reshape(count, -1).mean(1) for step in steps]
    for step, share in zip(steps, shares, strict=True):
        np.testing.assert_allclose(
            step.reshape(count, -1), share[:, None] + 0 * step.reshape(count, -1), atol=1e-3
        )
    area, ratio = shares[0] * shares[1], shares[1] / shares[0]
    assert 0.25 < area.min() < 0.4
    assert 0.9 < area.max() <= 1 + 1e-5
    assert ratio.min() > 0.74
    assert ratio.max() < 1.34
    assert ((found[..., 0] >= 0) & (found[..., 0] <= height - 1)).all()
    assert ((found[..., 1] >= 0) & (found[..., 1] <= width - 1)).all()


def test_gray_images_have_one_color():
    images, own = some_images(400, 3, 3, 3), keys(400)
    found = distort(images, own, gray=0.25)
    luma = (images * np.float64([0.299, 0.587, 0.114])).sum(3, keepdims=True)
    gray = np.isclose(found, luma, atol=0.01).all((1, 2, 3))
    np.testing.assert_array_equal(found[~gray], images[~gray])
    assert 70 < gray.sum() < 130
    np.testing.assert_array_equal(distort(images[..., :1], own, gray=1.0), images[..., :1])


def test_blurred_images_are_means_of_three_by_three_pixels():
    images, own = some_images(60, 5, 6, 1), keys(60)
    found, blurred = distort(images, own, blur=0.5), 0
    for image, one in zip(np.float64(images[..., 0]), found[..., 0], strict=True):
        if np.allclose(one, image):
            continue
        blurred += 1
        padded = np.pad(image, 1, "edge")
        # From the weight of the sides, which one pixel gives, all others follow.
        kinds = [
            [
                padded[i : i + 5, j : j + 6]
                for i in range(3)
                for j in range(3)
                if (i, j).count(1) == n
            ]
            for n in (2, 1, 0)
        ]
        middle, sides, corners = (np.sum(kind, axis=0) for kind in kinds)
        best = min(
            np.abs((middle + a * sides + a * a * corners) / (1 + 2 * a) ** 2 - one).max()
            for a in np.exp(-1 / (2 * np.linspace(0.1, 2, 4000) ** 2))
        )
        assert best < 0.2
    assert 18 < blurred < 42


def literal_recolor(image, factors, shift):
    """Brightness, contrast, saturation and hue of a pixel after another."""
    to_luma = np.float64([0.299, 0.587, 0.114])
    y = np.clip(image * factors[0], 0, 255)
    mean = (y @ to_luma).mean()
    y = np.clip(mean + factors[1] * (y - mean), 0, 255)
    gray = (y @ to_luma)[..., None]
    y = np.clip(gray + factors[2] * (y - gray), 0, 255)
    plane = np.float64([to_luma, [0.596, -0.274, -0.322], [0.211, -0.523, 0.312]])
    angle, out = 2 * np.pi * shift, np.empty_like(y)
    for place in np.ndindex(y.shape[:2]):
        luma, i, q = plane @ y[place]
        hue = complex(i, q) * np.exp(1j * angle)
        out[place] = np.linalg.solve(plane, [luma, hue.real, hue.imag])
    return np.clip(out, 0, 255)


def test_colors_change_in_seven_of_ten_images():
    images, own = some_images(300, 3, 4, 3), keys(300)
    found = distort(images, own, jitter=0.4)
    same = np.isclose(found, images).all((1, 2, 3))
    assert 60 < same.sum() < 120
    assert np.isclose(distort(images, own, jitter=0.0), images).all()
    for index in np.flatnonzero(~same)[:5]:
        key = jax.random.split(jax.random.fold_in(own[index], distortions._STREAM), 4)[1]
        _, *three, hue = jax.random.split(key, 5)
        factors = [float(jax.random.uniform(one, minval=0.6, maxval=1.4)) for one in three]
        shift = 0.4 * float(jax.random.uniform(hue, minval=-0.25, maxval=0.25))
        expected = literal_recolor(np.float64(images[index]), factors, shift)
        np.testing.assert_allclose(found[index], expected, atol=0.05)


def test_a_turn_by_a_right_angle_moves_pixels():
    images = some_images(2, 6, 6, 3)
    np.testing.assert_allclose(
        distortions.distort(images, keys(2), degrees=90.0), np.rot90(images, axes=(1, 2)), atol=1e-2
    )


def test_views_are_turned_by_steps_to_both_sides():
    assert [augment.view_turn(view) for view in range(5)] == [0, 1, -1, 2, -2]
    images = np.zeros((1, 9, 9, 1), np.uint8)
    images[0, 4, 4:] = 255  # A hand that points to the right.
    views = augment.train_views(images, keys(1), 0.0, views=5, rotate_step=45.0, size=9)
    tips = [np.asarray(view)[0, ..., 0] for view in views]
    assert tips[0][4, 7] > 200
    assert tips[1][2, 6] > 100
    assert tips[2][6, 6] > 100
    assert tips[3][1, 4] > 200
    assert tips[4][7, 4] > 200
    assert jnp.shape(views) == (5, 1, 9, 9, 1)
