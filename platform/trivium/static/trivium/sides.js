// Answers side by side: they stream together, checkpoints have a slider, keys vote.

import { follow } from "./follow.js";

const setup = document.getElementById("setup");
const lineup = document.getElementById("lineup");
const votes = document.getElementById("votes");

function listen(side, isDone) {
  const text = side.querySelector("[data-text]");
  text.dataset.live = "";
  let count = 0;
  const over = () => {
    delete text.dataset.live;
    side.dataset.over = "";
    const after = side.querySelector("[data-after]");
    if (after) after.hidden = false;
    isDone();
  };
  follow(side.dataset.events, {
    text(piece) {
      text.append(piece);
    },
    tokens(told) {
      count += told.length;
    },
    end({ timings }) {
      const told = side.querySelector("[data-told]");
      told.textContent = `${count} tokens`;
      if (timings) {
        const first = timings.first_token_s.toFixed(2);
        told.textContent += ` · first after ${first} s · ${Math.round(timings.tokens_per_s)} tokens/s`;
      }
      over();
    },
    fail(message) {
      const place = side.querySelector("[data-error]");
      place.textContent = message;
      place.hidden = false;
      over();
    },
  });
}

let shownAt = document.hidden ? null : performance.now();
let active = 0;
document.addEventListener("visibilitychange", () => {
  if (document.hidden && shownAt !== null) {
    active += performance.now() - shownAt;
    shownAt = null;
  } else if (!document.hidden) {
    shownAt = performance.now();
  }
});

function openVotes() {
  if (!votes) return;
  for (const button of votes.querySelectorAll("button")) button.disabled = false;
}

if (lineup) {
  const waiting = [...lineup.querySelectorAll("[data-side]:not([data-over])")];
  let left = waiting.length;
  for (const side of waiting) {
    listen(side, () => {
      left -= 1;
      if (left === 0) openVotes();
    });
  }
}

if (votes) {
  votes.addEventListener("submit", () => {
    if (shownAt !== null) active += performance.now() - shownAt;
    votes.elements.ms_active.value = String(Math.round(active));
  });
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.repeat) return;
    if (event.target.matches("input, textarea, select")) return;
    const button = votes.querySelector(`[data-key="${CSS.escape(event.key.toLowerCase())}"]:not(:disabled)`);
    if (!button) return;
    event.preventDefault();
    button.click();
  });
}

// A checkpoint's run has a slider; where answers stand already, letting it go asks anew.
function slide(slot) {
  const select = slot.querySelector("select");
  const box = slot.querySelector("[data-slider]");
  const slider = box.querySelector("input");
  const shown = box.querySelector("output");
  const steps = () => {
    const group = select.selectedOptions[0]?.closest("[data-steps]");
    return group ? [...group.querySelectorAll("option")] : [];
  };
  const draw = () => {
    const options = steps();
    box.hidden = options.length < 2;
    if (box.hidden) return;
    slider.max = String(options.length - 1);
    slider.value = String(options.indexOf(select.selectedOptions[0]));
    const { step } = select.selectedOptions[0].dataset;
    shown.textContent = Number(step).toLocaleString("en");
    slider.setAttribute("aria-valuetext", `step ${step}`);
  };
  slider.addEventListener("input", () => {
    steps()[Number(slider.value)].selected = true;
    draw();
  });
  slider.addEventListener("change", () => {
    if (lineup) setup.requestSubmit();
  });
  select.addEventListener("change", draw);
  draw();
}

for (const slot of setup?.querySelectorAll("[data-slot]") ?? []) slide(slot);
