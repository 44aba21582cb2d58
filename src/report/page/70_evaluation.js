// Panels of what the model is worth: verification, confusion, calibration, and a map of the embeddings.

function rocPanel() {
  const found = having((run) => pairs(numbers(list(run, 'analysis', 'verification', 'roc', 'far')), numbers(list(run, 'analysis', 'verification', 'roc', 'tar')).map((v) => 100 * v)));
  if (!found.length) return null;
  const tar = (run, far) => dig(run, 'analysis', 'verification', 'tar_at_far', far);
  return {
    title: 'Verification',
    summary: tell(found, (points, run) => 'AUC ' + plain(dig(run, 'analysis', 'verification', 'auc'), 5) + '; ' + percent(tar(run, '0.001'), 1) +
      ' of the genuine pairs are accepted at a FAR of 0.1 %, ' + percent(tar(run, '0.01'), 1) + ' at 1 %.'),
    chart: () => chart({
      x: {title: 'false accept rate, FAR', log: true, min: least(found.flatMap((h) => h.value.map((p) => p.x))), max: 1}, y: {title: 'true accept rate, TAR', unit: '%', max: 100},
      datasets: [
        ...found.map((h) => line({label: named(h.run, several ? '' : 'all pairs by cosine'), points: h.value, colour: h.index, marks: false})),
        ...found.map((h) => dots({label: named(h.run, 'TAR at FAR 0.1 % and 1 %'), colour: h.index, opacity: 1, size: 4,
          points: pairs([.001, .01], [tar(h.run, '0.001'), tar(h.run, '0.01')].map((v) => (isNumber(v) ? 100 * v : NaN)))})).map((d) => Object.assign(d, {quietLegend: several})),
      ],
    }),
  };
}

/* How many of the rows are in each bin of confidence, in per cent. */
function binned(run) {
  const low = numbers(list(run, 'analysis', 'calibration', 'low')), rows = numbers(list(run, 'analysis', 'calibration', 'rows'));
  return [...pairs(low.map((v) => 100 * v), rows.map((n) => 100 * n / sum(finite(rows)))), {x: 100, y: 0}];
}

function calibrationPanel() {
  const found = having((run) => {
    const rows = numbers(list(run, 'analysis', 'calibration', 'rows'));
    return pairs(numbers(list(run, 'analysis', 'calibration', 'confidence')), numbers(list(run, 'analysis', 'calibration', 'accuracy')))
      .length ? rows.map((n, i) => ({n, x: 100 * list(run, 'analysis', 'calibration', 'confidence')[i], y: 100 * list(run, 'analysis', 'calibration', 'accuracy')[i]})).filter((p) => p.n > 0) : [];
  });
  if (!found.length) return null;
  const total = (points) => sum(points.map((p) => p.n));
  const error = (points) => sum(points.map((p) => p.n * Math.abs(p.x - p.y))) / total(points);
  return {
    title: 'Calibration',
    summary: tell(found, (points) => 'Expected calibration error ' + plain(error(points), 3) + ' %. ' +
      (sum(points.map((p) => p.n * (p.x - p.y))) > 0 ? 'On the whole the model is more sure than right.' : 'On the whole the model is more right than sure.')),
    chart: () => chart({
      x: {title: 'confidence in the top class', unit: '%', min: 0, max: 100}, y: {title: 'accuracy', unit: '%', min: 0, max: 100},
      datasets: [
        line({label: 'perfect', points: [{x: 0, y: 0}, {x: 100, y: 100}], colour: shade().quiet, dash: true, width: 1, marks: false, order: 3}),
        ...found.map((h) => line({label: named(h.run, several ? '' : 'accuracy'), points: h.value.map(({x, y}) => ({x, y})), colour: h.index, marks: true})),
        ...found.slice(0, several ? 0 : 1).map((h) => area('share of the rows (%)', binned(h.run))),
      ],
    }),
  };
}

/* --- Confusion --- */

function element(name, attributes, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes || {})) made.setAttribute(key, value);
  for (const child of children) made.append(child); /* a text becomes a text node, never markup */
  return made;
}

/* An odd cell of the matrix tells by colour how much of its row it holds. */
function cell(count, of, isHit) {
  const share = of > 0 ? count / of : 0;
  const td = element('td', {class: count ? (isHit ? 'hit' : 'miss') + (share > .55 ? ' deep' : '') : 'none'}, String(count));
  td.style.setProperty('--share', (Math.sqrt(share) * .95).toFixed(3));
  return td;
}

function matrixPanel(run) {
  const classes = list(run, 'analysis', 'confusion', 'classes').map(String), counts = list(run, 'analysis', 'confusion', 'counts');
  if (!counts.length || counts.length !== classes.length) return null;
  const rows = counts.map((row) => numbers(row).map((v) => v || 0)), right = sum(rows.map((row, i) => row[i])), all = sum(rows.map(sum));
  const worst = rows.map((row, i) => ({name: classes[i], share: row[i] / Math.max(1, sum(row)), n: sum(row)})).filter((r) => r.n).sort((a, b) => a.share - b.share)[0];
  return {
    title: 'Confusion' + (several ? ' \u00b7 ' + run.name : ''), wide: true,
    summary: percent(right / all) + ' of ' + rowsOf(run) + ' are right; hardest is ' + brief(worst.name) + ' (' + percent(worst.share, 1) + '). A row holds the samples of a class, a column what they were taken for.',
    body: () => element('table', {class: 'matrix'},
      element('thead', {}, element('tr', {}, element('th', {}), ...classes.map((name) => element('th', {scope: 'col', title: name}, brief(name))))),
      element('tbody', {}, ...rows.map((row, i) => element('tr', {}, element('th', {scope: 'row', title: classes[i]}, brief(classes[i])), ...row.map((n, j) => cell(n, sum(row), i === j)))))),
  };
}

function worstPanel() {
  const found = having((run) => list(run, 'analysis', 'confusion', 'worst').filter((w) => isNumber(dig(w, 'rows'))));
  if (!found.length) return null;
  const name = (w) => String(w.label) + PAIR + String(w.predicted);
  const names = [...new Set(found.flatMap((h) => h.value.slice(0, 10).map(name)))].slice(0, 12);
  return {
    title: 'Most confused classes', height: barsHeight(names, found.length),
    summary: tell(found, (worst) => brief(worst[0].label) + ' was taken for ' + brief(worst[0].predicted) + ' in ' + plain(worst[0].rows) + (worst[0].rows === 1 ? ' row.' : ' rows.')),
    chart: () => bars(names, found.map((h) => ({label: named(h.run, 'rows'), colour: h.index, data: names.map((n) => dig(h.value.find((w) => name(w) === n), 'rows') || 0)})), 'rows'),
  };
}

/* --- The map --- */

/* Writes the names of classes at the medians of their points, after everything else is drawn; the first of those that
 * would lie over one another, which is that of the larger class. */
const names = {
  id: 'names',
  afterDatasetsDraw(drawn) {
    const ctx = drawn.ctx;
    ctx.save();
    ctx.font = '600 12px system-ui, sans-serif';
    ctx.textAlign = 'center';
    ctx.textBaseline = 'middle';
    ctx.lineWidth = 4;
    ctx.lineJoin = 'round';
    const taken = [], height = 15;
    drawn.data.datasets.forEach((set, i) => {
      if (!set.named || !drawn.isDatasetVisible(i)) return;
      const text = brief(set.label), half = ctx.measureText(text).width / 2, {left, right} = drawn.chartArea;
      const middle = drawn.scales.x.getPixelForValue(quantile(set.data.map((p) => p.x), .5)), y = drawn.scales.y.getPixelForValue(quantile(set.data.map((p) => p.y), .5));
      const x = Math.max(left + half, Math.min(right - half, middle)); /* no name is cut at an edge */
      if (taken.some((t) => Math.abs(t.y - y) < height && Math.abs(t.x - x) < t.half + half)) return;
      taken.push({x, y, half});
      ctx.strokeStyle = faded(shade().card, .9);
      ctx.strokeText(text, x, y);
      ctx.fillStyle = shade().ink;
      ctx.fillText(text, x, y);
    });
    ctx.restore();
  },
};

const marks = ['circle', 'triangle', 'rect', 'rectRot', 'circle', 'triangle', 'rect', 'rectRot', 'circle', 'triangle'];

function mapPanel(run) {
  const map = dig(run, 'analysis', 'map');
  const x = numbers(list(map, 'x')), y = numbers(list(map, 'y')), label = numbers(list(map, 'label')), classes = list(map, 'classes').map(String);
  if (!pairs(x, y).length) return null;
  const shares = numbers(list(map, 'shares')), isPca = dig(map, 'kind') !== 'embedding';
  const members = (j) => pairs(x.map((v, i) => (label[i] === j ? v : NaN)), y);
  const rest = pairs(x.map((v, i) => (label[i] >= 0 && label[i] < classes.length ? NaN : v)), y);
  return {
    title: 'Map of the embeddings' + (several ? ' \u00b7 ' + run.name : ''), wide: true, tall: true,
    summary: plain(pairs(x, y).length) + ' embeddings ' + (isPca ? 'on their two main axes, which hold ' + percent(sum(shares.filter(isNumber)), 1) + ' of the variance' : 'as they are, in two dimensions') +
      (classes.length ? '; classes are ' + classes.map((name) => brief(name)).join(', ') + '.' : '.'),
    chart: () => chart({
      scatter: true, legend: false, plugins: [names], x: {title: isPca ? 'first axis' : 'first dimension'}, y: {title: isPca ? 'second axis' : 'second dimension'},
      datasets: [
        ...classes.map((name, j) => Object.assign(dots({label: name, points: members(j), colour: j, style: marks[j % marks.length], size: 2.6, opacity: .6}), {named: true})).filter((d) => d.data.length),
        ...(rest.length ? [dots({label: 'other classes', points: rest, colour: shade().quiet, size: 1.5, opacity: .3, order: 5})] : []),
      ],
    }),
  };
}

section('evaluation', 'Evaluation', ...runs.map((run) => () => mapPanel(run)), rocPanel, calibrationPanel,
  ...runs.map((run) => () => matrixPanel(run)), worstPanel);
