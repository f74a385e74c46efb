/* Fills the page with what its data say; with `live`, asks again every few seconds. */

let data = JSON.parse(document.getElementById("data").textContent);
const SECONDS = 3;
const states = {};

function fill(old) {
  document.querySelectorAll("[data-chart]").forEach((place) => {
    const spec = data.charts[place.dataset.chart];
    const before = old[place.dataset.chart];
    if (before) place.replaceWith(before);
    drawChart(before || place, spec);
  });
  document.querySelectorAll("[data-front]").forEach((place) => {
    const name = place.dataset.front;
    if (old[name]) place.append(old[name]);
    states[name] = makeExplorer(place, data.fronts[name], states[name]);
  });
  document.querySelectorAll("[data-network]").forEach((place) => {
    const { networks, name } = data.networks[place.dataset.network];
    place.replaceChildren(drawNetwork(networks, name) || "");
  });
  document.querySelectorAll("table.sortable").forEach(makeSortable);
}

/* Charts stay as they are while the page around them is replaced: where they are zoomed counts. */
function chartsNow() {
  const found = {};
  document.querySelectorAll("[data-chart].js-plotly-plot").forEach((node) => {
    found[node.dataset.chart] = node;
  });
  document.querySelectorAll("[data-front] .js-plotly-plot").forEach((node) => {
    found[node.closest("[data-front]").dataset.front] = node;
  });
  return found;
}

let stamp = data.live;
async function refresh() {
  const status = document.getElementById("live");
  try {
    const reply = await fetch(`data.json?after=${encodeURIComponent(stamp)}`);
    if (reply.status === 200) {
      const found = await reply.json();
      const old = chartsNow();
      data = found.data;
      document.getElementById("page").innerHTML = found.html;
      fill(old);
      stamp = found.stamp;
    }
    status.textContent = `live, ${new Date().toLocaleTimeString()}`;
    status.classList.remove("warn");
  } catch (error) {
    status.textContent = "the server does not answer; this is what it said last";
    status.classList.add("warn");
  }
  setTimeout(refresh, 1000 * SECONDS);
}

fill({});
addEventListener("beforeprint", toPaper);
addEventListener("afterprint", fromPaper);
if (data.live) setTimeout(refresh, 1000 * SECONDS);
