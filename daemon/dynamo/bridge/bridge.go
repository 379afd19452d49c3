// Package bridge has the two scripts by which a portal's callback comes to a router:
// the one that an operator hosts, and the one of the router's own page.
package bridge

import _ "embed" // of the scripts

// Portal is dynamo-bridge.js, for the operator's pages.
//
//go:embed dynamo-bridge.js
var Portal []byte

// Visit is dynamo-visit.js, a module for the page that opens a portal.
//
//go:embed dynamo-visit.js
var Visit []byte
