// dynamo-bridge.js: hosted by the operator, in each page of its portal.
//
// It defines the published names of Mobile Plans and Data Marketplace, and brings a
// page's calls to the router that opened the portal: by a message to the page that
// opened it, and where there is none, or it does not answer, by sending the browser
// to the router's return URL with the call behind the #, which reaches no server's
// log. A visit that names no return URL, because the portal was opened on another
// device, is answered by way of the directory service, if the operator names one that
// it trusts: <script src="/dynamo-bridge.js" data-directory="https://directory.example">.
// docs/dynamo.md of dynamod has the protocol.
(() => {
"use strict";

// The visit's parameters are in the first page's URL; later pages find them here.
const stored = name => sessionStorage.getItem("dynamo-" + name) || "";
const query = new URLSearchParams(location.search);
if (query.has("transactionId"))
	for (const name of ["transactionId", "state", "returnUrl"])
		sessionStorage.setItem("dynamo-" + name, query.get(name) || "");

const directory = document.currentScript?.dataset.directory || "";

// home is the router's return URL. Whoever can have somebody open the portal can
// name one, so only what is in a private network, or of a name that is local, is
// taken: the code that was paid for goes nowhere else.
function home() {
	let url;
	try {
		url = new URL(stored("returnUrl"));
	} catch {
		return null;
	}
	const host = url.hostname;
	const local = /^(localhost|127\.\d+\.\d+\.\d+|10\.\d+\.\d+\.\d+|192\.168\.\d+\.\d+|172\.(1[6-9]|2\d|3[01])\.\d+\.\d+|169\.254\.\d+\.\d+|\[::1\]|\[f[cd][0-9a-f]{2}:[0-9a-f:]*\]|\[fe[89ab][0-9a-f]:[0-9a-f:]*\]|[a-z0-9-]+(\.[a-z0-9-]+)*\.(local|lan|internal|home\.arpa))$/;
	const safe = url.protocol === "https:" || url.protocol === "http:" && host === "localhost"; // behind ssh -L
	return safe && !url.username && !url.password && local.test(host) ? url : null;
}

const base64url = text => btoa(String.fromCharCode(...new TextEncoder().encode(text)))
	.replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");

const patience = 3000; // ms for the page that opened the portal
const waiting = new Map(); // operation -> timer

function send(call, args) {
	const to = home();
	const away = !stored("returnUrl") && directory;
	if (!to && !away || !stored("transactionId"))
		throw new Error("dynamo: this page was not opened by a router");
	const operation = crypto.randomUUID();
	const envelope = JSON.stringify({transactionId: stored("transactionId"), state: stored("state"), operation, call, args});
	if (away) {
		const told = (taken, text) => dispatchEvent(new CustomEvent("dynamo-answer", {detail: {taken, text}}));
		// A string is text/plain: no question goes before it.
		fetch(directory + "/v1/visits/" + encodeURIComponent(stored("transactionId")) + "/callbacks", {method: "POST", body: envelope, credentials: "omit"})
			.then(answer => told(answer.ok, answer.ok ? "" : "the router does not expect this"), () => told(false, "the directory service cannot be reached"));
		return {Id: operation};
	}
	const redirect = () => {
		waiting.delete(operation);
		to.hash = base64url(envelope);
		location.assign(to);
	};
	if (window.opener) {
		waiting.set(operation, setTimeout(redirect, patience));
		window.opener.postMessage({dynamo: 1, envelope}, to.origin);
	} else {
		setTimeout(redirect, 0);
	}
	return {Id: operation};
}

const inline = {
	profileActivationCompleteScript: "",
	registrationChangedScript: "",
	registrationCompleteScript: "", // of the diagrams
	notifyProfileDownload: (metadata, code, delay) => send("MobilePlansInlineOperations.notifyProfileDownload", delay === undefined ? [metadata, code] : [metadata, code, delay]),
	notifyOperationCancel: context => send("MobilePlansInlineOperations.notifyOperationCancel", [context]),
	notifyBalanceAddition: (metadata, iccid) => send("MobilePlansInlineOperations.notifyBalanceAddition", iccid === undefined ? [metadata] : [metadata, iccid]),
	notifyInlineProfileDownload: (metadata, code) => inline.notifyProfileDownload(metadata, code),
};
const values = list => Object.freeze(Object.fromEntries(list.map(v => [v[0].toLowerCase() + v.slice(1), v])));
const shares = values(["New", "Existing", "Bailed", "None"]);

Object.assign(window, {
	MobilePlansInlineOperations: inline,
	MobilePlansInlineProfile: inline,
	MobilePlansInlineProfileDownload: inline,
	MobilePlans: {
		createPurchaseMetaData: () => ({}),
		notifyPurchaseWithProfileDownload: (metadata, code, interval) => send("MobilePlans.notifyPurchaseWithProfileDownload", [metadata, code, interval]),
		notifyCancelledPurchase: metadata => send("MobilePlans.notifyCancelledPurchase", [metadata]),
		notifyBalanceAddition: inline.notifyBalanceAddition,
	},
	DataMart: {notifyPurchaseResult: result => send("DataMart.notifyPurchaseResult", [result])},
	MobilePlansUserAccount: shares,
	MobilePlansPurchaseInstrument: shares,
	MobilePlansLineType: shares,
	MobilePlansMoDirectStatus: values(["Complete", "ServiceError", "InvalidSIM", "LogOnFailed", "PurchaseFailed", "ClientError", "BillingError", "None", "Bailed", "Cancelled"]),
});

// What the router answers: that it has the call, and later what became of it.
addEventListener("message", event => {
	const m = event.data;
	if (event.source !== window.opener || event.origin !== home()?.origin || m?.dynamo !== 1)
		return;
	if (waiting.has(m.operation)) {
		clearTimeout(waiting.get(m.operation));
		waiting.delete(m.operation);
		dispatchEvent(new CustomEvent("dynamo-answer", {detail: {taken: m.taken === true, text: String(m.text || "")}}));
	}
	const listener = {activation: inline.profileActivationCompleteScript, registration: inline.registrationChangedScript || inline.registrationCompleteScript}[m.listener];
	if (listener && typeof window[listener] === "function")
		window[listener](String(m.json));
});
})();
