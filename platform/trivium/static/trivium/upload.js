// A form with a file, sent with a progress bar. Without this script it is sent plainly.

const MEGA = 1e6;

function megabytes(bytes) {
  return `${(bytes / MEGA).toFixed(bytes < 100 * MEGA ? 1 : 0)} MB`;
}

function remaining(seconds) {
  if (!Number.isFinite(seconds)) return "";
  if (seconds < 60) return `, ${Math.ceil(seconds)} s left`;
  return `, ${Math.ceil(seconds / 60)} min left`;
}

function setUp(form) {
  const input = form.querySelector("input[type=file]");
  const state = form.querySelector("[data-upload-state]");
  const bar = state.querySelector("progress");
  const text = state.querySelector("[data-upload-text]");
  const problem = form.querySelector("[data-upload-error]");
  const submit = form.querySelector("[type=submit]");
  let request = null;

  function show(sentence) {
    problem.textContent = sentence;
    problem.hidden = !sentence;
  }

  function end(sentence) {
    request = null;
    state.hidden = true;
    submit.disabled = false;
    show(sentence);
  }

  function replacePage(response, url) {
    // A refused form comes back whole, with its sentences beside the fields.
    const page = new DOMParser().parseFromString(response, "text/html");
    const fresh = page.querySelector("#import");
    if (!fresh) {
      window.location.assign(url);
      return;
    }
    const files = input.files;
    form.replaceWith(fresh);
    fresh.querySelector("input[type=file]").files = files;
    setUp(fresh);
    fresh.querySelector("[role=alert]:not([hidden])")?.scrollIntoView({ block: "center" });
  }

  form.addEventListener("submit", (event) => {
    const file = input.files[0];
    if (!file) return;
    event.preventDefault();
    const limit = Number(form.dataset.maxBytes);
    if (file.size > limit) {
      show(`${file.name} has ${megabytes(file.size)}; at most ${megabytes(limit)} are taken.`);
      return;
    }
    show("");
    submit.disabled = true;
    state.hidden = false;
    const started = performance.now();
    request = new XMLHttpRequest();
    request.open("POST", form.action);
    request.upload.addEventListener("progress", ({ loaded, total }) => {
      const seconds = (performance.now() - started) / 1000;
      bar.value = loaded / total;
      text.textContent =
        loaded < total
          ? `${megabytes(loaded)} of ${megabytes(total)}${remaining(((total - loaded) * seconds) / loaded)}`
          : "Sent; being stored…";
    });
    request.addEventListener("load", () => {
      const { status, responseURL, responseText } = request;
      if (status < 400) window.location.assign(responseURL);
      else if (status === 413 || status === 422) {
        end("");
        replacePage(responseText, responseURL);
      } else if (status === 403) end("You may not bring data in here; are you still signed in?");
      else end(`The server answered with an error (${status}). Nothing was stored; try again.`);
    });
    request.addEventListener("error", () =>
      end("The connection broke. Nothing was stored; press the button to try again."),
    );
    request.addEventListener("abort", () => end("Stopped. Nothing was stored."));
    request.send(new FormData(form));
  });

  form.querySelector("[data-upload-stop]").addEventListener("click", () => request?.abort());

  const target = form.querySelector("[data-drop]");
  for (const name of ["dragover", "dragleave", "drop"]) {
    target.addEventListener(name, (event) => {
      event.preventDefault();
      target.classList.toggle("drop--over", name === "dragover");
      if (name === "drop" && event.dataTransfer.files.length) {
        input.files = event.dataTransfer.files;
      }
    });
  }

  window.addEventListener("beforeunload", (event) => {
    if (request) event.preventDefault();
  });
}

for (const form of document.querySelectorAll("form[data-upload]")) setUp(form);
