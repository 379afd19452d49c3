package moapi

import (
	"context"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"

	"dynamod/daemon/dynamo/call"
	"dynamod/euicc"
)

// Offer is a promotion; its text is in the gateway template of that ID.
type Offer struct {
	GatewayID string `json:"gatewayId"`
}

// Offers asks what the operator would show on a SIM; limit is required, imei not.
func (c *Client) Offers(ctx context.Context, iccid string, limit int, imei string) ([]Offer, error) {
	q := url.Values{"limit": {strconv.Itoa(limit)}}
	if imei != "" {
		q.Set("imei", imei)
	}
	base, err := c.base("offers", c.api.OfferURL)
	if err != nil {
		return nil, err
	}
	var out struct{ Offers []Offer }
	err = c.Decode(ctx, call.Request{Op: "offers", Method: "GET", URL: call.SIMPath(base, iccid, "offers"), Query: q}, &out)
	return out.Offers, err
}

// NotificationType is what an operator tells of a SIM.
type NotificationType string

// The published types; the examples write them with a small first letter.
const (
	LowBalance  NotificationType = "LowBalance"
	ZeroBalance NotificationType = "ZeroBalance"
	NewOffer    NotificationType = "NewOffer"
	TrialOffer  NotificationType = "TrialOffer"
	TrialEnding NotificationType = "TrialEnding"
	TrialEnded  NotificationType = "TrialEnded"
)

// Is compares without case, as the published documents differ in it.
func (t NotificationType) Is(other NotificationType) bool {
	return strings.EqualFold(string(t), string(other))
}

// Notification is one that waits.
type Notification struct {
	ID   int              `json:"notificationId"`
	Type NotificationType `json:"notificationType"`
}

// Notifications asks for those of one type.
func (c *Client) Notifications(ctx context.Context, iccid string, t NotificationType, limit int, imei string) ([]Notification, error) {
	name := string(t)
	if name != "" {
		name = strings.ToLower(name[:1]) + name[1:] // as in the example
	}
	q := url.Values{"notificationType": {name}, "limit": {strconv.Itoa(limit)}}
	if imei != "" {
		q.Set("imei", imei)
	}
	base, err := c.base("notifications", c.api.NotificationURL)
	if err != nil {
		return nil, err
	}
	var out struct{ Notifications []Notification }
	err = c.Decode(ctx, call.Request{Op: "notifications", Method: "GET", URL: call.SIMPath(base, iccid, "notifications"), Query: q}, &out)
	return out.Notifications, err
}

// Order is a purchase that is to be provisioned (generation 1).
type Order struct {
	PurchaseDate     time.Time `json:"purchaseDate"`
	ProvisioningData string    `json:"provisioningData,omitempty"`
	Market           string    `json:"ms-market"`
	EID              string    `json:"eId,omitempty"`
	SIMs             []string  `json:"sims"` // call.SIMIDs, at most MaxOrderSIMs
}

// MaxOrderSIMs is how many SIMs an order may name.
const MaxOrderSIMs = 20

// Ordered is what became of an order.
type Ordered struct {
	ICCID string
	// Code is there where a profile is to be downloaded; without an address the
	// profile of ICCID, which is on the card, is used again.
	Code euicc.ActivationCode
}

// Order places an order. It is not repeated here, whatever the error: a repeat
// is another purchase.
func (c *Client) Order(ctx context.Context, o Order) (Ordered, error) {
	if len(o.SIMs) > MaxOrderSIMs {
		return Ordered{}, &call.Error{Op: "orders", Code: call.CodeBadRequest, Text: fmt.Sprintf("%d SIMs, at most %d", len(o.SIMs), MaxOrderSIMs)}
	}
	base, err := c.base("orders", "")
	if err != nil {
		return Ordered{}, err
	}
	var out struct{ ICCID, ActivationCode string }
	if err := c.Decode(ctx, call.Request{Op: "orders", Method: "POST", URL: call.Join(base, "orders"), Body: o}, &out); err != nil {
		return Ordered{}, err
	}
	var done Ordered
	malformed := func(text string) (Ordered, error) {
		return Ordered{}, &call.Error{Op: "orders", Code: call.CodeMalformed, Text: text}
	}
	if out.ICCID != "" {
		iccid, err := euicc.ParseICCID(out.ICCID)
		if err != nil {
			return malformed("the operator's answer has an ICCID that is none")
		}
		done.ICCID = iccid.String()
	}
	if out.ActivationCode != "" {
		code, err := euicc.ParseActivationCode(out.ActivationCode)
		if err != nil {
			return malformed("the operator's answer has an activation code that is none")
		}
		done.Code = code
	}
	if done.ICCID == "" && done.Code.Address == "" {
		return malformed("the operator's answer has neither an ICCID nor an activation code")
	}
	return done, nil
}

// GrantMicroBalance asks for the short time of free Internet in which a plan can be
// bought. See MicroLimits for how often one may.
func (c *Client) GrantMicroBalance(ctx context.Context, iccid, location string) error {
	body := map[string]string{}
	if location != "" {
		body["location"] = strings.ToUpper(location)
	}
	return c.microBalance(ctx, "PUT", iccid, body)
}

// EndMicroBalance gives it back.
func (c *Client) EndMicroBalance(ctx context.Context, iccid string) error {
	return c.microBalance(ctx, "DELETE", iccid, map[string]string{})
}

func (c *Client) microBalance(ctx context.Context, method, iccid string, body map[string]string) error {
	base, err := c.base("microbalance", "")
	if err != nil {
		return err
	}
	_, err = c.Do(ctx, call.Request{Op: "microbalance", Method: method, URL: call.SIMPath(base, iccid, "microbalance"), Body: body})
	return err
}
