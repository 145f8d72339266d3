// The Python that draws a live chart from the store.

import { STACKED } from "./catalogue.js";

// `lines` are those of the chart; `runs` the names of the runs by place; `store` the text by which the store is opened.
export function pythonOf(key, lines, { store, runs, view }) {
  const open = `with open_store(${text(store)}, read_only=True) as store:`;
  return key === STACKED ? ofPhases(open, runs[0], lines[0].series) : ofScalars(open, key, lines, runs, view);
}

function ofPhases(open, run, { rank }) {
  return [
    "from torchglass.charts import Recorded, phases_data, phases_figure",
    "from torchglass.store import open_store",
    "",
    open,
    `    run = store.run(${text(run)})`,
    `    series = store.series_of(run.id, kind="phase", rank=${rank})`,
    "    recorded = [Recorded(one, store.points(one.id)) for one in series]",
    "phases_figure(phases_data(recorded)).show()",
    "",
  ].join("\n");
}

function ofScalars(open, key, lines, runs, view) {
  const { unit, title } = lines[0].series;
  const drawn = [...new Set(lines.map((line) => runs[line.series.run]))];
  return [
    "from torchglass.charts import Curve, scalars_data, scalars_figure",
    "from torchglass.store import open_store",
    "",
    "curves = []",
    open,
    `    for name in [${drawn.map(text).join(", ")}]:`,
    "        run = store.run(name)",
    "        for series in store.series_of(run.id):",
    `            if series.key == ${text(key)}:`,
    "                points = store.points(series.id)",
    '                curves.append(Curve(f"{name}, rank {series.rank}", points, run.created_at))',
    `data = scalars_data(curves, x_axis="${view.axis}", smoothing=${view.smoothing}, unit=${text(unit)})`,
    `scalars_figure(data, log_y=${view.isLog ? "True" : "False"}, title=${text(title)}).show()`,
    "",
  ].join("\n");
}

// JSON writes a string as Python reads it.
function text(value) {
  return JSON.stringify(value);
}
