// What all charts share: colours of the theme, smoothing, the look of a figure, a picture of it.

export const isValidation = (name) => /^(val|eval)/i.test(name);
export const isNoisy = (name) => !isValidation(name) && !/(learning_rate|lr)$/i.test(name);
export const isLoss = (name) => /(^|\/)loss$/i.test(name);

// `light-dark()` in a custom property is only resolved where it is used.
const probe = document.createElement("span");
probe.hidden = true;
document.body.append(probe);
export const colour = (name) => {
  probe.style.color = `var(${name})`;
  return getComputedStyle(probe).color;
};

// A bias-corrected moving average; a gap stays a gap and does not spread.
export function smooth(values, weight) {
  let mean = 0;
  let total = 0;
  return values.map((value) => {
    if (value === null || Number.isNaN(value)) return NaN;
    mean = weight * mean + (1 - weight) * value;
    total = weight * total + (1 - weight);
    return mean / total;
  });
}

export const asNumbers = (values) => values.map((value) => (value === null ? NaN : value));

export function restyle(figure) {
  const text = colour("--quiet");
  const line = colour("--line");
  figure.background_fill_color = null;
  figure.border_fill_color = null;
  figure.outline_line_color = line;
  for (const axis of [...figure.xaxis, ...figure.yaxis]) {
    axis.axis_label_text_color = text;
    axis.major_label_text_color = text;
    axis.axis_line_color = line;
    axis.major_tick_line_color = line;
    axis.minor_tick_line_color = null;
  }
  for (const one of [...figure.xgrid, ...figure.ygrid]) one.grid_line_color = line;
  const { legend } = figure;
  legend.background_fill_color = colour("--surface");
  legend.background_fill_alpha = 0.8;
  legend.border_line_color = null;
  legend.label_text_color = text;
}

export function savePicture(view, title) {
  const drawn = view.export("png").canvas;
  const canvas = document.createElement("canvas");
  canvas.width = drawn.width;
  canvas.height = drawn.height;
  const context = canvas.getContext("2d");
  context.fillStyle = colour("--surface");
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.drawImage(drawn, 0, 0);
  canvas.toBlob((blob) => {
    const a = document.createElement("a");
    a.href = URL.createObjectURL(blob);
    a.download = `${title.toLowerCase().replaceAll(" ", "-")}.png`;
    a.click();
    setTimeout(() => URL.revokeObjectURL(a.href), 10000);
  });
}
