// What all charts share: a specification in plain words becomes a configuration of Chart.js.

/* line({label, points, colour, dash, width, fill, stepped, axis, marks}): colour is an index of the palette or a text. */
function line(s) {
  const paint = typeof s.colour === 'number' ? colour(s.colour) : s.colour;
  const marks = s.points.length === 1 || (s.marks === undefined ? s.points.length <= 25 && !s.stepped : s.marks);
  return {
    label: s.label, data: s.points, borderColor: s.faint ? faded(paint, .32) : paint, backgroundColor: s.fill ? faded(paint, s.fill) : paint,
    borderWidth: s.width || (s.faint ? 1 : 1.9), borderDash: s.dash ? [5, 4] : [], fill: s.fill ? 'origin' : false,
    stepped: s.stepped || false, tension: 0, spanGaps: false, pointRadius: marks ? 2.4 : 0, pointHoverRadius: 4, pointHitRadius: 8,
    pointStyle: marks ? 'circle' : 'line', yAxisID: s.axis || 'y', order: s.order || 0, quietLegend: s.quietLegend, clip: marks ? 5 : undefined,
  };
}

/* Where the data lie, behind a curve: a soft area on an axis of its own that is not drawn. */
const density = (values, low, high, n, label) => area(label, outline(histogram(values, low, high, n)));

function area(label, points) {
  return {
    label, data: points, borderWidth: 0, backgroundColor: shade().density, fill: 'origin',
    stepped: true, pointRadius: 0, pointHitRadius: 0, pointStyle: 'rect', yAxisID: 'density', order: 9,
  };
}

/* In the order of x: Chart.js takes the ends of the axis from the first and the last point. */
function dots(s) {
  const paint = typeof s.colour === 'number' ? colour(s.colour) : s.colour;
  return {
    label: s.label, data: [...s.points].sort((a, b) => a.x - b.x), showLine: false, pointRadius: s.size || 1.8, pointHoverRadius: 4, pointStyle: s.style || 'circle',
    backgroundColor: faded(paint, s.opacity || .55), borderColor: faded(paint, s.opacity || .55), borderWidth: 0, yAxisID: 'y', order: s.order || 0,
  };
}

/* Charts on paper are small. */
const fontSize = () => (printing ? 9.5 : 11.3);

function axis(s, vertical) {
  const c = shade();
  const degreesAxis = s.unit === '\u00b0';
  return {
    type: s.log ? 'logarithmic' : 'linear', min: s.min, max: s.max, suggestedMin: s.from, suggestedMax: s.to, beginAtZero: s.zero || false,
    title: {display: true, text: s.title + (s.unit ? ' (' + s.unit + ')' : ''), color: c.quiet, font: {size: fontSize()}, padding: vertical ? 2 : 4},
    ticks: {color: c.quiet, font: {size: fontSize()}, maxTicksLimit: s.ticks || (vertical ? 6 : 7), maxRotation: 0, stepSize: degreesAxis && !vertical && s.max === 180 ? 30 : s.step,
            precision: s.whole ? 0 : undefined, autoSkipPadding: 14,
            callback: s.log ? (v) => (Math.abs(Math.log10(v) % 1) < 1e-9 ? (v < 1e-3 || v > 1e4 ? v.toExponential(0) : String(v)) : null)
              : s.labels ? (v) => s.labels(v) : (v) => plain(v, 3)},
    grid: {color: c.grid, borderColor: c.grid, drawTicks: false},
    display: true, position: vertical ? 'left' : 'bottom', reverse: s.reverse || false,
  };
}

function tooltip() {
  const c = shade();
  return {
    backgroundColor: c.card, titleColor: c.quiet, bodyColor: c.ink, borderColor: c.grid, borderWidth: 1, padding: 8, usePointStyle: true, boxPadding: 4,
    callbacks: {
      title: (items) => (items.length ? plain(items[0].parsed.x) : ''),
      label: (item) => ' ' + (item.dataset.label || '') + '  ' + plain(item.parsed.y),
    },
  };
}

/* A stroke for a line, a block for an area or dots. */
function legend(drawn) {
  return Chart.defaults.plugins.legend.labels.generateLabels(drawn).filter((item) => !drawn.data.datasets[item.datasetIndex].quietLegend)
    .map((item) => {
      const set = drawn.data.datasets[item.datasetIndex], isLine = set.showLine !== false && set.borderWidth > 0;
      return Object.assign(item, {pointStyle: isLine ? 'line' : 'rect', lineWidth: isLine ? 2 : 0, strokeStyle: isLine ? set.borderColor : 'transparent', lineDash: set.borderDash || []});
    });
}

/* chart({datasets, x, y, plugins, labels}): a line or scatter chart with titled axes. */
function chart(s) {
  const c = shade();
  const scales = {x: axis(s.x, false), y: axis(s.y, true)};
  if (s.datasets.some((d) => d.yAxisID === 'density')) scales.density = {axis: 'y', type: 'linear', display: false, beginAtZero: true, grace: '60%'};
  return {
    type: s.type || 'line', data: {datasets: s.datasets, labels: s.labels}, plugins: s.plugins || [],
    options: {
      animation: false, responsive: true, maintainAspectRatio: false, parsing: s.labels ? undefined : false, normalized: true, indexAxis: s.sideways ? 'y' : 'x',
      interaction: {mode: s.scatter || crowded ? 'nearest' : 'index', intersect: Boolean(s.scatter), axis: crowded ? 'xy' : 'x'}, scales,
      plugins: {
        legend: {
          display: s.legend !== false && !crowded && s.datasets.filter((d) => !d.quietLegend).length > 1, position: 'bottom', align: 'start',
          labels: {color: c.quiet, usePointStyle: true, pointStyleWidth: 16, boxHeight: 5, padding: printing ? 7 : 12, font: {size: fontSize()}, generateLabels: legend},
        },
        tooltip: tooltip(),
      },
    },
  };
}

/* --- The table behind a chart --- */

const sameX = (a, b) => a.length === b.length && a.every((p, i) => p.x === b[i].x);

function tableOf(config) {
  if (config.data.labels) {
    return {head: ['', ...config.data.datasets.map((d) => d.label)],
            rows: config.data.labels.map((name, i) => [name, ...config.data.datasets.map((d) => plain(d.data[i], 6))])};
  }
  const sets = config.data.datasets, x = config.options.scales.x.title.text, y = config.options.scales.y.title.text;
  if (sets.length && sets.every((d) => sameX(d.data, sets[0].data)))
    return {head: [x, ...sets.map((d) => d.label)], rows: sets[0].data.map((p, i) => [plain(p.x, 6), ...sets.map((d) => plain(d.data[i].y, 6))])};
  return {head: ['series', x, y], rows: sets.flatMap((d) => d.data.map((p) => [d.label, plain(p.x, 6), plain(p.y, 6)]))};
}

/* --- Panels: each section has a list of functions that give panels, or nothing where the record has nothing --- */

const sections = [];
function section(id, title, ...makers) {
  sections.push({id, title, makers});
}

/* 'arcface · test' where runs are compared, 'test' where there is one. */
const named = (run, what) => (several ? run.name + (what ? ' \u00b7 ' + what : '') : what || run.name);

/* The runs for which `get` finds something, with what it found: [{run, index, value}]. */
function having(get) {
  return runs.map((run, index) => ({run, index, value: get(run)}))
    .filter((h) => h.value !== undefined && h.value !== null && (!Array.isArray(h.value) || h.value.length > 0));
}

/* One sentence a run: a list. */
const tell = (found, sentence) => found.map((h) => (several ? h.run.name + ': ' : '') + sentence(h.value, h.run));

/* What kinds of lines stand for, where the comparison tells of runs alone: 'Solid: own class; dashed: nearest other class.' */
function keyOf(config) {
  const kinds = new Map();
  for (const set of config.data.datasets) {
    if (runs.some((run) => run.name === set.label)) continue;
    const run = runs.find((r) => set.label.startsWith(r.name + ' \u00b7 ')), words = run ? set.label.slice(run.name.length + 3) : set.label;
    const kind = (set.borderDash || []).length ? 'dashed' : set.showLine === false ? 'dots' : set.borderWidth === 1 ? 'thin' : 'solid';
    kinds.set(kind, (kinds.get(kind) || new Set()).add(words));
  }
  if (kinds.size === 0 || (kinds.size === 1 && (kinds.has('solid') || kinds.has('dots')))) return '';
  const text = [...kinds].map(([kind, words]) => kind + ': ' + [...words].join(', ')).join('; ') + '.';
  return text[0].toUpperCase() + text.slice(1);
}
