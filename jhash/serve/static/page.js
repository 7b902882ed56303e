// What the page does beyond plain HTML: dropping and pasting of images, and moving by arrow keys.

document.documentElement.classList.add("script");

const form = document.querySelector("#upload");
const input = form?.querySelector("input[type=file]");
const status = form?.querySelector(".status");

function say(words, isWrong) {
  status.textContent = words;
  status.classList.toggle("wrong", isWrong);
}

function submit() {
  const [file] = input.files;
  if (!file) return;
  const limit = Number(form.dataset.maxBytes);
  if (file.size > limit) {
    say(`${file.name} is too large: at most ${limit >> 20} MB are allowed.`, true);
    input.value = "";
    return;
  }
  say("Searching …", false);
  form.classList.add("busy");
  form.requestSubmit();
}

// Puts the image of a drop or of the clipboard into the form, as if it had been chosen.
function take(transfer) {
  const file = [...transfer.files].find((each) => each.type.startsWith("image/")) ?? transfer.files[0];
  if (!file) {
    say("There is no image in that. Save it as a file first.", true);
    return;
  }
  const chosen = new DataTransfer();
  chosen.items.add(file);
  input.files = chosen.files;
  submit();
}

if (form) {
  input.addEventListener("change", submit);
  for (const kind of ["dragenter", "dragover"]) {
    window.addEventListener(kind, (event) => {
      event.preventDefault();
      form.classList.add("over");
    });
  }
  window.addEventListener("dragleave", (event) => {
    if (!event.relatedTarget) form.classList.remove("over");
  });
  window.addEventListener("drop", (event) => {
    event.preventDefault();
    form.classList.remove("over");
    take(event.dataTransfer);
  });
  window.addEventListener("paste", (event) => {
    if (event.clipboardData.files.length) {
      event.preventDefault();
      take(event.clipboardData);
    }
  });
  // A page that comes back from the browser's history is ready again.
  window.addEventListener("pageshow", () => {
    form.classList.remove("busy");
    say("", false);
  });
}

// The number of images in the first row of the grid.
function columns(links) {
  const top = links[0].getBoundingClientRect().top;
  const next = links.findIndex((link) => link.getBoundingClientRect().top > top + 1);
  return next < 0 ? links.length : next;
}

window.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.shiftKey) return;
  if (event.target.matches?.("input, textarea, select")) return;
  if (event.key === "/" && input) {
    event.preventDefault();
    input.click();
    return;
  }
  const links = [...document.querySelectorAll(".grid a")];
  if (!links.length) return;
  const step = {
    ArrowLeft: () => -1,
    ArrowRight: () => 1,
    ArrowUp: () => -columns(links),
    ArrowDown: () => columns(links),
    Home: () => -links.length,
    End: () => links.length,
  }[event.key];
  if (!step) return;
  const place = links.indexOf(document.activeElement);
  // The arrows scroll as usual until the first one of them has chosen an image.
  if (place < 0 && !["ArrowRight", "ArrowDown"].includes(event.key)) return;
  event.preventDefault();
  const jumps = event.key === "Home" || event.key === "End";
  let next = place < 0 ? 0 : place + step();
  if (jumps) next = Math.min(Math.max(next, 0), links.length - 1);
  links[next]?.focus();
});
