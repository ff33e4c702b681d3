// What the pages beside the chat have in common: selects that submit, Ctrl-Enter, masks.

for (const select of document.querySelectorAll("[data-submits]")) {
  const { form } = select;
  for (const button of form.querySelectorAll("[type=submit]")) button.hidden = true;
  select.addEventListener("change", () => form.requestSubmit());
}

document.addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey)) return;
  const button = event.target.form?.querySelector("[data-ctrl-enter]:not(:disabled)");
  if (!button) return;
  event.preventDefault();
  button.click();
});

document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-insert-mask]");
  if (!button) return;
  const field = document.getElementById(button.dataset.insertMask);
  const mask = document.getElementById("facts")?.dataset.mask ?? "___";
  field.setRangeText(mask, field.selectionStart, field.selectionEnd, "end");
  field.focus();
});
