// What every page has: the theme, the keys, and polling with manners.

import "./search.js";

function isDark() {
  const chosen = document.documentElement.dataset.theme;
  return chosen ? chosen === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
}

function switchTheme() {
  const theme = isDark() ? "light" : "dark";
  document.documentElement.dataset.theme = theme;
  try {
    localStorage.setItem("theme", theme);
  } catch {
    // A browser that keeps nothing still switches this page.
  }
  document.dispatchEvent(new CustomEvent("trivium:theme"));
}

function isTyping(target) {
  return target instanceof HTMLElement && target.matches("input, textarea, select, [contenteditable]");
}

function moveInList(step) {
  const links = [...document.querySelectorAll("[data-rows] tbody tr")].map((row) => row.querySelector("a"));
  const rows = links.filter((link) => link !== null);
  if (rows.length === 0) return false;
  const here = document.activeElement?.closest("[data-rows] tbody tr");
  const at = here ? rows.findIndex((link) => here.contains(link)) : -1;
  const next = at < 0 ? 0 : Math.max(0, Math.min(rows.length - 1, at + step));
  rows[next].focus();
  return true;
}

const keys = document.getElementById("keys");
let goesAt = -Infinity;

function openSearch() {
  const search = document.getElementById("search");
  search?.focus();
  search?.select();
  return search !== null;
}

function act(event) {
  if (event.key === "k" && (event.ctrlKey || event.metaKey)) return openSearch();
  if (isTyping(event.target) || event.ctrlKey || event.metaKey || event.altKey) return false;
  if (keys?.open) return false;
  if (event.timeStamp - goesAt < 1500) {
    goesAt = -Infinity;
    const link = document.querySelector(`[data-goto="${CSS.escape(event.key)}"]`);
    link?.click();
    return link !== null;
  }
  switch (event.key) {
    case "/":
      return openSearch();
    case "?":
      keys?.showModal();
      return keys !== null;
    case "g":
      goesAt = event.timeStamp;
      return true;
    case "j":
      return moveInList(1);
    case "k":
      return moveInList(-1);
  }
  return false;
}

document.addEventListener("keydown", (event) => {
  if (act(event)) event.preventDefault();
});
document.querySelector("[data-theme-toggle]")?.addEventListener("click", switchTheme);
document.querySelector("[data-keys-open]")?.addEventListener("click", () => keys?.showModal());
keys?.addEventListener("click", (event) => {
  if (event.target === keys) keys.close();
});

for (const menu of document.querySelectorAll("[data-menu]")) {
  document.addEventListener("click", (event) => {
    if (!menu.contains(event.target)) menu.open = false;
  });
  menu.addEventListener("keydown", (event) => {
    if (event.key === "Escape") menu.open = false;
  });
}

// A hidden page needs no news.
document.addEventListener("htmx:beforeRequest", (event) => {
  const isPoll = event.detail.elt.getAttribute("hx-trigger")?.startsWith("every");
  if (isPoll && document.hidden) event.preventDefault();
});

// Whoever was signed out meanwhile gets the sign-in page, not a piece of it.
document.addEventListener("htmx:beforeSwap", (event) => {
  const answered = new URL(event.detail.xhr.responseURL || location.href);
  if (answered.pathname.startsWith("/accounts/login")) {
    event.detail.shouldSwap = false;
    location.reload();
  }
});
