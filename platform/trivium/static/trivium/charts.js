// Charts of a run, drawn by Bokeh. Points come thinned out; new ones extend the lines.

import { asNumbers, colour, isLoss, isNoisy, isValidation, restyle, savePicture, smooth } from "./chart-kit.js";

const root = document.getElementById("charts");
const run = document.getElementById("run");
const grid = document.getElementById("charts-grid");
const smoothing = document.getElementById("charts-smoothing");
const logScale = document.getElementById("charts-log");
const xChoice = document.getElementById("charts-x");
const MAX_KEPT = 20000;
const MOST_INSIDE = 3;
const ROOM_INSIDE = 480;
const LEGEND_LINE = 16;
const HUES = ["--grammar", "--logic", "--tokenizer", "--rhetoric", "--running", "--good", "--data"];
const MARKS = { checkpoint: "--line-strong", resume: "--paused", warning: "--bad" };
const state = { fence: null, tokensPerStep: null, marks: [], charts: new Map() };

function address(params) {
  const url = new URL(root.dataset.url, location.href);
  for (const [key, value] of params) url.searchParams.append(key, value);
  return url;
}

async function ask(params) {
  const answer = await fetch(address(params));
  if (!answer.ok) throw new Error(`chart data: ${answer.status}`);
  return answer.json();
}

const scaleX = (steps) => {
  const factor = xChoice.value === "tokens" ? state.tokensPerStep ?? 1 : 1;
  return steps.map((step) => step * factor);
};

function columns(curve) {
  return {
    step: curve.steps,
    x: scaleX(curve.steps),
    value: asNumbers(curve.values),
    smooth: smooth(curve.values, Number(smoothing.value)),
  };
}

function addCurve(figure, name, index) {
  const source = new Bokeh.ColumnDataSource({ data: { step: [], x: [], value: [], smooth: [] } });
  const hue = HUES[index % HUES.length];
  const place = { source, color: colour(hue) };
  const glyphs = [];
  if (isValidation(name)) {
    glyphs.push(figure.line({ field: "x" }, { field: "value" }, { ...place, line_width: 1, line_alpha: 0.5, legend_label: name }));
    glyphs.push(figure.scatter({ field: "x" }, { field: "value" }, { ...place, size: 7, legend_label: name }));
  } else if (!isNoisy(name)) {
    glyphs.push(figure.line({ field: "x" }, { field: "value" }, { ...place, line_width: 2, legend_label: name }));
  } else {
    glyphs.push(figure.line({ field: "x" }, { field: "value" }, { ...place, line_width: 1, line_alpha: 0.3, legend_label: name }));
    glyphs.push(figure.line({ field: "x" }, { field: "smooth" }, { ...place, line_width: 2, legend_label: name }));
  }
  const last = glyphs.at(-1);
  figure.add_tools(new Bokeh.HoverTool({
    renderers: [last],
    mode: "vline",
    tooltips: [["step", "@step{0,0}"], [name, "@value{%.5g}"]],
    formatters: { "@value": "printf" },
    attachment: "horizontal",
  }));
  return { name, source, glyphs, hue };
}

function addMarks(figure) {
  const spans = [];
  for (const mark of state.marks) {
    const span = new Bokeh.Span({
      dimension: "height",
      location: scaleX([mark.step])[0],
      line_color: colour(MARKS[mark.kind]),
      line_dash: mark.kind === "checkpoint" ? "dotted" : "dashed",
      line_width: 1,
      level: "underlay",
    });
    figure.add_layout(span);
    spans.push(span);
  }
  return spans;
}

// Limits that pause the run.
function addLimits(figure, chart) {
  return (chart.lines ?? []).map(({ value, text, kind }) => {
    const look = { line_color: colour("--bad"), line_dash: "dashed", line_width: 1.5 };
    const span = new Bokeh.Span({ dimension: "width", location: value, ...look });
    const label = new Bokeh.Label({
      x: 4, y: value, x_units: "screen", text,
      // On the side where the curve is allowed to be.
      ...(kind === "max" ? { text_baseline: "top", y_offset: -3 } : { text_baseline: "bottom", y_offset: 2 }),
      text_font_size: "11px", text_color: colour("--bad"),
    });
    figure.add_layout(span);
    figure.add_layout(label);
    return { span, label };
  });
}

function frame(chart) {
  const card = document.createElement("section");
  card.className = "card chart-card";
  const head = document.createElement("div");
  head.className = "row row--between";
  const title = document.createElement("h3");
  title.textContent = chart.title;
  const tools = document.createElement("span");
  tools.className = "row";
  const picture = document.createElement("button");
  picture.type = "button";
  picture.className = "link-button";
  picture.textContent = "Picture";
  const points = document.createElement("a");
  points.textContent = "CSV";
  points.href = address([["format", "csv"], ...chart.curves.map((name) => ["name", name])]);
  tools.append(picture, points);
  head.append(title, tools);
  const place = document.createElement("div");
  place.className = "chart";
  card.append(head, place);
  grid.append(card);
  return { card, place, picture };
}

// A legend of many lines, or on a phone, would cover the plot: it stands below, and the
// chart grows by it.
function placeLegend(figure, place, numLines) {
  const isSmall = numLines <= MOST_INSIDE && place.clientWidth >= ROOM_INSIDE;
  if (numLines < 2 || isSmall) return;
  const legend = figure.center.find(({ type }) => type === "Legend");
  figure.center = figure.center.filter((one) => one !== legend);
  Object.assign(legend, { location: "top_left", padding: 0, spacing: 0, label_height: LEGEND_LINE, glyph_height: LEGEND_LINE });
  figure.add_layout(legend, "below");
  figure.height += LEGEND_LINE * numLines;
  place.style.height = `${figure.height}px`;
}

async function draw(chart) {
  const { card, place, picture } = frame(chart);
  const figure = Bokeh.Plotting.figure({
    height: 260,
    sizing_mode: "stretch_width",
    tools: "pan,xwheel_zoom,box_zoom,reset",
    active_scroll: "xwheel_zoom",
    toolbar_location: "above",
    y_axis_type: logScale.checked && isLoss(chart.curves[0]) ? "log" : "linear",
    x_axis_label: xChoice.value,
    output_backend: "canvas",
  });
  figure.toolbar.logo = null;
  figure.toolbar.autohide = true;
  figure.add_tools(new Bokeh.CrosshairTool({ dimensions: "height", line_color: colour("--line-strong"), line_alpha: 0.6 }));
  const curves = chart.curves.map((name, index) => addCurve(figure, name, index));
  const spans = addMarks(figure);
  const limits = addLimits(figure, chart);
  figure.legend.click_policy = "hide";
  figure.legend.visible = chart.curves.length > 1;
  for (const axis of figure.xaxis) axis.formatter = new Bokeh.NumeralTickFormatter({ format: "0[.]0a" });
  restyle(figure);
  placeLegend(figure, place, chart.curves.length);
  const view = await Bokeh.Plotting.show(figure, place);
  picture.addEventListener("click", () => savePicture(view, chart.title));
  state.charts.set(chart.title, { chart, card, figure, curves, spans, limits, view });
}

const allCurves = () => [...state.charts.values()].flatMap(({ curves }) => curves);

// What lies beyond the last point of each curve.
const beyond = (curves) => curves.flatMap(({ name, source }) => [
  ["name", name],
  ["after", source.data.step.at(-1) ?? ""],
]);

function append(told) {
  for (const curve of told.curves) {
    if (curve.steps.length === 0) continue;
    const held = allCurves().find(({ name }) => name === curve.name);
    if (!held) continue;
    const { source } = held;
    const steps = [...source.data.step, ...curve.steps].slice(-MAX_KEPT);
    const values = [...source.data.value, ...asNumbers(curve.values)].slice(-MAX_KEPT);
    source.data = columns({ steps, values });
  }
}

function sameCharts(told) {
  const names = (charts) => JSON.stringify(charts.map(({ title, curves }) => [title, curves]));
  return names(told) === names([...state.charts.values()].map(({ chart }) => chart));
}

async function drawAll(told) {
  state.charts.clear();
  grid.replaceChildren();
  for (const chart of told.charts) {
    await draw(chart);
    append(await ask(beyond(state.charts.get(chart.title).curves)));
  }
}

function takeOverview(told) {
  state.fence = told.fence;
  state.tokensPerStep = told.tokens_per_step;
  const isNew = JSON.stringify(told.marks) !== JSON.stringify(state.marks);
  state.marks = told.marks;
  document.getElementById("charts-empty").hidden = told.charts.length > 0;
  document.getElementById("charts-tools").hidden = told.charts.length === 0;
  document.getElementById("charts-key").hidden = told.marks.length === 0;
  xChoice.closest("label").hidden = !told.tokens_per_step;
  return isNew;
}

let isBusy = false;
let isStale = false;

async function update({ isFresh = false } = {}) {
  if (isBusy) {
    isStale = true;
    return;
  }
  isBusy = true;
  try {
    const told = await ask(isFresh ? [] : beyond(allCurves()));
    // A new attempt may have taken steps again, so its lines are drawn anew.
    const isSame = !isFresh && told.fence === state.fence && sameCharts(told.charts);
    const hasNewMarks = takeOverview(told);
    if (isSame) {
      append(told);
      if (hasNewMarks) state.charts.forEach(redrawMarks);
    } else await drawAll(told);
  } finally {
    isBusy = false;
    if (isStale) {
      isStale = false;
      setTimeout(update, 1000);
    }
  }
}

function redrawMarks(held) {
  for (const span of held.spans) held.figure.remove_layout?.(span);
  held.figure.center = held.figure.center.filter((one) => !held.spans.includes(one));
  held.spans = addMarks(held.figure);
}

function resmooth() {
  document.getElementById("charts-smoothing-value").textContent = Number(smoothing.value).toFixed(2);
  for (const { curves } of state.charts.values()) {
    for (const { source } of curves) {
      source.data = columns({ steps: source.data.step, values: source.data.value });
    }
  }
}

function rescale() {
  for (const { figure, spans } of state.charts.values()) {
    for (const axis of figure.xaxis) axis.axis_label = xChoice.value;
    spans.forEach((span, index) => { span.location = scaleX([state.marks[index].step])[0]; });
  }
  resmooth();
}

function recolour() {
  for (const { figure, curves, spans, limits } of state.charts.values()) {
    restyle(figure);
    for (const { span, label } of limits) {
      span.line_color = colour("--bad");
      label.text_color = colour("--bad");
    }
    for (const { glyphs, hue } of curves) {
      for (const { glyph } of glyphs) {
        glyph.line_color = colour(hue);
        if ("fill_color" in glyph) glyph.fill_color = colour(hue);
      }
    }
    spans.forEach((span, index) => { span.line_color = colour(MARKS[state.marks[index].kind]); });
  }
}

smoothing.addEventListener("input", resmooth);
xChoice.addEventListener("change", rescale);
logScale.addEventListener("change", () => update({ isFresh: true }));
document.addEventListener("trivium:theme", recolour);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", recolour);
run.addEventListener("run:points", () => update());
update({ isFresh: true });
