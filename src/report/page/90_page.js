// Puts the page together: head, headline numbers, sections of cards; draws again when the theme changes or it is printed.

const drawn = []; /* {canvas, panel, chart} */

/* --- Headline numbers --- */

const results = (run, key) => dig(run, 'run', 'results', key);
const headline = [
  ['Test accuracy', (run) => results(run, 'test_accuracy'), (v) => percent(v), true],
  ['Training accuracy', (run) => results(run, 'train_accuracy'), (v) => percent(v), true],
  ['Training loss', (run) => results(run, 'train_loss'), (v) => plain(v), false, 'nats'],
  ['Test nll', (run) => results(run, 'test_nll'), (v) => plain(v), false, 'nats, no margin'],
  ['AUC', (run) => dig(run, 'analysis', 'verification', 'auc'), (v) => v.toFixed(4), true, 'pairs by cosine'],
  ['TAR', (run) => dig(run, 'analysis', 'verification', 'tar_at_far', '0.001'), (v) => percent(v, 1), true, 'at FAR 0.1 %'],
  ['Training time', (run) => results(run, 'seconds'), duration, false],
  ['Speed', (run) => results(run, 'samples_per_second'), short, true, 'samples / s'],
  ['Parameters', (run) => results(run, 'parameters'), short, null],
];

function tile([name, get, write, , note]) {
  const value = get(runs[0]);
  if (!isNumber(value)) return [];
  return [element('div', {class: 'tile'}, element('dt', {}, name), element('dd', {}, write(value)), ...(note ? [element('p', {}, note)] : []))];
}

/* A line may end behind a comma. */
const breakable = (text) => String(text).replace(/,/g, ',\u200b');

function swatch(i) {
  const dot = element('span', {class: 'swatch'});
  dot.style.backgroundColor = colour(i);
  return dot;
}

/* Whether a run is the best of those that it compares with: that have finished and, where losses are told, have the same
 * one. Nothing is best where all are equal. */
function isBest(run, [name, get, , more]) {
  const fits = (other) => results(other, 'status') === 'finished' && isNumber(get(other)) &&
    (name !== 'Training loss' || dig(other, 'run', 'loss') === dig(run, 'run', 'loss'));
  const values = runs.filter(fits).map(get);
  return more !== null && fits(run) && least(values) < greatest(values) && get(run) === (more ? greatest(values) : least(values));
}

/* One line a run; the best of a column stands out. */
function comparison() {
  const columns = headline.filter(([, get]) => runs.some((run) => isNumber(get(run))));
  const row = (run, i) => element('tr', {}, element('td', {}, swatch(i), run.name), element('td', {class: 'text'}, element('code', {}, breakable(dig(run, 'run', 'loss') || ''))),
    ...columns.map((column) => element('td', {class: isBest(run, column) ? 'best' : ''}, isNumber(column[1](run)) ? column[2](column[1](run)) : '\u2013')));
  return element('div', {class: 'runs', id: 'comparison'}, element('table', {},
    element('thead', {}, element('tr', {}, element('th', {}, 'run'), element('th', {}, ''), ...columns.map(([name]) => element('th', {scope: 'col'}, name)))),
    element('tbody', {}, ...runs.map(row))), ...(crowded ? [element('p', {}, 'The colours of the runs are those of all charts; pointing at a line names its run.')] : []));
}

/* --- Head --- */

function description(run) {
  const train = dig(run, 'run', 'data', 'train'), config = dig(run, 'run', 'config');
  const parts = [
    isNumber(dig(train, 'rows')) ? plain(train.rows) + ' rows of ' + plain(dig(train, 'dim')) + ' features in ' + plain(dig(train, 'classes')) + ' classes' : '',
    dig(config, 'encoder') ? 'encoder ' + config.encoder + (config.encoder !== 'none' && isNumber(config.dim) ? ' to ' + config.dim + ' dimensions' : '') : '',
    isNumber(dig(config, 'epochs')) ? plain(config.epochs) + (config.epochs === 1 ? ' epoch' : ' epochs') : '', dig(config, 'optimizer') || '',
  ];
  return parts.filter((p) => p).join(' \u00b7 ');
}

function notices() {
  const said = having((run) => {
    const status = results(run, 'status'), message = results(run, 'failure') || dig(run, 'failure', 'message');
    if (message) return {status: 'Failed', text: message};
    if (status === 'interrupted') return {status: 'Interrupted', text: 'after step ' + plain(results(run, 'steps')) + '; this is what there was.'};
    if (!isObject(run.run)) return {status: 'Unfinished', text: 'there is no run.json yet, or no more.'};
    return null;
  });
  return said.map((h) => element('p', {class: 'notice', role: 'status'}, element('b', {}, h.value.status), ' ' + (several ? h.run.name + ': ' : '') + h.value.text));
}

const themeName = () => 'Theme: ' + theme;

function head() {
  const button = element('button', {type: 'button', id: 'theme', title: 'automatic, light, dark'}, themeName());
  button.addEventListener('click', () => {
    theme = themes[(themes.indexOf(theme) + 1) % themes.length];
    button.textContent = themeName();
    draw();
  });
  const loss = several ? null : dig(runs[0], 'run', 'loss');
  return [
    element('div', {class: 'top'}, element('div', {}, element('div', {class: 'brand'}, 'Logitude report'),
      element('h1', {}, several ? 'Comparison of ' + runs.length + ' runs' : runs[0].name),
      ...(loss ? [element('p', {class: 'facts'}, element('code', {}, breakable(loss)))] : []),
      ...(several ? [] : [element('p', {class: 'facts'}, description(runs[0]))])), button),
    ...notices(),
  ];
}

/* --- Cards --- */

function fillTable(details, panel, sentences) {
  if (sentences.length) details.append(element('ul', {class: 'scroll', tabindex: '0'}, ...sentences.map((text) => element('li', {}, text))));
  if (!panel.chart) return;
  const {head: names2, rows} = tableOf(panel.chart());
  details.append(element('div', {class: 'scroll', tabindex: '0'}, element('table', {},
    element('thead', {}, element('tr', {}, ...names2.map((name) => element('th', {scope: 'col'}, name)))),
    element('tbody', {}, ...rows.map((row) => element('tr', {}, ...row.map((value) => element('td', {}, value))))))));
}

/* Where many runs have a sentence each, these stand with the numbers. */
function numbersOf(panel, sentences) {
  const details = element('details', {}, element('summary', {}, 'Numbers'));
  details.addEventListener('toggle', () => {
    if (details.open && details.childElementCount === 1) fillTable(details, panel, sentences);
  });
  return details;
}

function card(panel) {
  const classes = ['card', panel.wide ? 'wide' : '', panel.tall ? 'tall' : ''].join(' ').trim();
  const sentences = [].concat(panel.summary), isLong = sentences.length > 3;
  const words = [...(isLong ? [] : sentences), panel.more, crowded && panel.chart ? keyOf(panel.chart()) : '', panel.chart || panel.body ? hintOf(panel.title) : ''];
  const made = element('article', {class: classes}, element('h3', {}, panel.title), element('p', {}, words.filter((text) => text).join(' ')));
  if (panel.body) {
    made.append(element('div', {class: 'body'}, panel.body()));
    return made;
  }
  if (panel.chart) {
    const canvas = element('canvas', {role: 'img', 'aria-label': panel.title + '. ' + sentences.join(' ')}), place = element('div', {class: 'chart'}, canvas);
    if (panel.height) place.style.minHeight = panel.height + 'px';
    made.append(place);
    drawn.push({canvas, panel, chart: null});
  }
  if (panel.chart || isLong) made.append(numbersOf(panel, isLong ? sentences : []));
  return made;
}

function draw() {
  document.documentElement.dataset.shade = shadeName();
  for (const d of drawn) {
    if (d.chart) d.chart.destroy();
    d.chart = new Chart(d.canvas, d.panel.chart());
  }
  document.querySelectorAll('#comparison .swatch').forEach((dot, i) => { dot.style.backgroundColor = colour(i); });
}

function start() {
  const page = document.getElementById('page'), nav = element('nav', {'aria-label': 'Sections'});
  document.documentElement.dataset.shade = shadeName();
  Chart.defaults.font.family = 'system-ui, -apple-system, "Segoe UI", "Noto Sans", "DejaVu Sans", sans-serif';
  document.getElementById('head').append(...head(), nav);
  const tiles = several ? [] : headline.flatMap(tile);
  page.replaceChildren(...(several ? [comparison()] : tiles.length ? [element('dl', {class: 'tiles'}, ...tiles)] : []));
  for (const {id, title, makers} of sections) {
    const panels = makers.map((make) => make()).filter((panel) => panel);
    if (!panels.length) continue;
    nav.append(element('a', {href: '#' + id}, title));
    page.append(element('section', {id}, element('h2', {}, title), element('div', {class: 'grid'}, ...panels.map(card))));
  }
  document.getElementById('foot').append('This page needs no network: the numbers behind it are in the file itself, as JSON in the element \u201crecord\u201d. Charts by Chart.js ' + Chart.version + ' (MIT licence).');
  draw();
  wantsDark.addEventListener('change', draw);
  for (const [name, on] of [['beforeprint', true], ['afterprint', false]])
    window.addEventListener(name, () => {
      printing = on;
      document.documentElement.toggleAttribute('data-printing', on); /* lays the cards out for paper before they are drawn */
      draw();
    });
}

start();
