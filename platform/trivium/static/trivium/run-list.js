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
    const box = currentRow()?.querySelector("input[name=run]");
    if (box) {
      box.checked = !box.checked;
      showChoice();
    }
  }
});

const boxes = () => [...document.querySelectorAll("input[name=run]")];

// A button says how many of the chosen runs it is for.
function showNumber(id, verb, number, least) {
  const button = document.getElementById(id);
  if (!button) return;
  button.disabled = number < least;
  button.textContent = number ? `${verb} ${number} chosen run${number === 1 ? "" : "s"}` : `${verb} chosen runs`;
}

function showChoice() {
  const chosen = boxes().filter((box) => box.checked);
  const number = chosen.length;
  const unfinished = chosen.filter((box) => !("finished" in box.closest(".run-row").dataset));
  showNumber("compare-chosen", "Compare", number, 2);
  showNumber("cancel-chosen", "Cancel", unfinished.length, 1);
  const all = document.getElementById("pick-all");
  if (!all) return;
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
