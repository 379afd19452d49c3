// dynamod's page. Nothing here is inline, and no text becomes markup.
import { $, changed, element, join, label, list, say, size, text } from "./dom.js";
import { call, follow, hasToken, setToken, tell } from "./api.js";
import * as activate from "./activate.js";
import * as plans from "./plans.js";
import * as profiles from "./profiles.js";
import * as run from "./run.js";

let status = null;

function showStatus() {
  const s = status;
  say("link", text("link." + s.state, {}, s.state));
  if (changed("link", s.state)) $("link").className = `badge ${s.state}`;
  document.title = `${text("link." + s.state, {}, s.state)} – dynamod`;
  say("reason", s.reason, true);
  say("advice", s.advice, true);
  if (changed("warnings", s.warnings)) {
    $("warnings").hidden = !s.warnings?.length;
    $("warnings").replaceChildren(...(s.warnings ?? []).map((line) => element("li", { textContent: line })));
  }
  const m = s.modem, r = s.registration, g = s.signal, l = s.link, p = s.card?.profiles?.find((one) => one.state === "enabled");
  const unit = (name, value, of) => value !== undefined && `${name} ${value} ${of}`;
  list("facts", [
    [text("status.profile"), p && join(" · ", p.nickname || p.name, p.provider, p.iccid)],
    [text("status.modem"), m?.present ? join(" ", m.manufacturer, m.model, m.port && `(${m.port})`) : join(": ", text("status.no_modem"), m?.error)],
    [text("status.sim"), s.sim && join(" · ", s.sim.state, s.sim.imsi)],
    [text("status.balance"), s.balance && s.balance.iccid === s.sim?.iccid && join(" · ", s.balance.text, s.balance.stale && text("status.stale"))],
    [text("status.topup"), s.garden && join(" · ", s.garden.name, s.garden.portal, s.garden.interface && text("status.walled", { name: s.garden.interface }))],
    [text("status.network"), r && join(" · ", r.operator || r.plmn, r.act, r.status === "roaming" ? text("status.roaming") : r.status !== "home" && r.status)],
    [text("status.signal"), g && join(", ", unit("RSRP", g.rsrp, "dBm"), unit("RSRQ", g.rsrq, "dB"), unit("SINR", g.sinr, "dB"), g.rsrp === undefined && unit("RSSI", g.rssi, "dBm"))],
    [text("status.link"), l && join(" · ", l.interface, (l.addresses ?? []).join(" "))],
    [text("status.apn"), l && join(" — ", l.apn || text("offer.apn_network"), l.apn_reason)],
    [text("status.reach"), s.reach && (s.reach.result === "ok" ? text("status.reach_ok", { ms: Math.round(s.reach.rtt_ms ?? 0) }) : join(": ", s.reach.cause ?? s.reach.result, s.reach.reason))],
    [text("status.recovery"), s.recovery?.state && join(": ", s.recovery.state, s.recovery.reason, s.recovery.advice)],
    [text("status.eid"), s.card?.eid],
    [text("status.memory"), s.card?.free_memory && size(s.card.free_memory)],
    [text("status.outbox"), s.outbox?.pending ? join(": ", s.outbox.pending, s.outbox.error) : ""],
    [text("status.version"), s.version],
  ]);
}

// Events come in bursts, above all after a connection was lost; what is shown is
// how it stands at the end of one.
let pending = 0;
function show() {
  pending ||= setTimeout(() => {
    pending = 0;
    showStatus();
    activate.show(status.run);
    run.show(status.run);
    profiles.show(status.card, status.run);
    plans.show(status.visit);
  }, 30);
}

function see(kind, data) {
  switch (kind) {
    case "status":
      status = data;
      break;
    case "run":
      status.run = data;
      break;
    case "log":
      run.log(data);
      return;
    default:
      return; // of a later version
  }
  show();
}

function door(open) {
  $("login").hidden = open;
  $("inside").hidden = !open;
  $("leave").hidden = !open || !hasToken();
}

// enter shows what is inside for as long as the router knows who asks.
async function enter() {
  try {
    await call("GET", "/v1/status");
  } catch (error) {
    if (error.status === 401) {
      say("login-error", hasToken() ? text("login.wrong") : "");
      setToken("");
      door(false);
      $("token").focus();
      return;
    }
    if (error.status) { // it answered, and not because of who asks
      setToken("");
      door(false);
      say("login-error", tell(error));
      return;
    }
  }
  say("login-error", "");
  door(true);
  plans.entered();
  await follow(see, (yes) => say("live", text(yes ? "live.yes" : "live.no")));
  say("live", "");
  enter();
}

label();
activate.setUp();
run.setUp();
plans.setUp();
$("login-form").onsubmit = (event) => {
  event.preventDefault();
  setToken($("token").value.trim());
  $("login-form").reset();
  enter();
};
$("leave").onclick = () => location.reload();
enter();
