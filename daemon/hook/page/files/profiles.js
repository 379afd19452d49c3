// The profiles on the card.
import { $, ask, changed, clean, element, join, say, text } from "./dom.js";
import { call, tell } from "./api.js";

let busy = false; // with a change
let going = false; // a run
let note = ""; // what became of the last one

export function show(card, run) {
  going = !!run && !run.ended;
  const profiles = card?.profiles;
  say("profiles-state", !profiles ? card?.error ?? text("profiles.unknown") : note || (profiles.length ? "" : text("profiles.none")));
  if (changed("profiles", profiles)) {
    const at = document.activeElement?.dataset.key;
    $("profile-list").replaceChildren(...(profiles ?? []).map(item));
    if (at) focus(at);
  }
  allow();
}

// focus goes to the button of that key, or above the list where it is gone.
const focus = (key) => ($("profile-list").querySelector(`[data-key="${CSS.escape(key)}"]`) ?? $("profiles-title")).focus();

function allow() {
  for (const b of $("profile-list").querySelectorAll("button")) b.disabled = going || busy;
}

function item(p) {
  const name = clean(p.nickname || p.name || p.provider || p.iccid);
  const on = p.state === "enabled";
  const details = join(" · ", p.provider, p.nickname && p.name, p.class !== "operational" && text("class." + p.class, {}, p.class), p.iccid);
  const rules = (p.policy_rules ?? "").split("+").filter(Boolean).map((rule) => text("rules." + rule, {}, rule)).join(" ");
  return element("li", {},
    element("p", {}, element("b", { textContent: name }), ...(on ? [" ", element("span", { className: "good", textContent: text("profiles.enabled") })] : [])),
    element("p", { className: "help", textContent: clean(details) }),
    element("p", { className: "warning", textContent: rules }),
    element("p", { className: "buttons" },
      on ? button(p, "disable", text("profiles.disable"), text("profiles.disable_it", { name }), () => disable(p, name))
        : button(p, "enable", text("profiles.enable"), text("profiles.enable_it", { name }), () => enable(p, name)),
      button(p, "rename", text("profiles.rename"), text("profiles.rename_it", { name }), () => rename(p, name)),
      ...(on ? [] : [button(p, "delete", text("profiles.delete"), text("profiles.delete_it", { name }), () => remove(p, name))])));
}

function button(p, what, short, long, act) {
  const b = element("button", { type: "button", textContent: short, onclick: act });
  b.setAttribute("aria-label", long);
  b.dataset.key = `${p.iccid} ${what}`;
  if (what === "delete" || what === "disable") b.className = "risky";
  return b;
}

// change makes a request about a profile, and puts the question of no way back.
async function change(key, method, path, body, question) {
  busy = true;
  allow();
  note = text("profiles.working");
  say("profiles-state", note);
  say("profiles-problem", "");
  try {
    await call(method, path, body);
    note = text("profiles.did");
  } catch (error) {
    note = "";
    if (question && error.code === "no-way-back" && (await ask(question)) !== null) return await change(key, method, path + "?no_way_back=true", body);
    say("profiles-problem", tell(error));
  } finally {
    busy = false;
  }
  say("profiles-state", note);
  allow();
  if (document.activeElement === document.body) focus(key); // it was disabled
}

async function enable(p, name) {
  const title = text("profiles.enable_it", { name }), ok = text("profiles.enable");
  if ((await ask({ title, body: text("profiles.enable_text"), ok })) === null) return;
  change(`${p.iccid} enable`, "POST", `/v1/profiles/${p.iccid}/enable`, undefined, { title, body: text("profiles.for_good_text"), ok, risky: true });
}

// disable takes the profile's link away, which the page may be reached by.
async function disable(p, name) {
  const ok = text("profiles.disable");
  if ((await ask({ title: text("profiles.disable_it", { name }), body: text("profiles.disable_text"), ok, risky: true })) === null) return;
  change(`${p.iccid} disable`, "POST", `/v1/profiles/${p.iccid}/disable?force=true`);
}

async function rename(p, name) {
  const nickname = await ask({ title: text("profiles.rename_it", { name }), field: text("profiles.nickname"), value: clean(p.nickname), ok: text("profiles.rename") });
  if (nickname !== null) change(`${p.iccid} rename`, "PUT", `/v1/profiles/${p.iccid}/nickname`, { nickname });
}

// remove deletes a profile whose ICCID was typed: it is gone for good.
async function remove(p, name) {
  const typed = await ask({
    title: text("profiles.delete_it", { name }), body: text("profiles.delete_text", { iccid: p.iccid }), field: text("profiles.iccid"), ok: text("profiles.delete"), risky: true,
    wrong: (value) => (value.replace(/\s/g, "") === p.iccid ? "" : text("profiles.other_iccid")),
  });
  if (typed !== null) change(`${p.iccid} delete`, "DELETE", `/v1/profiles/${p.iccid}?confirm=${encodeURIComponent(typed.replace(/\s/g, ""))}`);
}
