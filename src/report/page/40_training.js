// Panels over the time of the training: loss, accuracy, rates, and what is measured after every epoch.

const known = (points) => points.filter((p) => isNumber(p.y));
const where = (kind, p) => plain(p.y) + ' at ' + kind + ' ' + plain(p.x);

/* One or two points are told as what they are; more of them by `sentence`. */
const told = (kind, points, sentence) => (known(points).length > 2 ? sentence(points) : known(points).map((p) => where(kind, p)).join(', ') + '.');

/* The series that tells more of a run: steps, unless lines of steps were rarer than epochs or are next to none. */
function lossTold(run) {
  const steps = known(series(run, 'steps', 'loss')), epochs = known(series(run, 'epochs', 'loss'));
  const kind = epochs.length && (steps.length < 3 || steps.length < epochs.length) ? 'epoch' : 'step', points = kind === 'step' ? steps : epochs;
  if (!points.length) return null;
  const [begin, end] = [points[0], points[points.length - 1]];
  if (begin === end) return plain(end.y) + ' nats at ' + kind + ' ' + plain(end.x) + '.';
  return 'From ' + plain(begin.y) + ' to ' + plain(end.y) + ' nats over ' + plain(end.x) + ' ' + kind + 's.';
}

function lossPanel() {
  const steps = having((run) => series(run, 'steps', 'loss')), epochs = having((run) => series(run, 'epochs', 'loss'));
  if (!steps.length && !epochs.length) return null;
  const perEpoch = (run) => (last(series(run, 'epochs', 'step')) || 0) / (last(series(run, 'epochs', 'epoch')) || 1);
  const onSteps = (h) => h.value.map((p) => ({x: p.x * (perEpoch(h.run) || 1), y: p.y}));
  return {
    title: 'Loss', wide: true,
    summary: tell(having(lossTold), (text) => text),
    chart: () => chart({
      x: {title: 'step', min: 0}, y: {title: 'mean loss', unit: 'nats'},
      datasets: [
        ...steps.map((h) => line({label: named(h.run, 'of a step'), points: h.value, colour: h.index, faint: epochs.length > 0, marks: false, order: 2, quietLegend: several && epochs.length > 0})),
        ...epochs.map((h) => line({label: named(h.run, several ? '' : 'mean of an epoch'), points: onSteps(h), colour: h.index, order: 1})),
      ],
    }),
  };
}

/* Series of epochs: keys are [key, words, dash]; `scale` turns what is recorded into what is shown. */
function epochPanel(title, y, keys, sentence, scale = (v) => v) {
  const found = keys.map(([key, words, dash]) => ({words, dash, list: having((run) => series(run, 'epochs', key))}));
  if (found.every((f) => !f.list.length)) return null;
  const shown = found.find((f) => f.list.length), single = found.filter((f) => f.list.length).length === 1;
  const ends = shown.list.map((h) => h.value[h.value.length - 1].x);
  return {
    title, summary: tell(shown.list, (points, run) => sentence(scale(first(points)), scale(last(points)), shown.words, run)),
    chart: () => chart({
      x: {title: 'epoch', whole: true, min: least(ends) > 1 ? 1 : undefined, max: least(ends) > 1 ? greatest(ends) : undefined}, y,
      datasets: found.flatMap((f, i) => f.list.map((h) => line({
        label: named(h.run, several && single ? '' : f.words), points: h.value.map((p) => ({x: p.x, y: scale(p.y)})), colour: several ? h.index : i, dash: f.dash}))),
    }),
  };
}

const accuracyPanel = () => epochPanel(
  'Accuracy', {title: 'accuracy', unit: '%'}, [['test_accuracy', 'test', false], ['accuracy', 'training', true]],
  (a, b, words) => 'From ' + b0(a) + ' to ' + b0(b) + ' % on the ' + words + ' data.', (v) => 100 * v);
const b0 = (v) => (isNumber(v) ? v.toFixed(2) : '\u2013');

function stepPanel(title, key, y, sentence, more) {
  const found = having((run) => series(run, 'steps', key));
  if (!found.length) return null;
  return {
    title, summary: tell(found, (points) => told('step', points, sentence)),
    chart: () => chart(Object.assign({
      x: {title: 'step', min: 0}, y,
      datasets: found.map((h) => line({label: named(h.run, several ? '' : title.toLowerCase()), points: h.value, colour: h.index, marks: known(h.value).length < 3})),
    }, more)),
  };
}

const peak = (points) => known(points).reduce((best, p) => (p.y > best.y ? p : best));
const endOf = (points) => known(points).pop();
/* A rate between two lines is not known: what is told is where it was seen. */
const peakAndEnd = (points) => 'At most ' + where('step', peak(points)) + ', in the end ' + where('step', endOf(points)) + '.';
const ratePanel = () => stepPanel('Learning rate', 'lr', {title: 'learning rate', zero: true}, peakAndEnd);
const schedulePanel = () => stepPanel('Schedule of the loss', 'schedule', {title: 'lambda, or share of the margin', zero: true},
  (points) => 'From ' + where('step', known(points)[0]) + ' to ' + where('step', endOf(points)) + '.');

section('training', 'Training', lossPanel, accuracyPanel, ratePanel, schedulePanel,
  () => epochPanel('Loss on test data', {title: 'negative log likelihood', unit: 'nats'}, [['test_nll', 'test', false]],
    (a, b) => 'From ' + plain(a) + ' to ' + plain(b) + ' nats, of the logits without a margin.'));
