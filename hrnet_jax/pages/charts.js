// Charts of a report: drag to zoom, double-click for everything, hover for values.
// Each `.chart` names the JSON of its charts in `data-charts`; several get a menu.
"use strict";
(() => {
  const SPACE = "http://www.w3.org/2000/svg";
  const WIDTH = 640, HEIGHT = 320, LEFT = 66, RIGHT = 14, TOP = 12, BOTTOM = 42;
  const DASHES = ["", "7 4", "2 3", "8 3 2 3"], COLOURS = 6;

  const shape = (name, attributes, parent, text) => {
    const made = document.createElementNS(SPACE, name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    if (text !== undefined) made.textContent = text;
    parent.append(made);
    return made;
  };
  const element = (name, attributes, parent, text) => {
    const made = Object.assign(document.createElement(name), attributes);
    if (text !== undefined) made.textContent = text;
    parent.append(made);
    return made;
  };

  const isShown = (value, log) => value !== null && (!log || value > 0);
  const spread = (low, high) => {
    if (low > high) return [0, 1];
    const room = low === high ? Math.abs(low) / 2 || 1 : 0;
    return [low - room, high + room];
  };
  const rangeOf = (values, log) => {
    let low = Infinity, high = -Infinity;
    for (const value of values) {
      if (!isShown(value, log)) continue;
      low = Math.min(low, value);
      high = Math.max(high, value);
    }
    return log && low <= high ? [low / 1.3, high * 1.3] : spread(low, high);
  };
  const whole = (chart, log) => {
    const [low, high] = chart.yRange || rangeOf(chart.series.flatMap((s) => s.y), log);
    const margin = log || chart.yRange ? 0 : (high - low) * 0.05;
    const [first, last] = chart.xRange || rangeOf(chart.series.flatMap((s) => s.x), false);
    const beside = chart.xRange ? 0 : (last - first) * 0.02;
    return {
      x: [first - beside, last + beside],
      y: [low - margin, high + margin],
    };
  };
  const ticks = (low, high, log) => {
    if (log && high / low >= 10) {
      const found = [];
      const first = Math.ceil(Math.log10(low)), last = Math.floor(Math.log10(high));
      const every = Math.max(1, Math.ceil((last - first) / 6));
      for (let power = first; power <= last; power += every) found.push(10 ** power);
      return found;
    }
    const rough = (high - low) / 5, size = 10 ** Math.floor(Math.log10(rough));
    const step = size * [1, 2, 5, 10].find((factor) => factor * size >= rough);
    const found = [];
    for (let n = Math.ceil(low / step); n * step <= high + step * 1e-9; n++) {
      found.push(n * step);
    }
    return found;
  };
  const words = (value) => {
    if (value === 0) return "0";
    const large = Math.abs(value) >= 1e6 || Math.abs(value) < 1e-3;
    return large ? value.toExponential(1) : String(Number(value.toPrecision(5)));
  };

  class Chart {
    constructor(place, charts) {
      this.charts = charts;
      const bar = element("div", { className: "bar" }, place);
      if (charts.length > 1) {
        const menu = element("select", { ariaLabel: "metric" }, bar);
        for (const chart of charts) element("option", {}, menu, chart.title);
        menu.onchange = () => this.show(charts[menu.selectedIndex]);
      } else element("b", {}, bar, charts[0].title);
      const label = element("label", {}, bar);
      this.logBox = element("input", { type: "checkbox" }, label);
      label.append(" log");
      this.logBox.onchange = () => this.reset();
      element("button", { type: "button" }, bar, "all").onclick = () => this.reset();
      this.svg = shape("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img" }, place);
      this.values = element("output", {}, place);
      this.svg.onpointerdown = (event) => this.begin(event);
      this.svg.onpointermove = (event) => this.move(event);
      this.svg.onpointerup = (event) => this.end(event);
      this.svg.onpointerleave = () => { if (!this.from) this.hover(null); };
      this.svg.ondblclick = () => this.reset();
      this.show(charts[0]);
    }
    show(chart) {
      this.chart = chart;
      this.logBox.checked = Boolean(chart.log);
      this.svg.setAttribute("aria-label", `${chart.title} over ${chart.x}`);
      this.reset();
    }
    reset() {
      this.view = whole(this.chart, this.logBox.checked);
      this.draw();
    }
    // Values to places in the drawing, and back.
    scale(value, [low, high], from, to, log) {
      const f = log ? Math.log10 : (v) => v;
      return from + ((f(value) - f(low)) / (f(high) - f(low))) * (to - from);
    }
    unscale(place, [low, high], from, to, log) {
      const share = (place - from) / (to - from);
      if (log) return low * (high / low) ** share;
      return low + share * (high - low);
    }
    px(x) { return this.scale(x, this.view.x, LEFT, WIDTH - RIGHT, false); }
    py(y) {
      return this.scale(y, this.view.y, HEIGHT - BOTTOM, TOP, this.logBox.checked);
    }
    draw() {
      const { svg, chart } = this, log = this.logBox.checked;
      svg.replaceChildren();
      const id = `clip${Chart.count = (Chart.count || 0) + 1}`;
      const inside = { x: LEFT, y: TOP, width: WIDTH - LEFT - RIGHT, height: HEIGHT - TOP - BOTTOM };
      shape("rect", inside, shape("clipPath", { id }, svg));
      for (const x of ticks(...this.view.x, false)) {
        shape("line", { x1: this.px(x), x2: this.px(x), y1: TOP, y2: HEIGHT - BOTTOM, class: "grid" }, svg);
        shape("text", { x: this.px(x), y: HEIGHT - BOTTOM + 16, class: "tick x" }, svg, words(x));
      }
      for (const y of ticks(...this.view.y, log)) {
        shape("line", { x1: LEFT, x2: WIDTH - RIGHT, y1: this.py(y), y2: this.py(y), class: "grid" }, svg);
        shape("text", { x: LEFT - 6, y: this.py(y) + 4, class: "tick y" }, svg, words(y));
      }
      shape("text", { x: (LEFT + WIDTH) / 2, y: HEIGHT - 8, class: "axis" }, svg, chart.x);
      const curves = shape("g", { "clip-path": `url(#${id})` }, svg);
      for (const series of chart.series) this.curve(series, curves, log);
      if (!chart.series.some((s) => s.x.length)) {
        shape("text", { x: WIDTH / 2, y: HEIGHT / 2, class: "axis" }, svg, "no value yet");
      }
      this.cursor = shape("line", { y1: TOP, y2: HEIGHT - BOTTOM, class: "cursor", visibility: "hidden" }, svg);
      this.chosen = shape("rect", { class: "chosen", visibility: "hidden" }, svg);
      this.hover(null);
    }
    curve(series, parent, log) {
      const style = `stroke: var(--c${series.colour % COLOURS})`;
      const dash = DASHES[Math.floor(series.colour / COLOURS) % DASHES.length];
      let path = "", begins = true, before = null;
      series.x.forEach((x, index) => {
        const y = series.y[index];
        if (!isShown(y, log)) { begins = true; return; }
        const px = this.px(x).toFixed(1), py = this.py(y).toFixed(1);
        if (!begins && this.chart.steps) path += `L${px} ${before}`;
        path += `${begins ? "M" : "L"}${px} ${py}`;
        begins = false;
        before = py;
        if (series.points) shape("circle", { cx: px, cy: py, r: 3, style }, parent);
      });
      shape("path", { d: path, style, "stroke-dasharray": dash }, parent);
    }
    place(event) {
      const box = this.svg.getBoundingClientRect();
      const x = ((event.clientX - box.left) / box.width) * WIDTH;
      const y = ((event.clientY - box.top) / box.height) * HEIGHT;
      return {
        x: Math.min(Math.max(x, LEFT), WIDTH - RIGHT),
        y: Math.min(Math.max(y, TOP), HEIGHT - BOTTOM),
      };
    }
    begin(event) {
      if (event.button !== 0) return;
      this.from = this.place(event);
      this.svg.setPointerCapture(event.pointerId);
    }
    move(event) {
      const to = this.place(event);
      this.hover(to);
      if (!this.from) return;
      const { from } = this;
      this.chosen.setAttribute("visibility", "visible");
      this.chosen.setAttribute("x", Math.min(from.x, to.x));
      this.chosen.setAttribute("y", Math.min(from.y, to.y));
      this.chosen.setAttribute("width", Math.abs(from.x - to.x));
      this.chosen.setAttribute("height", Math.abs(from.y - to.y));
    }
    end(event) {
      const { from, view } = this, to = this.place(event), log = this.logBox.checked;
      this.from = null;
      if (!from || Math.abs(from.x - to.x) < 6) { this.draw(); return; }
      const x = [from.x, to.x].map((p) => this.unscale(p, view.x, LEFT, WIDTH - RIGHT, false));
      const y = [from.y, to.y].map((p) => this.unscale(p, view.y, HEIGHT - BOTTOM, TOP, log));
      const ascending = (a, b) => a - b;
      this.view.x = x.sort(ascending);
      // A flat stroke means the steps alone.
      if (Math.abs(from.y - to.y) >= 6) this.view.y = y.sort(ascending);
      this.draw();
    }
    hover(place) {
      this.cursor.setAttribute("visibility", place ? "visible" : "hidden");
      this.values.replaceChildren();
      const x = place && this.unscale(place.x, this.view.x, LEFT, WIDTH - RIGHT, false);
      if (place) {
        this.cursor.setAttribute("x1", place.x);
        this.cursor.setAttribute("x2", place.x);
      }
      for (const series of this.chart.series) {
        const entry = element("span", {}, this.values);
        const key = element("i", {}, entry);
        key.style.background = `var(--c${series.colour % COLOURS})`;
        let text = ` ${series.name}`;
        if (place && series.x.length) {
          let best = 0;
          series.x.forEach((value, index) => {
            if (Math.abs(value - x) < Math.abs(series.x[best] - x)) best = index;
          });
          const y = series.y[best];
          const shown = y === null ? "not finite" : Number(y.toPrecision(5));
          text += `: ${shown} (${this.chart.x} ${Number(series.x[best].toPrecision(5))})`;
        }
        entry.append(text);
      }
    }
  }

  for (const place of document.querySelectorAll(".chart")) {
    new Chart(place, JSON.parse(document.getElementById(place.dataset.charts).textContent));
  }
})();
