// The form for a code.
import { $, changed, say, text } from "./dom.js";
import { insist, tell } from "./api.js";
import { Camera, isCode, readPicture } from "./qr.js";
import { began } from "./run.js";

async function submit(body) {
  // Without a secure context, as behind a forwarded port that is called by an
  // address, there is no randomUUID.
  const key = Array.from(crypto.getRandomValues(new Uint8Array(16)), (b) => b.toString(16).padStart(2, "0")).join("");
  say("activate-problem", "");
  try {
    began(await insist("POST", "/v1/activations", body, { "Idempotency-Key": key }));
  } catch (error) {
    say("activate-problem", tell(error));
    $("code").focus();
  }
}

function found(texts) {
  const code = texts.find(isCode);
  say("code-state", text(code ? "qr.found" : texts.length ? "qr.other" : "qr.none"));
  if (code) {
    $("code").value = code;
    $("activate-form").querySelector("[type=submit]").focus();
  }
}

const camera = new Camera();

export function setUp() {
  $("activate-form").onsubmit = (event) => {
    event.preventDefault();
    const body = { code: $("code").value };
    if ($("first-confirmation").value) body.confirmation_code = $("first-confirmation").value;
    const apn = { apn: $("apn").value.trim(), auth: $("apn-auth").value, username: $("apn-user").value.trim(), password: $("apn-password").value };
    for (const name in apn) if (!apn[name]) delete apn[name];
    if (apn.apn) body.apn = apn;
    else if (apn.username || apn.password || apn.auth) return say("activate-problem", text("activate.no_apn"));
    if ($("only").checked) body.enable = false;
    if ($("limited").checked) body.accept_limited = true;
    $("activate-form").reset();
    say("code-state", "");
    submit(body);
  };

  $("picture").onchange = async () => {
    const [file] = $("picture").files;
    $("picture").value = "";
    if (!file) return;
    say("code-state", text("qr.reading"));
    try {
      found(await readPicture(file));
    } catch {
      say("code-state", text("qr.no_picture"));
    }
  };

  $("camera").hidden = !Camera.there();
  $("camera").onclick = async () => {
    $("viewer").hidden = false;
    $("camera-off").focus();
    say("code-state", text("qr.reading"));
    try {
      const texts = await camera.start($("video"));
      texts.length ? found(texts) : say("code-state", "");
    } catch {
      say("code-state", text("qr.no_camera"));
    }
    camera.stop();
    $("viewer").hidden = true;
    if (document.activeElement === document.body) $("camera").focus();
  };
  $("camera-off").onclick = () => camera.stop();
  addEventListener("pagehide", () => { // a browser may keep the page as it is
    camera.stop();
    $("activate-form").reset();
  });
}

// show hides the form while a run goes on: there is one at a time.
export function show(run) {
  const going = !!run && !run.ended;
  if (!changed("activate", going)) return;
  $("activate").hidden = going;
  camera.stop();
}
