"use strict";
/* What all pages share: elements, numbers, tables that are sorted, charts, copied commands. */

function el(tag, attributes, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes || {})) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (value !== null && value !== undefined) node.setAttribute(name, value);
  }
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}

/* plotly reads a little markup: a name must not become any */
function plain(text) {
  return String(text).replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");
}

function shown(value, column) {
  if (value === null || value === undefined) return "";
  if (typeof value !== "number") return String(value);
  const scaled = value * ((column && column.scale) || 1);
  if (column && column.digits !== null && column.digits !== undefined) {
    return scaled.toFixed(column.digits);
  }
  if (Number.isInteger(scaled)) return String(scaled);
  const size = Math.abs(scaled);
  return size >= 1000 ? scaled.toFixed(0) : String(Number(scaled.toPrecision(4)));
}

function copied(button, text) {
  const done = () => {
    button.classList.add("done");
    setTimeout(() => button.classList.remove("done"), 1500);
  };
  const byHand = () => {
    const area = el("textarea", {});
    area.value = text;
    document.body.append(area);
    area.select();
    document.execCommand("copy");
    area.remove();
    done();
  };
  if (navigator.clipboard) navigator.clipboard.writeText(text).then(done, byHand);
  else byHand();
}

function command(text, short) {
  const button = el("button", {
    class: short ? "copy short" : "copy", type: "button", title: short ? `copy: ${text}` : "copy",
  }, short || text);
  button.addEventListener("click", (event) => {
    event.stopPropagation();
    copied(button, text);
  });
  return button;
}

function compare(a, b) {
  const missing = (value) => value === null || value === undefined || value === "";
  if (missing(a) || missing(b)) return missing(a) ? (missing(b) ? 0 : 1) : -1;
  if (typeof a === "number" && typeof b === "number") return a - b;
  return String(a).localeCompare(String(b), undefined, { numeric: true });
}

/* Returns rows sorted by a key; what is missing comes last, whichever way. */
function sorted(rows, valueOf, down) {
  return rows
    .map((row, place) => ({ row, place, value: valueOf(row) }))
    .sort((a, b) => {
      const empty = (one) => (one.value === null || one.value === undefined || one.value === "");
      const order = compare(a.value, b.value);
      return (down && !empty(a) && !empty(b) ? -order : order) || a.place - b.place;
    })
    .map((one) => one.row);
}

function asValue(text) {
  const number = Number(text.replace(/[,±*]|(?<=\d)\s.*$/g, "").replace(/^\+/, ""));
  return text.trim() === "" ? null : Number.isNaN(number) ? text : number;
}

/* Tables whose rows stand in the page: a click on a heading sorts them. */
function makeSortable(table) {
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => {
    const button = el("button", { type: "button" }, head.textContent);
    button.addEventListener("click", () => {
      const down = head.getAttribute("aria-sort") === "ascending";
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      const rows = [...table.tBodies[0].rows];
      const value = (row) => asValue(row.cells[column].textContent);
      table.tBodies[0].append(...sorted(rows, value, down));
    });
    head.replaceChildren(button);
  });
}

const AXIS = { automargin: true, zeroline: false, ticks: "outside", ticklen: 4 };

function layoutOf(layout) {
  const made = {
    font: { family: "system-ui, sans-serif", size: 12 },
    margin: { l: 60, r: 16, t: 12, b: 48 },
    paper_bgcolor: "rgba(0,0,0,0)",
    plot_bgcolor: "rgba(0,0,0,0)",
    hovermode: "closest",
    hoverlabel: { align: "left", font: { size: 12 } },
    legend: { orientation: "h", y: 1.02, yanchor: "bottom", x: 0 },
    uirevision: "kept",
    dragmode: matchMedia("(pointer: coarse)").matches ? false : "zoom",
    ...layout,
  };
  for (const name of ["xaxis", "yaxis", "yaxis2"]) {
    if (layout[name] || name !== "yaxis2") made[name] = { ...AXIS, ...layout[name] };
  }
  return made;
}

const CONFIG = {
  responsive: true,
  displaylogo: false,
  scrollZoom: false,
  modeBarButtons: [["toImage"], ["zoom2d", "pan2d", "resetScale2d"]],
  toImageButtonOptions: { format: "svg", filename: "nas" },
};

function drawChart(node, spec) {
  node.style.height = `${spec.height || 380}px`;
  return Plotly.react(node, spec.traces, layoutOf(spec.layout), CONFIG);
}

/* Charts have the width of the paper while they are printed. */
const PAPER = 680;
function toPaper() {
  document.querySelectorAll(".js-plotly-plot").forEach((node) => {
    Plotly.relayout(node, { width: Math.min(PAPER, node.clientWidth || PAPER), autosize: false });
  });
}
function fromPaper() {
  document.querySelectorAll(".js-plotly-plot").forEach((node) => {
    Plotly.relayout(node, { width: null, autosize: true });
  });
}
