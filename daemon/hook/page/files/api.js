import { join, sleep, text } from "./dom.js";

// The token is here and nowhere else: what a browser stores for a page it may write
// to disk. A page that is loaded again asks for it again.
let token = "";
export const setToken = (value) => { token = value; };
export const hasToken = () => token !== "";

// Problem is an error that the router answered with (RFC 9457).
export class Problem extends Error {
  constructor(status, body) {
    super(body.detail ?? `HTTP ${status}`);
    Object.assign(this, { status, code: body.code ?? "", advice: body.advice ?? "" });
  }
}

// tell is an error for people.
export const tell = (error) => (error instanceof Problem ? join(" — ", error.message, error.advice) : text("problem.network"));

async function send(method, path, { body, headers, signal } = {}) {
  const h = new Headers(headers);
  if (token) h.set("Authorization", `Bearer ${token}`);
  if (body) h.set("Content-Type", "application/json");
  const answer = await fetch(path, { method, headers: h, signal, body: body && JSON.stringify(body), cache: "no-store", redirect: "error" });
  if (!answer.ok) throw new Problem(answer.status, await answer.json().catch(() => ({})));
  return answer;
}

// call makes a request and returns its answer, null where that has no body.
export async function call(method, path, body, headers) {
  const answer = await send(method, path, { body, headers });
  return answer.status === 204 ? null : answer.json();
}

// insist is call for what may be sent twice: while the router cannot be reached it
// is sent again, for a minute.
export async function insist(method, path, body, headers) {
  for (let tries = 30; ; tries--) {
    try {
      return await call(method, path, body, headers);
    } catch (error) {
      if (error instanceof Problem || tries === 0) throw error;
      await sleep(2000);
    }
  }
}

// silence is how long a stream may say nothing: a comment comes every 30 s.
const silence = 70_000;

// nudge is called when a machine may have slept: a stream that is dead by then does
// not say so, and its clock has stood still.
let nudge = () => {};
for (const event of ["online", "visibilitychange"]) addEventListener(event, () => nudge());

// stream calls see(kind, data, id) for each event until the stream ends.
async function stream(after, opened, see) {
  const stop = new AbortController();
  let timer = setTimeout(() => stop.abort(), silence), heard = Date.now();
  nudge = () => { if (Date.now() - heard > silence / 2) stop.abort(); };
  try {
    const headers = after ? { "Last-Event-ID": after } : {};
    const answer = await send("GET", "/v1/events", { headers, signal: stop.signal });
    opened();
    const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
    let rest = "";
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      clearTimeout(timer);
      timer = setTimeout(() => stop.abort(), silence);
      heard = Date.now();
      const events = (rest + value).split("\n\n");
      rest = events.pop();
      for (const event of events) {
        const field = {};
        for (const line of event.split("\n")) {
          const colon = line.indexOf(": ");
          if (colon > 0) field[line.slice(0, colon)] = line.slice(colon + 2);
        }
        if (field.data) see(field.event, JSON.parse(field.data), field.id);
      }
    }
  } finally {
    clearTimeout(timer);
    stop.abort();
  }
}

// follow calls see(kind, data) with what is and with what changes, for ever: a
// stream that breaks off is taken up where it was, or with all that is where the
// router no longer has that. live(true) and live(false) tell of the connection. It
// returns when the router no longer knows who asks.
export async function follow(see, live) {
  let last = "";
  for (let pause = 500; ; pause = Math.min(2 * pause, 15_000)) {
    try {
      await stream(last, () => { live(true); pause = 500; }, (kind, data, id) => {
        last = id ?? last;
        see(kind, data);
      });
    } catch (error) {
      if (error.status === 401) return;
    }
    live(false);
    await Promise.race([sleep(pause), new Promise((resolve) => { nudge = resolve; })]);
  }
}
