// The list of runs: keys, choosing rows, and polling only for what changed.

let current = -1;

const rows = () => [...document.querySelectorAll(".run-row")];

function isTyping(target) {
  return target instanceof HTMLElement && target.matches("input:not([type=checkbox]), textarea, select");
}

function moveTo(index) {
  const all = rows();
  if (all.length === 0) return;
  current = Math.max(0, Math.min(index, all.length - 1));
  all[current].querySelector(".run-row__name").focus();
}

function currentRow() {
  const focused = document.activeElement?.closest?.(".run-row");
  const all = rows();
  if (focused) current = all.indexOf(focused);
  return all[current];
}

document.addEventListener("keydown", (event) => {
  if (isTyping(event.target) || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === "j" || event.key === "k") {
    currentRow();
    moveTo(event.key === "j" ? current + 1 : current - 1);
    event.preventDefault();
  } else if (event.key === "x") {
    const box = currentRow()?.querySelector("input[name=run]:not(:disabled)");
    if (box) {
      box.checked = !box.checked;
      showChoice();
    }
  }
});

const boxes = () => [...document.querySelectorAll("input[name=run]:not(:disabled)")];

function showChoice() {
  const button = document.getElementById("cancel-chosen");
  if (!button) return;
  const number = boxes().filter((box) => box.checked).length;
  button.disabled = number === 0;
  button.textContent = number ? `Cancel ${number} chosen run${number === 1 ? "" : "s"}` : "Cancel chosen runs";
  const all = document.getElementById("pick-all");
  all.hidden = boxes().length === 0;
  all.checked = number > 0 && number === boxes().length;
  all.indeterminate = number > 0 && !all.checked;
}

document.addEventListener("change", (event) => {
  if (event.target.id === "pick-all") {
    for (const box of boxes()) box.checked = event.target.checked;
  }
  if (event.target.matches("#pick-all, input[name=run]")) showChoice();
});

document.addEventListener("htmx:configRequest", (event) => {
  if (event.target.id !== "runs-poll") return;
  const seen = rows().map((row) => `${row.dataset.run}.${row.dataset.version}`);
  event.detail.parameters.seen = seen.join(",");
  const newest = event.target.dataset.newest;
  if (newest) event.detail.parameters.newest = newest;
});

// A hidden page needs no news; the poll after its return brings them all.
document.addEventListener("htmx:beforeRequest", (event) => {
  if (event.target.id === "runs-poll" && document.hidden) event.preventDefault();
});

document.addEventListener("htmx:afterSettle", showChoice);
document.addEventListener("htmx:oobAfterSwap", showChoice);
showChoice();
