// Presets fill the form in place, so that what was typed elsewhere stays.

const form = document.getElementById("spec-form");
const held = document.getElementById("preset-values");
const presets = held ? JSON.parse(held.textContent) : {};

function apply(values) {
  for (const [name, value] of Object.entries(values)) {
    const field = form.elements.namedItem(name);
    if (!field) continue;
    if (field.type === "checkbox") field.checked = Boolean(value);
    else field.value = Array.isArray(value) ? value.join("\n") : value ?? "";
  }
  form.dispatchEvent(new Event("change", { bubbles: true }));
}

for (const link of form.querySelectorAll("[data-preset]")) {
  link.addEventListener("click", (event) => {
    if (event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    apply(presets[link.dataset.preset] ?? {});
    for (const other of form.querySelectorAll("[data-preset]")) other.removeAttribute("aria-current");
    link.setAttribute("aria-current", "true");
  });
}

// A refused form shows its first error, also where it lies in the folded part.
form.querySelector(".field--wrong :is(input, select, textarea)")?.focus();
