"""Times reading of image files for training, by number of processes, beside PyTorch's DataLoader.

    python benchmarks/image_input.py [--images=400] [--workers 0 1 2] [--rounds=3] [--json]

The images are JPEGs of 500 x 375 pixels, cut from two photos of scikit-learn, which become
224 x 224 in batches of 32. Both sides open them with Pillow and resize them bilinearly, and give
the same bytes. jhash reads them as an image list, with `config.data.workers` of the given numbers;
PyTorch has a map-style data set and `num_workers` of these numbers. Each turn reads every image
once, and keeps none from the turn before. The turns of all alternate; numbers are medians. Images
per second are without the first batch, before which processes start; that time is given by itself.
The processor time is that of all processes together: for the first batch alone, with start and end,
and per image of the others.
"""

import argparse
import os
import resource
import tempfile
import time

import numpy as np
from output import Output, add_switch
from PIL import Image

from jhash.data import ImageListSource, batches

# PyTorch and scikit-learn are imported where they are used: Grain's processes import this file.

BATCH = 32
SIDE = 224


class Files:
    """The same files for PyTorch, which makes tensors of what it is given."""

    def __init__(self, paths):
        self._paths = paths

    def __len__(self):
        return len(self._paths)

    def __getitem__(self, index):
        with Image.open(self._paths[index]) as image:
            return np.array(image.convert("RGB").resize((SIDE, SIDE), Image.Resampling.BILINEAR))


def make_files(folder, count):
    """Writes photos and their lists."""
    from sklearn.datasets import load_sample_images

    photos = load_sample_images().images
    rng = np.random.default_rng(0)
    for number in range(count):
        photo = photos[number % 2]
        top, left = rng.integers(0, photo.shape[0] - 375), rng.integers(0, photo.shape[1] - 500)
        crop = Image.fromarray(photo[top : top + 375, left : left + 500])
        crop.save(os.path.join(folder, f"{number:06}.jpg"), quality=90)
    lines = [f"{number:06}.jpg {number % 2} {1 - number % 2}\n" for number in range(count)]
    for name, listed in (("train", lines[:-1]), ("database", lines[:-1]), ("test", lines[-1:])):
        with open(os.path.join(folder, f"{name}.txt"), "w") as file:
            file.writelines(listed)


def by_jhash(folder, count, workers):
    """Yields the batches of jhash."""
    source = ImageListSource(folder, image_size=SIDE)
    orders = np.arange(count).reshape(-1, BATCH)
    for batch in batches.prefetch(source, orders, workers=workers):
        yield batch["images"]


def by_torch(folder, count, workers):
    """Yields the batches of PyTorch."""
    import torch

    paths = [os.path.join(folder, f"{number:06}.jpg") for number in range(count)]
    loader = torch.utils.data.DataLoader(Files(paths), BATCH, num_workers=workers)
    yield from map(np.asarray, loader)


def processor_seconds():
    """The processor time of this process and of those that it has waited for."""
    usages = map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def turn(read, folder, count, workers):
    """Reads all images once, after a turn with one batch alone.

    Returns:
      (images per second, seconds until the first batch, processor seconds of a turn with one batch,
      processor milliseconds per image of the others, the first batch).
    """
    used = processor_seconds()
    [first] = read(folder, BATCH, workers)
    one = processor_seconds() - used
    used, began = processor_seconds(), time.perf_counter()
    given = read(folder, count, workers)
    np.testing.assert_array_equal(next(given), first)
    there = time.perf_counter()
    rest = sum(len(batch) for batch in given)
    ended = time.perf_counter()
    used = processor_seconds() - used
    return rest / (ended - there), there - began, one, 1e3 * (used - one) / rest, first


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=400)
    parser.add_argument("--workers", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--rounds", type=int, default=3)
    add_switch(parser)
    arguments = parser.parse_args()
    count = -(-arguments.images // BATCH) * BATCH
    turns = {(name, workers): [] for workers in arguments.workers for name in ("jhash", "torch")}
    readers = {"jhash": by_jhash, "torch": by_torch}
    with tempfile.TemporaryDirectory() as folder, Output(arguments.json) as output:
        make_files(folder, count)
        size = np.mean([os.path.getsize(entry) for entry in os.scandir(folder)]) / 1024
        output.line(
            f"{count} JPEGs of 500 x 375, {size:.0f} KiB, to {SIDE} x {SIDE}; "
            f"{os.cpu_count()} CPUs, load {os.getloadavg()[0]:.1f} before",
            images=count,
            kib=size,
            load=os.getloadavg()[0],
        )
        expected = None
        for _ in range(arguments.rounds):
            for (name, workers), found in turns.items():
                *numbers, first = turn(readers[name], folder, count, workers)
                expected = first if expected is None else expected
                assert np.array_equal(first, expected), (name, workers)
                found.append(numbers)
        output.line(
            f"{'loader':8}{'workers':>8}{'images/s':>10}{'start s':>9}{'start CPU s':>13}"
            f"{'CPU ms/image':>14}"
        )
        for (name, workers), found in turns.items():
            rate, start, one, used = np.median(found, axis=0)
            output.row(
                "loaders",
                f"{name:8}{workers:8}{rate:10.0f}{start:9.2f}{one:13.2f}{used:14.2f}",
                loader=name,
                workers=workers,
                images_per_second=rate,
                start_seconds=start,
                start_cpu_seconds=one,
                cpu_ms_per_image=used,
            )
        output.line(f"load {os.getloadavg()[0]:.1f} after", load_after=os.getloadavg()[0])


if __name__ == "__main__":
    main()
