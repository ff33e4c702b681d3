// Curves of several runs over each other: one chart per metric, drawn when scrolled to.

import { asNumbers, colour, isLoss, isNoisy, restyle, savePicture, smooth } from "./chart-kit.js";

const root = document.getElementById("compare");
const grid = document.getElementById("compare-grid");
const smoothing = document.getElementById("compare-smoothing");
const logScale = document.getElementById("compare-log");
const xChoice = document.getElementById("compare-x");
const NUM_HUES = 10;
const DASHES = ["solid", "dashed", "dotted", "dotdash", [12, 3, 2, 3, 2, 3]];
// Beyond so many lines their raw points and a reading of all at once only hide them.
const FEW = 8;
const REFRESH_MS = 10000;
const LABELS = { steps: "steps", tokens: "tokens", time: "training time (s)" };
const state = { runs: [], hidden: new Set(), charts: new Map() };

function address(params) {
  const url = new URL(root.dataset.url, location.href);
  for (const [key, value] of Object.entries(params)) url.searchParams.set(key, value);
  return url;
}

async function ask(params) {
  const answer = await fetch(address(params));
  if (!answer.ok) throw new Error(`compare: ${answer.status}`);
  return answer.json();
}

const place = (id) => state.runs.findIndex((run) => run.id === id);
const hueOf = (id) => `--series-${place(id) % NUM_HUES}`;
const dashOf = (id) => DASHES[Math.floor(place(id) / NUM_HUES) % DASHES.length];

function columns(curve, chart) {
  const values = asNumbers(curve.values);
  return {
    step: curve.steps,
    x: asNumbers(curve.x),
    value: values,
    drawn: isNoisy(chart.name) ? smooth(curve.values, Number(smoothing.value)) : values,
  };
}

function addLine(figure, chart, curve) {
  const { name } = state.runs[place(curve.run)];
  const source = new Bokeh.ColumnDataSource({ data: columns(curve, chart) });
  const look = { source, color: colour(hueOf(curve.run)), line_dash: dashOf(curve.run) };
  const glyphs = [];
  if (state.runs.length <= FEW && isNoisy(chart.name)) {
    glyphs.push(figure.line({ field: "x" }, { field: "value" }, { ...look, line_dash: "solid", line_width: 1, line_alpha: 0.25 }));
  }
  glyphs.push(figure.line({ field: "x" }, { field: "drawn" }, { ...look, line_width: 2 }));
  // A single point, such as the only evaluation, makes no line.
  if (curve.steps.length <= FEW) glyphs.push(figure.scatter({ field: "x" }, { field: "value" }, { ...look, line_dash: "solid", size: 6 }));
  const isFew = state.runs.length <= FEW;
  figure.add_tools(new Bokeh.HoverTool({
    renderers: [glyphs.at(-1)],
    mode: isFew ? "vline" : "mouse",
    line_policy: "nearest",
    tooltips: [[name, "@value{%.5g}"], ["step", "@step{0,0}"]],
    formatters: { "@value": "printf" },
    attachment: "horizontal",
  }));
  for (const glyph of glyphs) glyph.visible = !state.hidden.has(curve.run);
  return { run: curve.run, source, glyphs, curve };
}

function frame(chart) {
  const card = document.createElement("section");
  card.className = "card chart-card";
  const head = document.createElement("div");
  head.className = "row row--between";
  const title = document.createElement("h3");
  title.textContent = chart.title;
  const picture = document.createElement("button");
  picture.type = "button";
  picture.className = "link-button";
  picture.textContent = "Picture";
  head.append(title, picture);
  const spot = document.createElement("div");
  spot.className = "chart";
  card.append(head, spot);
  grid.append(card);
  const held = { chart, card, spot, figure: null, lines: [], view: null, round: 0 };
  picture.addEventListener("click", () => held.view && savePicture(held.view, chart.title));
  state.charts.set(chart.name, held);
  return held;
}

async function draw(held) {
  const round = ++held.round;
  const told = await ask({ name: held.chart.name, x: xChoice.value });
  if (round !== held.round) return;
  const figure = Bokeh.Plotting.figure({
    height: 260,
    sizing_mode: "stretch_width",
    tools: "pan,xwheel_zoom,box_zoom,reset",
    active_scroll: "xwheel_zoom",
    toolbar_location: "above",
    y_axis_type: logScale.checked && isLoss(held.chart.name) ? "log" : "linear",
    x_axis_label: LABELS[xChoice.value],
    output_backend: "canvas",
  });
  figure.toolbar.logo = null;
  figure.toolbar.autohide = true;
  figure.add_tools(new Bokeh.CrosshairTool({ dimensions: "height", line_color: colour("--line-strong"), line_alpha: 0.6 }));
  held.lines = told.curves.filter(({ run }) => place(run) >= 0).map((curve) => addLine(figure, held.chart, curve));
  figure.legend.visible = false;
  for (const axis of figure.xaxis) axis.formatter = new Bokeh.NumeralTickFormatter({ format: "0[.]0a" });
  restyle(figure);
  held.spot.replaceChildren();
  held.figure = figure;
  held.view = await Bokeh.Plotting.show(figure, held.spot);
  held.card.dataset.lines = held.lines.length;
}

const drawn = () => [...state.charts.values()].filter(({ figure }) => figure);

const watcher = new IntersectionObserver((entries) => {
  for (const { isIntersecting, target } of entries) {
    const held = [...state.charts.values()].find(({ card }) => card === target);
    if (!isIntersecting || !held || held.figure) continue;
    watcher.unobserve(target);
    draw(held);
  }
}, { rootMargin: "200px" });

function resmooth() {
  document.getElementById("compare-smoothing-value").textContent = Number(smoothing.value).toFixed(2);
  for (const { chart, lines } of drawn()) {
    if (!isNoisy(chart.name)) continue;
    for (const { source, curve } of lines) source.data = columns(curve, chart);
  }
}

function recolour() {
  for (const { figure, lines } of drawn()) {
    restyle(figure);
    for (const { run, glyphs } of lines) {
      for (const { glyph } of glyphs) {
        glyph.line_color = colour(hueOf(run));
        if ("fill_color" in glyph) glyph.fill_color = colour(hueOf(run));
      }
    }
  }
}

function toggle(box) {
  const run = Number(box.value);
  if (box.checked) state.hidden.delete(run);
  else state.hidden.add(run);
  for (const { lines } of drawn()) {
    for (const line of lines) {
      if (line.run === run) for (const glyph of line.glyphs) glyph.visible = box.checked;
    }
  }
}

const boxes = () => [...document.querySelectorAll("[data-toggle-run]")];

function showBoxes() {
  for (const box of boxes()) {
    box.hidden = false;
    box.checked = !state.hidden.has(Number(box.value));
  }
}

async function refresh() {
  if (document.hidden) return;
  for (const held of drawn()) await draw(held);
  const told = await ask({});
  state.runs = told.runs;
  if (told.runs.every((run) => run.is_finished)) clearInterval(timer);
}

let timer = 0;

async function begin() {
  const told = await ask({});
  state.runs = told.runs;
  document.getElementById("compare-empty").hidden = told.charts.length > 0;
  document.getElementById("compare-tools").hidden = told.charts.length === 0;
  for (const chart of told.charts) watcher.observe(frame(chart).card);
  showBoxes();
  if (told.runs.some((run) => !run.is_finished)) timer = setInterval(refresh, REFRESH_MS);
}

smoothing.addEventListener("input", resmooth);
xChoice.addEventListener("change", () => drawn().forEach(draw));
logScale.addEventListener("change", () => drawn().forEach(draw));
document.addEventListener("change", (event) => {
  if (event.target.matches("[data-toggle-run]")) toggle(event.target);
});
// A table drawn anew shows all lines as shown; it is told which are not.
document.addEventListener("htmx:afterSettle", showBoxes);
document.addEventListener("trivium:theme", recolour);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", recolour);
begin();
