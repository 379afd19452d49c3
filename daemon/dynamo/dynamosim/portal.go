package dynamosim

import (
	"encoding/json"
	"fmt"
	"html"
	"net/http"
	"slices"
	"strings"

	"dynamod/daemon/dynamo/bridge"
)

// Portal serves the operator's web portal below /mp, in plain HTML that works
// without a browser too: the call of a page is in its element "call", as JSON.
func (o *Operator) Portal() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /mp", o.shop)
	mux.HandleFunc("POST /mp/buy", o.buy)
	mux.HandleFunc("GET /dynamo-bridge.js", script(bridge.Portal))
	mux.HandleFunc("GET /portal.js", script([]byte(portalScript)))
	return mux
}

func script(text []byte) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/javascript; charset=utf-8")
		_, _ = w.Write(text)
	}
}

// portalScript makes the call of a page, if it has one, by its published name.
const portalScript = `"use strict";
function activated(json) { document.getElementById("activation").textContent = json; }
function registered(json) { document.getElementById("registration").textContent = json; }
const element = document.getElementById("call");
if (element) {
	const show = text => { document.getElementById("state").textContent = text; };
	const {call, args} = JSON.parse(element.textContent);
	const [object, name] = call.split(".");
	MobilePlansInlineOperations.profileActivationCompleteScript = "activated";
	MobilePlansInlineOperations.registrationChangedScript = "registered";
	addEventListener("dynamo-answer", e => show(e.detail.taken ? "taken" : "refused: " + e.detail.text));
	try {
		show("sent " + window[object][name](...args).Id);
	} catch (e) {
		show(e.message);
	}
}
`

// The things that a visitor can do, in the order of the page.
var wares = []struct{ name, label string }{
	{"new", "Buy a plan with a new profile"},
	{"postpaid", "Sign a contract with a new profile"},
	{"delayed", "Buy a plan whose profile is ready in 30 minutes"},
	{"registration", "Buy a plan that the network takes in 15 minutes"},
	{"old", "Buy a plan, by the calls of generation 2"},
	{"existing", "Put a plan on the profile that is there"},
	{"topup", "Top up this line"},
	{"billing", "Pay with a card that is refused"},
	{"cancel", "Leave without buying"},
}

// carried are the parameters that go from page to page.
var carried = []string{"eid", "iccids", "iccid", "imei", "location", "market", "transactionId"}

// page writes a page; body is HTML.
func (o *Operator) page(w http.ResponseWriter, status int, body string) {
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Security-Policy", "default-src 'none'; connect-src *; script-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'")
	h.Set("Referrer-Policy", "no-referrer")
	w.WriteHeader(status)
	name := html.EscapeString(o.Name)
	fmt.Fprintf(w, "<!doctype html>\n<html lang=\"en\"><meta charset=\"utf-8\"><title>%s</title>\n<h1>%s</h1>\n<div id=\"main\">\n%s</div>\n"+
		"<p id=\"state\"></p><p id=\"activation\"></p><p id=\"registration\"></p>\n<script src=\"/dynamo-bridge.js\" data-directory=\"%s\"></script>\n<script src=\"/portal.js\"></script>\n", name, name, body, html.EscapeString(o.Directory))
}

// wrong says what is wrong with the parameters of a visit, by the published table.
func wrong(value func(string) string) string {
	digits := func(s string, lo, hi int) bool {
		return len(s) >= lo && len(s) <= hi && strings.Trim(s, "0123456789") == ""
	}
	letters := func(s string) bool {
		return len(s) == 2 && strings.Trim(strings.ToUpper(s), "ABCDEFGHIJKLMNOPQRSTUVWXYZ") == ""
	}
	eid, iccid, id := value("eid"), value("iccid"), value("transactionId")
	switch {
	case eid == "" && iccid == "":
		return "neither eid nor iccid"
	case eid != "" && !digits(eid, 32, 32):
		return "eid is not of 32 digits"
	case iccid != "" && !digits(iccid, 18, 20):
		return "iccid is not one: is the filler still there?"
	case !letters(value("location")) || !letters(value("market")):
		return "location and market are two letters"
	case id == "" || len(id) > 64:
		return "transactionId is not of 1 to 64 characters"
	}
	if list := value("iccids"); list != "" {
		for s := range strings.SplitSeq(list, ",") {
			if !digits(s, 18, 20) {
				return "iccids has one that is none"
			}
		}
	}
	return ""
}

func (o *Operator) shop(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	visit := Visit{Query: map[string]string{}, Errors: map[string]string{}}
	for name := range q {
		if strings.HasPrefix(name, "X-MP-LPAError-") {
			visit.Errors[name] = q.Get(name)
		} else {
			visit.Query[name] = q.Get(name)
		}
	}
	for _, name := range []string{"X-MP-LPAError-Codes", "X-MP-LPAError-TimeStamps", "X-MP-LPAError-ICCIDs"} {
		if s := r.Header.Get(name); s != "" {
			visit.Errors[name] = s
		}
	}
	o.mu.Lock()
	o.counts["visits"]++
	o.visits = append(o.visits, visit)
	o.mu.Unlock()
	if why := wrong(q.Get); why != "" {
		o.page(w, http.StatusBadRequest, "<p>"+html.EscapeString(why)+"</p>\n")
		return
	}
	var b strings.Builder
	if codes := visit.Errors["X-MP-LPAError-Codes"]; codes != "" {
		fmt.Fprintf(&b, "<p id=\"failed\">The last download failed: %s</p>\n", html.EscapeString(codes))
	}
	b.WriteString("<form method=\"post\" action=\"/mp/buy\">\n")
	for _, name := range carried {
		if s := q.Get(name); s != "" {
			fmt.Fprintf(&b, "<input type=\"hidden\" name=\"%s\" value=\"%s\">\n", name, html.EscapeString(s))
		}
	}
	for _, ware := range wares {
		if ware.name == "existing" && q.Get("iccids") == "" || ware.name == "topup" && q.Get("iccids")+q.Get("iccid") == "" {
			continue
		}
		fmt.Fprintf(&b, "<p><button id=\"%s\" name=\"ware\" value=\"%s\">%s</button></p>\n", ware.name, ware.name, html.EscapeString(ware.label))
	}
	b.WriteString("</form>\n")
	o.page(w, http.StatusOK, b.String())
}

func (o *Operator) buy(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, 16<<10)
	ware := r.PostFormValue("ware")
	known := false
	for _, it := range wares {
		known = known || it.name == ware
	}
	if why := wrong(r.PostFormValue); why != "" || !known {
		o.page(w, http.StatusBadRequest, "<p>"+html.EscapeString(why+" "+ware)+"</p>\n")
		return
	}
	call, args, err := o.call(ware, r.PostFormValue)
	if err != nil {
		o.page(w, http.StatusInternalServerError, "<p>"+html.EscapeString(err.Error())+"</p>\n")
		return
	}
	text, err := json.Marshal(map[string]any{"call": call, "args": args}) // with <, > and & escaped
	if err != nil {
		o.page(w, http.StatusInternalServerError, "")
		return
	}
	o.page(w, http.StatusOK, "<p>Thank you.</p>\n<script type=\"application/json\" id=\"call\">"+string(text)+"</script>\n")
}

// call is what a page calls for a ware, in the spelling of the published samples.
func (o *Operator) call(ware string, value func(string) string) (string, []any, error) {
	meta := func(status, plan string) map[string]string {
		return map[string]string{"userAccount": "new", "purchaseInstrument": "new", "line": "new", "moDirectStatus": status, "planName": plan}
	}
	done := meta("complete", o.Name+" 1 GB")
	own := slices.DeleteFunc(strings.Split(value("iccids")+","+value("iccid"), ","), func(s string) bool { return s == "" })
	switch ware {
	case "billing":
		return "MobilePlans.notifyCancelledPurchase", []any{meta("billingError", "")}, nil
	case "cancel":
		return "MobilePlans.notifyCancelledPurchase", []any{meta("cancelled", "")}, nil
	case "existing", "topup":
		_, iccid, err := o.sell("", own, Prepaid)
		if ware == "topup" {
			return "MobilePlansInlineOperations.notifyBalanceAddition", []any{done}, err
		}
		return "MobilePlansInlineOperations.notifyBalanceAddition", []any{done, iccid}, err
	}
	plan := Prepaid
	if ware == "postpaid" {
		plan = Postpaid
	}
	code, iccid, err := o.sell(value("eid"), nil, plan)
	if err != nil {
		return "", nil, err
	}
	switch ware {
	case "delayed":
		return "MobilePlansInlineOperations.notifyProfileDownload", []any{done, code, 30}, nil
	case "registration":
		return "MobilePlans.notifyPurchaseWithProfileDownload", []any{done, code, 15}, nil
	case "old":
		purchase, _ := json.Marshal(map[string]string{"userAccount": "New", "purchaseInstrument": "New", "line": "New", "moDirectStatus": "Complete", "planName": o.Name + " 1 GB"})
		result, _ := json.Marshal(map[string]any{
			"ver": "1", "purchaseResult": string(purchase), "success": true, "iccid": iccid, "activationCode": code, "transactionId": value("transactionId"),
		})
		return "DataMart.notifyPurchaseResult", []any{string(result)}, nil
	}
	return "MobilePlansInlineOperations.notifyProfileDownload", []any{done, code}, nil
}
