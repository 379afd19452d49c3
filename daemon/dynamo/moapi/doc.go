// Package moapi asks an operator's own API, as Mobile Plans published it: balances,
// offers, notifications, orders and micro-balances of a SIM.
//
// It was made for a service between router and operator, which holds the operator's
// key; package directory is that service. A router uses it only where the
// operator's record gives it credentials.
package moapi
