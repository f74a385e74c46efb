/* A network, block by block: a strip whose blocks are as wide as their share, and a table. */

const FEW_BLOCKS = 30;
const KINDS = { conv: "k4", mbconv: "", mobile: "", separable: "k1", pool: "k3", linear: "k3" };

function blocksOf(networks, name) {
  const found = networks && networks.nets[name];
  if (!found) return null;
  const [names, numbers] = found;
  return numbers.map((number, place) => {
    const unit = {};
    networks.fields.forEach((field, i) => {
      const value = networks.units[number][i];
      unit[field] = networks.texts[field] ? networks.texts[field][value] : value;
    });
    return { name: networks.names[names][place], ...unit };
  });
}

function blockText(block) {
  const parts = [block.kind];
  if (block.kernel) parts.push(`${block.kernel}×${block.kernel}`);
  if (block.stride > 1) parts.push(`stride ${block.stride}`);
  if (block.hidden) parts.push(`hidden ${block.hidden}`);
  if (block.se) parts.push(`SE ${block.se}`);
  if (block.act) parts.push(block.act);
  if (block.skip) parts.push(block.skip);
  return parts.join(", ");
}

function sideOf(shape) {
  return Number(shape.split("x")[1]) || 1;
}

function drawNetwork(networks, name) {
  const blocks = blocksOf(networks, name);
  if (!blocks) return null;
  const cost = networks.by;
  const total = blocks.reduce((sum, block) => sum + (block[cost] || 0), 0) || 1;
  const tallest = Math.log2(sideOf(blocks[0].in) + 1);
  const strip = el("div", { class: "strip", role: "img", "aria-label": "blocks of the network" });
  const rows = blocks.map((block) => {
    const share = (block[cost] || 0) / total;
    const box = el("div", {
      class: KINDS[block.kind] ?? "k2",
      title: `${block.name}: ${blockText(block)}, ${times(block.in)} → ${times(block.out)}, ` +
        `${(100 * share).toFixed(1)} %`,
    });
    box.style.flex = `${Math.max(share, 0.002)} 1 0`;
    box.style.height = `${15 + (85 * Math.log2(sideOf(block.in) + 1)) / tallest}%`;
    strip.append(box);
    const bar = el("span", { class: "bar" });
    bar.style.width = `${(4 * share) / networksLargest(blocks, cost, total)}rem`;
    return el("tr", {},
      el("td", {}, block.name),
      el("td", { class: "text" }, blockText(block)),
      el("td", {}, `${times(block.in)} → ${times(block.out)}`),
      el("td", {}, (block.macs / 1e6).toFixed(1)),
      el("td", {}, (block.params / 1e3).toFixed(1)),
      ...(cost === "ms"
        ? [el("td", { class: block.unmeasured ? "warn" : null, title: block.unmeasured || null },
            block.ms.toFixed(3) + (block.unmeasured ? " *" : ""))] : []),
      el("td", { class: "share" }, bar, `${(100 * share).toFixed(1)} %`));
  });
  const what = cost === "ms" ? "ms" : null;
  const heads = ["block", "what", "in → out", "MACs M", "params k", what, "share"];
  const table = el("table", {},
    el("thead", {}, el("tr", {}, ...heads.filter(Boolean).map((text, i) =>
      el("th", { class: i === 1 || text.startsWith("share") ? "text" : null }, text)))),
    el("tbody", {}, ...rows));
  const key = el("p", { class: "dim" },
    `Width of a block: its share of the ${networks.what}; height: the side of its input, on a ` +
    "logarithmic scale." + (blocks.some((b) => b.unmeasured) ? " *: not measured, or beyond the table." : ""));
  const listed = el("details", {}, el("summary", {}, `${blocks.length} blocks, one by one`),
    el("div", { class: "wide" }, table));
  listed.open = blocks.length <= FEW_BLOCKS;
  return el("div", {}, strip, key, listed);
}

function networksLargest(blocks, cost, total) {
  return Math.max(...blocks.map((block) => (block[cost] || 0) / total)) || 1;
}

function times(shape) {
  return shape.replaceAll("x", "×");
}
