// Buying a plan in an operator's portal.
import { $, changed, clean, element, join, say, text } from "./dom.js";
import { call, insist, tell } from "./api.js";
import { began } from "./run.js";
import { returned, visit } from "./visit.js";

let transaction = ""; // of the visit that was begun on this page
let listeners = null; // tells its portal
let envelope = returned(); // with which a portal has sent the browser here

// give brings what a portal sent to the router.
async function give(body) {
  say("plans-problem", "");
  try {
    const answer = await insist("POST", "/v1/dynamo/callbacks", body);
    say("plans-note", answer.text);
    if (answer.run) began({ id: answer.run, state: "accepted" });
    return { taken: true, text: answer.text };
  } catch (error) {
    if (error.code === "replayed") return { taken: true, text: "" }; // the first answer was lost
    say("plans-problem", tell(error));
    return { taken: false, text: "" };
  }
}

// entered is called when the router knows who is here.
export function entered() {
  if (envelope) give({ way: "return", top: window.top === window, envelope });
  envelope = "";
}

async function begin(operator) {
  say("plans-problem", "");
  say("plans-note", text("plans.opening"));
  const body = { operator };
  // The operator's script answers to these alone.
  if (location.protocol === "https:" || location.hostname === "localhost") body.return_url = location.origin + "/";
  const opened = call("POST", "/v1/dynamo/visits", body);
  const told = visit(opened.then((v) => v.url), (arrival) => give({ way: "opener", ...arrival }));
  try {
    transaction = (await opened).transaction_id;
    listeners = told;
    say("plans-note", text(!told ? "plans.blocked" : body.return_url ? "plans.open" : "plans.by_hand"));
  } catch (error) {
    say("plans-note", "");
    say("plans-problem", tell(error));
  }
}

async function listSellers(path) {
  say("plans-problem", "");
  say("plans-note", text("plans.asking"));
  try {
    const o = await call("GET", path);
    $("sellers").replaceChildren(...o.operators.map((p) => element("li", { className: "buttons" },
      element("button", { type: "button", textContent: clean(p.brand), onclick: () => begin(p.id) }))));
    say("plans-note", o.operators.length ? "" : o.offline ? text("plans.offline") : text(o.network ? "plans.no_number" : "plans.none"));
    say("plans-age", join(" ", o.error && text("plans.old", { at: o.at ? new Date(o.at).toLocaleString() : "" }), o.error, o.offline && text("plans.offline")), true);
  } catch (error) {
    say("plans-note", "");
    say("plans-problem", tell(error));
  }
}

// show brings the last visit up to date, and tells its portal of what became of it.
export function show(v) {
  say("visit", v ? join(" · ", v.brand, v.plan, text("visit." + v.state, { at: v.due ? new Date(v.due).toLocaleString() : "" }, v.state), v.error?.text) : "", true);
  if (!v || v.transaction_id !== transaction || !listeners) return;
  for (const listener of ["activation", "registration"]) {
    if (v[listener] && changed("visit." + listener, [transaction, v[listener]])) listeners(listener, v[listener]);
  }
}

export function setUp() {
  $("sellers-show").onclick = () => listSellers("/v1/dynamo/operators");
  $("phone-form").onsubmit = (event) => {
    event.preventDefault();
    listSellers("/v1/dynamo/operators?msisdn=" + encodeURIComponent($("phone").value));
  };
}
