// Package directory is the service between routers and operators: the list of
// operators that sell a plan in a country, whose a phone number is, and balances,
// offers and orders by way of the operators' own APIs, so that an operator's key
// never lies on a router. Client is the router's side, Server the other one, which
// an integrator can run. docs/dynamo.md has the protocol.
package directory
