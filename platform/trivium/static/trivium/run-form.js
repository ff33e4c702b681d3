// The form of a new run: parts of it are drawn anew by the server as choices are made.

const form = document.getElementById("spec-form");
let wasOpen = false;

form.addEventListener("htmx:beforeSwap", () => {
  wasOpen = document.getElementById("more-settings")?.open ?? false;
});
form.addEventListener("htmx:afterSwap", () => {
  const more = document.getElementById("more-settings");
  if (more && wasOpen) more.open = true;
});

// The sample is read anew when its dataset, its template or its mask changes.
function ask(event) {
  if (event.target.matches("[data-previews]")) document.body.dispatchEvent(new Event("preview"));
}
form.addEventListener("input", ask);
form.addEventListener("change", ask);

// A refused form shows its first error, also where it lies in the folded part.
form.querySelector(".field--wrong :is(input, select, textarea)")?.focus();
