"use strict";
// Draws what the page brings: pictures, explorers of trained models, maps to point at. All values are in the page.
(async () => {
  const LOST = -32768, MANY = 24, FRAME = 120;
  const colour = (i) => data.palette[i % data.palette.length];
  const text = (id) => document.getElementById(id).textContent;
  const make = (tag, about = {}, ...inside) => {
    const made = document.createElement(tag);
    for (const [key, value] of Object.entries(about)) key in made ? (made[key] = value) : made.setAttribute(key, value);
    made.append(...inside);
    return made;
  };
  const unpacked = async (packed) => {
    const bytes = Uint8Array.from(atob(packed), (letter) => letter.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    return new Response(stream).arrayBuffer();
  };
  const style = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

  // --------------------------------------------------------------------------------------------------------- theme
  const root = document.documentElement, theme = document.getElementById("theme"), drawn = [];
  const dress = (name) => {
    root.dataset.theme = name;
    theme.textContent = name === "dark" ? "Light" : "Dark";
    theme.setAttribute("aria-label", `Show the page ${theme.textContent.toLowerCase()}`);
    for (const each of drawn) each.draw();
  };
  theme.addEventListener("click", () => dress(root.dataset.theme === "dark" ? "light" : "dark"));
  dress(matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");

  // ------------------------------------------------------------------------------------------------ pictures, copying
  const pictures = JSON.parse(text("report-pictures"));
  const types = { svg: "image/svg+xml", png: "image/png" };
  const show = async (image) => {
    const [kind, scale, data] = pictures[image.dataset.picture];
    image.addEventListener("load", () => { image.style.width = `${Math.round(image.naturalWidth * scale)}px`; });
    image.src = URL.createObjectURL(new Blob([await unpacked(data)], { type: types[kind] }));
  };
  const seen = new IntersectionObserver((entries) => {
    for (const entry of entries) if (entry.isIntersecting) { seen.unobserve(entry.target); show(entry.target); }
  }, { rootMargin: "1500px" });
  for (const image of document.querySelectorAll("img.picture")) seen.observe(image);
  addEventListener("beforeprint", () => { for (const image of document.querySelectorAll("img.picture:not([src])")) show(image); });
  for (const button of document.querySelectorAll("button.copy")) {
    button.addEventListener("click", async () => {
      const words = button.previousElementSibling.textContent;
      try { await navigator.clipboard.writeText(words); } catch {
        const area = make("textarea", { value: words });
        document.body.append(area); area.select(); document.execCommand("copy"); area.remove();
      }
      button.textContent = "Copied";
      setTimeout(() => { button.textContent = "Copy"; }, 1500);
    });
  }

  // ------------------------------------------------------------------------------------------------------ explorers
  const data = JSON.parse(text("report-data"));
  if (!data.sections.some((each) => Object.keys(each.explorers).length || each.maps.length)) return;
  const numbers = new Int16Array(await unpacked(text("report-numbers")));
  const library = new TextDecoder().decode(await unpacked(text("report-library")));
  document.head.append(make("script", { textContent: library }));
  const PLAIN = { displayModeBar: false, responsive: true };

  const layout = (title, more = {}) => ({
    title: { text: title, font: { size: 13 }, x: 0.5, y: 0.97 },
    font: { color: style("--ink"), size: 11 }, paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
    margin: { l: 42, r: 10, t: 30, b: 36 }, showlegend: false, hoverlabel: { font: { size: 12 } }, uirevision: "kept", ...more,
  });
  /** Decades where there are some, else as many numbers as fit. */
  const powers = (values) => (Math.max(...values) / Math.min(...values) > 15 ? { type: "log", dtick: 1 } : { type: "log", nticks: 6, tickformat: "~g" });
  const axis = (more = {}) => ({ gridcolor: style("--line"), zerolinecolor: style("--line"), linecolor: style("--line"), ...more });

  /** Numbers of a packed array at a place of its leading axes. */
  const read = (packed, ...place) => {
    let at = packed.at, size = packed.shape.reduce((a, b) => a * b, 1);
    place.forEach((index, k) => { size /= packed.shape[k]; at += index * size; });
    return Array.from(numbers.subarray(at, at + size), (steps) => (steps === LOST ? NaN : steps * packed.step));
  };
  const rows = (flat, width) => Array.from({ length: flat.length / width }, (_, i) => flat.slice(i * width, (i + 1) * width));
  const number = (value) => (value === null || !isFinite(value) ? "lost" : Number(value.toPrecision(3)).toString());

  class Explorer {
    constructor(place, spec) {
      Object.assign(this, { place, spec, at: spec.axes.map(() => 0), time: spec.snapshots.length - 1, marked: null, pinned: null });
      this.controls = make("div", { className: "controls" });
      this.inputs = spec.axes.map((each, k) => this.chooser(each, k));
      this.arrangements = make("select");
      this.arrangements.addEventListener("change", () => this.go("seed", Number(this.arrangements.value)));
      this.seed = spec.axes.findIndex((each) => each.name === "seed");
      if (spec.names.some((name) => name) && this.seed >= 0) this.controls.append(make("label", {}, "arrangement, over seeds", this.arrangements));
      this.clock = make("input", { type: "range", min: 0, max: spec.snapshots.length - 1, value: this.time });
      this.step = make("span");
      this.clock.addEventListener("input", () => { this.time = Number(this.clock.value); this.draw(); });
      this.play = make("button", { type: "button", textContent: "▶ Play" });
      this.play.addEventListener("click", () => this.run());
      const clock = make("label", { className: "long" }, this.step, this.clock);
      this.features = make("div", { className: "features", role: "group", "aria-label": "Features" });
      if (spec.features <= MANY) for (let i = 0; i < spec.features; i++) this.features.append(this.button(i));
      this.told = make("p", { className: "told", "aria-live": "polite" });
      this.panels = ["vectors", "products", "dimensionality", "loss"].map((name) => make("div", { className: "panel", "data-panel": name }));
      place.append(this.controls, make("div", { className: "controls" }, this.play, clock), this.features, this.told, make("div", { className: "panels" }, ...this.panels));
      place.addEventListener("keydown", (event) => {
        if (event.target.matches("input, select") || !["ArrowLeft", "ArrowRight"].includes(event.key)) return;
        this.time = Math.min(Math.max(this.time + (event.key === "ArrowRight" ? 1 : -1), 0), spec.snapshots.length - 1);
        event.preventDefault();
        this.draw();
      });
      this.present = false;
      this.draw();
      new IntersectionObserver((entries) => this.come(entries.at(-1).isIntersecting), { rootMargin: "4000px" }).observe(place);
      drawn.push(this);
    }

    /** Panels are there while they are near what is seen: a browser has room for sixteen pictures in space, no more. */
    come(present) {
      if (present === this.present) return;
      this.present = present;
      if (!present) return this.panels.forEach((panel) => Plotly.purge(panel));
      this.draw();
      this.panels.forEach((panel, k) => {
        panel.on("plotly_hover", (event) => this.mark(this.featureAt(k, event.points[0])));
        panel.on("plotly_unhover", () => this.mark(this.pinned));
        panel.on("plotly_click", (event) => k === 3 && this.jump(event.points[0].x));
      });
    }

    /** A slider for numbers, a menu for names. */
    chooser(each, k) {
      const told = make("span", { textContent: `${each.name} = ${each.labels[0]}` });
      const numeric = each.labels.every((label) => label !== "" && isFinite(label)) && each.labels.length > 1;
      const input = numeric
        ? make("input", { type: "range", min: 0, max: each.labels.length - 1, value: 0, "data-axis": each.name, "aria-label": each.name })
        : make("select", { "data-axis": each.name, "aria-label": each.name }, ...each.labels.map((label, i) => make("option", { value: i, textContent: label })));
      input.addEventListener("input", () => { this.at[k] = Number(input.value); this.draw(); });
      if (each.labels.length > 1) this.controls.append(make("label", {}, told, input));
      return { input, told };
    }

    button(i) {
      const made = make("button", { type: "button", textContent: i + 1, "aria-pressed": "false", "aria-label": `Feature ${i + 1}` });
      made.style.borderColor = colour(i);
      made.addEventListener("mouseenter", () => this.mark(i));
      made.addEventListener("mouseleave", () => this.mark(this.pinned));
      made.addEventListener("click", () => { this.pinned = this.pinned === i ? null : i; this.mark(this.pinned); });
      return made;
    }

    /** Set an axis to a place, and draw. */
    go(name, place) {
      const k = this.spec.axes.findIndex((each) => each.name === name);
      if (k < 0) return;
      this.at[k] = place;
      this.inputs[k].input.value = place;
      this.draw();
    }

    /** Set an axis to the label nearest to a number, by ratio. */
    near(name, value) {
      const each = this.spec.axes.find((one) => one.name === name);
      if (!each) return;
      const gaps = each.labels.map((label) => Math.abs(Math.log(Number(label) / value)));
      this.go(name, gaps.indexOf(Math.min(...gaps)));
    }

    jump(step) {
      const gaps = this.spec.snapshots.map((each) => Math.abs(Math.log((each + 1) / (step + 1))));
      this.time = gaps.indexOf(Math.min(...gaps));
      this.draw();
    }

    run() {
      if (this.timer) { clearInterval(this.timer); this.timer = null; this.play.textContent = "▶ Play"; return; }
      if (this.time === this.spec.snapshots.length - 1) this.time = 0;
      this.play.textContent = "⏸ Pause";
      this.timer = setInterval(() => {
        if (this.time >= this.spec.snapshots.length - 1) { this.run(); return; }
        this.time += 1;
        this.draw();
      }, FRAME);
    }

    featureAt(panel, point) {
      if (panel === 0) return point.customdata ?? null;
      if (panel === 1) return point.pointIndex ? point.pointIndex[0] : null;
      return panel === 2 ? point.pointIndex : null;
    }

    mark(feature) {
      if (feature === this.marked) return;
      this.marked = feature;
      this.draw();
    }

    cell(at = this.at) { return this.spec.axes.reduce((sum, each, k) => sum * each.labels.length + at[k], 0); }

    /** Arrangements at the end over the seeds, where the other axes are: name, how many, the seed of least loss. */
    listed() {
      const found = new Map(), seeds = this.spec.axes[this.seed].labels.length;
      for (let seed = 0; seed < seeds; seed++) {
        const cell = this.cell(this.at.map((value, k) => (k === this.seed ? seed : value))), name = this.spec.names[cell];
        const known = found.get(name) ?? { count: 0, seed, final: Infinity }, final = this.spec.final[cell] ?? Infinity;
        found.set(name, { count: known.count + 1, ...(final < known.final ? { seed, final } : { seed: known.seed, final: known.final }) });
      }
      const options = [...found].sort((a, b) => a[1].final - b[1].final);
      this.arrangements.replaceChildren(...options.map(([name, { count, seed, final }]) =>
        make("option", { value: seed, textContent: `${name}: ${count} of ${seeds}, least loss ${number(final)}` })));
      this.arrangements.selectedIndex = options.findIndex(([name]) => name === this.spec.names[this.cell()]);
    }

    draw() {
      const { spec, time, marked } = this, cell = this.cell(), n = spec.features;
      spec.axes.forEach((each, k) => {
        const label = each.labels[this.at[k]];
        this.inputs[k].told.textContent = `${each.name} = ${label}`;
        this.inputs[k].input.setAttribute("aria-valuetext", label);
      });
      if (this.controls.contains(this.arrangements)) this.listed();
      this.clock.value = time;
      this.clock.setAttribute("aria-valuetext", `step ${spec.snapshots[time]}`);
      this.step.textContent = `step ${spec.snapshots[time]} of ${spec.snapshots.at(-1)}`;
      [...this.features.children].forEach((each, i) => each.setAttribute("aria-pressed", String(i === marked)));
      const D = read(spec.dimensionality, cell, time), losses = read(spec.log_loss, cell).map((each) => 10 ** each);
      const vectors = rows(read(spec.vectors, cell, time), spec.vectors.shape[3]), products = rows(read(spec.products, cell, time), n);
      const name = spec.names[cell] ? `${spec.names[cell]} at the end, ` : "";
      this.told.textContent = `${name}loss ${number(spec.final[cell])}, ${spec.status[cell]}.` +
        (marked === null ? "" : ` Feature ${marked + 1}: D = ${number(D[marked])}, length² ${number(products[marked][marked])}, ` +
          `largest overlap ${number(Math.max(...products[marked].filter((_, j) => j !== marked).map(Math.abs)))}.`);
      if (!this.present) return;
      this.vectors(vectors);
      this.products(products);
      this.bars(D);
      this.loss(losses);
    }

    vectors(vectors) {
      const { marked, spec } = this, d = vectors[0].length, faint = (i) => (marked === null || marked === i ? 1 : 0.22);
      const traces = vectors.map((row, i) => ({
        type: d === 3 ? "scatter3d" : "scatter", mode: "lines+markers", customdata: [i, i], name: `feature ${i + 1}`,
        x: [0, row[0]], y: [0, d > 1 ? row[1] : 0], ...(d === 3 ? { z: [0, row[2]] } : {}), opacity: faint(i),
        line: { color: colour(i), width: marked === i ? 5 : 2.5 }, marker: { color: colour(i), size: d === 3 ? [0, 4] : [0, marked === i ? 11 : 8] },
        hovertemplate: `feature ${i + 1}<extra></extra>`,
      }));
      const r = spec.reach * 1.1, range = [-r, r];
      const bare = axis({ range, title: "", showticklabels: false, zeroline: true });
      const flat = { xaxis: axis({ range, zeroline: true, constrain: "domain" }), yaxis: axis({ range, zeroline: true, scaleanchor: "x", constrain: "domain" }) };
      const space = { scene: { xaxis: bare, yaxis: bare, zaxis: bare, aspectmode: "cube", uirevision: "kept" }, margin: { l: 0, r: 0, t: 30, b: 0 } };
      Plotly.react(this.panels[0], traces, layout("feature vectors", d === 3 ? space : flat), PLAIN);
    }

    products(products) {
      const { marked } = this, most = Math.max(...products.flat().map(Math.abs).filter(isFinite), 1e-12), n = products.length;
      const band = (x0, y0, x1, y1) => ({ type: "rect", x0, y0, x1, y1, line: { color: style("--ink"), width: 2 } });
      const shapes = marked === null ? [] : [band(-0.5, marked - 0.5, n - 0.5, marked + 0.5), band(marked - 0.5, -0.5, marked + 0.5, n - 0.5)];
      const ticks = n <= 12 ? { tickvals: products.map((_, i) => i), ticktext: products.map((_, i) => i + 1) } : { showticklabels: false };
      Plotly.react(this.panels[1], [{
        type: "heatmap", z: products, zmin: -most, zmax: most, colorscale: [[0, "#2166ac"], [0.5, style("--paper")], [1, "#b2182b"]], colorbar: { thickness: 8, len: 0.9 },
        hovertemplate: "%{customdata}<extra></extra>",
        customdata: products.map((row, i) => row.map((value, j) => `features ${i + 1}, ${j + 1}: ${number(value)}`)),
      }], layout("W Wᵀ", { shapes, xaxis: axis({ ...ticks, constrain: "domain" }), yaxis: axis({ ...ticks, autorange: "reversed", scaleanchor: "x", constrain: "domain" }) }), PLAIN);
    }

    bars(D) {
      const { marked } = this;
      Plotly.react(this.panels[2], [{
        type: "bar", x: D.map((_, i) => i + 1), y: D, hovertemplate: "feature %{x}: %{y:.3f}<extra></extra>",
        marker: { color: D.map((_, i) => colour(i)), opacity: D.map((_, i) => (marked === null || marked === i ? 1 : 0.22)) },
      }], layout("dimensions of a feature, Dᵢ", { xaxis: axis({ title: { text: "feature" }, dtick: D.length <= 12 ? 1 : undefined }), yaxis: axis({ range: [0, 1.05] }) }), PLAIN);
    }

    loss(losses) {
      const { spec, time } = this, here = Math.max(spec.snapshots[time], 0.5);
      const cursor = { type: "line", x0: here, x1: here, yref: "paper", y0: 0, y1: 1, line: { color: style("--accent"), width: 2 } };
      Plotly.react(this.panels[3], [{
        type: "scatter", mode: "lines", x: spec.steps.map((each) => Math.max(each, 0.5)), y: losses, line: { color: style("--ink"), width: 1.5 },
        hovertemplate: "step %{x}: %{y:.3g}<extra></extra>",
      }], layout("loss", { shapes: [cursor], xaxis: axis({ type: "log", title: { text: "step" }, dtick: 1 }), yaxis: axis({ ...powers(losses.filter((each) => each > 0)), exponentformat: "power" }) }), PLAIN);
    }
  }

  // ------------------------------------------------------------------------------------------------------------ maps
  class Plane {
    constructor(place, spec, explorers) {
      Object.assign(this, { place, spec });
      this.panel = make("div", { className: "panel" });
      this.told = make("p", { className: "told", "aria-live": "polite" });
      this.point = [Math.floor(spec.y[1].length / 2), Math.floor(spec.x[1].length / 2)];
      place.append(this.panel, make("p", { className: "legend" }, ...spec.kinds.flatMap((kind, i) => {
        const patch = make("span", { textContent: "■ " });
        patch.style.color = spec.colours[i];
        return [patch, `${kind}   `];
      })), this.told);
      place.tabIndex = 0;
      place.setAttribute("aria-label", "Map; arrow keys move the point");
      this.draw();
      this.panel.on("plotly_hover", (event) => this.say(event.points[0].pointIndex));
      this.panel.on("plotly_click", (event) => this.choose(event.points[0].pointIndex));
      const moves = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [1, 0], ArrowDown: [-1, 0] };
      place.addEventListener("keydown", (event) => {
        const move = moves[event.key];
        if (!move && event.key !== "Enter") return;
        event.preventDefault();
        if (!move) { this.choose(this.point); return; }
        const sizes = [spec.y[1].length, spec.x[1].length];
        this.say(this.point.map((value, k) => Math.min(Math.max(value + move[k], 0), sizes[k] - 1)));
      });
      this.choose = ([row, column]) => {
        this.say([row, column]);
        const explorer = explorers.get(spec.sweep);
        if (!explorer) return;
        explorer.near(spec.x[0], spec.x[1][column]);
        explorer.near(spec.y[0], spec.y[1][row]);
      };
      drawn.push(this);
    }

    say([row, column]) {
      const { spec } = this;
      this.point = [row, column];
      this.told.textContent = `${spec.x[0]} = ${number(spec.x[1][column])}, ${spec.y[0]} = ${number(spec.y[1][row])}: ${spec.kinds[spec.of[row][column]]}\n${spec.told[row][column]}`;
      this.draw();
    }

    draw() {
      const { spec } = this, count = spec.kinds.length, [row, column] = this.point;
      const scale = spec.colours.flatMap((each, i) => [[i / count, each], [(i + 1) / count, each]]);
      Plotly.react(this.panel, [
        { type: "heatmap", x: spec.x[1], y: spec.y[1], z: spec.of, zmin: -0.5, zmax: count - 0.5, colorscale: scale, showscale: false, hoverinfo: "none" },
        { type: "scatter", mode: "markers", x: [spec.x[1][column]], y: [spec.y[1][row]], marker: { symbol: "circle-open", size: 13, color: "#000", line: { width: 2.5 } }, hoverinfo: "skip" },
      ], layout("", { margin: { l: 55, r: 10, t: 10, b: 45 }, xaxis: axis({ ...powers(spec.x[1]), title: { text: spec.x[0] } }), yaxis: axis({ ...powers(spec.y[1]), title: { text: spec.y[0] } }) }), PLAIN);
    }
  }

  for (const section of data.sections) {
    const explorers = new Map();
    for (const place of document.querySelectorAll(`.explorer[data-section="${section.id}"]`)) {
      explorers.set(place.dataset.sweep, new Explorer(place, section.explorers[place.dataset.sweep]));
    }
    for (const place of document.querySelectorAll(`.map[data-section="${section.id}"]`)) {
      new Plane(place, section.maps[Number(place.dataset.place)], explorers);
    }
  }
  root.dataset.ready = "yes";
})();
