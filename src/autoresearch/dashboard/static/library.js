// The chart library, fetched once, and the colours that both charts are drawn in.

const nonce = document.querySelector('meta[name="nonce"]').content;
const makeElement = document.createElement.bind(document);

/** The library makes style elements, which the page's own policy lets in by this word only. */
document.createElement = (name, options) => {
  const made = makeElement(name, options);
  if (name === "style") made.nonce = nonce;
  return made;
};

function script(source) {
  return new Promise((done, failed) => {
    const made = makeElement("script");
    Object.assign(made, { src: source, async: false, onload: done, onerror: failed });
    document.head.append(made);
  });
}

let loading = null;

/** Resolves to Bokeh; to null where it cannot be loaded: the page works without charts. */
export function library() {
  const links = [...document.querySelectorAll('link[rel="preload"][as="script"]')];
  loading ??= Promise.all(links.map((link) => script(link.href)))
    .then(() => window.Bokeh)
    .catch(() => null);
  return loading;
}

export function colours() {
  const style = getComputedStyle(document.documentElement);
  const read = (name) => style.getPropertyValue(name).trim();
  return {
    paper: read("--paper"), ink: read("--ink"), muted: read("--muted"), rule: read("--rule"),
    accent: read("--accent"), line: read("--line"), dot: read("--dot"), fail: read("--fail"),
    band: read("--band"), font: getComputedStyle(document.body).fontFamily,
  };
}

/** An empty plot without tools and frames, in our colours; `height` in pixels. */
export function plainFigure(Bokeh, height, xLabel, yLabel) {
  const look = colours();
  const figure = Bokeh.Plotting.figure({
    height, sizing_mode: "stretch_width", tools: "", toolbar_location: null,
    background_fill_color: null, border_fill_color: null, outline_line_color: null,
    x_range: new Bokeh.Range1d({ start: 0, end: 1 }), y_range: new Bokeh.Range1d({ start: 0, end: 1 }),
    min_border_left: 8, min_border_right: 10, min_border_top: 8,
  });
  for (const [axis, label] of [[figure.xaxis, xLabel], [figure.yaxis, yLabel]]) {
    Object.assign(axis, {
      axis_label: label, axis_label_text_color: look.muted, axis_label_text_font_style: "normal",
      axis_label_text_font_size: "12px", axis_label_text_font: look.font, axis_label_standoff: 6,
      major_label_text_color: look.muted, major_label_text_font_size: "12px", major_label_text_font: look.font,
      axis_line_color: look.rule, major_tick_line_color: null, minor_tick_line_color: null,
    });
  }
  figure.xgrid.grid_line_color = null;
  figure.ygrid.grid_line_color = look.rule;
  figure.yaxis.axis_line_color = null;
  return figure;
}
