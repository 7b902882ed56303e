"""The page in headless Chromium, which is started once for all of these tests."""

import re
import shutil
import urllib.request
from concurrent import futures

import pytest
from playwright import sync_api

from tests.support.served import HANDLER, SCRIPT, declared_png

CHROMIUM = shutil.which("chromium")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.usefixtures("quick_compilation"),
    pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium on the path"),
]
# How a photo is dropped or pasted: by an event that holds a file.
GIVE = """([kind, name, type]) => {
  const files = new DataTransfer();
  const canvas = document.createElement("canvas");
  canvas.width = 9; canvas.height = 12;
  const bytes = Uint8Array.from(atob(canvas.toDataURL().split(",")[1]), (c) => c.charCodeAt(0));
  files.items.add(new File([bytes], name, {type}));
  const options = {bubbles: true, cancelable: true};
  window.dispatchEvent(kind === "drop"
    ? new DragEvent("drop", {...options, dataTransfer: files})
    : new ClipboardEvent("paste", {...options, clipboardData: files}));
}"""


@pytest.fixture(scope="module")
def browser():
    with sync_api.sync_playwright() as driver:
        arguments = ["--no-sandbox", "--disable-gpu"]
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=arguments)
        yield browser
        browser.close()


@pytest.fixture
def open_page(browser, running):
    """Opens pages of the server; no page may say anything on its console or open a dialog."""
    contexts = []
    said = []

    def make(path="/", width=1400, **options):
        context = browser.new_context(viewport={"width": width, "height": 900}, **options)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(60_000)
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("dialog", lambda dialog: (said.append(dialog.message), dialog.dismiss()))
        page.goto(running.address + path)
        return page

    yield make
    for context in contexts:
        context.close()
    # Chromium itself notes the status of a page of an error.
    assert [line for line in said if not line.startswith("Failed to load resource")] == []


def first_names(page):
    return page.locator(".grid a").evaluate_all("links => links.map(link => link.title)")


def column(page):
    """The number of images in a row of the grid."""
    places = page.locator(".grid a").evaluate_all(
        "links => links.map(link => link.getBoundingClientRect().top)"
    )
    return places.count(places[0])


def is_loaded(page, selector):
    return page.wait_for_function(
        "selector => [...document.querySelectorAll(selector)].slice(0, 4).every("
        "image => image.complete && image.naturalWidth > 0)",
        arg=selector,
    )


def test_upload_and_click_through(open_page, made):
    page = open_page()
    page.set_input_files("#image", made[1] / "dogs/3.png")
    page.wait_for_url("**/search?code=*")
    assert page.title() == "3.png · photos.index"
    assert first_names(page)[0] == "dogs/3.png"
    assert page.locator(".grid .distance").first.text_content() == "distance 0"
    is_loaded(page, ".query img")
    is_loaded(page, ".grid img")
    second = first_names(page)[1]
    page.click(".grid li:nth-child(2) a")
    page.wait_for_url("**/search?id=*")
    assert page.locator("figcaption").get_attribute("title") == second
    assert second not in first_names(page)
    # Number and radius.
    page.fill("[name=k]", "3")
    page.press("[name=k]", "Enter")
    page.wait_for_url("**k=3*")
    assert len(first_names(page)) == 3
    page.fill("[name=radius]", "0")
    page.click(".bounds button")
    page.wait_for_url("**radius=0*")
    assert page.locator(".empty").text_content().startswith("No other image is that near.")
    page.go_back()
    page.go_back()
    page.go_back()
    page.wait_for_url("**/search?code=*")
    assert first_names(page)[0] == "dogs/3.png"


@pytest.mark.parametrize("kind", ["drop", "paste"])
def test_drop_and_paste(open_page, kind):
    page = open_page()
    page.evaluate(GIVE, [kind, "pasted.png", "image/png"])
    page.wait_for_url("**/search?code=*")
    assert page.locator("figcaption .name").text_content() == "pasted.png"


def test_a_text_that_is_pasted_is_left_to_the_browser(open_page):
    page = open_page()
    page.evaluate("window.dispatchEvent(new ClipboardEvent('paste', "
                  "{clipboardData: new DataTransfer()}))")  # fmt: skip
    assert page.locator(".status").text_content() == ""
    page.evaluate("window.dispatchEvent(new DragEvent('drop', {dataTransfer: new DataTransfer()}))")
    assert page.locator(".status").text_content().startswith("There is no image in that.")


def test_the_keyboard(open_page):
    page = open_page()
    names = first_names(page)
    across = column(page)

    def focused():
        return page.evaluate("document.activeElement.title")

    for key, place in (
        ("ArrowRight", 0),
        ("ArrowRight", 1),
        ("ArrowDown", 1 + across),
        ("ArrowLeft", across),
        ("ArrowUp", 0),
        ("ArrowUp", 0),
        ("End", len(names) - 1),
        ("ArrowRight", len(names) - 1),
        ("Home", 0),
    ):
        page.keyboard.press(key)
        assert focused() == names[place], key
    outline = page.locator(":focus").evaluate("link => getComputedStyle(link).outlineStyle")
    assert outline == "solid"
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    page.wait_for_url("**/search?id=*")
    assert page.locator("figcaption").get_attribute("title") == names[1]
    # In a field, arrows belong to the field.
    page.focus("[name=k]")
    page.keyboard.press("ArrowUp")
    assert page.input_value("[name=k]") == "25"
    with page.expect_file_chooser():
        page.locator("body").focus()
        page.evaluate("document.activeElement.blur()")
        page.keyboard.press("/")


@pytest.mark.parametrize(
    ("width", "across", "beside"), [(400, 2, False), (800, 4, False), (1400, 6, True)]
)
def test_widths(open_page, width, across, beside):
    page = open_page("/search?id=cats/1.png", width)
    assert page.evaluate("document.documentElement.scrollWidth") == width
    assert column(page) == across
    query, grid = (page.locator(name).bounding_box() for name in (".query", ".grid"))
    assert (query["x"] + query["width"] < grid["x"]) is beside
    page.goto(page.url.split("/search")[0])
    assert page.evaluate("document.documentElement.scrollWidth") == width


def brightness(page):
    color = page.evaluate("getComputedStyle(document.body).backgroundColor")
    return sum(map(int, re.findall(r"\d+", color)[:3])) / 3


def test_dark_and_light(open_page):
    assert brightness(open_page(color_scheme="dark")) < 40
    assert brightness(open_page(color_scheme="light")) > 220


def test_without_scripts(open_page, made):
    page = open_page("/?images=3", java_script_enabled=False)
    assert page.locator(".scripted").first.is_hidden()
    page.set_input_files("#image", made[1] / "cats/5.png")
    page.click(".choose button")
    page.wait_for_url("**/search?code=*")
    assert page.locator(".grid a").first.get_attribute("title") == "cats/5.png"
    page.click(".grid li:nth-child(2) a")
    page.wait_for_url("**/search?id=*")
    page.click("text=Show more")
    page.wait_for_url("**k=48*")
    assert page.locator(".grid a").count() == 41


def test_names_that_are_scripts(open_page, made, tmp_path):
    for identifier in (SCRIPT, HANDLER):
        page = open_page("/search?" + "id=" + urllib.request.quote(identifier, "") + "&k=50")
        assert page.locator("figcaption").get_attribute("title") == identifier
        is_loaded(page, ".query img")
        assert page.locator("script:not([src])").count() == 0
    names = first_names(open_page("/search?id=cats/1.png&k=50"))
    assert {SCRIPT, HANDLER} < set(names)
    name = HANDLER.removeprefix('"')  # Which a browser sends as %22.
    upload = tmp_path / name
    shutil.copy(made[1] / "cats/1.png", upload)
    page = open_page()
    page.set_input_files("#image", upload)
    page.wait_for_url("**/search?code=*")
    assert page.locator("figcaption .name").text_content() == name


def test_scripts_of_others_are_not_run(browser, running):
    """Should a name ever get through, the policy stops it."""
    with browser.new_context() as context:
        page = context.new_page()
        page.goto(running.address)
        blocked = page.evaluate(
            """() => new Promise((resolve) => {
              document.addEventListener("securitypolicyviolation", (e) => resolve(e.blockedURI));
              const script = document.createElement("script");
              script.textContent = "alert(5)";
              document.body.append(script);
            })"""
        )
    assert blocked == "inline"


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("large.png", declared_png(50_000, 50_000), "image large.png cannot be read: it has "),
        ("holiday.jpg", b"this is no image", "image holiday.jpg cannot be read: it is damaged"),
    ],
    ids=["large", "text"],
)
def test_files_that_are_refused(open_page, tmp_path, name, content, said):
    (tmp_path / name).write_bytes(content)
    page = open_page()
    page.set_input_files("#image", tmp_path / name)
    page.wait_for_selector("[role=alert]")
    assert page.locator("[role=alert] p").first.text_content().startswith(said)
    page.click("text=Back to the start")
    page.wait_for_selector(".grid")


def test_a_file_that_is_too_large_is_not_even_sent(open_page):
    page = open_page()
    page.evaluate("document.querySelector('#upload').dataset.maxBytes = 10")
    page.evaluate(GIVE, ["drop", "pasted.png", "image/png"])
    assert page.locator(".status.wrong").text_content().startswith("pasted.png is too large")


def test_twenty_clients_while_a_page_is_used(open_page, running, made):
    content = (made[1] / "dogs/9.png").read_bytes()
    headers = {"content-type": "image/png"}
    address = f"{running.address}/api/search?k=1&name=x"

    def upload(_):
        request = urllib.request.Request(address, content, headers)
        with urllib.request.urlopen(request, timeout=60) as response:
            return response.read()

    with futures.ThreadPoolExecutor(20) as pool:
        waiting = [pool.submit(upload, n) for n in range(40)]
        page = open_page("/search?id=cats/2.png")
        is_loaded(page, ".grid img")
        answers = {future.result() for future in waiting}
    result = b'[{"rank":1,"distance":0,"id":"dogs/9.png"}]'
    assert answers == {b'{"query":"x","results":' + result + b"}"}
