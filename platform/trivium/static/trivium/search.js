// What was found, below the search box: arrows choose, Enter opens, Escape closes.

const input = document.getElementById("search");
const results = document.getElementById("search-results");
let chosen = -1;

const options = () => [...results.querySelectorAll("[role=option]")];

function choose(index) {
  const all = options();
  chosen = all.length === 0 ? -1 : (index + all.length) % all.length;
  for (const [at, option] of all.entries()) option.setAttribute("aria-selected", String(at === chosen));
  if (chosen < 0) {
    input.removeAttribute("aria-activedescendant");
    return;
  }
  input.setAttribute("aria-activedescendant", all[chosen].id);
  all[chosen].scrollIntoView({ block: "nearest" });
}

function show(isShown) {
  results.hidden = !isShown;
  input.setAttribute("aria-expanded", String(isShown));
  if (!isShown) {
    chosen = -1;
    input.removeAttribute("aria-activedescendant");
  }
}

function hasAnswer() {
  return input.value.trim() !== "" && results.childElementCount > 0;
}

function onKey(event) {
  if (event.key === "Escape") {
    if (results.hidden) input.blur();
    show(false);
  } else if (event.key === "ArrowDown" || event.key === "ArrowUp") {
    if (!hasAnswer()) return;
    show(true);
    choose(event.key === "ArrowDown" ? chosen + 1 : Math.max(chosen, 0) - 1);
  } else if (event.key === "Enter" && !results.hidden && chosen >= 0) {
    options()[chosen].click();
  } else {
    return;
  }
  event.preventDefault();
}

if (input && results) {
  input.setAttribute("role", "combobox");
  input.setAttribute("aria-autocomplete", "list");
  input.setAttribute("aria-controls", results.id);
  show(false);
  input.addEventListener("keydown", onKey);
  input.addEventListener("focus", () => show(hasAnswer()));
  input.addEventListener("input", () => {
    if (input.value.trim() === "") show(false);
  });
  input.form.addEventListener("focusout", (event) => {
    if (!input.form.contains(event.relatedTarget)) show(false);
  });
  // A press would take the focus away, and the list with it, before the click.
  results.addEventListener("mousedown", (event) => event.preventDefault());
  results.addEventListener("htmx:afterSwap", () => {
    chosen = -1;
    show(document.activeElement === input && hasAnswer());
  });
}
