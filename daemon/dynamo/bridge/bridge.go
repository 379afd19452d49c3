// Package bridge has the script by which a portal's callback comes to a router: the one
// that an operator hosts. The router's side of it is its page's visit.js.
package bridge

import _ "embed" // of the script

// Portal is dynamo-bridge.js, for the operator's pages.
//
//go:embed dynamo-bridge.js
var Portal []byte
