// The race: lanes that grow by tokens. live: they stand as the data say, without motion, for the browser may draw on the cores that are
// measured. replay: all start together and run by their recorded times; new data do not begin it anew unless the experiment is another one.
const mounted = new WeakMap(); // parent element → { root, head, rows: id → elements, data, seconds, speed, frame, waiting, fit }
const raced = new Set(); // experiments whose race was seen to its end: they stand when they come back
const STEP = 250; // milliseconds of one frame, at most: a hidden tab pauses the race
const SLOW = 20; // seconds from which on a race may be watched faster
const TAIL = 120; // characters of the text, at most
const BLOCK = 8; // pixels of a token without text, as in race.css

const make = (parent, tag, name, text = '') => {
  const made = document.createElement(tag);
  made.className = name;
  made.textContent = text;
  return parent.appendChild(made);
};

const put = (element, text) => element.textContent !== text && (element.textContent = text);

const still = () => matchMedia('(prefers-reduced-motion: reduce)').matches;

const end = (state) => Math.max(0, ...state.data.lanes.map((lane) => lane.times.at(-1) ?? 0));

const significant = (value) => (value >= 100 ? Math.round(value).toLocaleString('en-US') : value.toPrecision(3));

function count(times, seconds) {
  let [low, high] = [0, times.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (times[middle] <= seconds) low = middle + 1;
    else high = middle;
  }
  return low;
}

function head(state) {
  const box = make(state.root, 'div', 'race-head');
  const start = make(box, 'button', 'race-start', 'Race');
  start.type = 'button';
  start.onclick = () => begin(state);
  const speeds = make(box, 'div', 'race-speeds');
  speeds.setAttribute('role', 'group');
  speeds.setAttribute('aria-label', 'Speed of the race');
  const clock = make(box, 'div', 'race-clock');
  return { box, speeds, clock };
}

function offerSpeeds(state) {
  const offered = [[0.25, '¼×', 'Slow motion'], [1, '1×', 'True speed'], ...(end(state) > SLOW ? [[10, '10×', 'Ten times as fast']] : [])];
  if (state.head.speeds.childElementCount !== offered.length) {
    state.head.speeds.replaceChildren();
    for (const [speed, text, title] of offered) {
      const button = make(state.head.speeds, 'button', '', text);
      Object.assign(button, { type: 'button', title, value: speed });
      button.onclick = () => {
        state.speed = speed;
        offerSpeeds(state);
      };
    }
  }
  for (const button of state.head.speeds.children) button.setAttribute('aria-pressed', String(Number(button.value) === state.speed));
}

function rowOf(state, lane) {
  let row = state.rows.get(lane.id);
  if (!row) {
    const box = make(state.root, 'div', 'race-lane');
    const name = make(box, 'div', 'race-name');
    row = { box, place: make(name, 'div', 'race-place') };
    const called = make(name, 'div', 'race-called');
    for (const part of ['title', 'under']) row[part] = make(called, 'div', `race-${part}`);
    const track = make(box, 'div', 'race-track');
    row.late = make(track, 'div', 'race-late');
    row.bar = make(track, 'div', 'race-bar');
    for (const part of ['rate', 'text', 'detail', 'note']) row[part] = make(box, 'div', `race-${part}`);
    state.rows.set(lane.id, row);
  }
  return row;
}

// What is written in one line: the newest characters, or a block for each token where nobody knows how it reads.
function write(state, row, lane, written, said) {
  row.text.toggleAttribute('data-state', Boolean(said));
  row.text.toggleAttribute('data-writing', written > 0 && lane.status !== 'failed' && !(lane.complete && written === lane.times.length));
  if (said || lane.texts.length) {
    if (row.text.firstChild?.className !== 'race-words') row.text.replaceChildren(make(row.text, 'span', 'race-words'));
    const whole = lane.texts.slice(0, written).join('').replace(/\s*\n\s*/g, ' ⏎ ').replace(/\s/g, ' ').trimStart();
    const characters = [...whole]; // a pair of surrogates is not to be cut
    put(row.text.firstChild, said || (characters.length > state.fit ? `…${characters.slice(1 - state.fit).join('')}` : whole));
  } else {
    if (row.text.firstChild?.className !== 'race-blocks') row.text.replaceChildren(make(row.text, 'span', 'race-blocks'));
    row.text.firstChild.style.width = `${BLOCK * written}px`;
  }
}

function mark(row, lane, there) {
  const place = there && lane.complete && lane.place ? String(lane.place) : '';
  put(row.place, place || (lane.wrong ? '✕' : lane.status === 'failed' ? '–' : ''));
  if (place) row.place.dataset.place = place;
  else delete row.place.dataset.place;
}

// What a lane without tokens says.
function awaited(state, lane, seconds) {
  if (lane.status === 'failed') return ' ';
  return state.data.live || !lane.times.length ? lane.note : seconds > 0 ? 'reads the prompt …' : ' ';
}

// One lane as it was `seconds` after the start; seconds = Infinity: as it is.
function drawLane(state, lane, seconds) {
  const { goal, pace } = state.data;
  const row = rowOf(state, lane);
  const written = count(lane.times, seconds);
  const there = written === lane.times.length;
  const key = `${written} ${seconds > 0} ${state.fit}`;
  if (row.drawn === key && row.lane === lane) return;
  Object.assign(row, { drawn: key, lane });
  Object.assign(row.box.dataset, { status: lane.status, written });
  row.box.toggleAttribute('data-wrong', Boolean(lane.wrong));
  put(row.title, lane.title);
  row.title.title = lane.title;
  put(row.under, lane.wrong ? 'wrong answers' : '');
  put(row.note, lane.wrong || (lane.status === 'failed' ? lane.note : ''));
  mark(row, lane, there);
  row.late.style.width = `${(100 * written) / goal}%`;
  row.bar.style.width = `${(100 * Math.min(written, pace === null ? Infinity : count(lane.times, pace))) / goal}%`;
  const running = written > 1 ? `${significant((written - 1) / (lane.times[written - 1] - lane.times[0]))} tok/s` : '';
  put(row.rate, there ? lane.rate : running);
  put(row.detail, there ? lane.detail : written ? lane.first : '');
  write(state, row, lane, written, written ? '' : awaited(state, lane, seconds));
}

function draw(state) {
  const seconds = state.data.live || state.seconds >= end(state) ? Infinity : state.seconds;
  for (const lane of state.data.lanes) drawLane(state, lane, seconds);
  put(state.head.clock, `${Math.min(state.seconds, end(state)).toFixed(2)} s`);
}

function halt(state) {
  cancelAnimationFrame(state.frame);
  state.frame = 0;
  state.root.dataset.running = 'false';
}

function begin(state) {
  halt(state);
  state.waiting = false;
  state.seconds = 0;
  state.root.dataset.running = 'true';
  let before = performance.now();
  const tick = (now) => {
    state.seconds += (Math.min(Math.max(now - before, 0), STEP) / 1000) * state.speed;
    before = now;
    if (state.seconds >= end(state)) arrive(state);
    else {
      draw(state);
      state.frame = requestAnimationFrame(tick);
    }
  };
  state.frame = requestAnimationFrame(tick);
  draw(state);
}

function arrive(state) {
  halt(state);
  state.waiting = false;
  state.seconds = end(state);
  raced.add(state.data.id);
  draw(state);
}

// The first race of an experiment waits until it is seen.
function ready(state) {
  halt(state);
  if (still() || raced.has(state.data.id)) return arrive(state);
  state.waiting = true;
  state.seconds = 0;
  state.watcher.unobserve(state.root); // observing anew tells at once whether it is in view
  state.watcher.observe(state.root);
}

function receive(state, data) {
  const fresh = !state.data || state.data.id !== data.id || state.data.live !== data.live;
  state.data = data;
  const wanted = new Set(data.lanes.map((lane) => lane.id));
  for (const [id, row] of state.rows) {
    if (!wanted.has(id)) {
      row.box.remove();
      state.rows.delete(id);
    }
  }
  if (fresh) state.root.append(...data.lanes.map((lane) => rowOf(state, lane).box)); // in their order
  state.root.setAttribute('role', 'figure');
  state.root.setAttribute('aria-label', data.label);
  if (fresh) state.speed = 1;
  state.head.box.hidden = data.live || still() || !end(state);
  offerSpeeds(state);
  if (fresh && data.live) halt(state);
  if (fresh && !data.live) ready(state);
  if (!data.live && !state.frame && !state.waiting) state.seconds = end(state);
  draw(state);
}

// How many characters a line of text holds.
function measure(state) {
  const line = state.root.querySelector('.race-text');
  if (!line || !line.clientWidth) return;
  const probe = make(line, 'span', '', '0'.repeat(100));
  probe.style.position = 'absolute';
  probe.style.fontFamily = 'var(--st-code-font, monospace)'; // a line that waits has another one
  const fit = Math.max(10, Math.min(TAIL, Math.floor((100 * line.clientWidth) / probe.getBoundingClientRect().width) - 1));
  probe.remove();
  if (fit !== state.fit) {
    state.fit = fit;
    draw(state);
  }
}

function mount(root) {
  const state = { root, rows: new Map(), frame: 0, seconds: 0, speed: 1, waiting: false, fit: TAIL };
  state.head = head(state);
  state.watcher = new IntersectionObserver(
    (seen) => state.waiting && seen.at(-1).isIntersecting && begin(state),
    { threshold: 0.25 },
  );
  state.sizes = new ResizeObserver(() => measure(state));
  state.sizes.observe(root);
  return state;
}

export default function ({ data, parentElement }) {
  const root = parentElement.querySelector('.race');
  let state = mounted.get(parentElement);
  if (!state) mounted.set(parentElement, (state = mount(root)));
  receive(state, data);
  return () => {
    halt(state);
    state.watcher.disconnect();
    state.sizes.disconnect();
    root.replaceChildren();
    mounted.delete(parentElement);
  };
}
