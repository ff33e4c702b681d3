// The text of an answer token by token, and beside it what else could have come.
//
// Links and a form do all of it without this script; with it the panel changes in place,
// arrows walk through the text, and the bars follow the temperature while it is moved.

import { follow } from "./follow.js";

const WIDTH = 100;
const SCALES = [0.1, 0.25, 0.5, 1];
const text = document.getElementById("tokens");

function percent(share) {
  const number = 100 * share;
  if (number > 0 && number < 0.01) return "< 0.01 %";
  const digits = number >= 10 ? 0 : number >= 1 ? 1 : 2;
  return `${number.toFixed(digits)} %`;
}

// What `known` logprobs and a rest of which only the mass is known become at temperature T.
// No token of the rest is likelier than `last`. Counted as if all were that likely, they are
// as few as they can be: so their share is exact at 1, at least this above, at most below.
export function reshape(known, rest, last, temperature) {
  const best = Math.max(...known);
  if (temperature === 0) return { shares: known.map((logprob) => Number(logprob === best)), rest: 0 };
  const weights = known.map((logprob) => Math.exp((logprob - best) / temperature));
  const few = rest > 0 ? rest / Math.exp(last) : 0;
  const others = few * Math.exp((last - best) / temperature);
  const total = weights.reduce((sum, weight) => sum + weight, others);
  return { shares: weights.map((weight) => weight / total), rest: others / total };
}

function draw(panel) {
  const slider = panel.querySelector("[data-temperature]");
  if (!slider) return;
  const temperature = Number(slider.value);
  const rows = [...panel.querySelectorAll("[data-logprob]")];
  const shown = rows.map((row) => Number(row.dataset.logprob));
  const hidden = JSON.parse(panel.dataset.hidden);
  const { rest: mass, last } = panel.dataset;
  const { shares, rest } = reshape([...shown, ...hidden], Number(mass), Number(last), temperature);
  const visible = rows.map((_, at) => shares[at]);
  const hiddenShare = Math.max(0, 1 - visible.reduce((sum, share) => sum + share, 0));
  // A full bar is a round share that holds them all, at temperature 1 too, and says so.
  const most = Math.max(...visible, hiddenShare, ...shown.map(Math.exp));
  const scale = SCALES.find((one) => one >= most) ?? 1;
  for (const [at, row] of rows.entries()) setBar(row, visible[at], scale);
  setBar(panel.querySelector("[data-others]"), hiddenShare, scale);
  panel.querySelector("[data-scale]").textContent = `${100 * scale} %`;
  panel.querySelector("[data-shown-temperature]").value = temperature.toFixed(2);
  const word = temperature > 1 ? "at least" : temperature < 1 && temperature > 0 ? "at most" : "";
  const mark = panel.querySelector("[data-bound]");
  if (mark) mark.textContent = rest > 0.0005 ? word : "";
  slider.setAttribute("aria-valuetext", `temperature ${temperature.toFixed(2)}`);
}

function setBar(row, share, scale) {
  row.querySelector("[data-bar]").setAttribute("width", String((WIDTH * share) / scale));
  row.querySelector("[data-share]").textContent = percent(share);
}

const tokens = () => [...text.querySelectorAll(".tok")];

function mark(link) {
  for (const one of text.querySelectorAll("[aria-current]")) {
    one.removeAttribute("aria-current");
    one.tabIndex = -1;
  }
  link.setAttribute("aria-current", "true");
  link.tabIndex = 0;
  const at = link.dataset.at;
  for (const bar of document.querySelectorAll("#strip [data-at]")) {
    bar.classList.toggle("strip__bar--here", bar.dataset.at === at);
  }
}

let asked = 0;
function look(link) {
  mark(link);
  link.scrollIntoView({ block: "nearest" });
  // Without the fragment that takes those without scripts to the panel.
  const [address] = link.href.split("#");
  history.replaceState(null, "", address);
  asked += 1;
  const mine = asked;
  // Whoever walks through the text with an arrow held down asks for the last one alone.
  setTimeout(() => {
    if (mine !== asked) return;
    htmx.ajax("GET", address, { target: "#next", swap: "outerHTML" });
  }, 60);
}

function walk(event) {
  const links = tokens();
  const here = links.indexOf(document.activeElement);
  if (here < 0) return;
  const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
  const end = { Home: 0, End: links.length - 1 }[event.key];
  const next = step === undefined ? links[end] : links[here + step];
  if (!next || event.ctrlKey || event.metaKey || event.altKey) return;
  event.preventDefault();
  next.focus();
  look(next);
}

function colour(name) {
  text.dataset.colour = name;
  for (const link of document.querySelectorAll("[data-colour-by]")) {
    if (link.dataset.colourBy === name) link.setAttribute("aria-current", "true");
    else link.removeAttribute("aria-current");
  }
  for (const legend of document.querySelectorAll("[data-legend]")) {
    legend.hidden = legend.dataset.legend !== name;
  }
  for (const link of tokens()) {
    const url = new URL(link.href);
    url.searchParams.set("colour", name);
    link.href = url.href;
  }
  const url = new URL(location.href);
  url.searchParams.set("colour", name);
  history.replaceState(null, "", url);
}

if (text) {
  const links = tokens();
  const current = links.find((link) => link.hasAttribute("aria-current"));
  for (const link of links) link.tabIndex = -1;
  const first = current ?? links[0];
  if (first) first.tabIndex = 0;
  text.addEventListener("click", (event) => {
    const link = event.target.closest(".tok");
    if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    link.focus();
    look(link);
  });
  text.addEventListener("keydown", walk);
  document.addEventListener("click", (event) => {
    const by = event.target.closest("[data-colour-by]");
    if (by) {
      event.preventDefault();
      colour(by.dataset.colourBy);
      return;
    }
    const bar = event.target.closest("#strip [data-at]");
    if (!bar) return;
    const link = tokens()[Number(bar.dataset.at)];
    link.focus();
    look(link);
  });
  document.addEventListener("input", (event) => {
    const panel = event.target.closest("#next");
    if (panel && event.target.matches("[data-temperature]")) draw(panel);
  });
  document.addEventListener("htmx:afterSwap", () => {
    const panel = document.getElementById("next");
    if (panel) draw(panel);
  });
  const panel = document.getElementById("next");
  if (panel) draw(panel);
}

// An answer that is still written is coloured while it comes; then the page is drawn anew.
const writing = document.getElementById("writing");

function steps(name) {
  return JSON.parse(writing.dataset[name]);
}

function add(token) {
  const piece = document.createElement("span");
  const share = Math.exp(token.logprob);
  const likely = steps("probabilitySteps").filter((step) => share < step).length;
  const decided = steps("entropySteps").filter((step) => token.entropy >= step).length;
  piece.className = `tok tok--p${likely} tok--e${decided}`;
  piece.textContent = token.text;
  writing.append(piece);
}

if (writing) {
  follow(writing.dataset.events, {
    tokens(told) {
      for (const token of told) add(token);
    },
    text() {},
    end() {
      location.reload();
    },
    fail(message) {
      delete writing.dataset.live;
      document.getElementById("writing-state").textContent = message;
    },
  });
}
