"""The page and the API, by a client in this process, against `search --json`."""

import html
import os
import re
import shutil
import time

import numpy as np
import pytest

from jhash.retrieval import HammingIndex
from jhash.serve import batching, collection, guard, limits
from tests.serve.conftest import HOST
from tests.support.served import HANDLER, SCRIPT, declared_png, draw

pytestmark = pytest.mark.usefixtures("quick_compilation")
TEXT = ("holiday.jpg", b"this is no image")
LARGE = ("large.png", declared_png(50_000, 50_000))


def shown(response):
    """The ids and distances in the grid of a page."""
    names = re.findall(r'<a href="search[^"]*" title="([^"]*)">', response.text)
    distances = re.findall(r"</span>(\d+)</span>", response.text)
    return [html.unescape(name) for name in names], [int(distance) for distance in distances]


def words(response):
    """The words of an error, on a page or in JSON."""
    if "json" in response.headers["content-type"]:
        return response.json()["error"]
    return html.unescape(re.search(r"<p>(.*?)</p>", response.text)[1])


def expected(index, query, k=10, radius=None):
    """What `search --json` says of an image of the index, by distances counted bit by bit."""
    loaded = HammingIndex.load(index)
    ids = loaded.ids
    bits = loaded.export() ^ loaded.export()[ids.tolist().index(query)]
    distances = np.unpackbits(bits, axis=1).sum(axis=1)
    order = np.argsort(distances, kind="stable")
    order = order[distances[order] <= (16 if radius is None else radius)][:k]
    results = [
        {"rank": rank, "distance": int(distances[place]), "id": str(ids[place])}
        for rank, place in enumerate(order, start=1)
    ]
    return {"query": query, "results": results}


def test_the_command_says_the_same(client, jhash, made):
    index, photos = made
    flags = ("--index", index, "--json", "-k", 32)
    (by_id,) = jhash("search", *flags, "--id", "cats/3.png")
    assert client.get("/api/search?id=cats/3.png&k=32").json() == by_id
    assert expected(index, "cats/3.png", 32) == by_id
    (by_image,) = jhash("search", *flags, "--image", photos / "dogs/7.png")
    by_image["query"] = "7.png"
    sent = {"image": ("7.png", (photos / "dogs/7.png").read_bytes())}
    assert client.post("/api/search?k=32", files=sent).json() == by_image


@pytest.mark.parametrize("bounds", [{}, {"k": 3}, {"radius": 5}, {"k": 4, "radius": 6}])
def test_the_api_takes_numbers_and_radii(client, made, bounds):
    index, photos = made
    wanted = bounds if bounds else {"k": 10}
    by_id = expected(index, "cats/3.png", **{"k": None, **wanted})
    assert client.get("/api/search", params={"id": "cats/3.png", **bounds}).json() == by_id
    content = (photos / "dogs/7.png").read_bytes()
    by_image = {**expected(index, "dogs/7.png", **{"k": None, **wanted}), "query": "7.png"}
    sent = {"image": ("7.png", content)}
    assert client.post("/api/search", params=bounds, files=sent).json() == by_image
    assert client.post("/api/search", data=bounds, files=sent).json() == by_image
    raw = client.post(
        "/api/search",
        params={"name": "7.png", **bounds},
        content=content,
        headers={"content-type": "image/png"},
    )
    assert raw.json() == by_image


def test_a_radius_alone_says_if_there_is_more(client, made, monkeypatch):
    near = expected(made[0], "cats/3.png", None, 9)["results"]
    assert len(near) > 3
    for most, more in ((len(near) - 1, {"more": True}), (len(near), {})):
        monkeypatch.setattr(limits, "MAX_RESULTS", most)
        wanted = {"query": "cats/3.png", "results": near[:most], **more}
        assert client.get("/api/search?id=cats/3.png&radius=9").json() == wanted


def test_too_many_queries_are_told_to_come_again(client, monkeypatch):
    async def full(*arguments):
        raise batching.BusyError

    monkeypatch.setattr(batching.Batcher, "search", full)
    for address in ("/api/search?id=cats/3.png", "/search?id=cats/3.png"):
        refused = client.get(address)
        assert refused.status_code == 503
        assert words(refused).startswith("The server has too much to do at the moment.")


def test_an_upload_leads_to_a_page_that_can_be_shown_again(client, made):
    index, photos = made
    results = expected(index, "dogs/7.png", 5)["results"]
    sent = {"image": ("new.png", (photos / "dogs/7.png").read_bytes())}
    response = client.post("/search", files=sent, data={"k": "5", "radius": ""})
    assert response.status_code == 303
    page = client.get(response.headers["location"])
    names, distances = shown(page)
    assert names == [result["id"] for result in results]
    assert distances == [result["distance"] for result in results]
    assert ">new.png<" in page.text
    picture = client.get("/" + html.unescape(re.search('src="(upload[^"]+)"', page.text)[1]))
    assert picture.headers["content-type"] == "image/jpeg"
    tag = picture.headers["etag"]
    again = client.get(picture.request.url, headers={"if-none-match": tag})
    assert (again.status_code, again.content) == (304, b"")
    # The picture is dropped some time, the code is in the address.
    forgotten = re.sub("upload=[^&]+", "upload=gone", response.headers["location"])
    assert shown(client.get(forgotten))[0] == names
    assert client.get("/upload?key=gone").status_code == 404


def test_the_page_of_an_image_leaves_itself_out(client, made):
    results = expected(made[0], "cats/3.png", 9)["results"]
    others = [result for result in results if result["id"] != "cats/3.png"]
    page = client.get("/search?id=cats/3.png&k=8")
    names, distances = shown(page)
    assert names == [result["id"] for result in others]
    assert distances == [result["distance"] for result in others]
    assert 'class="label">cats<' in page.text
    assert 'href="search?id=cats%2F3.png&amp;k=16"' in page.text  # Show more.
    every = client.get("/search?id=cats/3.png&k=999")
    assert len(shown(every)[0]) == 41
    assert "Show more" not in every.text
    near = client.get("/search?id=cats/3.png&radius=0")
    assert "No other image is that near" in near.text


def test_the_first_page_offers_images(client):
    page = client.get("/")
    names, distances = shown(page)
    assert (len(set(names)), distances) == (24, [])
    assert "42 images, 16 bits each" in page.text
    assert shown(client.get("/?images=1"))[0] != names


def test_names_are_escaped_everywhere(client):
    for identifier in (SCRIPT, HANDLER):
        page = client.get("/search", params={"id": identifier, "k": 100})
        assert page.status_code == 200
        assert "<script>alert" not in page.text
        assert "<img src=x" not in page.text
        assert identifier in shown(client.get("/search?id=cats/3.png&k=100"))[0]
        assert client.get("/thumbnail", params={"id": identifier}).status_code == 200
    missing = client.get("/search", params={"id": "<script>alert(3)</script>\u202e"})
    assert missing.status_code == 404
    assert "<script>alert" not in missing.text
    assert "\u202e" not in missing.text
    sent = {"image": ("<img src=x onerror=alert(4)>.jpg", b"no image")}
    refused = client.post("/search", files=sent)
    assert refused.status_code == 400
    assert "<img src=x" not in refused.text


@pytest.mark.parametrize(
    ("address", "status", "said"),
    [
        ("search?id=gone.png", 404, "There is no image 'gone.png' in the index."),
        ("search?id=cats/3.png&k=0", 400, "k: '0' given; allowed: whole numbers from 1 to 1000."),
        ("search?id=cats/3.png&k=1001", 400, "k: '1001' given"),
        ("search?id=cats/3.png&k=" + "9" * 5000, 400, "k: '9999"),
        ("search?id=cats/3.png&k=%C2%B2", 400, "k: '²' given"),
        ("search?id=cats/3.png&radius=17", 400, "radius: '17' given; allowed: whole numbers from"),
        ("search?id=cats/3.png&radius=-1", 400, "radius: '-1' given"),
        ("search?code=00", 400, "code: '00' given; allowed: 8 hexadecimal digits"),
        ("search?code=00000001", 400, "code: '00000001' given; allowed: codes whose bits"),
        ("search", 400, "Nothing to search for was given"),
        ("nothing", 404, "There is no such page here."),
    ],
)
def test_what_cannot_be_searched_for(client, address, status, said):
    for prefix in ("/", "/api/"):
        response = client.get(prefix + address)
        assert response.status_code == status
        assert words(response).startswith(said)


@pytest.mark.parametrize(
    ("sent", "status", "said"),
    [
        ({"image": TEXT}, 400, "image holiday.jpg cannot be read: it is damaged or of another"),
        ({"image": LARGE}, 400, "image large.png cannot be read: it has "),
        (
            {"image": ("a.png", declared_png(9000, 9000))},
            400,
            "image a.png cannot be read: it has 9",
        ),
        ({"image": ("a.png", declared_png(9, 9))}, 400, "image a.png cannot be read: "),
        ({"image": ("e.jpg", b"")}, 400, "image e.jpg cannot be read: it is empty"),
        ({"image": ("", b"")}, 400, "No image was given."),
        ({"picture": ("a.png", b"a")}, 400, "No image was given."),
    ],
    ids=["text", "50,000", "9,000", "no pixels", "empty", "no file", "another field"],
)
def test_what_cannot_be_uploaded(client, sent, status, said):
    for address in ("/search", "/api/search"):
        response = client.post(address, files=sent)
        assert response.status_code == status
        assert words(response).startswith(said)


def test_a_body_of_another_kind(client):
    refused = client.post("/api/search", content=b"x", headers={"content-type": "text/plain"})
    assert refused.status_code == 415
    two = [("image", ("a.png", b"a")), ("image", ("b.png", b"b"))]
    assert client.post("/api/search", files=two).status_code == 400
    assert client.put("/api/search").status_code == 405


@pytest.mark.parametrize(
    "given",
    [
        "../photos.index",
        "cats/../cats/3.png",
        "/etc/passwd",
        "cats",
        "",
        "gone.png",
        "cats/3.png%00",
    ],
)
def test_only_images_of_the_index_have_thumbnails(client, made, given):
    assert client.get("/thumbnail?id=cats/3.png").headers["content-type"] == "image/jpeg"
    for identifier in (given, str(made[1] / "cats/3.png")):
        refused = client.get(f"/thumbnail?id={identifier}")
        assert refused.status_code == 404
        assert refused.headers["content-type"] == "image/svg+xml"


@pytest.mark.parametrize(
    "path",
    ["/static/", "/static", "/static/../server.py", "/static/%2e%2e/server.py", "/photos.index",
     "/static/..%2fserver.py", "/static/%2fetc%2fpasswd", "/static//etc/passwd", "/templates/"],
)  # fmt: skip
def test_no_other_file_is_served(client, path):
    assert client.get(path).status_code == 404
    assert client.get("/static/style.css").status_code == 200


def test_forms_send_ids_as_they_are(client_of, tmp_path, watched):
    """Such as Persian names, and emoji that are joined, with characters that cannot be seen."""
    ids = ["می\u200cرود.png", "👨\u200d👩.png", 'a"<b>.png']
    old = watched.served.index
    codes = old.codes(["cats/1.png", "cats/2.png", "cats/3.png"])
    path = tmp_path / "names.index"
    HammingIndex.build(codes, 16, ids, {**old.metadata, "root": str(tmp_path)}).save(path)
    shutil.copy(watched._source.path + ".encoder", tmp_path)  # It has the name that is kept.
    client = client_of(watched=collection.Watched(collection.Source(str(path))), index=path)
    for name in ids:
        page = client.get("/search", params={"id": name})
        assert page.status_code == 200
        (sent,) = re.findall('name="id" value="(.*)">', page.text)
        assert html.unescape(sent) == name


def test_an_index_of_a_stranger_shows_nothing_outside_its_folders(client_of, tmp_path, watched):
    draw(tmp_path / "photos/a.png", 1)
    draw(tmp_path / "secret.png", 2)
    ids = ["a.png", "../secret.png", str(tmp_path / "secret.png")]
    old = watched.served.index
    metadata = {**old.metadata, "root": str(tmp_path / "photos")}
    index = HammingIndex.build(
        old.codes(["cats/1.png", "cats/2.png", "cats/3.png"]), 16, ids, metadata
    )
    path = tmp_path / "strange.index"
    index.save(path)
    shutil.copy(watched._source.path + ".encoder", tmp_path)  # It has the name that is kept.
    strange = collection.Watched(collection.Source(str(path)))
    client = client_of(watched=strange, index=path)
    statuses = [client.get("/thumbnail", params={"id": name}).status_code for name in ids]
    assert statuses == [200, 404, 404]
    # Nor within them, if the user says where images are.
    (tmp_path / "empty").mkdir()
    moved = collection.Source(str(path), [str(tmp_path / "empty")])
    client = client_of(watched=collection.Watched(moved), index=path)
    assert {client.get("/thumbnail", params={"id": name}).status_code for name in ids} == {404}


def wait_for(condition):
    for _ in range(1000):
        if condition():
            return
        time.sleep(0.01)
    raise AssertionError


@pytest.fixture
def copied(made, tmp_path):
    """A copy of the index whose photos are in this test's own folder."""
    shutil.copytree(made[1], tmp_path / "photos")
    index = HammingIndex.load(made[0])
    index.metadata["root"] = str(tmp_path / "photos")
    index.save(tmp_path / "photos.index")
    shutil.copy(f"{made[0]}.encoder", tmp_path)
    return tmp_path / "photos.index"


def test_changes_by_other_commands_are_seen(client_of, copied, jhash):
    index, photos = copied, copied.parent / "photos"
    client = client_of(watched=collection.Watched(collection.Source(str(index))), index=index)
    kept = index.parent / "photos.index.thumbnails"

    def has(name):
        return client.get("/api/search", params={"id": name}).status_code == 200

    assert client.get("/thumbnail?id=cats/7.png").status_code == 200
    assert client.get("/thumbnail?id=cats/8.png").status_code == 200
    assert len(list(kept.glob("??/*.jpg"))) == 2
    draw(photos / "new.png", 99)
    jhash("index", "add", "--index", index, "--images", photos / "new.png", "--json")
    wait_for(lambda: has("new.png"))
    assert client.get("/api/search?id=new.png").json() == expected(index, "new.png")
    jhash("index", "remove", "--index", index, "cats/7.png", "--json")
    wait_for(lambda: not has("cats/7.png"))
    wait_for(lambda: len(list(kept.glob("??/*.jpg"))) == 1)
    assert client.get("/thumbnail?id=cats/7.png").status_code == 404
    # A photo that has changed gets another thumbnail, in the place of the first one.
    before = client.get("/thumbnail?id=cats/8.png").content
    draw(photos / "cats/8.png", 100)
    os.utime(photos / "cats/8.png", (2e9, 2e9))
    assert client.get("/thumbnail?id=cats/8.png").content != before
    assert len(list(kept.glob("??/*.jpg"))) == 1
    # Half a file, which no command of jhash leaves, is not served; what was before goes on.
    content = index.read_bytes()
    index.write_bytes(content[:99])
    wait_for(lambda: client.get("/health").json() == {"status": "stale"})
    assert has("new.png")
    assert "jhash_index_stale 1.0" in client.get("/metrics").text
    index.write_bytes(content)
    wait_for(lambda: client.get("/health").json() == {"status": "ok"})


def test_an_index_that_became_empty(client_of, copied, jhash):
    index = HammingIndex.load(copied)
    index.remove(index.ids)
    index.save(copied)
    client = client_of(watched=collection.Watched(collection.Source(str(copied))), index=copied)
    page = client.get("/")
    assert "The index is empty." in page.text
    found = client.get("/api/search?code=00000000")
    assert found.json() == {"query": "00000000", "results": []}


def test_all_responses_have_the_headers(client_of, monkeypatch):
    def fault(*arguments):
        raise ZeroDivisionError

    rules = guard.Rules(token="a token of 26 letters and so")
    client = client_of(rules, raise_server_exceptions=False)
    authorization = {"authorization": f"Bearer {rules.token}"}
    form = {"content-type": "multipart/form-data; boundary=b"}
    monkeypatch.setattr(guard, "megabytes", fault)
    responses = [
        client.get("/", headers=authorization),
        client.get("/"),
        client.get("/nothing", headers=authorization),
        client.get("/static/style.css"),
        client.get("/health", headers={"host": "evil.example"}),
        client.get("/", headers={"sec-fetch-site": "cross-site"}),
        client.post("/search", content=b"0" * (33 << 20), headers=form | authorization),
    ]
    assert [response.status_code for response in responses] == [200, 401, 404, 200, 421, 403, 500]
    for response in responses:
        policy = response.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert response.headers["x-content-type-options"] == "nosniff"
        assert response.headers["referrer-policy"] == "no-referrer"
        assert response.headers["cache-control"]
    assert "went wrong" in words(responses[-1])
    assert "ZeroDivision" not in responses[-1].text


def test_bodies_are_bounded(client_of):
    client = client_of(guard.Rules(max_bytes=1000))
    sent = {"image": ("a.png", b"0" * 2000)}
    for address in ("/search", "/api/search"):
        refused = client.post(address, files=sent)
        assert refused.status_code == 413
        assert words(refused) == "The file is too large: at most 32 MB are allowed."

    def pieces():  # Without a length.
        for _ in range(20):
            yield b"0" * 100

    headers = {"content-type": "image/png"}
    assert client.post("/api/search", content=pieces(), headers=headers).status_code == 413
    assert 'jhash_refused_requests_total{reason="bytes"} 3.0' in client.get("/metrics").text


def test_the_token(client_of):
    token = "correct-horse-battery"
    client = client_of(guard.Rules(token=token))
    assert client.get("/health").json() == {"status": "ok"}
    addresses = "/ /search?id=cats/3.png /thumbnail?id=cats/3.png /metrics /upload /nothing"
    for address in (*addresses.split(), "/api/search?id=cats/3.png", f"/?token={token}"):
        refused = client.get(address)
        assert refused.status_code == 401
        assert "cats" not in refused.text
        wrong = {"authorization": f"Bearer {token}x", "cookie": f"jhash={token}"}
        assert client.get(address, headers=wrong).status_code == 401
    assert client.get("/login").status_code == 200
    assert client.post("/login", data={"token": "wrong"}).status_code == 403
    assert client.post("/login", data={"token": "wröng\u0301"}).status_code == 403
    assert client.post("/search", files={"image": TEXT}).status_code == 401
    bearer = {"authorization": f"bearer {token}"}
    assert client.get("/api/search?id=cats/3.png", headers=bearer).status_code == 200
    entered = client.post("/login", data={"token": token})
    assert (entered.status_code, entered.headers["location"]) == (303, "./")
    cookie = entered.headers["set-cookie"]
    assert token not in cookie
    assert "HttpOnly" in cookie
    assert "SameSite=lax" in cookie
    assert "Secure" not in cookie  # A browser would not send it over HTTP.
    assert client.get("/").status_code == 200  # By the cookie.
    by_address = client_of(guard.Rules(token=token))
    assert by_address.get(f"/login?token={token}").status_code == 303
    assert by_address.get("/").status_code == 200
    encrypted = client.post(f"https{HOST.removeprefix('http')}/login", data={"token": token})
    assert "Secure" in encrypted.headers["set-cookie"].split("; ")


def test_strangers_send_no_files(client_of):
    client = client_of(guard.Rules(token="correct-horse-battery"))
    assert client.post("/login", files={"token": TEXT}).status_code == 400
    long = client.post("/login", data={"token": "x" * 20_000})
    assert long.status_code == 413
    assert words(long) == "The file is too large: at most 16 kB are allowed."
    assert client.post("/login", data={"token": "x" * 4000}).status_code == 403


def test_without_a_token_login_leads_to_the_page(client):
    assert client.post("/login", data={"token": "any"}).headers["location"] == "./"


def test_metrics(client):
    client.get("/api/search?id=cats/3.png")
    client.get("/some/path/of/a/stranger")
    text = client.get("/metrics").text
    assert "jhash_index_codes 42.0" in text
    assert "process_resident_memory_bytes" in text
    assert 'jhash_requests_total{route="/api/search",status="200"} 1.0' in text
    assert 'jhash_requests_total{route="other",status="404"} 1.0' in text
    assert "stranger" not in text
    assert "jhash_batch_queries_count 1.0" in text


def test_pages_link_relatively(client):
    """So that a proxy may serve them under any path."""
    for address in ("/", "/search?id=cats/3.png", "/no/such/page"):
        links = re.findall('(?:href|src|action)="([^"]*)"', client.get(address).text)
        assert links
        assert not [link for link in links if link.startswith("/") or "//" in link]
    assert 'href="../../static/style.css' in client.get("/no/such/page").text
