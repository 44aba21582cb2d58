// Panels of where samples lie: angles, the loss's curve over them, norms.

const anglesOf = (run, which) => inDegrees(list(run, 'analysis', 'angles', which));

/* The rows that an analysis was made on. */
function rowsOf(run) {
  const rows = dig(run, 'analysis', 'rows'), data = dig(run, 'analysis', 'data');
  return isNumber(rows) ? plain(rows) + ' rows of the ' + (data === 'train' ? 'training' : 'test') + ' data' : 'the rows measured';
}

function anglePanel() {
  const own = having((run) => anglesOf(run, 'target')), other = having((run) => anglesOf(run, 'nearest'));
  if (!own.length) return null;
  const all = [...own, ...other].flatMap((h) => h.value);
  const high = Math.min(180, Math.ceil(greatest(all) / 10) * 10), n = Math.max(10, Math.round(high / 2));
  return {
    title: 'Angles to the classes', wide: true,
    summary: tell(own, (values, run) => 'Median angle to the own class ' + angle(quantile(values, .5)) + ', to the nearest other class ' +
      angle(quantile(anglesOf(run, 'nearest'), .5)) + ', over ' + rowsOf(run) + '.'),
    chart: () => chart({
      x: {title: 'angle between feature and class weight', unit: '\u00b0', min: 0, max: high}, y: {title: 'share of rows', unit: '%', zero: true},
      datasets: [
        ...own.map((h) => line({label: named(h.run, 'own class'), points: outline(histogram(h.value, 0, high, n)), colour: h.index, stepped: true, fill: several ? 0 : .3})),
        ...other.map((h) => line({label: named(h.run, 'nearest other class'), points: outline(histogram(h.value, 0, high, n)),
                                  colour: several ? h.index : 1, dash: several, stepped: true, fill: several ? 0 : .22})),
      ],
    }),
  };
}

/* Curves over theta with the density of the data behind: what is a list of [points of a run, words, dash]. */
function curvePanel(title, y, make, summary, note) {
  const found = having((run) => {
    const theta = numbers(list(run, 'analysis', 'curve', 'theta')).map(degrees);
    const curves = theta.length ? make(run, theta) : [];
    return curves.filter(([points]) => points.length);
  });
  if (!found.length) return null;
  const data = having((run) => anglesOf(run, 'target'));
  return {
    title, summary: summary ? tell(found, (value, run) => summary(run)) : note,
    chart: () => chart({
      x: {title: 'angle to the own class', unit: '\u00b0', min: 0, max: 180}, y: typeof y === 'function' ? y(found) : y,
      datasets: [
        ...found.flatMap((h) => h.value.map(([points, words, dash], i) => line(
          {label: named(h.run, several ? '' : words), points, colour: several ? h.index : i, dash, marks: false}))),
        ...data.slice(0, several ? 0 : 1).map((h) => density(h.value, 0, 180, 90, 'share of the data (%)')),
      ],
    }),
  };
}

const curve = (run, theta, key) => pairs(theta, numbers(list(run, 'analysis', 'curve', key)));

const logitPanel = () => curvePanel(
  'Target logit', {title: 'target logit'},
  (run, theta) => [[curve(run, theta, 'logit'), 'with the margin', false], ...(several ? [] : [[curve(run, theta, 'plain_logit'), 'without', true]])],
  null, 'What the loss makes of the logit of the own class, at the mean norms of the data; the shade behind shows where the data lie.');

const forcePanel = () => curvePanel(
  'Pull towards the class', {title: 'force \u2212dz/d\u03b8', zero: true},
  (run, theta) => [[curve(run, theta, 'force'), 'with the margin', false], ...(several ? [] : [[curve(run, theta, 'plain_force'), 'without', true]])],
  null, 'How strongly the target logit pulls a sample towards its class, per radian.');

/* force / plain force; at 0 and 180 degrees both vanish. */
function gain(run, theta) {
  const force = numbers(list(run, 'analysis', 'curve', 'force')), bare = numbers(list(run, 'analysis', 'curve', 'plain_force'));
  return pairs(theta.map((t, i) => (Math.abs(bare[i]) > 1e-3 * greatest(finite(bare)) ? t : NaN)), force.map((f, i) => f / bare[i]));
}

function gainAt(run, theta) {
  const curvePoints = gain(run, numbers(list(run, 'analysis', 'curve', 'theta')).map(degrees));
  return curvePoints.reduce((best, p) => (Math.abs(p.x - theta) < Math.abs(best.x - theta) ? p : best), {x: Infinity, y: NaN}).y;
}

function gainRange(found) {
  const round = (v) => Math.ceil(2 * v) / 2;
  const inside = found.flatMap((h) => h.value.flatMap(([points]) => points)).filter((p) => p.x > 12 && p.x < 168).map((p) => p.y);
  return {title: '\u03b1(\u03b8)', min: -round(Math.min(3, Math.max(0, -least(inside)))), max: round(Math.max(1.5, Math.min(12, greatest(inside))))};
}

const alphaPanel = () => curvePanel(
  'Gain \u03b1(\u03b8)', gainRange, (run, theta) => [[gain(run, theta), '\u03b1', false]],
  (run) => 'The pull with the margin over the pull without: ' + plain(gainAt(run, quantile(anglesOf(run, 'target'), .5)), 3) +
    ' at the median angle of the data' + (several ? '.' : ', which lie in the shade.'));

function normPanel() {
  const what = '|x|', found = having((run) => finite(list(run, 'analysis', 'angles', 'x_norm')));
  if (!found.length) return null;
  const [low, high] = roundRange(found.flatMap((h) => h.value));
  const n = Math.max(8, Math.min(40, Math.round(2 * Math.sqrt(greatest(found.map((h) => h.value.length))))));
  return {
    title: 'Norms of features', summary: tell(found, (values) => 'Median ' + plain(quantile(values, .5)) + ', from ' + plain(least(values)) + ' to ' + plain(greatest(values)) + '.'),
    chart: () => chart({
      x: {title: what, min: low, max: high}, y: {title: 'share of rows', unit: '%', zero: true},
      datasets: found.map((h) => line({label: named(h.run, several ? '' : what), points: outline(histogram(h.value, low, high, n)), colour: h.index, stepped: true, fill: several ? 0 : .3})),
    }),
  };
}

/* Norms by rank; of many class weights they are thinned, evenly from the first rank to the last. */
function ranked(run) {
  const norms = finite(list(run, 'analysis', 'angles', 'w_norm')).sort((a, b) => b - a), of = dig(run, 'analysis', 'angles', 'w_rows');
  const isThinned = isNumber(of) && norms.length > 1;
  return norms.map((y, i) => ({x: 1 + (isThinned ? Math.floor(i * (of - 1) / (norms.length - 1)) : i), y}));
}

function weightPanel() {
  const found = having(ranked);
  if (!found.length) return null;
  const ends = found.map((h) => h.value[h.value.length - 1].x);
  return {
    title: 'Norms of class weights',
    summary: tell(found, (points) => 'From ' + plain(last(points)) + ' to ' + plain(first(points)) + ' over ' + plain(points[points.length - 1].x) + '.'),
    chart: () => chart({
      x: {title: 'class weights by falling norm', whole: true, min: 1, max: greatest([2, ...ends])}, y: {title: '|w|', zero: true},
      datasets: found.map((h) => line({label: named(h.run, several ? '' : '|w|'), points: h.value, colour: h.index, marks: h.value.length <= 60})),
    }),
  };
}

section('angles', 'Angles and the loss', anglePanel, logitPanel, forcePanel, alphaPanel,
  () => epochPanel('Angles over time', {title: 'mean angle', unit: '\u00b0'},
    [['theta_target', 'to the own class', false], ['theta_nearest', 'to the nearest other class', true]],
    (a, b, words) => 'The mean angle ' + words + ' went from ' + angle(a) + ' to ' + angle(b) + '.', degrees),
  normPanel, weightPanel,
  () => epochPanel('Norms over time', {title: 'mean norm |x|', zero: true}, [['x_norm', 'features |x|', false]],
    (a, b) => 'The mean norm of features went from ' + plain(a) + ' to ' + plain(b) + '.'));
