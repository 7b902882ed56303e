"""encode --beam and jhash.beam, by Beam's direct runner: the codes of the plain command."""

import json
import os
import sys

import numpy as np
import pytest
from PIL import Image

from jhash.encoding import encoder, image_batches
from jhash.errors import InputError
from jhash.retrieval import HammingIndex

beam = pytest.importorskip("apache_beam")

from apache_beam.io import filesystem, localfilesystem  # noqa: E402
from apache_beam.testing.util import assert_that, equal_to  # noqa: E402

from jhash import beam as jhash_beam  # noqa: E402

ODD = b"\xff\n.png"


class Elsewhere(localfilesystem.LocalFileSystem):
    """Files of this machine at URLs elsewhere://, in place of a bucket."""

    @classmethod
    def scheme(cls):
        return "elsewhere"

    def open(self, path, *arguments, **options):
        return super().open(path.removeprefix("elsewhere:/"), *arguments, **options)

    def match(self, patterns, limits=None):
        local = [pattern.removeprefix("elsewhere:/") for pattern in patterns]
        results = super().match(local, limits)
        for result in results:
            result.metadata_list = [
                filesystem.FileMetadata(f"elsewhere:/{entry.path}", entry.size_in_bytes)
                for entry in result.metadata_list
            ]
        return results


@pytest.fixture
def folder(photos, tmp_path):
    """36 images, one with an odd name, and three files that are none."""
    made = tmp_path / "photos"
    (made / "odd").mkdir(parents=True)
    for number in range(36):
        name = f"{'odd/' * (number % 2)}{number}.png"
        (made / name).write_bytes((photos / name).read_bytes())
    os.rename(made / "0.png", os.path.join(os.fsencode(made), ODD))
    content = (photos / "0.png").read_bytes()
    (made / "cut.png").write_bytes(content[: len(content) // 2])
    (made / "odd" / "text.JPG").write_text("no image")
    (made / "zero.png").touch()
    return made


@pytest.fixture
def shapes(monkeypatch):
    """The shapes of the batches that models are given."""
    found = []
    run = image_batches.run

    def spying(images, read, image_shape, batch_size, forward, padded=False):
        def spied(pixels):
            found.append(pixels.shape)
            return forward(pixels)

        return run(images, read, image_shape, batch_size, spied, padded)

    monkeypatch.setattr(image_batches, "run", spying)
    return found


def test_codes_and_index_are_those_of_the_plain_commands(jhash, run, folder, tmp_path, shapes):
    output = tmp_path / "codes"
    arguments = ("encode", "--run", run, "--images", folder, "--output", output, "--shards", "3")
    status, out, err = jhash(*arguments, "--beam", "--runner=DirectRunner")
    assert status == 0, err
    assert "Encoded 36 of 39 images (3 cannot be read, see " in out
    assert {shape[0] for shape in shapes} == {16}, "the batch size of the run, also of the last"
    unreadable = json.loads((output / "unreadable.json").read_text())
    assert sorted(unreadable) == ["cut.png", "odd/text.JPG", "zero.png"]
    assert "cut.png cannot be read: image file is truncated" in unreadable["cut.png"]
    shards = sorted(output.glob("*.npz"))
    assert [path.name for path in shards] == [f"codes-0000{n}-of-00003.npz" for n in range(3)]

    merged, plain = tmp_path / "merged.index", tmp_path / "plain.index"
    status, _, err = jhash("index", "build", "--codes", *reversed(shards), "--output", merged)
    assert status == 0, err
    assert jhash("index", "build", "--run", run, "--images", folder, "--output", plain)[0] == 0
    assert merged.read_bytes() == plain.read_bytes()
    index = HammingIndex.load(merged)
    assert index.ids.tolist() == sorted(index.ids)
    assert r"\xff" + "\n.png" in index.ids.tolist()
    assert index.metadata["network"] == encoder.digest(run)

    # Again, with what a runner that was killed may have left.
    before = [path.read_bytes() for path in shards]
    shards[1].write_bytes(b"half")
    status, out, err = jhash(*arguments, "--json", "--beam")
    assert status == 0, err
    assert [path.read_bytes() for path in shards] == before
    told = json.loads(out)
    assert (told["encoded"], told["unreadable"], told["shards"]) == (36, 3, 3)

    status, _, err = jhash(*arguments[:-1], "4", "--beam")
    assert status == 1
    assert "--output: " in err
    assert "which holds codes-00000-of-00003.npz, one of 3 files, while 4 are" in err


def test_encode_takes_paths_urls_and_contents_and_loads_the_model_once(
    run, photos, folder, monkeypatch
):
    loads = []
    load = encoder.load
    monkeypatch.setattr(encoder, "load", lambda *given: loads.append(given) or load(*given))
    names = ["2.png", "odd/3.png", "4.png"]
    given = [
        str(photos / names[0]),
        f"elsewhere:/{photos / names[1]}",
        (7, (photos / names[2]).read_bytes()),
        ("broken", b"no image"),
        f"elsewhere:/{photos}/none.png",
    ]
    assert jhash_beam.match(f"elsewhere:/{photos}/odd/1*1.png") == [
        f"elsewhere:/{photos}/odd/{number}.png" for number in (101, 11, 111, 121, 131, 141, 151)
    ] + [f"elsewhere:/{photos}/odd/{number}.png" for number in (161, 171, 181, 191)]
    expected = [next(load(run).encode([str(photos / name)]))[0][0] for name in names]
    ids = [given[0], given[1], 7]
    digest = encoder.digest(run)

    def plain(code):
        identifier, packed, network = code
        assert packed.dtype == np.uint32
        return identifier, packed.tolist(), network

    pipeline = beam.Pipeline()
    step = jhash_beam.Encode(str(run), batch_size=2).with_unreadable()
    codes, unreadable = pipeline | beam.Create(given) | step
    rows = [(name, code.tolist(), digest) for name, code in zip(ids, expected, strict=True)]
    assert_that(codes | "plain" >> beam.Map(plain), equal_to(rows))
    ids_alone = unreadable | "ids" >> beam.Map(lambda pair: pair[0])
    assert_that(ids_alone, equal_to(["broken", given[4]]), label="unreadable")
    result = pipeline.run()
    result.wait_until_finish()
    [counter] = result.metrics().query(beam.metrics.MetricsFilter().with_name("unreadable"))[
        "counters"
    ]
    assert counter.result == 2
    assert len(loads) == 1


def test_what_cannot_be_encoded(jhash, run, tmp_path, monkeypatch):
    def error(*arguments, status=1):
        given = ("encode", "--run", run, "--output", tmp_path / "codes", *arguments, "--beam")
        got, _, err = jhash(*given)
        assert got == status
        return err

    (tmp_path / "a.png").write_text("no image")
    assert "--images: 1 files given, none of which" in error("--images", tmp_path / "*.png")
    assert "no file or folder" in error("--images", tmp_path / "*.jpg")
    assert "URLs alone" in error("--images", "gs://a/*", tmp_path)
    assert "allowed: URLs that match files" in error("--images", f"elsewhere:/{tmp_path}/*.jpg")
    assert "which cannot be looked up" in error("--images", "nowhere://a/*")
    with pytest.raises(InputError, match=r"^images: a given twice"):
        jhash_beam.WriteShards(str(tmp_path), 12)._write(0, [("a", b""), None, ("a", b"")])
    with pytest.raises(InputError, match=r"^folder: codes\[1\] given; allowed: names without"):
        jhash_beam.check_folder("codes[1]", 3)
    monkeypatch.setitem(sys.modules, "apache_beam", None)
    monkeypatch.delitem(sys.modules, "jhash.beam")
    monkeypatch.delattr("jhash.beam")
    err = error("--images", tmp_path / "a.png")
    assert "jhash: --beam: apache_beam is not installed; allowed: " in err
    assert "pip install 'jhash[beam]'" in err


def test_options_of_the_pipeline_alone_are_refused_without_it(jhash, run, tmp_path):
    Image.new("L", (8, 8)).save(tmp_path / "a.png")
    status, _, err = jhash(
        "encode", "--run", run, "--images", tmp_path, "--output", tmp_path / "n", "--shards", "2"
    )
    assert status == 2
    assert "--shards needs --beam" in err
