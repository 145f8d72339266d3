// What the menu of a chart offers: the picture, the numbers behind it, the Python that draws it, a link to it.

import { tr } from "./words.js";
import { download } from "./wire.js";

const PICTURE_SCALE = 2;

// `chart` is {node, frame, name, source: {table, query, code} or null, token, tablePath, plotly(), background()}; `link()` may
// add to the address what the chart itself knows.
export function chartItems(chart) {
  const { source } = chart;
  const items = [
    { label: tr("PNG picture"), run: () => savePicture(chart, "png") },
    { label: tr("SVG picture"), run: () => savePicture(chart, "svg") },
  ];
  if (source?.table) {
    items.push({ label: tr("Data as CSV"), run: () => saveTable(chart, "csv") });
    items.push({ label: tr("Data as Parquet"), run: () => saveTable(chart, "parquet") });
  }
  if (source?.code) items.push({ label: tr("Copy as Python"), run: () => copy(source.code) });
  items.push({ label: tr("Copy link"), run: () => copy(chart.link ? chart.link() : window.location.href) });
  items.push({ label: tr("Enlarge"), run: () => enlarge(chart.frame) });
  return items;
}

async function savePicture({ node, name, plotly, background }, format) {
  const { width, height } = node.getBoundingClientRect();
  const layout = { ...node.layout, paper_bgcolor: background(), width, height };
  const picture = { data: node.data, layout };
  const scale = format === "png" ? PICTURE_SCALE : 1;
  const url = await plotly().toImage(picture, { format, width, height, scale });
  save(url, `${fileName(name)}.${format}`);
}

async function saveTable({ name, source, token, tablePath }, format) {
  const blob = await download(tablePath, { name: source.table, format, ...source.query }, token);
  const url = URL.createObjectURL(blob);
  save(url, `${fileName(name)}.${format}`);
  URL.revokeObjectURL(url);
}

function save(url, name) {
  const link = document.createElement("a");
  link.href = url;
  link.download = name;
  link.click();
}

// A page that is not served from this machine or over https has no clipboard: then the reader copies by hand.
async function copy(text) {
  if (!navigator.clipboard) {
    window.prompt(tr("Copy this"), text);
    return "";
  }
  await navigator.clipboard.writeText(text);
  return tr("Copied");
}

async function enlarge(frame) {
  if (document.fullscreenElement) await document.exitFullscreen();
  else await frame.requestFullscreen();
}

function fileName(name) {
  return name.replace(/[^\p{L}\p{N}._-]+/gu, "-").replace(/^[.-]+|[.-]+$/g, "").slice(0, 80) || "chart";
}
