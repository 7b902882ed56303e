"""Preprocessing against PyTorch's resize and arithmetic in float64."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

from jhash.data import preprocess
from jhash.errors import InputError
from tests.support.pictures import numbered, some_images


def test_mean_image_is_the_float64_mean_whatever_the_batches():
    images = some_images(1000, 9, 7, 3)
    expected = np.mean(images.astype(np.float64), axis=0).astype(np.float32)
    for cuts in ([], [1], [100, 350, 999]):
        found = preprocess.mean_image(iter(np.split(images, cuts)))
        assert found.dtype == np.float32
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("batches", [[], [np.zeros((0, 2, 2, 1))], [np.zeros((2, 2, 1))]])
def test_mean_image_refuses_nothing_and_single_images(batches):
    with pytest.raises(InputError, match=r"batches: .* given; allowed: "):
        preprocess.mean_image(batches)


@pytest.mark.parametrize(
    ("side", "size"), [((28, 28), 224), ((64, 64), 28), ((50, 37), 45), ((32, 32), 32)]
)
def test_resize_is_pytorchs(side, size):
    images = some_images(3, *side, 3)
    found = jax.jit(functools.partial(preprocess.preprocess, size=size))(images, 0.0)
    other = torch.nn.functional.interpolate(
        torch.tensor(images.transpose(0, 3, 1, 2), dtype=torch.float32),
        (size, size),
        mode="bilinear",
        align_corners=False,
        antialias=True,
    )
    assert found.dtype == jnp.float32
    np.testing.assert_allclose(found, other.numpy().transpose(0, 2, 3, 1), atol=2e-3)


def test_preprocess_without_resize_is_arithmetic():
    images = some_images(4, 8, 8, 3)
    mean = preprocess.mean_image([images])
    for center in (mean, mean.mean((0, 1)), 120.5):
        found = preprocess.preprocess(images, center, size=8, scale=1 / 255)
        expected = (images.astype(np.float64) - center) / 255
        np.testing.assert_allclose(found, expected, atol=1e-6)


@pytest.mark.parametrize("size", [12, 20, 40])
def test_mean_may_be_taken_off_before_the_resize(size):
    images = some_images(4, 20, 20, 3)
    mean = preprocess.mean_image([images])
    found = preprocess.preprocess(images, mean, size=size, scale=0.5)
    expected = preprocess.preprocess(images - mean, 0.0, size=size, scale=0.5)
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_mean_of_another_size_is_resized_too():
    images = np.full((2, 10, 10, 3), 200, np.uint8)
    ramp = np.broadcast_to(np.arange(4, dtype=np.float32)[None, :, None], (4, 4, 3))
    found = preprocess.preprocess(images, ramp, size=8)
    # Half-pixel centers: the ramp 0, 1, 2, 3 at twice the size, held at its ends.
    expected = 200 - np.array([0, 0.25, 0.75, 1.25, 1.75, 2.25, 2.75, 3])
    np.testing.assert_allclose(found, np.broadcast_to(expected[:, None], found.shape), atol=1e-4)


def test_gray_becomes_three_channels_before_the_mean():
    images = some_images(2, 6, 6, 1)
    color = np.float32([1, 2, 3])
    found = preprocess.preprocess(images, color, size=6, channels=3)
    np.testing.assert_array_equal(found, images.astype(np.float32) - color)
    assert preprocess.preprocess(images, 0.0, size=6, channels=1).shape == (2, 6, 6, 1)


def test_preprocess_refuses_channels_that_do_not_fit():
    with pytest.raises(InputError, match="channels: 1 given for images of 3 channels; allowed: 3"):
        preprocess.preprocess(some_images(1, 4, 4, 3), 0.0, size=4, channels=1)
    with pytest.raises(InputError, match=r"mean: shape \(3,\) given for images of 1 .*; allowed:"):
        preprocess.preprocess(some_images(1, 4, 4, 1), np.zeros(3), size=4)


def test_center_crop():
    images = numbered(2, 7, 8)
    np.testing.assert_array_equal(preprocess.center_crop(images, 4), images[:, 1:5, 2:6])
    np.testing.assert_array_equal(preprocess.center_crop(images, 7), images[:, :, 0:7])


def test_center_crop_refuses():
    with pytest.raises(InputError, match="crop: 7x7 given; allowed: up to 6x8 pixels"):
        preprocess.center_crop(numbered(2, 6, 8), 7)


def test_the_input_in_evaluation_is_its_parts():
    images = some_images(8, 10, 10, 1)
    mean = preprocess.mean_image([images])
    options = {"size": 12, "scale": 1 / 255, "channels": 3}
    whole = preprocess.preprocess(images, mean, **options)
    np.testing.assert_array_equal(preprocess.eval_images(images, mean, **options), whole)
    cropped = preprocess.eval_images(images, mean, **options, crop=9)
    np.testing.assert_array_equal(cropped, preprocess.center_crop(whole, 9))
