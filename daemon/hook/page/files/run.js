// The run that goes on, or the last one.
import { $, changed, clean, element, join, list, say, size, text } from "./dom.js";
import { call, tell } from "./api.js";

// steps are the segments of a run, each with the states that belong to it.
const steps = {
  check: ["accepted", "authenticated"],
  agree: ["agreed", "waiting"],
  download: ["downloading", "installed", "reporting"],
  switch: ["enabling"],
  connect: ["attaching", "configuring"],
  test: ["probing", "committed", "notifying", "done"],
};
// early are the states before the profile is on the card: up to there a run can be
// cancelled.
const early = ["accepted", "authenticated", "agreed", "waiting", "downloading"];

let mine = ""; // ID of the run that was begun on this page
let shown = null; // the run as it is shown
let downloading = null; // since when, and from how many bytes on
let confirmed = ""; // ID of the run that was given a confirmation code here

// began is told of a run that this page has begun.
export function began(record) {
  mine = record.id;
  if (shown?.id !== record.id) show(record); // else an event was faster, and knows more
  $("run-title").focus();
}

// appear shows or hides a part. The focus goes to it when the user's own run gets
// there; whoever only watches is left where he is.
function appear(id, heading, on) {
  if ($(id).hidden !== on) return;
  const at = document.activeElement;
  const inside = $(id).contains(at) || (at === document.body && shown.id === mine); // a button that is disabled loses it
  $(id).hidden = !on;
  if (on && shown.id === mine) $(heading).focus();
  if (!on && inside) $("run-title").focus();
}

export function show(run) {
  shown = run ?? null;
  $("run").hidden = !run;
  if (!run) return;
  const ended = !!run.ended;
  say("run-title", text(ended ? "run.ended" : "run.title"));
  showSteps(run, ended);
  say("doing", ended ? "" : run.waiting === "link" ? text("state.link") : text("state." + run.state, {}, run.state));
  showDownload(run);
  if (changed("asked", [run.id, run.state, run.waiting])) {
    say("run-problem", "");
    for (const id of [...answers, "cancel"]) $(id).disabled = false;
  }
  showOffer(run);
  if (run.waiting === "confirmation-code") say("refused", confirmed === run.id ? text("confirm.refused") : "");
  appear("offer", "offer-title", run.waiting === "consent");
  appear("forever", "forever-title", run.waiting === "no-way-back");
  appear("confirm", "confirmation", run.waiting === "confirmation-code");
  $("cancel").hidden = ended || !(early.includes(run.state) || run.waiting === "link");
  if (ended) showResult(run);
  appear("result", "result-title", ended);
}

function showSteps(run, ended) {
  $("steps").hidden = ended;
  if (!changed("steps", run.state)) return;
  const names = Object.keys(steps).filter((name) => !run.install_only || !["switch", "connect", "test"].includes(name));
  const found = names.findIndex((name) => steps[name].includes(run.state));
  const at = found < 0 ? names.length : found; // it is on the card, and reports are delivered
  $("steps").replaceChildren(...names.map((name, i) => {
    const e = element("li", { textContent: text("step." + name), className: i < at ? "past" : "" });
    if (i === at) e.setAttribute("aria-current", "step");
    return e;
  }));
}

function showDownload(run) {
  const p = run.state === "downloading" && run.progress;
  $("download").hidden = !p;
  if (!p) {
    downloading = null;
    return;
  }
  $("bar").max = p.total;
  $("bar").value = p.done;
  downloading ??= { at: performance.now(), from: p.done };
  const seconds = (performance.now() - downloading.at) / 1000;
  const rate = seconds > 1 ? (p.done - downloading.from) / seconds : 0;
  const left = rate > 0 ? Math.round((p.total - p.done) / rate) : 0;
  say("amount", join(", ", text("run.amount", { done: size(p.done), total: size(p.total) }),
    rate > 0 && text("run.rate", { rate: size(Math.round(rate)) }),
    left > 0 && text("run.left", { time: left < 60 ? `${left} s` : `${Math.floor(left / 60)} min ${left % 60} s` })));
}

const rules = (run) => (run.policy_rules ?? "").split("+").filter(Boolean).map((rule) => text("rules." + rule, {}, rule)).join(" ");

function showOffer(run) {
  if (run.waiting !== "consent") return;
  const stays = run.policy_rules?.includes("ppr1");
  list("offer-list", [
    [text("offer.from"), run.smdp],
    [text("offer.provider"), run.provider],
    [text("offer.profile"), run.profile],
    [text("offer.iccid"), run.iccid],
    [text("offer.class"), run.class !== "operational" && text("class." + run.class, {}, run.class)],
    [text("offer.then"), run.install_only && text("offer.left")],
    [text("offer.apn"), !run.install_only && join(" — ", run.apn || text("offer.apn_network"), run.apn_reason)],
    [text("offer.replaces"), run.previous && !run.install_only && text(stays ? "offer.for_good" : "offer.stays", { iccid: run.previous })],
  ]);
  say("offer-rules", rules(run), true);
}

function showResult(run) {
  const error = run.error ?? {};
  if (changed("result", run.outcome)) $("result").className = run.outcome;
  say("result-title", text("outcome." + run.outcome, {}, run.outcome));
  say("result-text", error.text);
  say("result-advice", error.advice);
  say("result-retry", error.retry ? text("retry." + error.retry, {}, "") : "");
  list("result-list", [
    [text("offer.provider"), run.provider],
    [text("offer.profile"), run.profile],
    [text("offer.iccid"), run.iccid],
    [text("offer.apn"), run.outcome === "committed" && join(" — ", run.apn || text("offer.apn_network"), run.apn_reason)],
    [text("result.seconds"), run.outcome === "committed" && run.figures && text("result.seconds_text", { s: (run.figures.elapsed_ms / 1000).toFixed(1) })],
    [text("result.code"), error.code],
    [text("result.when"), new Date(run.ended).toLocaleString()],
  ]);
}

// log adds a line to the details, of which the last ones are kept.
export function log(line) {
  $("lines").append(element("li", { textContent: clean(line) }));
  while ($("lines").childElementCount > 100) $("lines").firstChild.remove();
}

const answers = ["accept", "refuse", "forever-yes", "forever-no"];

// answer reports whether the router has taken the answer.
async function answer(body) {
  mine = shown.id; // who answers a run goes on with it
  for (const id of answers) $(id).disabled = true;
  try {
    await call("POST", `/v1/activations/${shown.id}/answer`, body);
    return true;
  } catch (error) {
    say("run-problem", tell(error));
    for (const id of answers) $(id).disabled = false;
    return false;
  }
}

export function setUp() {
  $("accept").onclick = () => answer({ consent: true });
  $("refuse").onclick = () => answer({ consent: false });
  $("forever-yes").onclick = () => answer({ no_way_back: true });
  $("forever-no").onclick = () => answer({ no_way_back: false });
  $("confirm").onsubmit = async (event) => {
    event.preventDefault();
    const code = $("confirmation").value;
    $("confirm").reset();
    say("refused", "");
    if (await answer({ confirmation_code: code })) confirmed = shown.id;
  };
  $("cancel").onclick = async () => {
    $("cancel").disabled = true;
    mine = shown.id;
    try {
      await call("DELETE", `/v1/activations/${shown.id}`);
    } catch (error) {
      say("run-problem", tell(error));
      $("cancel").disabled = false;
    }
  };
}
