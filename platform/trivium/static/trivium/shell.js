// The theme, and the key that opens search.

function isDark() {
  const chosen = document.documentElement.dataset.theme;
  return chosen ? chosen === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
}

function switchTheme() {
  const theme = isDark() ? "light" : "dark";
  document.documentElement.dataset.theme = theme;
  localStorage.setItem("theme", theme);
  document.dispatchEvent(new CustomEvent("trivium:theme"));
}

function isTyping(target) {
  return target instanceof HTMLElement && target.matches("input, textarea, select, [contenteditable]");
}

document.querySelector("[data-theme-toggle]")?.addEventListener("click", switchTheme);

document.addEventListener("keydown", (event) => {
  const search = document.getElementById("search");
  const opens = event.key === "/" && !isTyping(event.target);
  const opensAnywhere = event.key === "k" && (event.ctrlKey || event.metaKey);
  if (search && (opens || opensAnywhere)) {
    event.preventDefault();
    search.focus();
    search.select();
  }
});
