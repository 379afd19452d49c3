// The router's side of dynamo-bridge.js, which an operator's portal has.

let current = new AbortController(); // there is one visit at a time: the next one ends it

// visit opens a portal, whose address may be a promise: the window has to be opened
// while the browser still knows of the click. Each call that comes back is given to
// take(arrival), which returns a promise of {taken, text}: the router decides, not this
// page, and what it refuses is in its log. arrival is {origin, top, envelope}; top says
// that the call came from the window that was opened and not from a frame in it. It
// returns a function that tells the portal's listeners of "activation" or
// "registration", null where the browser opens no window.
export function visit(url, take) {
  current.abort();
  current = new AbortController();
  const portal = window.open("", "_blank", "popup,width=800,height=800");
  if (!portal) return null;
  Promise.resolve(url).then((to) => { portal.location = to; }, () => portal.close());
  let left = 20; // calls of one visit; nobody needs so many
  let origin = "";
  addEventListener("message", async (event) => {
    const envelope = event.data?.dynamo === 1 ? event.data.envelope : undefined;
    if (typeof envelope !== "string" || envelope.length > 16384 || left-- <= 0) return;
    const answer = await take({ origin: event.origin, top: event.source === portal, envelope });
    if (event.source !== portal) return;
    if (answer.taken) origin = event.origin;
    let operation = "";
    try {
      operation = JSON.parse(envelope).operation;
    } catch {}
    portal.postMessage({ dynamo: 1, operation, taken: answer.taken, text: answer.text }, event.origin);
  }, { signal: current.signal });
  return (listener, result) => origin && portal.postMessage({ dynamo: 1, listener, json: JSON.stringify(result) }, origin);
}

// returned is the call with which a portal has sent the browser to the return URL,
// or "". It is taken out of the URL, so that it does not stay in the history.
export function returned() {
  const text = location.hash.slice(1);
  if (text.length < 100 || !/^[A-Za-z0-9_-]{1,24576}$/.test(text)) return ""; // #main is a place in the page
  history.replaceState(null, "", location.pathname + location.search);
  try {
    const bytes = Uint8Array.from(atob(text.replaceAll("-", "+").replaceAll("_", "/")), (c) => c.charCodeAt(0));
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    return "";
  }
}
