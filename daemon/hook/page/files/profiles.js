// The profiles on the card.
import { $, ask, changed, clean, element, join, say, text } from "./dom.js";
import { call, tell } from "./api.js";

let busy = false; // with a change, or with a run

export function show(card, run) {
  const going = !!run && !run.ended;
  const profiles = card?.profiles;
  if (!busy) say("profiles-state", !profiles ? card?.error ?? text("profiles.unknown") : profiles.length ? "" : text("profiles.none"));
  if (changed("profiles", profiles)) {
    const at = document.activeElement?.dataset?.key;
    $("profile-list").replaceChildren(...(profiles ?? []).map(item));
    if (at) ($("profile-list").querySelector(`[data-key="${CSS.escape(at)}"]`) ?? $("profiles-title")).focus();
  }
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
      ...(on ? [] : [button(p, "enable", text("profiles.enable"), text("profiles.enable_it", { name }), () => enable(p, name))]),
      button(p, "rename", text("profiles.rename"), text("profiles.rename_it", { name }), () => rename(p, name)),
      ...(on ? [] : [button(p, "delete", text("profiles.delete"), text("profiles.delete_it", { name }), () => remove(p, name))])));
}

function button(p, what, short, long, act) {
  const b = element("button", { type: "button", textContent: short, onclick: act });
  b.setAttribute("aria-label", long);
  b.dataset.key = `${p.iccid} ${what}`;
  if (what === "delete") b.className = "risky";
  return b;
}

// change makes a request about a profile, and puts the question of no way back.
async function change(method, path, body, question) {
  busy = true;
  say("profiles-problem", "");
  say("profiles-state", text("profiles.working"));
  let done = false;
  try {
    await call(method, path, body);
    done = true;
  } catch (error) {
    if (question && error.code === "no-way-back" && (await ask(question)) !== null) return change(method, path + "?no_way_back=true", body);
    say("profiles-problem", tell(error));
  } finally {
    busy = false;
  }
  say("profiles-state", done ? text("profiles.did") : "");
  for (const b of $("profile-list").querySelectorAll("button")) b.disabled = false;
}

async function enable(p, name) {
  const title = text("profiles.enable_it", { name }), ok = text("profiles.enable");
  if ((await ask({ title, body: text("profiles.enable_text"), ok })) === null) return;
  change("POST", `/v1/profiles/${p.iccid}/enable`, undefined, { title, body: text("profiles.for_good_text"), ok, risky: true });
}

async function rename(p, name) {
  const nickname = await ask({ title: text("profiles.rename_it", { name }), field: text("profiles.nickname"), value: clean(p.nickname), ok: text("profiles.rename") });
  if (nickname !== null) change("PUT", `/v1/profiles/${p.iccid}/nickname`, { nickname });
}

// remove deletes a profile whose ICCID was typed: it is gone for good.
async function remove(p, name) {
  const typed = await ask({
    title: text("profiles.delete_it", { name }), body: text("profiles.delete_text", { iccid: p.iccid }), field: text("profiles.iccid"), ok: text("profiles.delete"), risky: true,
    wrong: (value) => (value.replace(/\s/g, "") === p.iccid ? "" : text("profiles.other_iccid")),
  });
  if (typed !== null) change("DELETE", `/v1/profiles/${p.iccid}?confirm=${encodeURIComponent(typed.replace(/\s/g, ""))}`);
}
