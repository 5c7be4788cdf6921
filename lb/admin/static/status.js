"use strict";
// Shows /api/v1/state every two seconds. Everything that comes from there is set as text, never as markup.

const PERIOD_MS = 2000;
const POINTS = 60;
const rates = [];
let before = null;

const byId = (id) => document.getElementById(id);
const say = (id, text) => { byId(id).textContent = text; };
const sum = (items, value) => items.reduce((total, item) => total + value(item), 0);
const number = (value) => value.toLocaleString("en", { maximumFractionDigits: value < 10 ? 1 : 0 });
const time = (seconds) => seconds === null ? "–" : seconds < 1 ? `${number(seconds * 1000)} ms` : `${number(seconds)} s`;

function cell(row, text, name) {
  const td = row.appendChild(document.createElement("td"));
  td.textContent = text;
  if (name) td.className = name;
  return td;
}

// What happened between two looks at one thing. A counter that fell belongs to a new segment: no rate then.
function pace(now, earlier, seconds) {
  const requests = earlier ? now.requests - earlier.requests : 0;
  if (!earlier || requests < 0) return { rate: 0, failed: 0, mean: null, requests: 0, duration: 0 };
  const duration = now.duration_s - earlier.duration_s;
  return {
    rate: requests / seconds, requests, duration,
    failed: (now.codes["5xx"] - earlier.codes["5xx"]) / seconds,
    mean: requests ? duration / requests : null,
  };
}

function stateOf(backend) {
  if (backend.verdict === "down") return ["down", "down"];
  if (backend.is_refusing) return ["down", "refuses"];
  if (backend.is_ejected) return ["wait", "ejected"];
  return backend.verdict === "up" ? ["up", "up"] : ["wait", "not probed"];
}

function backendRow(backend, earlier, seconds) {
  const row = document.createElement("tr");
  const [look, word] = stateOf(backend);
  const step = pace(backend, earlier, seconds);
  cell(row, backend.id);
  cell(row, word, `state ${look}`);
  cell(row, backend.address);
  cell(row, number(backend.weight), "n");
  cell(row, number(step.rate), "n");
  cell(row, time(step.mean), "n");
  cell(row, number(backend.inflight), "n");
  cell(row, number(backend.requests), "n");
  cell(row, number(sum(Object.values(backend.errors), (count) => count)), "n");
  const probe = backend.last_probe;
  cell(row, probe ? (probe.ok ? `${probe.duration_ms.toFixed(1)} ms` : probe.reason) : "", "why");
  return row;
}

const HEADS = ["backend", "state", "address", "weight", "req/s", "mean", "in flight", "attempts", "failed", "last probe"];
const NUMBERS = new Set(["weight", "req/s", "mean", "in flight", "attempts", "failed"]);

function poolSection(pool, earlier, seconds) {
  const section = document.createElement("section");
  const title = section.appendChild(document.createElement("h2"));
  title.textContent = pool.id;
  title.appendChild(document.createElement("span")).textContent = pool.policy;
  const scroll = section.appendChild(document.createElement("div"));
  scroll.className = "scroll";
  const table = scroll.appendChild(document.createElement("table"));
  const head = table.createTHead().insertRow();
  for (const name of HEADS) {
    const th = head.appendChild(document.createElement("th"));
    th.textContent = name;
    if (NUMBERS.has(name)) th.className = "n";
  }
  const body = table.createTBody();
  const known = new Map((earlier ? earlier.backends : []).map((backend) => [backend.id, backend]));
  for (const backend of pool.backends) body.appendChild(backendRow(backend, known.get(backend.id), seconds));
  return section;
}

function routeRow(route, step) {
  const row = document.createElement("tr");
  cell(row, route.id);
  cell(row, route.match);
  cell(row, route.pool || route.action);
  cell(row, number(step.rate), "n");
  cell(row, time(step.mean), "n");
  cell(row, number(route.inflight), "n");
  cell(row, number(route.requests), "n");
  cell(row, number(route.codes["4xx"]), "n");
  cell(row, number(route.codes["5xx"]), "n");
  return row;
}

function draw(rate) {
  rates.push(rate);
  if (rates.length > POINTS) rates.shift();
  const top = Math.max(1, ...rates);
  const x = (i) => 600 - (rates.length - 1 - i) * (600 / (POINTS - 1));
  byId("line").setAttribute("points", rates.map((r, i) => `${x(i).toFixed(1)},${(56 - 50 * r / top).toFixed(1)}`).join(" "));
}

function tiles(state, steps) {
  const requests = sum(steps, (step) => step.requests);
  const backends = state.pools.flatMap((pool) => pool.backends);
  const rate = sum(steps, (step) => step.rate);
  say("rate", number(rate));
  say("latency", time(requests ? sum(steps, (step) => step.duration) / requests : null));
  say("errors", number(sum(steps, (step) => step.failed)));
  say("inflight", number(sum(state.routes, (route) => route.inflight)));
  say("backends", `${backends.filter((b) => b.is_eligible).length} / ${backends.length}`);
  say("workers", `${state.workers.filter((w) => w.state === "ready").length} / ${state.workers.length}`);
  if (before) draw(rate);
}

function show(state) {
  const at = performance.now() / 1000;
  const seconds = before ? at - before.at : 1;
  const pools = new Map((before ? before.state.pools : []).map((pool) => [pool.id, pool]));
  const routes = new Map((before ? before.state.routes : []).map((route) => [route.id, route]));
  const steps = state.routes.map((route) => pace(route, routes.get(route.id), seconds));
  tiles(state, steps);
  byId("pools").replaceChildren(...state.pools.map((pool) => poolSection(pool, pools.get(pool.id), seconds)));
  byId("routes").replaceChildren(...state.routes.map((route, i) => routeRow(route, steps[i])));
  announce(state.problem || `configuration ${state.generation} · ${state.source}`, Boolean(state.problem));
  before = { at, state };
}

function announce(text, isBad) {
  say("summary", text);
  byId("summary").className = isBad ? "bad" : "";
}

// From elsewhere reading takes the token: it comes behind the #, which no server sees.
const token = new URLSearchParams(location.hash.slice(1)).get("token");
const headers = token ? { Authorization: `Bearer ${token}` } : {};

async function refresh() {
  try {
    const answer = await fetch("/api/v1/state", { cache: "no-store", headers });
    const state = await answer.json();
    if (answer.ok) show(state);
    else announce(state.problem || state.error || `status ${answer.status}`, true);
  } catch (error) {
    announce("the controller does not answer; traffic goes on without it", true);
  }
  setTimeout(refresh, PERIOD_MS);
}

refresh();
