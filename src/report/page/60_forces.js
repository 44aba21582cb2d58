// Panels of the forces on samples, the curvature of the loss, and the head against other aims.

const explained = (run, key) => numbers(list(run, 'analysis', 'explain', key));

/* Rows as dots: attraction against repulsion, gradient against bound, alpha over theta. */
function scatterPanel(title, x, y, sets, summary, diagonal) {
  const found = sets.map((s) => ({words: s.words, list: having((run) => pairs(s.x(run), s.y(run)))})).filter((f) => f.list.length);
  if (!found.length) return null;
  const clouds = found.flatMap((f) => f.list.map((h) => h.value)), points = clouds.flat();
  const [cutX, cutY] = ['x', 'y'].map((of) => cutOf(clouds.map((cloud) => cloud.map((p) => p[of]))));
  const inside = points.filter((p) => !(p.x > cutX || p.y > cutY)), outside = points.length - inside.length;
  const end = Math.min(greatest(inside.map((p) => p.x)), greatest(inside.map((p) => p.y)));
  return {
    title, summary: tell(found[0].list, summary), more: outside ? plain(outside) + (outside === 1 ? ' dot lies' : ' dots lie') + ' outside the axes.' : '',
    chart: () => chart({
      scatter: true, x: Object.assign({max: cutX}, x), y: Object.assign({max: cutY}, y),
      datasets: [
        ...found.flatMap((f, i) => f.list.map((h) => dots({label: named(h.run, f.words), points: h.value, colour: several ? h.index : i, opacity: points.length > 600 ? .35 : .6}))),
        ...(diagonal ? [line({label: diagonal, points: [{x: 0, y: 0}, {x: end, y: end}], colour: shade().quiet, dash: true, width: 1, marks: false})] : []),
      ],
    }),
  };
}

const alphaRows = () => scatterPanel(
  'Gain of every row', {title: 'angle to the own class', unit: '\u00b0'}, {title: '\u03b1'},
  [{words: 'rows', x: (run) => explained(run, 'theta').map(degrees), y: (run) => explained(run, 'alpha')}],
  (points) => 'Median gain ' + plain(quantile(points.map((p) => p.y), .5), 3) + ' over ' + plain(points.length) + ' rows.');

const balancePanel = () => scatterPanel(
  'Attraction and repulsion', {title: 'attraction', zero: true}, {title: 'repulsion', zero: true},
  [{words: 'rows', x: (run) => explained(run, 'attraction'), y: (run) => explained(run, 'repulsion')}],
  (points) => 'Mean attraction ' + plain(mean(points.map((p) => p.x)), 3) + ', mean repulsion ' + plain(mean(points.map((p) => p.y)), 3) + '.', 'equal');

const boundPanel = () => scatterPanel(
  'Bounds of the gradient', {title: 'attained |dL/dx|', zero: true}, {title: 'bound', zero: true},
  [{words: 'tight bound', x: (run) => explained(run, 'gradient'), y: (run) => explained(run, 'tight_bound')},
   {words: 'bound', x: (run) => explained(run, 'gradient'), y: (run) => explained(run, 'bound')}],
  (points) => 'The gradient attains at most ' + percent(greatest(points.filter((p) => p.y > 0).map((p) => p.x / p.y)), 1) + ' of its bound.', 'attained');

/* Even bins over the data; over their logarithms where one run would be a single bar at 0 beside the others. */
function leakBins(lists) {
  const all = lists.flat(), positive = all.filter((v) => v > 0), top = greatest([0, ...all]) || 1;
  const log = positive.length > 0 && least(lists.map((values) => quantile(values, .5))) < 1e-3 * top;
  if (!log) {
    const high = roundRange([0, top])[1];
    return {log, low: 0, high, bins: (values) => outline(histogram(values, 0, high, 40))};
  }
  const low = Math.floor(Math.log10(least(positive))), high = Math.ceil(Math.log10(top));
  const exponents = (values) => values.map((v) => (v > 0 ? Math.log10(v) : low)); /* 0 stands in the first bin */
  return {log, low: 10 ** low, high: 10 ** high,
          bins: (values) => outline(histogram(exponents(values), low, high, 40)).map((p) => ({x: 10 ** p.x, y: p.y}))};
}

function leakPanel() {
  const found = having((run) => finite(list(run, 'analysis', 'explain', 'radial_share')));
  if (!found.length) return null;
  const {log, low, high, bins} = leakBins(found.map((h) => h.value));
  return {
    title: 'Radial leak',
    summary: tell(found, (values) => 'Of the gradient, ' + tiny(mean(values)) + ' on the mean and at most ' + tiny(greatest(values)) + ' points along the feature itself.'),
    chart: () => chart({
      x: {title: 'radial share of the gradient', min: low, max: high, log, ticks: 5}, y: {title: 'share of rows', unit: '%', zero: true},
      datasets: found.map((h) => line({label: named(h.run, 'rows'), points: bins(h.value), colour: h.index, stepped: true, fill: several ? 0 : .3})),
    }),
  };
}

/* Given, since Chart.js finds no ticks of its own between numbers below 1e-14. */
const leakEnd = () => roundRange([0, greatest([0, ...runs.flatMap((run) => series(run, 'epochs', 'radial_share').map((p) => p.y).filter(isNumber))]) || 1])[1];

function spectrumPanel() {
  const found = having((run) => finite(list(run, 'analysis', 'curvature', 'eigenvalues')).sort((a, b) => b - a));
  if (!found.length) return null;
  return {
    title: 'Spectrum of the Hessian',
    summary: tell(found, (values, run) => 'Largest eigenvalue ' + plain(values[0]) + ', smallest of those found ' + plain(values[values.length - 1]) +
      (values.some((v) => v < 0) ? '; some are negative' : '') +
      (list(run, 'analysis', 'curvature', 'residuals').length ? '; residuals up to ' + plain(greatest(finite(dig(run, 'analysis', 'curvature', 'residuals'))), 2) : '') + '.'),
    chart: () => chart({
      x: {title: 'rank', whole: true}, y: {title: 'eigenvalue'},
      datasets: found.map((h) => line({label: named(h.run, 'eigenvalues'), points: h.value.map((y, i) => ({x: i + 1, y})), colour: h.index, marks: h.value.length <= 100})),
    }),
  };
}

/* A histogram of cosines: counts over equal bins of [-1, 1], or {edges, counts}. */
function cosineBins(run) {
  const given = dig(run, 'analysis', 'conflict', 'cosines_histogram');
  const counts = numbers(Array.isArray(given) ? given : list({given}, 'given', 'counts')).map((v) => v || 0);
  const edges = numbers(list({given}, 'given', 'edges'));
  const total = sum(counts);
  if (!total) return [];
  const at = (i) => (edges.length === counts.length + 1 ? edges[i] : -1 + 2 * i / counts.length);
  return [...counts.map((c, i) => ({x: at(i), y: 100 * c / total})), {x: at(counts.length), y: 0}];
}

/* Why a run with alignment has no cosines. */
function loneliness(run) {
  const spec = String(results(run, 'align') || '').split('+').find((term) => term.startsWith('pga')) || '';
  if (dig(run, 'analysis', 'conflict', 'neighbours') !== 0)
    return 'In the last epoch no row could be compared: every row has no force of the head, of the alignment, or of both.';
  return 'In the last epoch no row had neighbours, so nothing was aligned. ' +
    (spec.includes('full_rows=on') ? 'With full_rows=on a row needs k others of its class in the batch: pga:full_rows=off takes those there are. ' : '') +
    'Larger batches or neighbours=memory give more of them.';
}

function conflictPanel() {
  const found = having(cosineBins), lonely = having((run) => (dig(run, 'analysis', 'conflict', 'compared') === 0 ? true : null));
  if (!found.length && !lonely.length) return null;
  return {
    title: 'Head against alignment',
    summary: [...tell(found, (points, run) => 'They conflict on ' + percent(dig(run, 'analysis', 'conflict', 'rate')) + ' of the rows that have neighbours (cosine below 0).'),
              ...tell(lonely, (_, run) => loneliness(run))],
    chart: !found.length ? null : () => chart({
      x: {title: 'cosine of the two directions', min: -1, max: 1}, y: {title: 'share of rows', unit: '%', zero: true},
      datasets: found.map((h) => line({label: named(h.run, 'rows'), points: h.value, colour: h.index, stepped: true, fill: several ? 0 : .3})),
    }),
  };
}

function conditionPanel() {
  const found = having((run) => Object.entries(dig(run, 'analysis', 'conflict', 'conditions') || {}).filter(([, v]) => isNumber(v)));
  if (!found.length) return null;
  const names = [...new Set(found.flatMap((h) => h.value.map(([name]) => name)))];
  return {
    title: 'Conditions of agreement', height: barsHeight(names, found.length), summary: tell(found, (entries) => entries.map(([name, v]) => name.replace(/_/g, ' ') + ' ' + percent(v, 1)).join(', ') + '.'),
    chart: () => bars(names.map((n) => n.replace(/_/g, ' ')), found.map((h) => ({
      label: named(h.run, 'rows'), colour: h.index, data: names.map((n) => 100 * (h.value.find(([name]) => name === n) || [0, NaN])[1])})), 'rows that meet it', '%'),
  };
}

/* A name in lines of about 20 letters; a pair of classes is two names. */
const PAIR = ' \u2192 ';
const shown = (name) => name.split(PAIR).map((part) => brief(part)).join(PAIR);
const wrapped = (name) => broken(shown(name));
const broken = (name) => name.match(/.{1,20}(?:\s+|$)|\S+\s*/g) || [name];

/* Bars that lie, one a name. */
function bars(names, sets, title, unit) {
  const config = chart({
    type: 'bar', sideways: true, labels: names, x: {title, unit, zero: true, whole: !unit}, y: {title: ''},
    datasets: sets.map((s) => ({label: s.label, data: s.data, backgroundColor: faded(colour(s.colour), .8), pointStyle: 'rect', barPercentage: .8, categoryPercentage: .8})),
  });
  config.options.scales.y = {type: 'category', title: {display: false, text: ''}, ticks: {color: shade().quiet, font: {size: fontSize()}, autoSkip: false, callback: (_, i) => wrapped(names[i])}, grid: {display: false}};
  if (!crowded) config.options.interaction = {mode: 'index', axis: 'y', intersect: false};
  config.options.plugins.tooltip.callbacks = {label: (item) => ' ' + item.dataset.label + '  ' + plain(item.parsed.x)};
  return config;
}

/* What such a chart needs: its names in full, and of every set a bar that can be seen. */
const barsHeight = (names, nSets) => 70 + sum(names.map((name) => 10 + Math.max(15 * wrapped(name).length, 5 * nSets)));

function gaps(points) {
  const missing = points.filter((p) => !isNumber(p.y)).length;
  return missing ? '; in ' + plain(missing) + ' of ' + plain(points.length) + ' epochs no row could be compared, which leaves gaps' : '';
}

section('forces', 'Forces and curvature', balancePanel,
  () => epochPanel('Attraction and repulsion over time', {title: 'mean over rows', zero: true}, [['attraction', 'attraction', false], ['repulsion', 'repulsion', true]],
    (a, b, words) => 'Mean ' + words + ' from ' + plain(a, 3) + ' to ' + plain(b, 3) + '.'),
  alphaRows, boundPanel, leakPanel,
  () => epochPanel('Radial leak over time', {title: 'mean radial share', min: 0, max: leakEnd()}, [['radial_share', 'radial share', false]],
    (a, b) => 'From ' + tiny(a) + ' to ' + tiny(b) + '.'), spectrumPanel);
section('alignment', 'Alignment', conflictPanel, conditionPanel,
  () => epochPanel('Conflict over time', {title: 'rows in conflict', unit: '%', zero: true}, [['conflict_rate', 'conflict', false]],
    (a, b, words, run) => 'From ' + plain(a, 3) + ' to ' + plain(b, 3) + ' %' + gaps(series(run, 'epochs', 'conflict_rate')) + '.', (v) => 100 * v));
