// Loaded before the first paint, so that a remembered choice does not flash.
"use strict";
try {
  const chosenTheme = localStorage.getItem("theme");
  if (chosenTheme === "light" || chosenTheme === "dark") {
    document.documentElement.dataset.theme = chosenTheme;
  }
} catch {
  // A browser that keeps nothing follows the system.
}
