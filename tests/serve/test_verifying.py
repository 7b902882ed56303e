"""The same picture comes first, on the page, in the API and by the command; or nothing changes."""

import re
import shutil
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image
from starlette.testclient import TestClient

from jhash.encoding import image_search, same_picture
from jhash.retrieval import HammingIndex
from jhash.serve import application, collection, guard, thumbnails
from tests.support.textures import texture

pytestmark = pytest.mark.usefixtures("quick_compilation")
# By code, the crop is the furthest of all from the photo that it was cut out of.
CODES = np.uint32([0, 1, 3, 7, 15, 31])[:, None]
IDS = ["whole.png", "b.png", "c.png", "d.png", "mirrored.png", "crop.jpg"]
BY_CODE = IDS[1:]
VERIFIED = ["crop.jpg", *IDS[1:5]]


@pytest.fixture(scope="module")
def pictures(made, tmp_path_factory):
    """An index of pictures: `index`, `photos`, and a crop of whole.png that is not in it, `new`."""
    folder = tmp_path_factory.mktemp("pictures")
    photos = folder / "photos"
    photos.mkdir()
    whole = texture(0, 600, 400)
    files = {"whole.png": whole, "mirrored.png": whole[:, ::-1], "crop.jpg": whole[40:330, 150:590]}
    files |= {name: texture(seed) for seed, name in enumerate(IDS[1:4], 1)}
    for name, pixels in files.items():
        Image.fromarray(np.ascontiguousarray(pixels)).save(photos / name)
    Image.fromarray(whole[60:380, 20:420]).save(folder / "new.png")
    metadata = {**HammingIndex.load(made[0]).metadata, "root": str(photos)}
    path = folder / "pictures.index"
    HammingIndex.build(CODES, 16, IDS, metadata).save(path)
    shutil.copy(f"{made[0]}.encoder", folder)  # It has the name that is kept.
    return SimpleNamespace(index=path, photos=photos, new=folder / "new.png")


@pytest.fixture
def client(pictures, client_of):
    watched = collection.Watched(collection.Source(str(pictures.index)))
    return client_of(watched=watched, index=pictures.index)


def names(answer):
    return [result["id"] for result in answer["results"]]


def marked(answer):
    return [result["id"] for result in answer["results"] if result.get("same_picture")]


def test_the_api_and_the_command_agree(client, pictures, jhash):
    flags = ("search", "--index", pictures.index, "--json", "-k", 6)
    (by_id,) = jhash(*flags, "--id", "whole.png")
    assert names(by_id) == ["whole.png", *VERIFIED]
    assert marked(by_id) == ["whole.png", "crop.jpg"]
    assert client.get("/api/search?id=whole.png&k=6").json() == by_id
    (by_image,) = jhash(*flags, "--image", pictures.new)
    assert marked(by_image) == ["whole.png"]
    assert names(by_image)[0] == "whole.png"
    sent = {"image": ("new.png", pictures.new.read_bytes())}
    posted = client.post("/api/search?k=6", files=sent).json()
    assert posted == {**by_image, "query": "new.png"}
    # The set of a radius stays, and so does what a code alone finds.
    assert names(client.get("/api/search?id=whole.png&radius=4").json()) == IDS[:5]
    assert names(client.get("/api/search?code=00000000&k=6").json()) == IDS


def test_one_result_is_the_same_picture(client, pictures, jhash):
    flags = ("search", "--index", pictures.index, "--json", "-k", 1)
    assert marked(jhash(*flags, "--image", pictures.new)[0]) == ["whole.png"]
    page = client.get("/search?id=whole.png&k=1").text
    assert re.findall('title="([a-z.]+)">\n<span class="frame"', page) == ["crop.jpg"]
    assert "Show more" in page


def test_the_page_marks_it(client, pictures):
    page = client.get("/search?id=whole.png").text
    assert re.findall('title="([a-z.]+)">\n<span class="frame"', page) == VERIFIED
    assert page.count("same picture</span>") == 1
    sent = {"image": ("new.png", pictures.new.read_bytes())}
    place = client.post("/search", files=sent).headers["location"]
    page = client.get(place).text
    assert page.count("same picture</span>") == 1
    assert page.index("whole.png") < page.index("same picture</span>") < page.index("crop.jpg")
    # Its picture is dropped some time; the code alone tells no picture.
    assert "same picture</span>" not in client.get(re.sub("upload=[^&]+", "upload=x", place)).text


def test_the_page_of_the_command_marks_it(pictures, jhash, tmp_path):
    command = ("search", "--index", pictures.index, "--id", "whole.png", "--html")
    jhash(*command, tmp_path / "found.html", "--json")
    content = (tmp_path / "found.html").read_text()
    assert content.count("<b>same picture</b>") == 2
    assert "<b>2</b>, d 5, <b>same picture</b><br>crop.jpg" in content


def test_it_can_be_switched_off(pictures, jhash):
    flags = ("search", "--index", pictures.index, "--json", "-k", 6, "--no-verify")
    (found,) = jhash(*flags, "--id", "whole.png")
    assert (names(found), marked(found)) == (IDS, [])
    watched = collection.Watched(collection.Source(str(pictures.index)))
    app = application.build(watched, str(pictures.index), guard.Rules(), verify=False)
    with TestClient(app, "http://127.0.0.1:8000") as client:
        assert client.get("/api/search?id=whole.png&k=6").json() == found
        assert "same picture</span>" not in client.get("/search?id=whole.png").text


def test_without_the_images_nothing_changes(pictures, client_of, jhash, tmp_path):
    index = HammingIndex.load(pictures.index)
    path = tmp_path / "pictures.index"
    shutil.copy(f"{pictures.index.parent}/{index.metadata['encoder']}", tmp_path)
    (tmp_path / "empty").mkdir()
    for root in (str(tmp_path / "gone"), str(tmp_path / "empty"), None):
        index.metadata.pop("root", None)
        if root:
            index.metadata["root"] = root
        index.save(path)
        (found,) = jhash("search", "--index", path, "--json", "-k", 6, "--id", "whole.png")
        assert (names(found), marked(found)) == (IDS, [])
        client = client_of(watched=collection.Watched(collection.Source(str(path))), index=path)
        assert client.get("/api/search?id=whole.png&k=6").json() == found


def test_thumbnails_that_are_kept_take_the_place_of_the_files(client, pictures):
    assert thumbnails.SIDE >= same_picture.SIDE
    kept = pictures.index.with_name("pictures.index.thumbnails")
    before = client.get("/api/search?id=whole.png&k=6").json()
    assert not kept.exists()  # A search makes none.
    for name in IDS:
        assert client.get("/thumbnail", params={"id": name}).status_code == 200
    opened = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(image_search, "picture", lambda path, name: opened.append(name))
        assert client.get("/api/search?id=whole.png&k=6").json() == before
    assert opened == []
    shutil.rmtree(kept)


def test_ids_do_not_lead_out_of_the_folders(pictures, jhash, tmp_path):
    """An index may be somebody else's."""
    opened = HammingIndex.load(pictures.index)
    ids = [str(pictures.new), "../new.png", "whole.png"]
    HammingIndex.build(CODES[:3], 16, ids, opened.metadata).save(tmp_path / "strange.index")
    flags = ("search", "--index", tmp_path / "strange.index", "--json", "-k", 3)
    (found,) = jhash(*flags, "--id", "whole.png")
    assert marked(found) == ["whole.png"]
