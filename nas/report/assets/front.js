/* The front of a search: a chart with a choice of axes, a table, and the chosen network. */

const BLUE = "#3d85c6", ORANGE = "#d0603a", GREY = "#8a94a3", GREEN = "#2c9a6a";
const FEW = 80;

function makeExplorer(node, spec, kept) {
  const state = kept || {
    x: spec.x, y: spec.y, log: spec.log, sort: spec.y, down: spec.first === "largest", page: 0, size: 25,
    intervals: spec.front.name.length <= FEW, trials: true, known: true, chosen: spec.chosen,
  };
  const columns = Object.fromEntries(spec.columns.map((column) => [column.key, column]));
  const main = spec.columns.filter((column) => !column.minor);
  const count = spec.front.name.length;
  const chart = node.querySelector(".chart") || el("div", { class: "chart" });
  const controls = el("div", { class: "controls" });
  const panel = el("div", { class: "panel", id: "chosen" });
  const list = el("div", {});

  const cut = (table, places) => Object.fromEntries(
    Object.entries(table).map(([key, column]) => [key, places.map((i) => column[i])]));

  /* The known networks that have both coordinates. */
  function placed() {
    const { known } = spec;
    if (!known) return { name: [] };
    return cut(known, [...known.name.keys()].filter((i) =>
      typeof known[state.x]?.[i] === "number" && typeof known[state.y]?.[i] === "number"));
  }

  const values = (table, key) => (table[key] || []).map((value) =>
    typeof value === "number" ? value * columns[key].scale : null);

  /* The name of a network, with its dtype where both were searched. */
  const { dtype } = spec.choices || {};
  const dtypes = new Map(dtype ? spec.front.name.map((name, i) => [name, dtype.values[dtype.codes[i]]]) : []);
  const titleOf = (name) => (dtypes.has(name) ? `${name} ${dtypes.get(name)}` : name);

  /* The ends of the interval of a value, unscaled; null where it has none. */
  function interval(table, key, i) {
    const column = columns[key];
    const at = (name) => table[name]?.[i] ?? null;
    if (column.deviation) {
      const [value, deviation] = [at(key), at(column.deviation)];
      return value === null || deviation === null ? null : [value - deviation, value + deviation];
    }
    if (!column.low || at(column.low) === null) return null;
    return [at(column.low), at(column.high)];
  }

  function errors(table, key) {
    if (!state.intervals) return { visible: false };
    const ends = table.name.map((_, i) => interval(table, key, i));
    const scale = columns[key].scale, own = table[key];
    return {
      type: "data", symmetric: false, thickness: 1, width: 0, color: "rgba(61,133,198,.45)",
      array: ends.map((end, i) => (end ? (end[1] - own[i]) * scale : 0)),
      arrayminus: ends.map((end, i) => (end ? (own[i] - end[0]) * scale : 0)),
    };
  }

  function textOf(table, i) {
    const lines = [`<b>${plain(titleOf(table.name[i]))}</b>`];
    if (table.origin && table.origin[i]) lines.push(plain(table.origin[i]));
    for (const column of main) {
      const value = table[column.key] ? table[column.key][i] : null;
      if (value === null || value === undefined) continue;
      const ends = interval(table, column.key, i);
      const within = !ends ? "" : column.deviation
        ? ` ± ${shown(ends[1] - value, column)}`
        : ` (${shown(ends[0], column)} to ${shown(ends[1], column)})`;
      lines.push(`${plain(column.label)}: ${shown(value, column)}${within}`);
    }
    if (table.fingerprint && table.fingerprint[i]) lines.push(`network ${plain(table.fingerprint[i])}`);
    return lines.join("<br>");
  }

  function points(table, more) {
    return {
      type: "scatter", mode: "markers",
      x: values(table, state.x), y: values(table, state.y),
      text: table.name.map((_, i) => textOf(table, i)),
      hovertemplate: "%{text}<extra></extra>", ...more,
    };
  }

  function traces() {
    const made = [];
    const { trials, front } = spec, known = placed();
    if (state.trials && trials && trials[state.x] && trials[state.y]) {
      made.push({
        type: "scatter", mode: "markers", name: trials.text,
        x: values(trials, state.x), y: values(trials, state.y), hoverinfo: "skip",
        marker: { color: GREY, size: 3, opacity: 0.4 },
      });
    }
    const isPair = spec.pair.includes(state.x) && spec.pair.includes(state.y);
    const order = [...front.name.keys()];
    if (isPair && spec.pair.length === 2) {
      order.sort((a, b) => compare(front[state.x][a], front[state.x][b]));
    }
    const ordered = cut(front, order);
    made.push(points(ordered, {
      name: spec.title, mode: isPair && spec.pair.length === 2 ? "lines+markers" : "markers",
      marker: { color: BLUE, size: count > 500 ? 4 : 6 }, line: { width: 1, color: BLUE },
      error_x: errors(ordered, state.x), error_y: errors(ordered, state.y),
      customdata: ordered.name,
    }));
    if (state.known && known.name.length) {
      made.push(points(known, {
        name: "known networks", mode: "markers+text",
        texttemplate: labels(near()), textposition: "top center", textfont: { size: 10 },
        marker: {
          color: known.inside.map((inside) => (inside ? ORANGE : "rgba(0,0,0,0)")),
          size: known.name.map((name) => (name === spec.baseline ? 12 : 8)),
          symbol: known.name.map((name) => (name === spec.baseline ? "star" : "circle")),
          line: { color: ORANGE, width: 1.2 },
        },
      }));
    }
    const place = front.name.indexOf(state.chosen);
    if (place >= 0) {
      made.push({
        type: "scatter", mode: "markers", name: state.chosen, hoverinfo: "skip", showlegend: false,
        x: [values(front, state.x)[place]], y: [values(front, state.y)[place]],
        marker: { size: 15, color: "rgba(0,0,0,0)", line: { color: GREEN, width: 2.5 } },
      });
    }
    return made;
  }

  /* What is looked at first: the front and the known networks near to it. Networks much faster
     than all known ones are left out, as their accuracies are of no use. */
  function near() {
    const { front, known } = spec;
    let fastest = -Infinity, slowest = Infinity;
    if (known && state.known && state.x === "latency_ms") {
      const latencies = known[state.x].filter((value) => typeof value === "number");
      slowest = 1.5 * Math.max(...front[state.x]);
      fastest = 0.5 * Math.min(...latencies);
      if (!(Math.max(...front[state.x]) > fastest)) fastest = -Infinity;
    }
    const found = { x: [], y: [] };
    for (const table of state.known && known ? [front, known] : [front]) {
      table.name.forEach((_, i) => {
        const [x, y] = [table[state.x]?.[i], table[state.y]?.[i]];
        if (typeof x !== "number" || typeof y !== "number" || x < fastest || x > slowest) return;
        found.x.push(x * columns[state.x].scale);
        found.y.push(y * columns[state.y].scale);
      });
    }
    const bounds = {};
    for (const axis of ["x", "y"]) {
      if (!found[axis].length) continue;
      const scale = axis === "x" && useLog() ? Math.log10 : (value) => value;
      const [low, high] = [scale(Math.min(...found[axis])), scale(Math.max(...found[axis]))];
      const margin = 0.06 * (high - low) || Math.abs(high) * 0.05 || 1;
      bounds[axis] = [low - margin, high + margin];
    }
    return bounds;
  }

  /* The names of known networks that cover no other name, within the present ranges. */
  function labels(bounds) {
    const known = placed();
    const xs = values(known, state.x), ys = values(known, state.y);
    const scale = useLog() ? Math.log10 : (value) => value;
    const taken = [];
    const order = [...known.name.keys()].sort((a, b) =>
      (known.name[b] === spec.baseline) - (known.name[a] === spec.baseline));
    const made = known.name.map(() => "");
    for (const i of order) {
      if (!bounds.x || !bounds.y) continue;
      const left = (scale(xs[i]) - bounds.x[0]) / (bounds.x[1] - bounds.x[0]);
      const up = (ys[i] - bounds.y[0]) / (bounds.y[1] - bounds.y[0]);
      const place = [left * (chart.clientWidth || 900), up * 420];
      const width = 3.2 * known.name[i].length;
      if (taken.some(([x, y, w]) => Math.abs(x - place[0]) < w + width && Math.abs(y - place[1]) < 15)) {
        continue;
      }
      taken.push([...place, width]);
      made[i] = plain(known.name[i]);
    }
    return made;
  }

  function relabel() {
    const place = (chart.data || []).findIndex((trace) => trace.name === "known networks");
    if (place < 0) return;
    const { xaxis, yaxis } = chart.layout;
    const made = labels({ x: xaxis.range, y: yaxis.range });
    Plotly.restyle(chart, { texttemplate: [made] }, [place]);
  }

  function useLog() {
    return state.log && values(spec.front, state.x).every((value) => value === null || value > 0);
  }

  function draw() {
    const bounds = near();
    const lines = spec.limits.filter((limit) => limit.key === state.x).map((limit) => ({
      type: "line", x0: limit.value * columns[limit.key].scale,
      x1: limit.value * columns[limit.key].scale, yref: "paper", y0: 0, y1: 1,
      line: { color: GREY, dash: "dash", width: 1 },
    }));
    const layout = {
      uirevision: `${state.x} ${state.y} ${state.log}`, shapes: lines,
      xaxis: { title: { text: plain(columns[state.x].axis) }, type: useLog() ? "log" : "linear",
        range: bounds.x },
      yaxis: { title: { text: plain(columns[state.y].axis) }, range: bounds.y },
    };
    drawChart(chart, { traces: traces(), layout, height: 500 }).then(() => {
      if (chart.listening) return;
      chart.listening = true;
      chart.on("plotly_relayout", (change) => {
        if (Object.keys(change).some((key) => key.includes("range"))) chart.relabel();
      });
      chart.on("plotly_click", (event) => {
        const point = event.points.find((one) => one.customdata);
        if (point) chart.choose(point.customdata);
      });
    });
    chart.choose = (name) => choose(name, false);
    chart.relabel = relabel;
  }

  function choose(name, scroll) {
    state.chosen = name;
    draw();
    fillPanel();
    fillTable();
    if (scroll) panel.scrollIntoView({ behavior: "smooth", block: "nearest" });
  }

  function option(key, current) {
    const made = el("option", { value: key }, columns[key].axis);
    made.selected = key === current;
    return made;
  }

  function fillControls() {
    const keys = spec.columns.filter((c) => (spec.front[c.key] || []).some(
      (value) => typeof value === "number")).map((c) => c.key);
    const axis = (name) => el("select", {
      id: `axis-${name}`, "aria-label": `${name} axis`,
      onchange: (event) => { state[name] = event.target.value; draw(); },
    }, ...keys.map((key) => option(key, state[name])));
    const box = (name, text) => {
      const input = el("input", { type: "checkbox", id: `show-${name}`,
        onchange: (event) => { state[name] = event.target.checked; draw(); } });
      input.checked = state[name];
      return el("label", {}, input, ` ${text}`);
    };
    controls.replaceChildren(
      el("label", {}, "x ", axis("x")), el("label", {}, "y ", axis("y")),
      box("log", "logarithmic x"), box("intervals", "intervals"),
      ...(spec.trials ? [box("trials", "all trials")] : []),
      ...(spec.known && spec.known.name.length ? [box("known", "known networks")] : []),
      el("span", { class: "dim" }, "drag to zoom, double-click to zoom out, click to choose"));
  }

  function commandsOf(name) {
    if (!spec.run) return null;
    const word = `${spec.run}:${Number(name)}`;
    return el("div", { class: "commands" },
      command(`nas show ${word}`), command(`nas export ${word} --format onnx`));
  }

  function choicesOf(place) {
    return Object.entries(spec.choices || {}).map(([name, { values: texts, codes }]) =>
      `${name} ${texts[codes[place]]}`).join(", ");
  }

  function fillPanel() {
    const place = spec.front.name.indexOf(state.chosen);
    if (place < 0) {
      panel.replaceChildren(el("p", { class: "dim" }, "Choose a network in the chart or the table."));
      return;
    }
    const facts = main.map((column) => {
      const value = spec.front[column.key] ? spec.front[column.key][place] : null;
      if (value === null || value === undefined) return null;
      const ends = interval(spec.front, column.key, place);
      const within = ends ? ` (${shown(ends[0], column)} to ${shown(ends[1], column)})` : "";
      return `${column.label}: ${shown(value, column)}${within}`;
    }).filter(Boolean);
    const drawing = drawNetwork(spec.networks, state.chosen);
    const choices = choicesOf(place);
    panel.replaceChildren(
      el("h3", {}, `Network ${titleOf(state.chosen)}`), el("p", {}, facts.join("; ")),
      commandsOf(state.chosen) || "",
      choices ? el("details", {}, el("summary", {}, "its choices"), el("p", { class: "dim" }, choices)) : "",
      drawing || el("p", { class: "dim" }, spec.undrawn));
  }

  function allRows() {
    const rows = spec.front.name.map((name, i) => ({ table: spec.front, name, i, found: true }));
    const known = state.known && spec.known
      ? spec.known.name.map((name, i) => ({ table: spec.known, name, i, found: false })) : [];
    return rows.concat(known);
  }

  function cell(row, column) {
    const value = row.table[column.key] ? row.table[column.key][row.i] : null;
    if (value === null || value === undefined) return el("td", {}, "");
    const ends = interval(row.table, column.key, row.i);
    const within = !ends ? "" : column.deviation
      ? ` ±${shown(ends[1] - value, column)}` : ` (${shown(ends[0], column)}–${shown(ends[1], column)})`;
    return el("td", {}, shown(value, column) + within);
  }

  function fillTable() {
    const key = state.sort;
    const valueOf = (row) => key === "name" ? row.name
      : row.table[key] ? row.table[key][row.i] : null;
    const rows = sorted(allRows(), valueOf, state.down);
    const pages = Math.max(1, Math.ceil(rows.length / state.size));
    state.page = Math.min(state.page, pages - 1);
    const shownRows = rows.slice(state.page * state.size, (state.page + 1) * state.size);
    const heads = [{ key: "name", label: "network" }, ...main].map((column) => {
      const button = el("button", { type: "button" }, column.label);
      button.addEventListener("click", () => {
        state.down = state.sort === column.key ? !state.down : false;
        state.sort = column.key;
        state.page = 0;
        fillTable();
      });
      const order = column.key === key ? (state.down ? "descending" : "ascending") : null;
      return el("th", { "aria-sort": order }, button);
    });
    const body = shownRows.map((row) => {
      const isChosen = row.found && row.name === state.chosen;
      const made = el("tr", {
        class: [row.found ? "link" : "bold", isChosen ? "chosen" : ""].join(" ").trim(),
        tabindex: row.found ? 0 : null,
      },
        el("td", {}, titleOf(row.name)), ...main.map((column) => cell(row, column)));
      if (row.found) {
        made.addEventListener("click", () => choose(row.name, true));
        made.addEventListener("keydown", (e) => { if (e.key === "Enter") choose(row.name, true); });
        if (spec.run) {
          const word = `${spec.run}:${Number(row.name)}`;
          made.append(el("td", { class: "text" }, command(`nas show ${word}`, "show"), " ",
            command(`nas export ${word} --format onnx`, "export")));
        }
      } else if (spec.run) made.append(el("td", {}));
      return made;
    });
    if (spec.run) heads.push(el("th", { class: "text" }, "copy command"));
    const step = (text, by) => {
      const button = el("button", { type: "button",
        onclick: () => { state.page += by; fillTable(); } }, text);
      button.disabled = state.page + by < 0 || state.page + by >= pages;
      return button;
    };
    const size = el("select", { "aria-label": "rows on a page",
      onchange: (event) => { state.size = Number(event.target.value); state.page = 0; fillTable(); } },
      ...[25, 100, 500].map((n) => {
        const made = el("option", { value: n }, `${n} rows`);
        made.selected = n === state.size;
        return made;
      }));
    list.replaceChildren(
      el("div", { class: "wide" }, el("table", { id: "front-table" },
        el("thead", {}, el("tr", {}, ...heads)), el("tbody", {}, ...body))),
      el("div", { class: "more" }, step("previous", -1), step("next", 1), size,
        el("span", { class: "dim" }, `page ${state.page + 1} of ${pages}, ` +
          `${count.toLocaleString("en")} found` +
          (rows.length > count ? ` and ${rows.length - count} known networks (bold)` : ""))));
  }

  node.replaceChildren(controls, chart, panel, list);
  fillControls();
  if (state.chosen === null || !spec.front.name.includes(state.chosen)) state.chosen = spec.chosen;
  draw();
  fillPanel();
  fillTable();
  return state;
}
