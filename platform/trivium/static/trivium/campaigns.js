// Pages of a campaign: keys that decide, and charts, drawn by Bokeh.

import { colour, restyle } from "./chart-kit.js";

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.repeat) return;
  if (event.target.matches("input, textarea, select") || document.querySelector("dialog[open]")) return;
  if (!document.querySelector("[data-keys-here]")) return;
  const wanted = document.querySelector(`[data-key="${CSS.escape(event.key.toLowerCase())}"]`);
  if (!wanted) return;
  event.preventDefault();
  wanted.click();
});

function frame(settings) {
  return Bokeh.Plotting.figure({
    sizing_mode: "stretch_width",
    tools: "",
    toolbar_location: null,
    output_backend: "canvas",
    ...settings,
  });
}

// A line through the windows of time, and the interval of each as a band behind it.
function drawTime(told) {
  const figure = frame({ height: 240, x_axis_type: "datetime", y_axis_label: "alpha" });
  const source = new Bokeh.ColumnDataSource({ data: { x: told.x, value: told.value, low: told.low, high: told.high, units: told.units } });
  const hue = colour("--rhetoric");
  const at = (field) => ({ field });
  figure.varea(at("x"), at("low"), at("high"), { source, fill_color: hue, fill_alpha: 0.15 });
  figure.line(at("x"), at("value"), { source, line_color: hue, line_width: 2 });
  const dots = figure.scatter(at("x"), at("value"), { source, size: 7, line_color: hue, fill_color: hue });
  figure.add_tools(new Bokeh.HoverTool({
    renderers: [dots],
    mode: "vline",
    tooltips: [["alpha", "@value{0.00}"], ["interval", "@low{0.00} to @high{0.00}"], ["comparisons", "@units{0,0}"]],
  }));
  figure.add_layout(new Bokeh.Span({ dimension: "width", location: 0, line_color: colour("--line-strong"), line_dash: "dashed" }));
  return figure;
}

// A dot with a whisker for each model, best at the top; hollow ones are at equal length.
function drawRanking(told) {
  const names = told.names.map((name, index) => (name.length > 34 ? `${name.slice(0, 30)}… ${index + 1}` : name));
  const place = new Map(told.names.map((name, index) => [name, names[index]]));
  const figure = frame({
    height: 90 + 36 * names.length,
    y_range: new Bokeh.FactorRange({ factors: [...names].reverse() }),
    x_axis_label: "score",
  });
  const both = [
    { rows: told.plain, hue: "--rhetoric", label: "as voted", shift: told.at_length.name.length > 0 ? 0.14 : 0, isHollow: false },
    { rows: told.at_length, hue: "--data", label: "at equal length", shift: -0.14, isHollow: true },
  ];
  for (const { rows, hue, label, shift, isHollow } of both) {
    if (rows.name.length === 0) continue;
    const paint = colour(hue);
    const source = new Bokeh.ColumnDataSource({ data: { ...rows, place: rows.name.map((name) => [place.get(name), shift]) } });
    figure.segment({ field: "low" }, { field: "place" }, { field: "high" }, { field: "place" }, { source, line_color: paint, line_width: 2, legend_label: label });
    const dots = figure.scatter({ field: "value" }, { field: "place" }, {
      source, size: 9, line_color: paint, line_width: 2, fill_color: isHollow ? colour("--surface") : paint, legend_label: label,
    });
    figure.add_tools(new Bokeh.HoverTool({
      renderers: [dots],
      tooltips: [["model", "@name"], ["score", "@value{0,0}"], ["interval", "@low{0,0} to @high{0,0}"]],
    }));
  }
  figure.legend.location = "bottom_right";
  figure.legend.visible = told.at_length.name.length > 0;
  return figure;
}

const DRAWN = { time: drawTime, ranking: drawRanking };

async function draw(place) {
  const told = JSON.parse(document.getElementById(place.dataset.plot).textContent);
  place.replaceChildren();
  const figure = DRAWN[told.kind](told);
  restyle(figure);
  await Bokeh.Plotting.show(figure, place);
}

// On a phone the tabs scroll; the current one shall be among those seen.
function showTab() {
  document.querySelector(".tabs [aria-current]")?.scrollIntoView({ block: "nearest", inline: "center" });
}

const drawAll = () => document.querySelectorAll("[data-plot]").forEach(draw);

showTab();
drawAll();
document.addEventListener("htmx:afterSwap", ({ detail }) => {
  if (detail.target.id !== "campaign-body") return;
  showTab();
  drawAll();
});
document.addEventListener("trivium:theme", drawAll);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawAll);
