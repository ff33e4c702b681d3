// Sends a dataset's form with a bar, and lets a failed sending be tried again.

const SLOW_S = 1;

function size(bytes) {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let number = bytes;
  let at = 0;
  while (number >= 999.5 && at < units.length - 1) {
    number /= 1000;
    at += 1;
  }
  return `${at && number < 100 ? number.toPrecision(3) : Math.round(number)} ${units[at]}`;
}

function duration(seconds) {
  if (seconds < 60) return `${Math.ceil(seconds)} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ${Math.round(seconds % 60)} s`;
  return `${Math.floor(seconds / 3600)} h ${Math.round((seconds % 3600) / 60)} min`;
}

const part = (id) => document.getElementById(id);
let request = null;
let isLeaving = false;

function complain(sentence) {
  request = null;
  part("send").disabled = false;
  part("send").textContent = "Try again";
  part("sending").hidden = true;
  const message = document.createElement("p");
  message.className = "message message--error";
  message.setAttribute("role", "alert");
  message.textContent = sentence;
  clearComplaints();
  part("import").prepend(message);
  message.scrollIntoView({ block: "nearest" });
}

function clearComplaints() {
  for (const old of document.querySelectorAll("#import [role=alert]")) old.remove();
  for (const field of document.querySelectorAll("#import .field--wrong")) field.classList.remove("field--wrong");
}

function showChoice() {
  const file = part("id_file").files[0];
  part("drop-title").textContent = file ? `${file.name}, ${size(file.size)}` : "Drop a file here, or";
  part("drop").querySelector(".drop__label").textContent = file ? "Choose another" : "Choose a file";
  part("drop").classList.toggle("drop--full", Boolean(file));
}

function tooLarge(form) {
  const file = part("id_file").files[0];
  if (!file || file.size <= Number(form.dataset.maxBytes)) return "";
  return `${file.name} has ${size(file.size)}; this installation takes at most ${form.dataset.maxSize}. `
    + "Ask an admin to allow a server path instead.";
}

function showProgress(event, started) {
  if (!event.lengthComputable) return;
  const seconds = (performance.now() - started) / 1000;
  const rate = event.loaded / Math.max(seconds, 0.001);
  part("sending-bar").value = event.loaded / event.total;
  const percent = Math.floor((100 * event.loaded) / event.total);
  const isSent = event.loaded >= event.total;
  const state = isSent ? "Sent. Checking the file…" : `Sending: ${percent} %`;
  if (part("sending-state").textContent !== state) part("sending-state").textContent = state;
  const left = (event.total - event.loaded) / rate;
  const speed = seconds > SLOW_S && !isSent ? ` · ${size(rate)}/s · ≈ ${duration(left)} left` : "";
  part("sending-numbers").textContent = `${size(event.loaded)} of ${size(event.total)}${speed}`;
}

// The refused form comes back with its reasons; the chosen file must not be lost over it.
function showRefusal(html, status) {
  const answered = new DOMParser().parseFromString(html, "text/html");
  const fresh = answered.getElementById("import");
  if (!fresh) {
    const told = answered.querySelector(".empty__text")?.textContent ?? "";
    complain(told || `The server answered ${status}. Nothing was kept; try again in a moment.`);
    return;
  }
  request = null;
  fresh.querySelector("#id_file").replaceWith(part("id_file"));
  part("import").replaceWith(document.adoptNode(fresh));
  begin();
  part("send").textContent = "Try again";
  const wrong = document.querySelector("#import .field--wrong :is(input, select)");
  (wrong ?? part("send")).focus();
}

function finish(xhr) {
  if (xhr.status >= 200 && xhr.status < 300 && xhr.responseURL) {
    isLeaving = true;
    location.assign(xhr.responseURL);
  } else {
    showRefusal(xhr.responseText, xhr.status);
  }
}

function send(form) {
  const started = performance.now();
  const xhr = new XMLHttpRequest();
  request = xhr;
  xhr.upload.addEventListener("progress", (event) => showProgress(event, started));
  xhr.addEventListener("load", () => finish(xhr));
  xhr.addEventListener("error", () => {
    const percent = Math.floor(100 * part("sending-bar").value);
    complain(`The connection broke at ${percent} %. Nothing was kept: check the network, then try again.`);
  });
  xhr.addEventListener("abort", () => complain("Stopped. Nothing was kept."));
  xhr.open("POST", form.action);
  xhr.send(new FormData(form));
  clearComplaints();
  part("send").disabled = true;
  part("sending").hidden = false;
  part("sending-bar").value = 0;
  part("sending-state").textContent = "Sending: 0 %";
  part("sending-numbers").textContent = "";
}

function acceptDrops(drop) {
  const hasFiles = (event) => event.dataTransfer?.types.includes("Files");
  for (const name of ["dragenter", "dragover"]) {
    drop.addEventListener(name, (event) => {
      if (!hasFiles(event)) return;
      event.preventDefault();
      drop.classList.add("drop--over");
    });
  }
  drop.addEventListener("dragleave", (event) => {
    if (!drop.contains(event.relatedTarget)) drop.classList.remove("drop--over");
  });
  drop.addEventListener("drop", (event) => {
    if (!hasFiles(event)) return;
    event.preventDefault();
    drop.classList.remove("drop--over");
    const files = event.dataTransfer.files;
    if (files.length !== 1) {
      complain("Drop one file; pack many into a zip or tar.");
      return;
    }
    part("id_file").files = files;
    part("id_file").dispatchEvent(new Event("change"));
  });
}

function begin() {
  const form = part("import");
  const drop = part("drop");
  acceptDrops(drop);
  drop.classList.add("drop--live");
  drop.querySelector(".drop__label").classList.add("button");
  part("drop-title").hidden = false;
  part("id_file").onchange = () => {
    showChoice();
    clearComplaints();
  };
  part("sending-stop").addEventListener("click", () => request?.abort());
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    if (request) return;
    const complaint = tooLarge(form);
    if (complaint) complain(complaint);
    else send(form);
  });
  showChoice();
}

begin();

// A file dropped beside the field would otherwise replace the page.
for (const name of ["dragover", "drop"]) {
  addEventListener(name, (event) => {
    if (event.dataTransfer?.types.includes("Files")) event.preventDefault();
  });
}

addEventListener("beforeunload", (event) => {
  if (request && !isLeaving) event.preventDefault();
});
