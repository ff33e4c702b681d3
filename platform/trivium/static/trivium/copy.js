// Buttons that copy a text: <button data-copy="ID of the element that holds it">.

document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-copy]");
  if (!button) return;
  const source = document.getElementById(button.dataset.copy);
  try {
    await navigator.clipboard.writeText(source.textContent.trim());
    button.textContent = "Copied";
  } catch {
    // Without a secure origin there is no clipboard: the text is marked instead.
    getSelection().selectAllChildren(source);
    button.textContent = "Press Ctrl-C";
  }
});
